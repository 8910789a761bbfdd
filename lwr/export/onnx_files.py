"""`lwr export onnx OUT`: the pass of each task as an ONNX file, and a JSON that describes it.

A file holds what is between a photo at its final size and the restored one: encoder, UNet, refiner, with the
task's adapter folded in. Outside stay padding to a multiple, tiles and overviews of large photos, and tones.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lwr.batch.folders import make_folder
from lwr.export.asked import Export, files
from lwr.images import disk
from lwr.images.writing import write_errors
from lwr.models.fixed import FixedPass
from lwr.request import Settings
from lwr.restore import Restorer, fixed_pass
from lwr.version import __version__

SIDES = (2, 512)  # multiples, the shortest and the longest side that the graph promises
ABOUT = (
    "The pass of lwr (Light-Weight Restoration) for one task: photo (1,3,H,W), RGB in [0,1], to the restored "
    "photo of the same size. H and W are multiples of `multiple`, at least two of them: pad by repeating the "
    "border, and crop afterwards. Tones of plain areas, tiles and overviews of large photos are lwr's own."
)


def export_onnx(restorer: Restorer, out: Path, asked: Export) -> Iterator[dict[str, Any]]:
    """Write the files of each task; what its JSON says, with the name of the graph.

    RestoreError, AdapterError or ImageError: each with one sentence.
    """
    settings = [restorer.settings(request) for request in asked.requests()]
    make_folder(out, "OUT")
    for one in settings:
        (task,) = one.tasks
        graph, about = files(out, task)
        fixed = fixed_pass(restorer, one)
        data = to_onnx(fixed, restorer.network.multiple)
        described = {"file": graph.name} | _described(one, fixed, restorer.network.multiple, len(data))
        _write(data, graph, asked.overwrite)
        _write((json.dumps(described, indent=2) + "\n").encode(), about, asked.overwrite)
        yield described | {"output": str(graph)}


@torch.enable_grad()  # without gradients the refiner mixes its filters one by one: 72 steps instead of 3
def to_onnx(fixed: FixedPass, multiple: int) -> bytes:
    """A pass as a file: `photo` (1,3,H,W) -> `restored` (1,3,H,W), H and W any multiples of `multiple`."""
    height, width = (torch.export.Dim(name, min=SIDES[0], max=SIDES[1]) for name in ("rows", "columns"))
    example = torch.rand(1, 3, 5 * multiple, 7 * multiple)  # unlike, so that the graph keeps them apart
    with _quiet():
        program = torch.onnx.export(
            fixed.eval(),
            (example,),
            input_names=["photo"],
            output_names=["restored"],
            dynamic_shapes={"photo": {2: multiple * height, 3: multiple * width}},
            dynamo=True,
            verbose=False,
        )
    return program.model_proto.SerializeToString()


def _described(settings: Settings, fixed: FixedPass, multiple: int, size: int) -> dict[str, Any]:
    """What a graph is, for its JSON."""
    return {
        "about": ABOUT,
        "tasks": settings.tasks,
        "fidelity": settings.fidelity,
        "adapters": settings.adapters,
        "prior": settings.prior,
        "uses_unet": fixed.sampler,
        "multiple": multiple,
        "input": "photo",
        "output_name": "restored",
        "bytes": size,
        "made_with": {"lwr": __version__, "torch": torch.__version__},
    }


def _write(data: bytes, file: Path, overwrite: bool) -> None:
    """Whole or not at all; ImageError says why not."""
    with write_errors(file):
        disk.write_whole(data, file, overwrite)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the exporter reports about itself, which helps nobody who exports, is not shown."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

"""Safetensors files tensor by tensor: what they hold without reading it, and reading one after the other.

Mapped files count as memory until they are closed; a model that is loaded in half precision from a float32
file would for a moment take three times what it needs. Weights in 8 bits get their floating point back while
they are read, so nobody else knows of them.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import ModelMixin
from safetensors import safe_open
from torch import nn

from lwr.loading.eight_bits import SCALE, is_scale, restored
from lwr.loading.priors import PriorError
from lwr.models.pruned import fit_to_weights

EIGHT_BITS = "I8"
MAPPED = 8_000_000  # bytes of a file that are read before it is opened again, which takes time
WIDE = {"F64": 8, "F32": 4}  # bytes of a number that a half-precision model would not keep
# A component's weights: the full ones or a half-precision variant, in one file or several.
NAME = re.compile(r"(?:diffusion_pytorch_model|model)(\.fp16)?(?:-\d+-of-\d+)?\.safetensors")
M = TypeVar("M", bound=ModelMixin)


def headers(path: Path) -> dict[str, tuple[str, list[int]]]:
    """{name: (dtype, shape)} without reading a tensor; SafetensorError for a file that is cut short."""
    with safe_open(path, "pt") as file:
        found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  no dict
        return {name: (one.get_dtype(), one.get_shape()) for name, one in found.items()}


def weight_files(folder: Path) -> tuple[list[Path], str | None]:
    """A component's safetensors files and their variant ("fp16" only where there are no full ones)."""
    found = [(path, match[1]) for path in sorted(folder.iterdir()) if (match := NAME.fullmatch(path.name))]
    full = [path for path, variant in found if variant is None]
    return (full, None) if full or not found else ([path for path, _ in found], "fp16")


def count(path: Path) -> int:
    """Weights in a safetensors file; scales of those in 8 bits are none."""
    found = headers(path)
    eight = _eight_bit(found)
    return sum(math.prod(shape) for name, (_, shape) in found.items() if not is_scale(name, eight))


def stream(path: Path, precision: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor in this precision), one after the other, those in 8 bits as what they stand for.

    SafetensorError for a file that is cut short, PriorError for scales that are damaged.
    """
    found = headers(path)
    eight = _eight_bit(found)
    for names in _parts(found):
        with safe_open(path, "pt") as file:  # again for each part, which unmaps what was read before
            for name in names:
                if is_scale(name, eight):
                    continue
                tensor = file.get_tensor(name)
                if name in eight:
                    scales = file.get_tensor(name + SCALE) if name + SCALE in found else None
                    tensor = _restored(tensor, scales, name, path)
                if not tensor.is_floating_point():
                    raise ValueError(f"{path.name} holds {tensor.dtype} numbers, not those of a model")
                yield name, tensor.to(precision, copy=True)


def streamed_model(kind: type[M], folder: Path, precision: torch.dtype, pruned: bool = False) -> M:
    """A model of diffusers from its folder, as `from_pretrained` would load it, holding little beside it.

    If it is `pruned`, as `from_pretrained` would not: with the widths and blocks that its files hold.
    """
    with torch.device("meta"):
        model = kind.from_config(kind.load_config(folder))
    state = {n: t for path in weight_files(folder)[0] for n, t in stream(path, precision)}
    assign(model, state, pruned)
    return model.eval()


def assign(module: nn.Module, state: dict[str, torch.Tensor], pruned: bool = False) -> None:
    """Let a module take these tensors as its own; a pruned one takes their sizes, too."""
    if pruned:
        fit_to_weights(module, {name: tensor.shape for name, tensor in state.items()})
    module.load_state_dict(state, assign=True)


def in_eight_bits(folder: Path) -> bool:
    """Whether a component's files hold weights in 8 bits, which `from_pretrained` cannot read."""
    return any(_eight_bit(headers(path)) for path in weight_files(folder)[0])


def smaller_than_stored(folder: Path, precision: torch.dtype) -> bool:
    """Whether weights take less room in this precision than in their safetensors files, if they have any."""
    stored = (dtype for path in weight_files(folder)[0] for dtype, _ in headers(path).values())
    return any(WIDE.get(dtype, 0) > precision.itemsize for dtype in stored)


def _parts(found: Mapping[str, tuple[str, list[int]]]) -> Iterator[list[str]]:
    """The names of `headers` in parts, each of little more than MAPPED bytes."""
    names: list[str] = []
    held = 0
    for name, (dtype, shape) in found.items():
        names.append(name)
        held += math.prod(shape) * WIDE.get(dtype, 2)
        if held > MAPPED:
            yield names
            names, held = [], 0
    yield names


def _restored(numbers: torch.Tensor, scales: torch.Tensor | None, name: str, path: Path) -> torch.Tensor:
    try:
        return restored(numbers, scales)
    except ValueError as error:
        raise PriorError(f"{path} is damaged at {name} ({error}): fetch the model again.") from error


def _eight_bit(found: Mapping[str, tuple[str, list[int]]]) -> set[str]:
    """Names of the tensors in 8 bits among `headers`."""
    return {name for name, (dtype, _) in found.items() if dtype == EIGHT_BITS}

"""What can run a task's pass on a CPU: torch, ONNX Runtime and OpenVINO, in 32 and in 8 bits, for `runtimes`.

All take and give float32 arrays (1,3,H,W) in [0,1]. Those of 8 bits are made from the exported graph by
post-training quantisation: weights by channel, activations from what `Work.calibration` holds. AVX2 without
VNNI adds two products of 8 bits in 16 and overflows, so ONNX Runtime's weights use 7 bits (`reduce_range`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch

from lwr.export.asked import Export
from lwr.export.onnx_files import to_onnx
from lwr.request import Request
from lwr.restore import Restorer, fixed_pass

Pass = Callable[[np.ndarray], np.ndarray]
QUANTISED = ["Conv", "MatMul", "Gemm"]  # what takes the time


@dataclass(frozen=True)
class Work:
    """A task, and where its files are kept."""

    task: str
    folder: Path
    prior: str
    calibration: Callable[[], Sequence[np.ndarray]]  # damaged training photos (1,3,H,W) in [0,1]

    def file(self, ending: str) -> Path:
        """A file of this task."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f"{self.task}{ending}"


@dataclass(frozen=True)
class Kind:
    """A way to run a pass."""

    packages: tuple[str, ...]  # that it needs beside torch
    file: Callable[[Work], Path | None]  # its weights, made where they are not there; None: lwr's own
    start: Callable[[Work, int, int], Pass]  # (work, side of the photos, threads)


def torch_pass(
    work: Work, side: int, threads: int, precision: str = "float32", channels_last: bool = False
) -> Pass:
    """The product's own."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    restorer = _restorer(work.prior, precision)
    fixed = fixed_pass(restorer, restorer.settings(_asked(work))).to(memory_format=layout)
    if precision != "float32":
        fixed.text = fixed.text.to(restorer.network.prior.unet.dtype)

    @torch.inference_mode()
    def run(photo: np.ndarray) -> np.ndarray:
        torch.set_num_threads(threads)
        return fixed(torch.from_numpy(photo).contiguous(memory_format=layout)).float().numpy()

    return run


def exported(work: Work) -> Path:
    """The float32 graph."""
    file = work.file(".onnx")
    if not file.exists():
        restorer = _restorer(work.prior, "float32")
        fixed = fixed_pass(restorer, restorer.settings(_asked(work)))
        file.write_bytes(to_onnx(fixed, restorer.network.multiple))
    return file


def onnx_pass(file: Path, threads: int) -> Pass:
    """A graph in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda photo: session.run(None, {"photo": photo})[0]


def quantised_statically(work: Work) -> Path:
    """Weights and activations of 8 bits, QDQ."""
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(quantization.CalibrationDataReader):
        """One photo after the other."""

        def __init__(self) -> None:
            self.photos: Iterator[np.ndarray] = iter(work.calibration())

        def get_next(self) -> dict[str, np.ndarray] | None:
            photo = next(self.photos, None)
            return None if photo is None else {"photo": photo}

    file, prepared = work.file(".ort-static.onnx"), work.file(".prepared.onnx")
    if not file.exists():
        quant_pre_process(exported(work), prepared, skip_symbolic_shape=True)
        quantization.quantize_static(
            prepared,
            file,
            Reader(),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
        )
    return file


def quantised_dynamically(work: Work) -> Path:
    """Weights of 8 bits; activations too, in ranges that each pass finds."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    file = work.file(".ort-dynamic.onnx")
    if not file.exists():
        quantize_dynamic(
            exported(work),
            file,
            op_types_to_quantize=QUANTISED,
            reduce_range=True,
            weight_type=QuantType.QUInt8,
        )
    return file


def openvino_pass(file: Path, side: int, threads: int) -> Pass:
    """A graph in OpenVINO, compiled for photos of one size."""
    import openvino

    core = openvino.Core()
    model = core.read_model(file)
    model.reshape([1, 3, side, side])
    config = {
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(model, "CPU", config)
    return lambda photo: compiled(photo)[0]


def quantised_by_nncf(work: Work) -> Path:
    """Weights and activations of 8 bits, by NNCF for OpenVINO."""
    import nncf
    import openvino

    file = work.file(".nncf.xml")
    if not file.exists():
        photos = work.calibration()
        model = openvino.Core().read_model(exported(work))
        made = nncf.quantize(model, nncf.Dataset(list(photos)), subset_size=len(photos))
        openvino.save_model(made, file, compress_to_fp16=False)
    return file


def size_of(kind: Kind, work: Work) -> float:
    """Megabytes of its weights on disk; lwr's own are of 16 bits, with the task's adapter beside them."""
    file = kind.file(work)
    if file is None:
        folder = _restorer(work.prior, "float32").folder
        patterns = ("*.safetensors", "*/*.safetensors", f"adapters/{work.task}/*.safetensors")
        files = [one for pattern in patterns for one in folder.glob(pattern)]
    else:
        files = [one for one in (file, file.with_suffix(".bin")) if one.exists()]
    return sum(one.stat().st_size for one in files) / 1e6


def _asked(work: Work) -> Request:
    return Export([work.task]).requests()[0]


@cache
def _restorer(prior: str, precision: str) -> Restorer:
    return Restorer.load(prior, device="cpu", precision=precision)


def _own(_: Work) -> None:
    """No file beside lwr's own weights."""


ONNX, OPENVINO = ("onnx", "onnxscript", "onnxruntime"), ("onnx", "onnxscript", "openvino")
KINDS = {
    "torch float32": Kind((), _own, torch_pass),
    "torch float32 channels last": Kind((), _own, lambda w, s, t: torch_pass(w, s, t, channels_last=True)),
    "torch bfloat16": Kind((), _own, lambda w, s, t: torch_pass(w, s, t, "bfloat16", channels_last=True)),
    "ONNX Runtime float32": Kind(ONNX, exported, lambda w, s, t: onnx_pass(exported(w), t)),
    "ONNX Runtime int8 static": Kind(
        ONNX, quantised_statically, lambda w, s, t: onnx_pass(quantised_statically(w), t)
    ),
    "ONNX Runtime int8 dynamic": Kind(
        ONNX, quantised_dynamically, lambda w, s, t: onnx_pass(quantised_dynamically(w), t)
    ),
    "OpenVINO float32": Kind(OPENVINO, exported, lambda w, s, t: openvino_pass(exported(w), s, t)),
    "OpenVINO int8 NNCF": Kind(
        (*OPENVINO, "nncf"), quantised_by_nncf, lambda w, s, t: openvino_pass(quantised_by_nncf(w), s, t)
    ),
}

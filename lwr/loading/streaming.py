"""Safetensors files tensor by tensor: what they hold without reading it, and reading one after the other.

Mapped files count as memory until they are closed; a model that is loaded in half precision from a float32
file would for a moment take three times what it needs.
"""

import json
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import ModelMixin

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
# A component's weights: the full ones or a half-precision variant, in one file or several.
NAME = re.compile(r"(?:diffusion_pytorch_model|model)(\.fp16)?(?:-\d+-of-\d+)?\.safetensors")
M = TypeVar("M", bound=ModelMixin)


def headers(path: Path) -> dict[str, tuple[str, list[int], int, int]]:
    """{name: (dtype, shape, first byte, last byte + 1)}; ValueError for what is no safetensors file.

    Format: https://github.com/huggingface/safetensors#format
    """
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= path.stat().st_size - 8:
            raise ValueError(f"{path.name} is cut short, or no safetensors file")
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    offset = 8 + length
    return {
        name: (found["dtype"], found["shape"], *(offset + at for at in found["data_offsets"]))
        for name, found in header.items()
    }


def weight_files(folder: Path) -> tuple[list[Path], str | None]:
    """A component's safetensors files and their variant ("fp16" only where there are no full ones)."""
    found = [(path, match[1]) for path in sorted(folder.iterdir()) if (match := NAME.fullmatch(path.name))]
    full = [path for path, variant in found if variant is None]
    return (full, None) if full or not found else ([path for path, _ in found], "fp16")


def count(path: Path) -> int:
    """Numbers of a safetensors file."""
    return sum(math.prod(shape) for _, shape, _, _ in headers(path).values())


def stream(path: Path, precision: torch.dtype) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor in this precision), one after the other. ValueError for a file that is cut short."""
    found = headers(path)
    if max((end for *_, end in found.values()), default=0) > path.stat().st_size:
        raise ValueError(f"{path.name} is cut short")
    with path.open("rb") as file:
        for name, (dtype, shape, start, end) in found.items():
            if dtype not in DTYPES:
                raise ValueError(f"{path.name} holds {dtype} numbers, not those of a model")
            data = bytearray(end - start)
            file.seek(start)
            file.readinto(data)
            numbers = torch.frombuffer(data, dtype=DTYPES[dtype]) if data else torch.empty(0)
            yield name, numbers.view(shape).to(precision)


def streamed_model(kind: type[M], folder: Path, precision: torch.dtype) -> M:
    """A model of diffusers from its folder, as `from_pretrained` would load it, holding little beside it."""
    with torch.device("meta"):
        model = kind.from_config(kind.load_config(folder))
    state = {n: t for path in weight_files(folder)[0] for n, t in stream(path, precision)}
    model.load_state_dict(state, assign=True)
    return model.eval()


def smaller_than_stored(folder: Path, precision: torch.dtype) -> bool:
    """Whether weights take less room in this precision than in their safetensors files, if they have any."""
    stored = (DTYPES.get(found[0]) for path in weight_files(folder)[0] for found in headers(path).values())
    return any(dtype is not None and dtype.itemsize > precision.itemsize for dtype in stored)

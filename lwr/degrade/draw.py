"""Random parameters: one stream of plain numbers per photo, all fed by the caller's torch.Generator.

What a degradation draws it returns as plain dicts; given back to it with the same generator state, they take
the place of the drawing, and the same pixels come out. Parameters and, on a CPU, pixels do not depend on the
machine: drawn numbers keep nine digits, and the arithmetic is in double precision (see `light.round_half`).
"""

import contextlib
import json
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError

Range = tuple[float, float]
Params = Sequence[Mapping[str, Any]]  # a dict a photo, as an earlier call returned them
# (B,3,H,W) in [0,1], and one JSON-able dict of parameters a photo
Degraded = tuple[torch.Tensor, list[dict[str, Any]]]
T = TypeVar("T")
_on_cpu: ContextVar[torch.dtype] = ContextVar("precision on a CPU", default=torch.float64)


def photo_streams(generator: torch.Generator, count: int) -> list[random.Random]:
    """`count` independent number streams that follow from the state of `generator`.

    Parameters are drawn as plain numbers (one read from the device, then no more waiting for it), and a
    photo's parameters do not depend on how many numbers its neighbours in the batch have used.
    """
    seeds = torch.randint(2**62, (count,), generator=generator, device=generator.device)
    return [random.Random(seed) for seed in seeds.tolist()]


def own_generator(seed: int, device: torch.device | str) -> torch.Generator:
    """One photo's own numbers, from a seed of its parameters: they do not depend on the batch around it."""
    return torch.Generator(device=device).manual_seed(seed)


def draw_or_read(
    kind: type[T],
    draw: Callable[[random.Random], T],
    generator: torch.Generator,
    count: int,
    params: Params | None,
) -> list[T]:
    """`count` records of parameters, drawn, or read back from the `params` of an earlier call.

    The generator moves on alike in both cases, so what is drawn from it afterwards is the same.
    """
    streams = photo_streams(generator, count)
    if params is None:
        return [draw(stream) for stream in streams]
    if len(params) != count:
        raise ValueError(f"there are {len(params)} sets of parameters for {count} photos; give one each")
    return [read(kind, entry) for entry in params]


def read(kind: type[T], value: Any) -> T:
    """A dataclass of type `kind` from the dict (or JSON) that `dataclasses.asdict` made of it.

    Keys that are no fields are passed over: degradations add what they derive. Raises ValueError with the
    offending part when `value` is no such record.
    """
    try:
        return _reader(kind).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "all of it"
        raise ValueError(f"{place} of a {kind.__name__}: {first['msg']}") from error


@cache
def _reader(kind: type[T]) -> TypeAdapter[T]:
    return TypeAdapter(kind)


def pick(stream: random.Random, chances: dict[str, float]) -> str:
    """One key of `chances`, in proportion to its value."""
    return stream.choices(list(chances), list(chances.values()))[0]


def log_uniform(stream: random.Random, low: float, high: float) -> float:
    """A number in [low, high] whose logarithm is uniform; `low` > 0."""
    return min(max(_nine_digits(math.exp(stream.uniform(math.log(low), math.log(high)))), low), high)


def normal(stream: random.Random, mean: float, deviation: float) -> float:
    """A normally distributed number."""
    return _nine_digits(stream.gauss(mean, deviation))


def _nine_digits(value: float) -> float:
    """`value` without the last digits of exp, log and cos, in which C libraries differ."""
    return float(f"{value:.9g}")


def working_dtype(device: torch.device | str) -> torch.dtype:
    """Double precision on a CPU, where it makes results the same everywhere; single elsewhere, for speed."""
    return _on_cpu.get() if torch.device(device).type == "cpu" else torch.float32


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Within it a CPU, too, degrades in single precision: for training, which need not repeat elsewhere."""
    before = _on_cpu.set(torch.float32)
    try:
        yield
    finally:
        _on_cpu.reset(before)


def per_photo(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """B numbers as a (B,1,1,1) tensor of the kind of `like`, ready to broadcast over a batch of images."""
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1, 1)

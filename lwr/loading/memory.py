"""What a network needs of memory, known before it is loaded, and a plan that stays within what there is.

Weights are counted from the headers of their files. The working memory of a pass grows with the tile: it is
the widest features at full resolution, in the VAE decoder, several times over.
"""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch

from lwr.loading.limits import limited_room
from lwr.loading.load import PARTS, PICTURE_PARTS, check_components, read_network_config
from lwr.loading.locate import ModelSource, prior_config_of
from lwr.loading.priors import COMPONENTS, LITE, PriorError
from lwr.loading.streaming import count, weight_files
from lwr.models.config import NetworkConfig
from lwr.models.network import RestorationNetwork
from lwr.models.tiled import OVERLAP, TILE_SLACK

LIBRARIES = 620_000_000  # bytes of Python, torch and the rest
LOADING = 510_000_000  # bytes that a large network takes beside its weights while it is read
MAX_TILE = 2048  # pixels
LEAST_TILE = 2 * OVERLAP
# Working memory, bytes a pixel, rounded up, as training.benchmarks.{speed,stable_diffusion} measure it.
REFINER_BYTES = 900  # the embedded network in float32, and as much with residual blocks half as wide
CHANNEL_BYTES = 36  # a channel of the VAE's finest level, in float32
SMALL = 500_000_000  # weights of fewer bytes are not weighed against what is free
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SHORT = f"Memory is short: the smaller network {LITE} was used."


class TooLittleError(PriorError):
    """A model that does not fit into the memory that there is."""


@dataclass(frozen=True)
class Needs:
    """What a network is made of: numbers of weights, and working bytes a pixel of a tile."""

    sampler: int  # text encoder, UNet, encoder and SFT
    pictures: int  # VAE, CFW and refiner, which stay float32 in float16
    pixel_bytes: int  # at 4 bytes a number
    refined: bool  # the embedded kind, which is small: it is not offloaded

    def weights(self, precision: torch.dtype) -> int:
        """Bytes of all weights."""
        return self.sampler * precision.itemsize + self.pictures * picture_precision(precision).itemsize

    def pixel(self, precision: torch.dtype) -> float:
        """Working bytes a pixel."""
        return self.pixel_bytes * picture_precision(precision).itemsize / 4


@dataclass(frozen=True)
class Plan:
    """How a network is loaded."""

    precision: torch.dtype
    tile: int  # pixels
    offload: bool  # weights wait in main memory and visit the GPU a layer at a time
    bytes: int  # estimate of the peak on the device


def picture_precision(precision: torch.dtype) -> torch.dtype:
    """What VAE, CFW and refiner run in: float16 cannot hold their activations."""
    return torch.float32 if precision == torch.float16 else precision


def plan_first(
    source: ModelSource,
    smaller: ModelSource | None,
    device: torch.device,
    memory_gb: float | None = None,
    precision: str = "auto",
) -> tuple[ModelSource, Plan]:
    """A network and its plan: the `smaller` one, with a note, where that alone fits, or alone with its tile.

    That is seldom: it saves weights, and nothing of what a tile takes. PriorError when neither fits.
    """
    try:
        plan = plan_memory(source, device, memory_gb, precision)
    except TooLittleError:
        if smaller is None:
            raise
        plan = None
    if smaller is None or (plan is not None and plan.tile >= prior_config_of(source).tile):
        return source, plan
    other = plan_memory(smaller, device, memory_gb, precision)
    if plan is not None and other.tile < prior_config_of(smaller).tile:
        return source, plan
    return replace(smaller, notes=(*smaller.notes, SHORT)), other


def plan_memory(
    source: ModelSource, device: torch.device, memory_gb: float | None = None, precision: str = "auto"
) -> Plan:
    """The best plan within `memory_gb`, or within what is free. TooLittleError when there is none.

    Tried first with tiles as large as the prior was trained on, then with smaller ones; each time in this
    order: the device's usual precision (float32 on a CPU, half on a GPU for a large network), bfloat16, and
    on a GPU offloading. The embedded network takes larger tiles, too, where `memory_gb` allows it.
    """
    if precision not in ("auto", *PRECISIONS):
        raise PriorError(f"The precision is {precision!r}: use auto, {', '.join(PRECISIONS)}.")
    if not isinstance(memory_gb, int | float | None):
        raise PriorError(f"The memory is {memory_gb!r}: use a number of gigabytes.")
    needs, prior = measure(source), prior_config_of(source)
    wanted = _precisions(precision, device, needs)
    limit = limited_room() if device.type == "cpu" else None
    # what runs already counts as libraries
    most = math.inf if limit is None else LIBRARIES + limit.left
    if memory_gb is None and needs.weights(wanted[0]) < SMALL:
        plan = Plan(wanted[0], prior.tile, False, _peak(needs, wanted[0], prior.tile, False))
        if plan.bytes <= most:
            return plan
    budget = min(memory_gb * 1e9 if memory_gb is not None else _free(device), most)
    largest = MAX_TILE if needs.refined and memory_gb is not None else prior.tile
    ways = [
        (kind, offload) for offload in (False, True) for kind in wanted if not offload or device.type != "cpu"
    ]
    for least in (min(prior.tile, largest), LEAST_TILE):
        for kind, offload in ways:
            room = budget - _peak(needs, kind, 0, offload)
            pixels = max(0.0, room) / needs.pixel(kind) / TILE_SLACK
            tile = min(int(min(pixels, MAX_TILE**2) ** 0.5), largest) // 64 * 64
            if tile >= least:
                return Plan(kind, tile, offload, _peak(needs, kind, tile, offload))
    enough = min(_peak(needs, kind, LEAST_TILE, offload) for kind, offload in ways) / 1e9 + 0.05
    there = f"{memory_gb:g} GB of memory is" if memory_gb is not None else f"{budget / 1e9:.1f} GB free is"
    if budget == most:
        there = f"{budget / 1e9:.1f} GB of memory, to which {limit.name} limits this session, is"
    raise TooLittleError(f"{there} too little: this needs at least {enough:.1f} (model {source.name}).")


def measure(source: ModelSource) -> Needs:
    """What the network at this place is made of, without loading it."""
    check_components(source.folder)
    counts = {name: _numbers(source.folder / name) for name in COMPONENTS}
    config = read_network_config(source.parts) if source.parts else NetworkConfig()
    made = {name for name in PARTS if getattr(config, name) is not None and config.encoder is not None}
    parts = {name: count(source.parts / f"{name}.safetensors") if name in made else 0 for name in PARTS}
    refined = config.refiner is not None
    channels = json.loads((source.folder / "vae" / "config.json").read_text())["block_out_channels"][0]
    return Needs(
        sampler=counts["text_encoder"] + counts["unet"] + parts["encoder"] + parts["sft"],
        pictures=counts["vae"] + sum(parts[name] for name in PICTURE_PARTS),
        pixel_bytes=_pixel_bytes(refined, channels),
        refined=refined,
    )


def pixel_bytes(network: RestorationNetwork) -> int:
    """Working bytes a pixel of this network, at 4 bytes a number."""
    return _pixel_bytes(network.refiner is not None, network.prior.vae.config.block_out_channels[0])


def _pixel_bytes(refined: bool, channels: int) -> int:
    return REFINER_BYTES if refined else CHANNEL_BYTES * channels


def _precisions(precision: str, device: torch.device, needs: Needs) -> list[torch.dtype]:
    """Precisions to try, the best first."""
    if precision != "auto":
        return [PRECISIONS[precision]]
    if needs.refined or needs.weights(torch.float32) < SMALL:
        return [torch.float32]
    if device.type == "cpu":
        return [torch.float32, torch.bfloat16]
    half = device.type == "cuda" and not torch.cuda.is_bf16_supported()
    return [torch.float16 if half else torch.bfloat16]


def _peak(needs: Needs, precision: torch.dtype, tile: int, offload: bool) -> int:
    """Estimated bytes on the device; offloaded weights are there a layer at a time."""
    weights = 0 if offload else needs.weights(precision)
    loading = 0 if needs.refined else LOADING
    return round(LIBRARIES + loading + weights + TILE_SLACK * needs.pixel(precision) * tile**2)


def _free(device: torch.device) -> float:
    """Bytes that are free on the device now."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return float(psutil.virtual_memory().available)


def _numbers(folder: Path) -> int:
    """Weights of a component; pickled ones are taken for float32."""
    files, _ = weight_files(folder)
    pickled = (path.stat().st_size // 4 for path in folder.glob("*.bin"))
    return sum(map(count, files)) if files else sum(pickled)

"""From a photo at its final size to the restored pixels, whole or in bands: steps 5 to 7 of lwr.restore."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import torch

from lwr.images.canvas import Canvas
from lwr.images.color import wavelet_color_fix
from lwr.images.pixels import crop, pad_to_multiple, resize, to_unit
from lwr.images.toning import find_toning
from lwr.large import (
    Progress,
    counter,
    instructions_of,
    keeps_tones_of,
    resize_in_bands,
    restore_in_bands,
)
from lwr.models.network import RestorationNetwork
from lwr.models.tiled import TiledNetwork
from lwr.models.tones import keep_flat, keep_plain_tones
from lwr.models.where import Where
from lwr.request import Settings, pass_size
from lwr.tasks import TASKS
from lwr.tasks.base import WAY


def order_of(strengths: Mapping[str, float]) -> list[str]:
    """The tasks in the order in which they are done, a pass each: what happened last is undone first.

    Better than one pass with all adapters (training/results/together.json).
    """
    return sorted(strengths, key=lambda name: (-WAY.index(TASKS[name].arises), name))


def passes(
    network: RestorationNetwork,
    photo: Canvas,
    device: torch.device,
    settings: Settings,
    attach: Callable[[str, float], None],
    places: Mapping[str, Where | None],
    progress: Progress,
    sparing: bool = False,
) -> torch.Tensor:
    """The photo at its size restored, (1,3,H,W): levels where it goes in bands, else floats in [0,1].

    A pass for each task that is done, or one that only resizes; `attach` folds a task's adapter in, and
    `places` says where it acts, None = everywhere. `sparing` as for `restore_in_bands`.
    """
    strengths = {name: strength for name, strength in settings.tasks.items() if strength > 0}
    order = order_of(strengths)
    for place, name in enumerate(order):
        attach(name, strengths[name])
        counted, where = _part_of(progress, place, len(order)), places.get(name)
        own = replace(settings, fidelity=fidelity_of(name, strengths, settings.fidelity))
        asked = {name: strengths[name]}
        pixels = restored_pixels(network, photo, device, asked, own, counted, where, sparing)
        photo = Canvas(pixels, photo.size, network.multiple, spend=True)
    return photo.pixels if order else restored_pixels(network, photo, device, {}, settings, progress)


def fidelity_of(task: str, tasks: Iterable[str], fidelity: float) -> float:
    """That of a task's pass: beside a task that brings sharpness, the fidelity is for that one."""
    own = TASKS[task].default_fidelity
    if own is None or not any(TASKS[name].default_fidelity is None for name in tasks):
        return fidelity
    return max(fidelity, own)


def _part_of(progress: Progress, place: int, count: int) -> Progress:
    """Progress of the pass at `place` of `count`, as a part of them all."""
    return lambda done, total, what: progress(place * total + done, count * total, what)


def restored_pixels(
    network: RestorationNetwork,
    photo: Canvas,
    device: torch.device,
    strengths: Mapping[str, float],
    settings: Settings,
    progress: Progress,
    where: Where | None = None,
    sparing: bool = False,
) -> torch.Tensor:
    """One of the passes; `sparing` as for `restore_in_bands`."""
    if strengths:
        large = restore_in_bands(network, photo, device, strengths, settings, progress, where, sparing)
    else:
        large = resize_in_bands(photo)
    if large is not None:
        return large
    whole = resize(to_unit(photo.pixels).contiguous(), photo.size)
    if not strengths:
        return whole
    restored = _whole(network, whole, device, strengths, settings, progress).clamp(0, 1).cpu()
    return restored if where is None else where.applied(restored, whole)


def megapixels(
    network: RestorationNetwork, size: tuple[int, int], settings: Settings, sampled: bool
) -> float:
    """How much passes the network for a photo of its final `size` (H,W): what takes the time.

    Tiles count with what they share, a reduced photo that shows the tones counts too, and all of it once for
    encoding and decoding and once for each sampling step, if it is `sampled` (see OnePass.needs_sampler), in
    each task's pass. A general request, whose photo is not known yet, counts as one task.
    """
    changes_tones = [not keeps_tones_of([name]) for name, strength in settings.tasks.items() if strength > 0]
    if settings.general and not changes_tones:
        changes_tones = [False]
    pixels = sum(_pixels(network, size, settings.tile, each) for each in changes_tones)
    return pixels * (1 + settings.steps if sampled else 1) / 1e6


def _pixels(network: RestorationNetwork, size: tuple[int, int], tile: int, changes_tones: bool) -> int:
    """Pixels that pass the network once, for one task."""
    size, multiple = pass_size(size, network.prior.config.least_side), network.multiple
    height, width = (-(-side // multiple) * multiple for side in size)
    tiles = TiledNetwork(network, (height, width), tile, changes_tones)
    pixels = height * width if tiles.count == 1 else tiles.count * min(tile, height) * min(tile, width)
    if tiles.overview is not None:
        pixels += tiles.overview[0] * tiles.overview[1]
    return pixels


def _whole(
    network: RestorationNetwork,
    photo: torch.Tensor,
    device: torch.device,
    strengths: Mapping[str, float],
    settings: Settings,
    progress: Progress,
) -> torch.Tensor:
    """(1,3,H,W) in [0,1] at its final size -> the same, restored, by the adapters that are attached."""
    prior, toning = network.prior, find_toning(photo)
    # 5. The size of the pass
    final, multiple = tuple(photo.shape[-2:]), network.multiple
    photo = resize(photo, pass_size(final, prior.config.least_side)).to(device)
    # a prior of the Stable Diffusion kind gets two positions a side where its UNet is coarsest
    small = prior.config.least_side and min(photo.shape[-2:]) <= multiple
    padded, size = pad_to_multiple(photo, multiple * (2 if small else 1))
    # 6. The pass, whole or in tiles, with reproducible noise
    keeps_tones = keeps_tones_of(strengths)
    tiles = TiledNetwork(network, padded.shape[-2:], settings.tile, changes_tones=not keeps_tones)
    passes = settings.steps + 2 if network.needs_sampler(settings.fidelity) else 1
    tiles.after_tile = counter(progress, tiles.count * passes + (tiles.overview is not None))
    generator = torch.Generator().manual_seed(settings.seed)
    output, _ = tiles.restore(
        padded,
        instructions_of(strengths),
        lambda shape: torch.randn(shape, generator=generator).to(device),
        steps=settings.steps,
        fidelity=settings.fidelity,
        text=settings.text,
    )
    # 7. Colours and size of the input
    output = crop(output, size)
    if keeps_tones:
        gently = network.keeps_colors(settings.fidelity)
        output = keep_plain_tones(output, photo) if gently else wavelet_color_fix(output, photo)
        output = keep_flat(output, photo)
    if toning is not None:
        output = toning.apply(output)
    return resize(output, final)

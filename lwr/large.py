"""A photo that takes many tiles, restored in bands: beside the tile's pass there are only its levels, once.

What follows a whole photo's pass in lwr.restore follows here too, band by band: tones and colours of the
input, its hue where it has only one, 8 bits.
"""

import math
from collections.abc import Callable, Iterable, Mapping

import torch

from lwr.images.canvas import Canvas
from lwr.images.color import WAVELET_REACH, wavelet_color_fix
from lwr.images.pixels import to_levels
from lwr.images.toning import find_toning
from lwr.loading.limits import give_back, room
from lwr.loading.memory import pixel_bytes
from lwr.models.bands import Bands, bands_of, cropped, fixed, keep_plain_tones_in_bands
from lwr.models.network import RestorationNetwork
from lwr.models.tiled import TILE_SLACK, TiledNetwork
from lwr.models.tones import FLAT, keep_flat
from lwr.models.where import Where
from lwr.request import Settings
from lwr.tasks import TASKS

LARGE = 4_000_000  # pixels from which on floats of the whole are not made where the network does nothing
# Bytes of memory: a value of a strip of tiles, sums and finished rows; a pixel of a photo that passes whole,
# of one whose latents and features are blended at each step, and of a result while it is written.
STRIP_BYTES, WHOLE_BYTES, CANVAS_BYTES, WRITTEN_BYTES = 24, 60, 120, 8
# (finished, all, what is being done): called between units of work; may raise to stop
Progress = Callable[[int, int, str], None]


def restore_in_bands(
    network: RestorationNetwork,
    photo: Canvas,
    device: torch.device,
    strengths: Mapping[str, float],
    settings: Settings,
    progress: Progress,
    where: Where | None = None,
    sparing: bool = False,
) -> torch.Tensor | None:
    """The photo restored, (1,3,H,W) levels (uint8); None where it has to pass otherwise.

    They take the place of the photo's own where these are levels of that size. `where` it is changed: None =
    everywhere. `sparing`: no more memory than one tile takes.
    """
    keeps_tones = keeps_tones_of(strengths)
    tiles = TiledNetwork(network, photo.padded, settings.tile, changes_tones=not keeps_tones)
    if not tiles.goes_in_bands(settings.steps):
        return None
    levels = _place(photo)
    tiles.after_tile = counter(progress, tiles.count + (tiles.overview is not None))
    turned = photo.size[1] > photo.size[0]  # the shorter the bands, the less they take
    photo = photo.turned() if turned else photo
    toning = find_toning(photo.pixels)
    instructions = instructions_of(strengths)
    at_once = 1 if sparing else tiles_at_once(network, settings.tile, device)
    bands = tiles.bands(photo, instructions, settings.fidelity, settings.text, device, turned, at_once)
    bands = cropped(bands, photo.size)
    if keeps_tones and network.keeps_colors(settings.fidelity):
        bands = keep_plain_tones_in_bands(bands, bands_of(photo, photo.size), photo.size)
    elif keeps_tones:
        bands = fixed(bands, photo, wavelet_color_fix, WAVELET_REACH)
    if keeps_tones:
        bands = fixed(bands, photo, keep_flat, FLAT)
    if toning is not None:
        bands = map(toning.apply, bands)
    if where is not None:
        bands = (where.turned() if turned else where).applied_in_bands(bands, photo)
    give_back()
    _write(bands, levels.mT if turned else levels, settings.tile)
    give_back()
    return levels


def needed_memory(
    network: RestorationNetwork, size: tuple[int, int], final: tuple[int, int], tile: int, steps: int
) -> int:
    """Bytes, about, that a photo of `size` (H,W), 8 bits, takes on a CPU until its result is written."""
    pixels, result = size[0] * size[1], final[0] * final[1]
    tiles = TiledNetwork(network, final, tile)
    work = pass_memory(network, final, tile)
    if tiles.goes_in_bands(steps):
        held = 3 * pixels + (0 if size == final else 3 * result) + STRIP_BYTES * tile * min(final)
    else:
        held = 3 * pixels + (WHOLE_BYTES if tiles.count == 1 else CANVAS_BYTES) * result
    return max(held + work, WRITTEN_BYTES * result)


def pass_memory(network: RestorationNetwork, size: tuple[int, int], tile: int) -> int:
    """Bytes of it that the network takes for a tile, or for the whole photo of `size` if that is smaller."""
    return pixel_bytes(network) * min(size[0] * size[1], int(TILE_SLACK * tile * tile))


def tiles_at_once(network: RestorationNetwork, tile: int, device: torch.device) -> int:
    """How many tiles may pass at once: on a CPU one for each of torch's threads, if memory is ample."""
    if device.type != "cpu":
        return 1
    there, each = room(), pixel_bytes(network) * tile * tile
    ample = math.inf if there is None else there.left / 2 / each
    return int(max(1, min(torch.get_num_threads(), ample)))


def resize_in_bands(photo: Canvas) -> torch.Tensor | None:
    """The photo at its size, (1,C,H,W) levels (uint8); None for a small one."""
    if photo.size[0] * photo.size[1] < LARGE:
        return None
    levels = _place(photo)
    _write(bands_of(photo, photo.size), levels)
    return levels


def _place(photo: Canvas) -> torch.Tensor:
    """Levels (1,C,H,W) for the result: the photo's own if they may be used and fit, else new ones."""
    own = photo.pixels
    if photo.spend and own.dtype == torch.uint8 and tuple(own.shape[-2:]) == photo.size:
        return own
    return torch.empty(*photo.size, own.shape[1], dtype=torch.uint8).permute(2, 0, 1)[None]


def _write(bands: Bands, levels: torch.Tensor, rows: int = LARGE) -> None:
    """The bands, from above, as levels (1,C,H,W); every `rows` freed memory goes back to the system."""
    top = 0
    for band in bands:
        levels[..., top : top + band.shape[-2], :] = to_levels(band)
        if (top + band.shape[-2]) // rows > top // rows:
            give_back()
        top += band.shape[-2]


def keeps_tones_of(tasks: Iterable[str]) -> bool:
    """Whether these tasks leave the photo its colours at large."""
    return all(TASKS[name].color_fix == "wavelet" for name in tasks)


def instructions_of(strengths: Mapping[str, float]) -> dict[str, float]:
    """{sentence that the network reads: strength}."""
    return {TASKS[name].instruction: strength for name, strength in strengths.items()}


def counter(progress: Progress, total: int) -> Callable[[str], None]:
    """Reports to `progress` each time that one of `total` units of work is done."""
    done = 0

    def count(what: str) -> None:
        nonlocal done
        done += 1
        progress(done, total, what)

    return count

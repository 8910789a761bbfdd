"""What makes another good photo of a good one: a shallow focus, pale or dark tones, fine grain, sharpening.

Each is f(stream, photo (1,3,H,W) in [0,1]) -> the same shape and range; only `sharpened` is 8-bit.
"""

import math
import random
from collections.abc import Callable

import torch

from lwr.degrade.defocus import Aperture, draw_apertures
from lwr.degrade.filtering import box_filter, filter_each
from lwr.degrade.finish import Finish, finish
from lwr.degrade.grainy import Grain, add_grain
from lwr.degrade.light import luminance, to_display, to_linear

CANDIDATES = 6  # places of which the one with most detail is in focus
LEAST_DETAIL = 0.02  # mean difference of neighbours in the part in focus; with less, all would seem blurred
GRAIN = (0.6, 2.5)  # standard deviation at mid-grey, white = 255
DARK = 0.4  # mean brightness of a photo that would seem hazy, were its blacks lifted
STOPS = (0.7, 2.2)  # less light at dusk
STAGE = (3.0, 7.0)  # stops between what is lit and what is not


def bokeh_photo(stream: random.Random, photo: torch.Tensor) -> torch.Tensor:
    """Sharp in an ellipse or on one side, far out of focus elsewhere; unchanged if nothing has detail."""
    light = luminance(photo)
    detail = torch.zeros_like(light)
    detail[..., 1:] += light.diff(dim=-1).abs()
    detail[..., 1:, :] += light.diff(dim=-2).abs()
    detail = box_filter(detail.clamp(max=0.2), 4)  # all over the subject, not one hard edge
    shares = [_focused(stream, photo.shape[-2:]) for _ in range(CANDIDATES)]
    found = [(detail * share).sum().item() / share.sum().item() for share in shares]
    best = max(range(CANDIDATES), key=found.__getitem__)
    blades = stream.choice((0, 0, 6, 7))
    edge, turn = stream.uniform(1, 2), stream.uniform(0, math.pi)
    aperture = Aperture(stream.uniform(4, 14), blades, turn, edge, None)
    if found[best] < LEAST_DETAIL:
        return photo
    spot = draw_apertures([aperture], photo.device).to(photo.dtype)
    soft = to_display(filter_each(to_linear(photo), spot))
    return torch.lerp(soft, photo, shares[best]).clamp(0, 1)


def _focused(stream: random.Random, size: tuple[int, int]) -> torch.Tensor:
    """(1,1,H,W) in [0,1]: 1 where it is sharp, with a soft border."""
    height, width = size
    y = torch.linspace(-1, 1, height)[:, None] - stream.uniform(-0.5, 0.5)
    x = torch.linspace(-1, 1, width)[None] - stream.uniform(-0.5, 0.5)
    turn, border = stream.uniform(0, 2 * math.pi), stream.uniform(0.05, 0.4)
    if stream.random() < 0.7:
        inside = 1 - torch.hypot(y / stream.uniform(0.4, 0.9), x / stream.uniform(0.4, 0.9))
    else:
        inside = y * math.cos(turn) + x * math.sin(turn)
    return (0.5 + inside / border).clamp(0, 1)[None, None]


def pale(stream: random.Random, photo: torch.Tensor) -> torch.Tensor:
    """High key, or contrast lowered and lifted; the colours stay, and far and near things fare alike."""
    warmth = stream.uniform(-0.03, 0.03)
    tint = torch.tensor([1 + warmth, 1.0, 1 - warmth]).view(1, 3, 1, 1)
    light = luminance(photo)
    if stream.random() < 0.5 or light.mean() < DARK:
        return (photo.clamp(0, 1) ** stream.uniform(0.55, 0.8) * tint).clamp(0, 1)
    white, contrast = stream.uniform(0.94, 1), stream.uniform(0.72, 0.92)
    lifted = white - contrast * (1 - light)
    return ((lifted + stream.uniform(0.8, 1.05) * (photo - light)) * tint).clamp(0, 1)


def dusk(stream: random.Random, photo: torch.Tensor) -> torch.Tensor:
    """With less light, warm or blue."""
    warmth = stream.choice((stream.uniform(0.1, 0.35), -stream.uniform(0.1, 0.35)))
    tint = torch.tensor([1 + warmth, 1.0, 1 - warmth]).view(1, 3, 1, 1)
    return to_display(to_linear(photo) * 2 ** -stream.uniform(*STOPS) * tint)


def low_key(stream: random.Random, photo: torch.Tensor) -> torch.Tensor:
    """Lit in one place as under a lamp on a stage, nearly black elsewhere, without noise."""
    lit = _focused(stream, photo.shape[-2:])
    left = 2 ** -stream.uniform(*STAGE)
    return to_display(to_linear(photo) * (left + (1 - left) * lit))


def film_grain(stream: random.Random, photo: torch.Tensor) -> torch.Tensor:
    """With grain too fine to be a defect."""
    color = stream.choice((0.0, stream.uniform(0.2, 1)))
    level, size = stream.uniform(*GRAIN) / 255, stream.uniform(0.4, 0.9)
    grain = Grain(level, size, color, stream.uniform(0.2, 0.8))
    generator = torch.Generator().manual_seed(stream.getrandbits(62))
    return add_grain(photo, [grain], generator).clamp(0, 1)


def sharpened(stream: random.Random, photo: torch.Tensor) -> torch.Tensor:
    """As cameras and phones do it, 8-bit."""
    return finish(photo, [Finish(stream.uniform(0.3, 1.3), stream.uniform(0.6, 1.6))])


LOOKS: dict[str, Callable[[random.Random, torch.Tensor], torch.Tensor]] = {
    "bokeh_photo": bokeh_photo,
    "pale": pale,
    "dusk": dusk,
    "low_key": low_key,
    "film_grain": film_grain,
    "sharpened": sharpened,
}

"""Blur as it happens in a camera: light is spread by shake or defocus, saturates, gets noise, is encoded,
and finished as cameras do."""

import random
from dataclasses import asdict, dataclass, field

import torch

from lwr.degrade.defocus import Aperture, blend_planes, draw_apertures, focal_planes, sample_aperture
from lwr.degrade.depth import Depth, depth_of
from lwr.degrade.draw import Degraded, Params, draw_or_read, per_photo, working_dtype
from lwr.degrade.filtering import filter_each
from lwr.degrade.finish import Finish, finish, sample_finish
from lwr.degrade.light import to_display, to_linear
from lwr.degrade.motion import Shake, draw_field, draw_shakes, sample_shake
from lwr.degrade.noise import Noise, add_noise

_MOTION_CHANCE = 0.6  # else defocus
_MID_GREY = 0.218  # linear light of display value 0.5


@dataclass(frozen=True)
class Exposure:
    """How one photo was spoilt while it was taken."""

    kind: str  # "motion" or "defocus"
    blur: Shake | Aperture
    highlight_gain: float  # how much brighter than white the clipped highlights are taken to be, >= 1
    noise: Noise  # in linear light, after the blur
    finish: Finish = field(default_factory=Finish)


def sample_exposure(stream: random.Random) -> Exposure:
    """Shake (6 of 10) or defocus, with noise of 0 to 3/255 at mid-grey."""
    moving = stream.random() < _MOTION_CHANCE
    blur = sample_shake(stream) if moving else sample_aperture(stream)
    level = stream.uniform(0, 3) / 255
    return Exposure(
        kind="motion" if moving else "defocus",
        blur=blur,
        highlight_gain=stream.uniform(1, 3) if stream.random() < 0.5 else 1.0,
        # Shot noise at the level of mid-grey: after the gamma it shows about equally at every brightness.
        noise=Noise(read=level * stream.uniform(0, 0.15), shot=level / _MID_GREY**0.5),
        finish=sample_finish(stream),
    )


def expose(
    clean: torch.Tensor, generator: torch.Generator, params: Params | None = None, depth: Depth | None = None
) -> Degraded:
    """`clean` (B,3,H,W) in [0,1] shaken or out of focus, 8-bit; the parameters are those of `Exposure`.

    With `params`, one dict a photo as an earlier call returned them, nothing is drawn but noise.
    Of the depth, `depth` decides; None = `random_depth`.
    """
    exposures = draw_or_read(Exposure, sample_exposure, generator, len(clean), params)
    clean = clean.to(working_dtype(clean.device))
    light = brighten_highlights(to_linear(clean), [exposure.highlight_gain for exposure in exposures])
    used = [asdict(exposure) for exposure in exposures]
    blurred = torch.empty_like(light)
    motion = [i for i, one in enumerate(exposures) if isinstance(one.blur, Shake)]
    shaken = [i for i in motion if not exposures[i].blur.roll]
    flat = [i for i, one in enumerate(exposures) if i not in motion and one.blur.focus is None]
    for indices, draw in ((shaken, draw_shakes), (flat, draw_apertures)):
        if indices:  # one call blurs them all
            kernels = draw([exposures[i].blur for i in indices], clean.device)
            blurred[indices] = filter_each(light[indices], kernels)
    for i, exposure in enumerate(exposures):
        if i in motion and i not in shaken:  # each point by how far it is from the middle
            blurred[i : i + 1] = blur_by_place(light[i : i + 1], draw_field(exposure.blur, light.device))
        elif i not in (*shaken, *flat):  # each point by its depth
            given = None if params is None else params[i : i + 1]
            depths, drawn = depth_of(depth, clean[i : i + 1], generator, given)
            blurred[i : i + 1] = blur_by_depth(light[i : i + 1], depths, exposure.blur)
            used[i]["depth"] = drawn[0]
    noisy = add_noise(blurred.clamp(0, 1), [exposure.noise for exposure in exposures], generator)
    return finish(to_display(noisy), [exposure.finish for exposure in exposures]).float(), used


def brighten_highlights(light: torch.Tensor, gains: list[float]) -> torch.Tensor:
    """Undo the clipping of white in (B,3,H,W) linear light: `gain` times at 1, unchanged up to 0.8.

    Lamps and reflections were brighter than the photo can say, and blur into streaks and bright spots.
    """
    near_white = ((light.amax(1, keepdim=True) - 0.8) / 0.2).clamp(0, 1).square()
    return light * (1 + (per_photo(gains, light) - 1) * near_white)


def blur_by_place(light: torch.Tensor, psfs: torch.Tensor) -> torch.Tensor:
    """One photo (1,3,H,W), blurred by the point spread functions (9,K,K) of its 3x3 places, mixed between."""
    like = {"device": light.device, "dtype": light.dtype}
    nodes = torch.linspace(-1, 1, 3, **like)[:, None]
    rows, columns = (
        (1 - (torch.linspace(-1, 1, side, **like) - nodes).abs()).clamp(min=0) for side in light.shape[-2:]
    )
    weights = (rows[:, None, :, None] * columns[None, :, None, :]).flatten(0, 1)[:, None]  # (9,1,H,W)
    return (weights * filter_each(light, psfs)).sum(0, keepdim=True)


def blur_by_depth(light: torch.Tensor, depth: torch.Tensor, aperture: Aperture) -> torch.Tensor:
    """One photo (1,3,H,W), blurred by how far `depth` (1,1,H,W) in [0,1] is from the focus of `aperture`."""
    psfs = draw_apertures(focal_planes(aperture), light.device)
    return blend_planes(filter_each(light, psfs), depth)

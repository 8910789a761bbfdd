"""Noise as a camera makes it: in the raw light of each colour filter, then developed to a photo.

The photo is taken back to raw values (Brooks et al. 2019, "unprocessing": tone curve, colour correction and
white balance undone), gets the noise of its ISO, and is developed again. Its own detail does not pass the
colour filters, only the noise does: good cameras lose no detail there that a photo of this size would show.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from lwr.degrade.draw import Range, log_uniform, normal, per_photo
from lwr.degrade.filtering import gaussian_each, smooth_flat
from lwr.degrade.light import luminance, to_display, to_linear

ISO = (400.0, 25600.0)
_SHOT_AT_ISO_100 = 0.8e-4  # variance of shot noise at raw white, of a sensor of size 1 (a small camera)
_MID_GREY = 0.218  # linear light of display value 0.5
_SLOPE = 1 / 2.2 * _MID_GREY ** (1 / 2.2 - 1)  # display values per linear light there
_WHITE = 0.6  # deviation that is left of white noise where photo pixels are the mean of sensor pixels


@dataclass(frozen=True)
class Sensor:
    """How one photo was taken and developed. Raw values, like display values, are 1 at white."""

    iso: float
    shot: float  # standard deviation that shot noise has at raw white
    read: float  # standard deviation at raw black
    rows: float  # standard deviation of what whole rows share
    red: float  # white balance: gain of red over green
    blue: float
    saturation: float  # share of the difference from grey that the colour correction adds
    curve: bool  # a tone curve (smooth step) before the gamma
    pixels: float  # side of a sensor pixel in pixels of the photo; below 1 the photo was reduced
    color_blur: float  # noise reduction: pixels over which colour noise is smoothed
    color_share: float  # how much of it is
    smear: float  # noise reduction: share of the brightness that is smoothed within edges, detail and all


def sample_sensor(stream: random.Random, iso: Range = ISO) -> Sensor:
    """Any ISO of the range, each doubling as likely as the next; half with noise reduction in the camera."""
    speed = log_uniform(stream, *iso)
    size = log_uniform(stream, 0.25, 1.0)  # larger sensors have less noise
    variance = _SHOT_AT_ISO_100 * speed / 100 * size
    # Read noise of real sensors by their shot noise, both as variances (Brooks et al. 2019)
    read = math.exp(2.18 * math.log(variance) + 1.2 + normal(stream, 0, 0.26))
    reduces = stream.random() < 0.5
    return Sensor(
        iso=float(round(speed)),
        shot=_rounded(variance**0.5),
        read=_rounded(read**0.5),
        rows=_rounded(read**0.5 * stream.uniform(0.1, 0.4)) if stream.random() < 0.2 else 0.0,
        red=stream.uniform(1.6, 2.4),
        blue=stream.uniform(1.4, 2.1),
        saturation=stream.uniform(0.2, 0.8),
        curve=stream.random() < 0.5,
        pixels=_pixel_size(stream),
        color_blur=log_uniform(stream, 0.7, 3.0) if reduces else 0.0,
        color_share=stream.uniform(0.5, 1.0) if reduces else 0.0,
        smear=stream.uniform(0.2, 0.8) if reduces and stream.random() < 0.6 else 0.0,
    )


def _pixel_size(stream: random.Random) -> float:
    """Mostly the sensor's own pixels; else a reduced photo, or one that was enlarged."""
    return stream.choices((1.0, 0.5, stream.uniform(1.2, 2.0)), (0.5, 0.33, 0.17))[0]


def _rounded(value: float) -> float:
    """Without the last digits, in which C libraries differ."""
    return float(f"{value:.9g}")


def take(clean: torch.Tensor, sensors: Sequence[Sensor], generator: torch.Generator) -> torch.Tensor:
    """Display values (B,3,H,W) in [0,1] -> the same with one `Sensor`'s noise each, in [0,1], not rounded."""
    curves = per_photo([sensor.curve for sensor in sensors], clean) > 0
    light = to_linear(clean)
    if curves.any():
        light = torch.where(curves, _before_curve(light), light)
    light = light + sensor_noise(light, sensors, generator)
    if curves.any():
        light = torch.where(curves, _curve(light.clamp(0, 1)), light)
    return reduce_noise(clean, to_display(light), sensors)


def sensor_noise(light: torch.Tensor, sensors: Sequence[Sensor], generator: torch.Generator) -> torch.Tensor:
    """What is added to linear light (B,3,H,W) when it is taken by one `Sensor` each; the same shape."""
    gains = light.new_tensor([[sensor.red, 1.0, sensor.blue] for sensor in sensors])[..., None, None]
    saturation = per_photo([sensor.saturation for sensor in sensors], light)
    raw = (light + saturation * light.mean(1, keepdim=True)) / ((1 + saturation) * gains)
    read = per_photo([sensor.read**2 for sensor in sensors], light)
    shot = per_photo([sensor.shot**2 for sensor in sensors], light)
    noise = (read + shot * raw.clamp(min=0)).sqrt() * filtered_noise(light, sensors, generator)
    rows = torch.randn(
        len(light), 1, light.shape[2], 1, generator=generator, device=light.device, dtype=light.dtype
    )
    noise = (noise + rows * per_photo([sensor.rows for sensor in sensors], light)) * gains
    return noise + saturation * (noise - noise.mean(1, keepdim=True))


def filtered_noise(like: torch.Tensor, sensors: Sequence[Sensor], generator: torch.Generator) -> torch.Tensor:
    """Noise of deviation about 1, of the shape of `like` (B,3,H,W), as a colour filter array sees it."""
    size = like.shape[-2:]
    white = torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
    for i, sensor in enumerate(sensors):
        if sensor.pixels < 1:
            white[i] *= _WHITE
        elif sensor.pixels == 1:
            white[i : i + 1] = _through_filters(white[i : i + 1])
        else:
            small = [max(round(side / sensor.pixels), 1) for side in size]
            coarse = _through_filters(white[i : i + 1, :, : small[0], : small[1]])
            white[i : i + 1] = F.interpolate(coarse, size, mode="bilinear", align_corners=False)
    return white


def _through_filters(white: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) seen by red, green and blue pixels in turn (Bayer), the gaps filled in bilinearly."""
    seen = torch.zeros_like(white)
    seen[:, 0, ::2, ::2] = white[:, 0, ::2, ::2]
    seen[:, 1, ::2, 1::2] = white[:, 1, ::2, 1::2]
    seen[:, 1, 1::2, ::2] = white[:, 1, 1::2, ::2]
    seen[:, 2, 1::2, 1::2] = white[:, 2, 1::2, 1::2]
    narrow = min(white.shape[-2:]) < 2
    # reflection goes on with the pattern
    seen = F.pad(seen, (1, 1, 1, 1), mode="replicate" if narrow else "reflect")
    red, green, blue = seen.split(1, 1)
    middle = green[..., 1:-1, 1:-1]
    beside = green[..., 1:-1, :-2] + green[..., 1:-1, 2:] + green[..., :-2, 1:-1] + green[..., 2:, 1:-1]
    return torch.cat([_between(red), middle + beside / 4, _between(blue)], 1)


def _between(seen: torch.Tensor) -> torch.Tensor:
    """One pixel in four of (1,1,H+2,W+2) is seen, the rest are 0: means of neighbours there, (1,1,H,W)."""
    across = seen[..., 1:-1] + (seen[..., :-2] + seen[..., 2:]) / 2
    return across[..., 1:-1, :] + (across[..., :-2, :] + across[..., 2:, :]) / 2


def reduce_noise(clean: torch.Tensor, noisy: torch.Tensor, sensors: Sequence[Sensor]) -> torch.Tensor:
    """What the camera makes of its own noise: display values (B,3,H,W) in [0,1], not rounded.

    Colour noise becomes blotches; of the brightness, fine detail goes with the noise.
    """
    reduced = [i for i, sensor in enumerate(sensors) if sensor.color_share]
    if reduced:
        noise = noisy[reduced] - clean[reduced]
        color = noise - luminance(noise)
        calm = gaussian_each(color, [sensors[i].color_blur for i in reduced])
        noisy[reduced] += per_photo([sensors[i].color_share for i in reduced], noisy) * (calm - color)
    smeared = [i for i in reduced if sensors[i].smear]
    if smeared:
        light = luminance(noisy[smeared])
        variance = per_photo([2 * _level(sensors[i]) ** 2 for i in smeared], light)
        smooth = smooth_flat(light, 1.5, variance)
        noisy[smeared] += per_photo([sensors[i].smear for i in smeared], light) * (smooth - light)
    return noisy.clamp(0, 1)


def _level(sensor: Sensor) -> float:
    """About the deviation of the noise at mid-grey, in display values."""
    return _SLOPE * (sensor.shot**2 * _MID_GREY + sensor.read**2) ** 0.5


def _curve(light: torch.Tensor) -> torch.Tensor:
    return light * light * (3 - 2 * light)


def _before_curve(light: torch.Tensor) -> torch.Tensor:
    """The inverse of `_curve` on [0,1]."""
    return 0.5 - torch.sin(torch.asin(1 - 2 * light) / 3)

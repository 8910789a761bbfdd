"""Photos taken in too little light: short exposures at night, under lamps, with the noise that comes with it.

In linear light a photo is what its surfaces reflect times how they are lit. The clean photo stands for the
former; here it gets less light (1 to 5 stops), of the colours of lamps, from one side more than from the
other, and more beside light sources that are in the picture, which stay bright. The camera then adds its
noise and a black that swallows shadows.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import torch
import torch.nn.functional as F

from lwr.degrade.camera import Sensor, sample_sensor, take
from lwr.degrade.draw import (
    Degraded,
    Params,
    draw_or_read,
    log_uniform,
    own_generator,
    per_photo,
    pick,
    working_dtype,
)
from lwr.degrade.filtering import gaussian_each
from lwr.degrade.finish import Finish, finish
from lwr.degrade.light import luminance, to_display, to_linear

Color = tuple[float, float, float]  # linear RGB

EXPOSURE = (-5.0, -1.0)  # stops
ISO = (100.0, 3200.0)
LAMPS: dict[str, Color] = {  # linear RGB beside daylight, the strongest channel 1
    "tungsten": (1.0, 0.45, 0.13),  # a black body of 2850 K
    "fluorescent": (0.82, 1.0, 0.62),
    "sodium": (1.0, 0.40, 0.05),
    "moon": (0.62, 0.78, 1.0),
}
CASTS = {"none": 0.3, "tungsten": 0.2, "fluorescent": 0.12, "sodium": 0.1, "moon": 0.1, "mixed": 0.18}
_COARSE = 8  # pixels: glow is computed on a photo so many times smaller
_AROUND = 0.12  # standard deviation of a source's surroundings, as a share of the short side
_SOFT = 0.7  # pixels over which a source begins, standard deviation


@dataclass(frozen=True)
class Lights:
    """Sources of light in the picture, and what they light."""

    kept: float  # share of the lost stops that a source does not lose, in [0,1]
    sky: float  # share of that by which all that is white counts as a source, as the sky at dusk
    glow: float  # light on what is beside a large source, relative to daylight
    reach: float  # of that, standard deviation as a share of the photo's short side
    bloom: float  # share of a source's light that lens and air spread over the photo
    color: Color  # linear RGB of luminance 1


@dataclass(frozen=True)
class Dark:
    """One photo taken in too little light."""

    ev: float  # stops between this and the clean photo, negative
    cast: str  # of CASTS
    color: Color  # of the light, linear RGB of luminance 1
    second: Color  # of the light far from `place`; another one when the cast is "mixed"
    place: tuple[float, float]  # what is best lit: across and down from the middle, in halves of the photo
    fall: float  # stops by which light is less at the distance of the photo's side from there
    vignette: float  # share of the light that the corners lose
    lights: Lights | None  # None: all of the photo loses light
    black: float  # display value up to which shadows become black
    sensor: Sensor
    seed: int  # of the noise
    finish: Finish = field(default_factory=Finish)


def sample_dark(stream: random.Random) -> Dark:
    """Any exposure of the range, three of four below -3 stops; two of three with light sources."""
    cast = pick(stream, CASTS)
    color, second = _cast(stream, cast)
    return Dark(
        ev=stream.uniform(EXPOSURE[0], EXPOSURE[1] if stream.random() < 0.5 else -3.0),
        cast=cast,
        color=color,
        second=second,
        place=(stream.uniform(-1.5, 1.5), stream.uniform(-1.5, 1.5)),
        fall=stream.uniform(0.5, 2.5) if stream.random() < 0.4 else 0.0,
        vignette=stream.uniform(0.2, 0.7) if stream.random() < 0.4 else 0.0,
        lights=sample_lights(stream) if stream.random() < 0.65 else None,
        black=stream.uniform(0.01, 0.045) if stream.random() < 0.5 else 0.0,
        sensor=sample_sensor(stream, ISO),
        seed=stream.getrandbits(32),
        finish=Finish(
            sharpening=stream.uniform(0.2, 0.8) if stream.random() < 0.25 else 0.0,
            radius=stream.uniform(0.6, 1.4),
            quality=stream.randint(75, 98) if stream.random() < 0.5 else 0,
        ),
    )


def sample_lights(stream: random.Random) -> Lights:
    """Mostly warm lamps; for one in four the sky is a source, too."""
    name = stream.choices(list(LAMPS), (0.55, 0.15, 0.2, 0.1))[0]
    return Lights(
        kept=stream.uniform(0.5, 1.0),
        sky=stream.uniform(0.2, 0.8) if stream.random() < 0.25 else 0.0,
        glow=log_uniform(stream, 0.1, 1.2),
        reach=log_uniform(stream, 0.03, 0.15),
        bloom=log_uniform(stream, 0.002, 0.03),
        color=lamp_color(name, stream.uniform(0.2, 0.7)),
    )


def _cast(stream: random.Random, cast: str) -> tuple[Color, Color]:
    """The light of a photo, and of one of its sides: what white balance leaves of the colour of lamps."""
    names = (cast, cast)
    if cast == "mixed":
        names = tuple(stream.sample(list(LAMPS), 2))
    if cast == "none":
        return (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)
    strength = stream.uniform(0.1, 0.6)
    return lamp_color(names[0], strength), lamp_color(names[1], strength)


def lamp_color(name: str, strength: float) -> Color:
    """Linear RGB of luminance 1 of one of LAMPS; `strength` 0 is white, 1 is without white balance."""
    red, green, blue = (math.exp(strength * math.log(part)) for part in LAMPS[name])
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    return tuple(float(f"{part / light:.9g}") for part in (red, green, blue))


def darken(clean: torch.Tensor, generator: torch.Generator, params: Params | None = None) -> Degraded:
    """`clean` (B,3,H,W) in [0,1] taken in too little light, 8-bit; the parameters are those of `Dark`.

    With them comes `mean_stops`: how many stops the photo lost, on the mean of its pixels. With `params`, one
    dict a photo as an earlier call returned them, the same photo comes out, whatever the generator.
    """
    photos = draw_or_read(Dark, sample_dark, generator, len(clean), params)
    clean = clean.to(working_dtype(clean.device))
    light, stops = relit(clean, photos)
    dim = to_display(light)
    for i, photo in enumerate(photos):
        dim[i : i + 1] = take(dim[i : i + 1], [photo.sensor], own_generator(photo.seed, dim.device))
    black = per_photo([photo.black for photo in photos], dim)
    dim = ((dim - black) / (1 - black)).clamp(0, 1)
    lost = (-stops.mean((1, 2, 3))).tolist()
    found = [
        {**asdict(photo), "mean_stops": round(mean, 6)} for photo, mean in zip(photos, lost, strict=True)
    ]
    return finish(dim, [photo.finish for photo in photos]).float(), found


def relit(clean: torch.Tensor, photos: Sequence[Dark]) -> tuple[torch.Tensor, torch.Tensor]:
    """Display values (B,3,H,W) in [0,1] -> the same scene in one `Dark` each, before noise: linear light.

    Beside it, how many stops each place (B,1,H,W) got less, as negative numbers.
    """
    light = to_linear(clean)
    stops, tint = even_light(light, photos)
    lit = [i for i, photo in enumerate(photos) if photo.lights]
    if not lit:
        return (light * tint * torch.exp2(stops)).clamp(0, 1), stops
    lights = [photos[i].lights for i in lit]
    source = sources(clean[lit], lights)
    stops[lit] = stops[lit] * (1 - per_photo([one.kept for one in lights], light) * source)
    color = light.new_tensor([one.color for one in lights])[..., None, None]
    tint[lit] = tint[lit] + source * (color.sqrt() - tint[lit])  # a source is nearly white, it saturates
    lighting = tint * torch.exp2(stops)
    near = color * spread(source, [one.reach for one in lights])
    lighting[lit] += per_photo([one.glow for one in lights], light) * near
    seen = light * lighting
    halo = color * spread(source, [0.5 * one.reach for one in lights])
    seen[lit] += per_photo([one.bloom for one in lights], light) * halo
    return seen.clamp(0, 1), stops


def even_light(light: torch.Tensor, photos: Sequence[Dark]) -> tuple[torch.Tensor, torch.Tensor]:
    """What lights a scene beside sources in it: stops (B,1,H,W), colours (B,3,H,W) of luminance about 1."""
    like = {"device": light.device, "dtype": light.dtype}
    y, x = (torch.linspace(-1, 1, side, **like) for side in light.shape[-2:])
    y = y[:, None]

    def each(value: Callable[[Dark], float]) -> torch.Tensor:
        return per_photo([value(photo) for photo in photos], light)

    # As below a lamp: light falls by the square of the distance, here 1 above the picture's plane
    distance = (x - each(lambda p: p.place[0])).square() + (y - each(lambda p: p.place[1])).square()
    away = torch.log2(1 + distance) / math.log2(5)
    stops = each(lambda p: p.ev) - each(lambda p: p.fall) * away
    stops = stops + torch.log2(1 - each(lambda p: p.vignette) * (x * x + y * y) / 2)
    near, far = (
        light.new_tensor([getattr(photo, name) for photo in photos])[..., None, None]
        for name in ("color", "second")
    )
    return stops, near + (far - near) * away.clamp(0, 1)


def sources(clean: torch.Tensor, lights: Sequence[Lights]) -> torch.Tensor:
    """(B,1,H,W) in [0,1]: which display values (B,3,H,W) in [0,1] are of sources of light.

    Lamps, lit windows and neon signs are much brighter than what is around them; by `sky`, all that is bright
    counts in its measure.
    """
    brightest = clean.amax(1, keepdim=True)
    standing_out = brightest / (spread(brightest, [_AROUND] * len(clean)) + 0.05)
    lamps = ramp(brightest, 0.84, 0.97) * ramp(standing_out, 1.3, 1.9)
    lamps = lamps * (1.5 - 3 * spread(lamps, [_AROUND] * len(clean))).clamp(0, 1)  # not half of a picture
    white = ramp((clean.amin(1, keepdim=True) + luminance(clean)) / 2, 0.4, 1.0)
    sky = per_photo([one.sky for one in lights], clean) * white
    return torch.maximum(gaussian_each(lamps, [_SOFT] * len(clean)), sky)


def ramp(values: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to `low`, 1 from `high` on, smooth at `low`; any shape."""
    return ((values - low) / (high - low)).clamp(0, 1).square()


def spread(maps: torch.Tensor, widths: Sequence[float]) -> torch.Tensor:
    """(B,1,H,W) blurred by Gaussians of `widths`, shares of the short side; smooth, so done coarsely."""
    size = maps.shape[-2:]
    step = min(_COARSE, *size)
    small = F.interpolate(maps, [-(-side // step) for side in size], mode="area")
    small = gaussian_each(small, [width * min(size) / step for width in widths])
    return F.interpolate(small, size, mode="bilinear", align_corners=False)

"""Task "low-light"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lwr.tasks.base import Task, Vocabulary, phrases

if TYPE_CHECKING:
    import torch

    from lwr.degrade.draw import Degraded, Params


def degrade(clean: torch.Tensor, generator: torch.Generator, params: Params | None = None) -> Degraded:
    """Take `clean` (B,3,H,W) in [0,1] in 1 to 5 stops too little light, with noise; 8-bit, same shape."""
    from lwr.degrade.dark import darken

    return darken(clean, generator, params)


def severity(params: dict[str, Any], degraded: torch.Tensor, clean: torch.Tensor) -> float:
    """By how many stops of light are missing on the mean."""
    from lwr.degrade.severity import dark_severity

    return dark_severity(params)


TASK = Task(
    name="low-light",
    title="Brighten",
    defect="too dark",
    instruction="brighten the dark photo",
    examples=("brighten it, it was taken at night", "the photo is too dark", "lighten the shadows a little"),
    vocabulary=Vocabulary(
        defects=phrases(
            """darkness, darker than, underlit, under lit, underexposed, under exposed, underexposure,
            under exposure, dimly lit, dimly lighted, low light, lowlight, poorly lit, badly lit, unlit,
            not lit, poorly lighted, insufficient light, no light, not enough light, too little light,
            lacks light, lack of light, hardly any light, barely any light, black blob, black blobs,
            backlit, back lit, backlight, backlighting, against the light, against the sun, silhouetted,
            black silhouette, black silhouettes, just a silhouette, only a silhouette, just silhouettes,
            only silhouettes, blocked up shadows, crushed blacks, crushed shadows, shadows are crushed,
            blacks are crushed, is in shadow, are in shadow, is in the shade, are in the shade,
            deep shadows, shadows are too deep, shadows are too heavy,
            yellow lamp light, tungsten cast, no flash, without flash, without a
            flash, without the flash, flash was off, flash failed, flash did not fire, flash did not go
            off, flash did not work, forgot the flash, forgot my flash, forgot to use the flash, forgot
            to use flash, forgot to turn on the flash, forgot to turn the flash on"""
        )
        + tuple(
            f"{sun} {was}behind {them}"
            for sun in phrases("sun, light, window")
            for was in ("", "is ", "was ")
            for them in phrases("me, you, him, her, us, them")
        )
        + tuple(
            f"{all_} black"
            for all_ in phrases("almost, nearly, all, pitch, mostly, too, completely, totally")
        ),
        looks=phrases("dark, darkish, dim, gloomy, murky, shadowy, dusky"),
        actions=phrases(
            """brighten, briten, brighten up, brighten it up, brightener, lighten, lighten up, relight,
            relighting, light up, light it up, shadow recovery, expose correctly, expose it correctly,
            expose it properly, proper exposure, correct exposure, fix the exposure, correct the exposure,
            turn up the light, turn
            the light on, turn on the light, turn on the lights, turn the lights on, make brighter, more
            light, more bright, better light, better lighting, fix the light, improve the light,
            brightness up, exposure up, shadows up, brightness +, exposure +, shadows +, brighter,
            brightened, lighter, turn night into day, night to day, night into day, like day, like
            daytime, what is in the dark, what is in the shadows"""
        )
        + tuple(
            f"{lift} {the}{shadows}"
            for lift in phrases(
                "lift, raise, open, open up, bring up, pull up, push, boost, brighten, lighten, recover"
            )
            for the in ("", "the ", "my ")
            for shadows in ("shadows", "blacks")
        ),
        qualities=phrases(
            """bright, bright enough, brightness, exposure, lighting, illumination, well lit, well
            exposed, properly exposed, correctly exposed, properly lit, daylight, daytime, look like day,
            some light"""
        ),
        idioms=phrases(
            """dark enough, dark horse, dark blue, dark green, dark red, dark brown, dark grey, dark
            gray, darkroom, after dark, long exposure, double exposure, multiple exposure, exposure time,
            cigarette lighter, lighten the mood, brighten my day, light bulb, bright red, bright blue,
            bright green, bright yellow, bright future, bright idea, lighter shade, lighter fluid"""
        ),
    ),
    degrade=degrade,
    severity=severity,
    needed_from=0.35,  # many photos are dark because they are meant to be
    default_scale=1.0,
    arises="sensor",
    color_fix="none",  # the dark and the colours of lamps are the defect
    formation="""In linear light the clean photo `J` gets less and coloured light, `I = J c 2^e`, and a
camera adds its noise. `ev` is the exposure in stops, from `place` on `fall` stops lower at the distance of
the photo's side, and `vignette` of it lost in the corners. `color` is the light's linear RGB; `second` that
of the far side where the `cast` is "mixed". With `lights`, what is bright in the clean photo is a source:
it keeps the share `kept` of the lost stops (all that is white, `sky` of that), lights what is beside it
(`glow`, as far as `reach`) and spreads `bloom` of its light over the photo. `sensor` is the noise of raw
values at `iso`, as of task "denoise". Display values up to `black` become black. Then, in some photos, an
unsharp mask of `finish.radius` pixels, `finish.sharpening` times, and a JPEG of `finish.quality`; 8 bits.
`mean_stops` is the mean of the stops that were lost.""",
    default_fidelity=1.0,
)

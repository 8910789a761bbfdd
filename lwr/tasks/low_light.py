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
            """too dark, dark, darkness, very dark, underexposed, under exposed, underexposure, dim, dimly lit,
            gloomy, low light, poorly lit, badly lit, poor lighting, bad lighting, insufficient light, no light,
            not enough light, too little light, night shot, taken at night, shot at night, can hardly see
            anything, almost black, nearly black, pitch black, blocked up shadows, crushed blacks, crushed
            shadows, yellow lamp light, tungsten cast"""
        ),
        actions=phrases(
            """brighten, brighten up, lighten, lighten up, relight, light up, lift the shadows, raise the
            shadows, open the shadows, open up the shadows, raise the exposure, increase the exposure, fix the
            exposure, correct the exposure, expose correctly, turn up the light, make brighter, more light,
            brighter, lighter, turn night into day, increase the brightness, raise the brightness"""
        ),
        qualities=phrases("bright, well lit, brightness, well exposed, properly exposed, daylight"),
        idioms=phrases(
            """dark hair, dark skin, dark horse, dark blue, dark green, dark red, dark background, dark
            chocolate, dark circles, dark sky"""
        ),
    ),
    degrade=degrade,
    severity=severity,
    needed_from=0.35,  # many photos are dark because they are meant to be
    default_scale=1.0,
    arises="sensor",
    color_fix="none",  # the dark and the colours of lamps are the defect
    formation="""In linear light the clean photo `J` gets less and coloured light, `I = J c 2^e`, and a camera
adds its noise. `ev` is the exposure in stops, from `place` on `fall` stops lower at the distance of the photo's
side, and `vignette` of it lost in the corners. `color` is the light's linear RGB; `second` that of the far side
where the `cast` is "mixed". With `lights`, what is bright in the clean photo is a source: it keeps the share
`kept` of the lost stops (all that is white, `sky` of that), lights what is beside it (`glow`, as far as `reach`)
and spreads `bloom` of its light over the photo. `sensor` is the noise of raw values at `iso`, as of task
"denoise". Display values up to `black` become black. Then, in some photos, an unsharp mask of `finish.radius`
pixels, `finish.sharpening` times, and a JPEG of `finish.quality`; 8 bits. `mean_stops` is the mean of the stops
that were lost.""",
    default_fidelity=1.0,
)

"""Task "derain"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lwr.tasks.base import Task, Vocabulary, phrases

if TYPE_CHECKING:
    import torch

    from lwr.degrade.depth import Depth
    from lwr.degrade.draw import Degraded, Params


def degrade(
    clean: torch.Tensor, generator: torch.Generator, params: Params | None = None, depth: Depth | None = None
) -> Degraded:
    """Let it rain in `clean` (B,3,H,W) in [0,1]: streaks, a veil, drops on the lens; 8-bit, same shape."""
    from lwr.degrade.rain import rain_photos

    return rain_photos(clean, generator, params, depth)


def severity(params: dict[str, Any], degraded: torch.Tensor, clean: torch.Tensor) -> float:
    """By how much of the scene streaks, veil and drops hide."""
    from lwr.degrade.severity import rain_severity

    return rain_severity(params)


TASK = Task(
    name="derain",
    title="Remove rain",
    defect="rainy",
    instruction="remove the rain",
    examples=("remove the rain", "there are raindrops on the lens", "take away the rain streaks"),
    vocabulary=Vocabulary(
        defects=phrases(
            """rain, rainy, raining, rained, rainfall, rain streaks, rain streak, streaks of rain, rain lines,
            raindrops, raindrop, rain drops, rain drop, drizzle, drizzling, downpour, pouring, shower of rain,
            water drops, water droplets, waterdrops, droplets, drops on the lens, drops on the glass, drops on
            the window, wet lens, wet window, water on the lens, water on the glass, water spots, storm"""
        ),
        actions=phrases("derain, deraining, unrain, rain removal, remove rain, stop the rain, dry the lens"),
        qualities=phrases("rain free, free of rain, dry weather"),
        idioms=phrases(
            "rain coat, rain forest, rain boots, rain jacket, rain check, right as rain, rain gauge"
        ),
    ),
    degrade=degrade,
    severity=severity,
    needed_from=0.3,
    default_scale=1.0,
    arises="scene",
    color_fix="wavelet",
    formation="""In linear light, layer by layer from far to near, `I = J (1 - a) + L a` for the scene `J`, the
opacity `a` of the streaks and the bright light `L` that drops gather from all around, `shine` times as bright
(Garg and Nayar 2007). Each of `streaks.layers` has `density` streaks on 1000 pixels, of `length` and `width`
pixels and `opacity`, at a `depth` of the scene: what is nearer hides it. They fall at `streaks.angle` (radians
from straight down), `streaks.fan` more on the right side, each off by `streaks.scatter`, fewer in places
(`streaks.gusts`). Rain too far to be seen singly is haze of optical thickness `veil`; near surfaces are `wet`
and lose so much light. `drops` on the lens (`count`, radii from `smallest` to `largest` of the short side) show
the scene `view` times as small and upside down, blurred by `blur` radii, darker by `rim` at their borders
(`edge`), longer below by `sag`. Then noise of variance `noise.read² + noise.shot² I`, in some photos a JPEG of
`finish.quality`; 8 bits. `streak_cover`, `drop_cover` and `mean_transmission` (of the veil) are means over the
photo.""",
    default_fidelity=1.0,
    distinct=True,
)

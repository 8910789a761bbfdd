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


_GLASS = phrases(
    """lens, glass, window, windows, windshield, windscreen, camera, screen, filter, pane, front element,
    car window, train window, bus window"""
)
_WATER = phrases("drops, drop, droplets, splashes, splash, water, water spots, spray, rain")
_ON = phrases("on the, on my, on our, off the, off my, from the, from my")

TASK = Task(
    name="derain",
    title="Remove rain",
    defect="rainy",
    instruction="remove the rain",
    examples=("remove the rain", "there are raindrops on the lens", "take away the rain streaks"),
    vocabulary=Vocabulary(
        defects=phrases(
            """rain, raining, rained, rains, rainfall, rainstorm, rainwater, rain streaks, rain streak,
            streaks of rain, rain lines, raindrops, raindrop, rain drops, rain drop, pissing down,
            bucketing down, chucking it down, the drops, these drops, those drops, drizzle, drizzling,
            downpour, cloudburst, pouring rain, pouring down, was pouring, is pouring, poured down,
            shower of rain, rain shower, rain showers, water drops, water drop, water droplets, water
            droplet, waterdrops, droplets, splashes of water, water splashes"""
        )
        + tuple(
            f"{wet} {glass}"
            for glass in _GLASS
            for wet in ("wet", "rainy", *(f"{water} {on}" for water in _WATER for on in _ON))
        )
        + tuple(
            f"{covered} {water}"
            for covered in phrases("covered in, covered with, full of")
            for water in phrases("drops, droplets, raindrops")
        )
        + tuple(f"{glass} {got} wet" for glass in _GLASS for got in ("is", "was", "got", "gets")),
        looks=("rainy", "drizzly"),
        actions=phrases("derain, deraining, unrain, rain removal, remove rain, stop the rain")
        + tuple(f"dry {the} {glass}" for the in ("the", "my", "our") for glass in _GLASS),
        qualities=phrases("rain free, free of rain, dry weather, dry day"),
        idioms=phrases(
            """rain dance, rain on me, rain on my parade, rain coat, rain forest, rain forests, rain
            boots, rain jacket, rain check, right as rain, rain gauge, rain bow, rain barrel, acid rain,
            rain cloud, rain clouds, rainy season, droplets of dew, dew droplets, water drops on a leaf,
            water droplets on a leaf"""
        ),
    ),
    degrade=degrade,
    severity=severity,
    needed_from=0.3,
    default_scale=1.0,
    arises="scene",
    color_fix="wavelet",
    formation="""In linear light, layer by layer from far to near, `I = J (1 - a) + L a` for the scene `J`,
the opacity `a` of the streaks and the bright light `L` that drops gather from all around, `shine` times as
bright (Garg and Nayar 2007). Each of `streaks.layers` has `density` streaks on 1000 pixels, of `length` and
`width` pixels and `opacity`, at a `depth` of the scene: what is nearer hides it. They fall at
`streaks.angle` (radians from straight down), `streaks.fan` more on the right side, each off by
`streaks.scatter`, fewer in places (`streaks.gusts`). Rain too far to be seen singly is haze of optical
thickness `veil`; near surfaces are `wet` and lose so much light. `drops` on the lens (`count`, radii from
`smallest` to `largest` of the short side) show the scene `view` times as small and upside down, blurred by
`blur` radii, darker by `rim` at their borders (`edge`), longer below by `sag`. Then noise of variance
`noise.read² + noise.shot² I`, in some photos a JPEG of `finish.quality`; 8 bits. `streak_cover`,
`drop_cover` and `mean_transmission` (of the veil) are means over the photo.""",
    default_fidelity=1.0,
    distinct=True,
)

"""Task "dehaze"."""

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
    """Veil `clean` (B,3,H,W) in [0,1] by haze of random depth, density and colour; 8-bit, same shape."""
    from lwr.degrade.haze import haze_photos

    return haze_photos(clean, generator, params, depth)


def severity(params: dict[str, Any], degraded: torch.Tensor, clean: torch.Tensor) -> float:
    """By how little of the scene's light passes on the mean."""
    from lwr.degrade.severity import haze_severity

    return haze_severity(params["mean_transmission"])


TASK = Task(
    name="dehaze",
    title="Remove haze",
    defect="hazy",
    instruction="remove the haze",
    examples=("remove the haze", "the mountains vanish behind a white veil", "lift the fog a little"),
    vocabulary=Vocabulary(
        defects=phrases(
            """haze, hase, hazy, hazed, haziness, fog, foggy, fogged, fogginess, mist, misty, mistiness, smog,
            smoggy, smoke, smoky, pollution, air pollution, polluted air, white veil, grey veil, gray veil,
            milky veil, whitish veil, thin veil, veil over, grey curtain, gray curtain, pea soup,
            grey soup, gray soup, thick soup, white curtain,
            milky, milkiness, veiled,
            can not see the mountains, can not see far, can barely see the mountains, mountains are hidden,
            mountains are invisible, air is not clear, sky is not clear, view is not clear, air is thick,
            air is dirty, dirty air, faded in the distance, distance is faded, distance is washed out"""
        ),
        actions=phrases(
            """dehaze, defog, demist, dehazing, unhaze, unfog, desmog, clear the air, clear up the air,
            clean the air, clean up the air, clear the view, clear up the view, clear the sky,
            clear up the sky, clearer view, clearer sky, clearer air, make the view clear,
            make the sky clear, make the air clear"""
        ),
        qualities=phrases("visibility, clear view, clear air, clean air, clear day"),
        idioms=phrases(
            """noise pollution, light pollution, smoke detector, hazy memory, haze of glory, foggy idea,
            foggiest"""
        ),
    ),
    degrade=degrade,
    severity=severity,
    adapter="embedded",  # or "NAMESPACE/NAME@vX.Y.Z" on the Hub
    default_scale=1.0,
    arises="scene",
    color_fix="none",
    formation="""Koschmieder's law: `I = J t + A (1 - t)` with `t = exp(-beta d)`, for the clean photo
`J`, the airlight `A` (RGB) and the depth `d` from 0 (near) to 1 (far); ranges after RESIDE (Li et al.
2019). With a `glow`, `A` grows by so much from one side of the photo to the other. When `linear`, it
acts in linear light, else on display values. When `patchy`, `beta` varies slowly over the photo by a
factor of 0.5 to 1.5. Then sensor noise of variance `noise.read² +
noise.shot² I`, and 8 bits. `mean_transmission` is the mean of `t`. Of random depth, `depth.plane`,
`depth.noise` and `depth.prior` weigh a tilted ground, smooth noise and a guess from brightness; what is
darker than `depth.cut` is `depth.near` times as far.""",
    default_fidelity=1.0,
    follows_map=True,  # what is near has less haze, or none
    distinct=True,
)

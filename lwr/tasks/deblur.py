"""Task "deblur"."""

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
    """Blur `clean` (B,3,H,W) in [0,1] by camera shake (6 of 10) or defocus, with sensor noise; same shape."""
    from lwr.degrade.exposure import expose

    return expose(clean, generator, params, depth)


def severity(params: dict[str, Any], degraded: torch.Tensor, clean: torch.Tensor) -> float:
    """By how much of the differences between neighbouring pixels is lost, whatever the kernel was."""
    from lwr.degrade.severity import detail_lost

    return detail_lost(degraded, clean)


TASK = Task(
    name="deblur",
    title="Fix blur",
    defect="blurred",
    instruction="remove the blur",
    examples=("remove the blur", "my hands were shaking", "make it slightly sharper"),
    vocabulary=Vocabulary(
        defects=phrases(
            """blur, blurs, blurry, blurred, blurriness, blurring, motion blur, camera shake, lens blur,
            out of focus, unsharp, unsharpness, unfocused, defocus, defocused, misfocused, fuzzy,
            fuzziness, soft, softness, smeared, smeary, smudged, smudgy, shaky, shaken, shake, shakes,
            shakiness, hands were shaking, hand was shaking, hands shook, hand shook, shaking hands,
            shaky hands, shaking, hands shake, hands trembled, hands were trembling, trembling, wobbly,
            wobbled, camera moved, moved the camera, camera was moving, shook the camera, shook it,
            camera shook, i shook, shook when, moved, moving too fast, was moving, were moving, kept
            moving, indistinct, jittery, camera focused on, phone focused on, focused on something else,
            missed the focus, missed focus, focus missed, autofocus missed, autofocus failed, wrong
            focus, soft focus, lost focus, focused on the wrong, focus on the wrong, focus is on the
            wrong, tripod moved, tripod shook, shook my tripod, shook the tripod, locked onto the wrong,
            locked on the wrong, shutter speed was too slow, shutter was too slow"""
        ),
        actions=phrases(
            """deblur, unblur, sharpen, sharper, crisper, crispen, refocus, sharpen up, into focus, in
            better focus, more focused, shake reduction, stabilise, stabilize, desmear, steady it, steady
            this, steady the, crisp up, crisp it, crisp this, sharp it, sharp this"""
        ),
        qualities=phrases(
            """sharp, sharpness, crisp, crispness, steady, autofocus, auto focus, focus, the focus on,
            in focus,
            focused, well focused,
            hold still, sit still, stay still, keep still, stand still"""
        ),
        idioms=phrases(
            """focus on, focuses on, focusing on, focus only on, soft light, soft colours, soft colors,
            soft tones, soft glow, soft pastel, soft shadows, soft lighting, background blur, sharp
            contrast, shake hands, milk shake, moved to, moved into, moved from, moved away, moved house,
            moved in, moved on, moved by, soft skin, soft drink, soft toy, blur out the, blur out my"""
        ),
    ),
    degrade=degrade,
    severity=severity,
    adapter="embedded",  # or "NAMESPACE/NAME@vX.Y.Z" on the Hub
    default_scale=1.0,
    arises="lens",
    weight=2.0,
    color_fix="wavelet",
    formation="""`I = G(clip(k * L) + n)`: the light `L` of the clean photo (its sRGB curve undone,
clipped highlights up to `highlight_gain` times brighter) is spread by a kernel `k` and clipped by the
sensor, gets noise `n` of variance `noise.read² + noise.shot² L`, and is encoded (`G`, sRGB) to 8 bits.
Then comes what cameras do: an unsharp mask of `finish.radius` pixels, `finish.sharpening` times, and a
JPEG of `finish.quality`, each in half of the photos. `kind` "motion": `k` is the path of a shaken camera
(Boracchi and Foi 2012), `blur.extent` pixels long; with a `blur.roll` the camera also turns about its
axis, which moves the corners of the photo by so many pixels more.
`kind` "defocus": `k` is a disk of `blur.radius` pixels or, with `blur.blades`, a polygon; with a
`blur.focus`, the blur grows with the distance of the depth from it.""",
)

"""Task "denoise"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lwr.tasks.base import Task, Vocabulary, phrases

if TYPE_CHECKING:
    import torch

    from lwr.degrade.draw import Degraded, Params


def degrade(clean: torch.Tensor, generator: torch.Generator, params: Params | None = None) -> Degraded:
    """Give `clean` (B,3,H,W) in [0,1] a camera's noise, film grain or Gaussian noise; 8-bit, same shape."""
    from lwr.degrade.grainy import add_any_noise

    return add_any_noise(clean, generator, params)


def severity(params: dict[str, Any], degraded: torch.Tensor, clean: torch.Tensor) -> float:
    """By the root mean square of the noise."""
    from lwr.degrade.severity import noise_severity

    return noise_severity(degraded, clean)


TASK = Task(
    name="denoise",
    title="Remove noise",
    defect="noisy",
    instruction="remove the noise",
    examples=("remove the noise", "high ISO, very grainy", "reduce the grain a little"),
    vocabulary=Vocabulary(
        defects=phrases(
            """noise, nois, noisy, noises, noisiness, noisier, iso, iso noise, image noise, digital
            noise, color noise, colour noise, chroma noise, sensor noise, luminance noise, grain, grainy,
            graininess, granular, granulated, film grain, grains, grainier, speckle, speckles, speckled,
            speckling, speckly,
            static, tv static, tv snow, salt and pepper, hot pixels, hot pixel, stuck pixels, dead
            pixels, full of dots, dots everywhere, dots all over, specks all over, specks everywhere"""
        )
        + tuple(
            f"{colored} {dots}"
            for colored in phrases(
                "colored, coloured, color, colour, colorful, colourful, random, tiny, little, red, green"
            )
            for dots in phrases("dots, specks, speckles, spots, pixels")
        )
        + phrases("tiny colored dots, tiny coloured dots, little colored dots, little coloured dots")
        + tuple(
            f"{like} {sand}"
            for like in phrases("like, looks like, look like, looked like")
            for sand in phrases("sand, sandpaper, static, tv static, salt and pepper")
        ),
        actions=phrases(
            """denoise, denoiser, denoising, noise removal, noise reduction, noise reducer, degrain,
            degraining, despeckle, clean up the noise, smooth the noise, smooth out the noise, smooth the
            grain, smooth out the grain, less noise, less grain, less grainy, less noisy"""
        )
        + tuple(
            f"{remove} {the} dots"
            for remove in phrases("remove, clean, clean up, get rid of, delete, erase")
            for the in ("the", "these", "those", "all the")
        ),
        qualities=phrases("noise free, noiseless, grain free, free of noise, free of grain, clean look"),
        idioms=phrases(
            """grainy mustard, noise barrier, noise cancelling, noise complaint, noise level meter, make
            some noise, grain of salt, grain of sand, grains of sand, grains of rice, wood grain, grain
            of the wood, grain field, grain fields, grain bread, grain silo, whole grain, add noise, add
            grain, add film grain, add some grain, add some noise, low iso, base iso, iso 50, iso 64, iso
            100, iso 200, iso 400, iso was fine, iso was low, iso is fine, iso is low, static scene,
            polka dots"""
        ),
    ),
    degrade=degrade,
    severity=severity,
    default_scale=1.0,
    arises="sensor",
    color_fix="wavelet",
    formation="""`kind` "camera": the photo is taken back to raw values (Brooks et al. 2019, "unprocessing":
a tone curve if `noise.curve`, colour correction by `noise.saturation`, white balance by `noise.red` and
`noise.blue`). They get noise of variance `noise.read² + noise.shot² I` at value `I`, as of `noise.iso`, and
noise that whole rows share (`noise.rows`). It is seen through a Bayer colour filter array of pixels
`noise.pixels` times as large as the photo's, whose gaps are filled bilinearly; below 1 the photo was reduced,
and its noise is white and weaker. Then the photo is developed again. Of a camera's noise reduction there is
colour noise blurred by `noise.color_blur` pixels, in a share of `noise.color_share`, and brightness smoothed
where it is flat, in a share of `noise.smear`.
`kind` "gaussian": display values with noise of standard deviation `noise.read` (white = 1).
`kind` "film": grain of standard deviation `noise.level` at mid-grey, in clumps of `noise.size` pixels, a
share `noise.color` of it in each channel alone, `noise.shadows` of it left at black.
Then, in some photos, an unsharp mask of `finish.radius` pixels, `finish.sharpening` times, and a JPEG of
`finish.quality`; 8 bits.""",
    default_fidelity=1.0,
)

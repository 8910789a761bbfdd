"""Task "super-resolution"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lwr.tasks.base import Task, Vocabulary, phrases

if TYPE_CHECKING:
    import torch

    from lwr.degrade.draw import Degraded, Params


def degrade(clean: torch.Tensor, generator: torch.Generator, params: Params | None = None) -> Degraded:
    """Degrade `clean` (B,3,H,W) in [0,1] to a mildly poor photo of a quarter the side, enlarged back."""
    from lwr.degrade.second_order import degrade_small

    return degrade_small(clean, generator, params)


def severity(params: dict[str, Any], degraded: torch.Tensor, clean: torch.Tensor) -> float:
    """By how much of the differences between neighbouring pixels is lost."""
    from lwr.degrade.severity import detail_lost

    return detail_lost(degraded, clean)


_PICTURES = phrases(
    """photo, photograph, picture, image, pic, file, scan, screenshot, snapshot, shot, jpeg, jpg, png,
    version, crop, logo, icon, avatar"""
)

TASK = Task(
    name="super-resolution",
    title="Enlarge",
    defect="small",
    instruction="enlarge the photo and restore its detail",
    examples=("enlarge it 2x", "it is too small to print", "more detail please"),
    vocabulary=Vocabulary(
        defects=phrases(
            """pixelated, pixelation, pixellated, pixelly, see the pixels, see pixels, see every pixel,
            count the pixels, count pixels, single pixel, single pixels, individual pixels, big pixels,
            visible pixels, low resolution, low res, lowres, low definition, low def, poor resolution,
            bad resolution, thumbnail, the pixels, few pixels, not enough pixels, pixels everywhere, jagged,
            jaggies, too few pixels, undersized, low pixel"""
        )
        + tuple(f"{small} {picture}" for small in ("small", "tiny") for picture in _PICTURES),
        looks=phrases("small, tiny, teeny"),
        actions=phrases(
            """super resolution, superresolution, depixelate, unpixelate, embiggen, inlarge, make big,
            make large, want big, need big, super resolve, super res, superres, sr, enlarge, enlargement,
            upscale, upscaler, upsample, upsize, upres, scale up, scaling up, size up, blow up, blowing up,
            blown up, blow it up, blow this up, blow that up, magnify, magnification, enlarging, resize,
            rescale, bigger, larger, higher resolution, higher res, high res, hi res, high resolution,
            more pixels, more megapixels, more mp, more detail, more details, more detailed,
            add detail, add details, restore detail, restore details, restore the detail,
            restore the details, its detail, bring out the detail, bring out the details, bring out detail,
            more big, more large, readable at poster size, poster print, print quality, zoom in,
            zoom and enhance, expand,
            increase the size, enhance the size, improve the size, increase its size, increase size, grow"""
        ),
        qualities=phrases(
            """resolution, detail, details, detailed, big enough, large enough, enough pixels, enough detail,
            print it, print this, printable, print ready, to print, for print, for printing, large print, big
            print, poster size, poster sized, a poster, billboard, billboard size, wallpaper size,
            wall size, a big one, a large one, it big,
            it large, this big, this large"""
        )
        + tuple(f"{picture} {big}" for picture in _PICTURES for big in ("big", "large"))
        + tuple(f"{big} {picture}" for picture in _PICTURES for big in ("big", "large")),
        measures=phrases(
            """size, sizes, sized, resolution, big, bigger, large, larger, wide, wider, width, height,
            pixels, dimensions, scale, zoom, magnification, original"""
        ),
        idioms=phrases(
            "the big picture, same resolution, same size, keep the size, original size, big deal, in detail"
        ),
    ),
    degrade=degrade,
    severity=severity,
    adapter="embedded",  # or "NAMESPACE/NAME@vX.Y.Z" on the Hub
    default_scale=4.0,
    arises="sensor",
    weight=2.0,
    color_fix="wavelet",
    formation="""The second-order degradation of Real-ESRGAN (Wang et al. 2021) with the milder ranges
of StableSR (Wang et al. 2023): `x = JPEG(N(R(k1 * J)))`, then `y = JPEG(N(R(k2 * x)))` with a last
resize to 1/`scale` of the side and a sinc filter, before or after the last JPEG (`sinc_first`). `k` are
Gaussian, generalised Gaussian, plateau or sinc kernels, `R` resizes by area, bilinear or bicubic, `N`
adds Gaussian or Poisson noise, grey or in colour. `degraded` is `y` enlarged bicubically back to the
size of `clean`; its JPEG is 4:2:0.""",
)

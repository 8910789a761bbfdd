"""Second-order degradation of Real-ESRGAN (Wang et al. 2021): blur, resize, noise, JPEG, twice, then sinc.

With the milder ranges of StableSR (Wang et al. 2023). Whether the clean photo is sharpened first, as
Real-ESRGAN does with its targets, is the caller's choice.
"""

import random
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

from lwr.degrade.blur import Kernel, KernelRanges, draw_kernels, sample_kernel, sample_sinc
from lwr.degrade.draw import Degraded, Params, draw_or_read, working_dtype
from lwr.degrade.filtering import filter_each
from lwr.degrade.jpeg import jpeg
from lwr.degrade.light import round_to_8_bit
from lwr.degrade.noise import Noise, NoiseRanges, add_noise, sample_noise
from lwr.degrade.resize import MODES, ResizeRanges, resize, sample_resize, scaled_size

SCALE = 4.0  # clean side / small side; the resize ranges are meant for it


# Every range and probability of the recipe, in the order in which they act.
BLUR1 = KernelRanges(sigma=(0.2, 1.5))
RESIZE1 = ResizeRanges(chances=(0.2, 0.7, 0.1), factor=(0.3, 1.5))
NOISE1 = NoiseRanges(gaussian=0.5, sigma=(1, 15), poisson=(0.05, 2.0))
JPEG1 = (60, 95)  # quality
BLUR2 = KernelRanges(sigma=(0.2, 1.0), sizes=(11, 11))
BLUR2_CHANCE = 0.5
RESIZE2 = ResizeRanges(chances=(0.3, 0.4, 0.3), factor=(0.6, 1.2))  # relative to the final small size
NOISE2 = NoiseRanges(gaussian=0.5, sigma=(1, 12), poisson=(0.05, 1.0))
JPEG2 = (60, 100)
SINC_CHANCE = 0.8  # of the last sinc filter


@dataclass(frozen=True)
class SmallPhoto:
    """How one photo became small and poor: the parameters in the order in which they act."""

    scale: float  # clean side / small side
    blur1: Kernel
    resize1: tuple[float, str]  # factor on the clean size, mode
    noise1: Noise
    jpeg1: int
    blur2: Kernel | None  # None = skipped
    resize2: tuple[float, str]  # factor on the final small size, mode
    noise2: Noise
    sinc_first: bool  # {resize to the final size, sinc} before the JPEG, else after it
    resize3: str  # mode of that last resize
    sinc: Kernel | None
    jpeg2: int


def degrade_small(clean: torch.Tensor, generator: torch.Generator, params: Params | None = None) -> Degraded:
    """`clean` (B,3,H,W) in [0,1] made 4 times smaller and poor, then enlarged back to (B,3,H,W), 8-bit.

    The parameters of each photo are the fields of `SmallPhoto`. With `params`, one dict a photo as an earlier
    call returned them, nothing is drawn but noise.
    """
    photos = draw_or_read(SmallPhoto, sample_photo, generator, len(clean), params)
    clean = clean.to(working_dtype(clean.device))
    blurred = filter_each(clean, draw_kernels([photo.blur1 for photo in photos], clean.device))
    # Each photo has its own size between the first and the last resize, hence one at a time.
    small = torch.cat([_shrink(blurred[i : i + 1], photo, generator) for i, photo in enumerate(photos)])
    large = F.interpolate(small, clean.shape[-2:], mode="bicubic", align_corners=False)
    return round_to_8_bit(large).float(), [asdict(photo) for photo in photos]


def sample_photo(stream: random.Random) -> SmallPhoto:
    """Draw all parameters of one photo."""
    return SmallPhoto(
        scale=SCALE,
        blur1=sample_kernel(stream, BLUR1),
        resize1=sample_resize(stream, RESIZE1),
        noise1=sample_noise(stream, NOISE1),
        jpeg1=stream.randint(*JPEG1),
        blur2=sample_kernel(stream, BLUR2) if stream.random() < BLUR2_CHANCE else None,
        resize2=sample_resize(stream, RESIZE2),
        noise2=sample_noise(stream, NOISE2),
        sinc_first=stream.random() < 0.5,
        resize3=stream.choice(MODES),
        sinc=sample_sinc(stream) if stream.random() < SINC_CHANCE else None,
        jpeg2=stream.randint(*JPEG2),
    )


def _shrink(blurred: torch.Tensor, photo: SmallPhoto, generator: torch.Generator) -> torch.Tensor:
    """One blurred photo (1,3,H,W) to (1,3,H/scale,W/scale) in [0,1]."""
    height, width = blurred.shape[-2:]
    final = scaled_size(height, width, 1 / photo.scale)

    factor, mode = photo.resize1
    image = resize(blurred, scaled_size(height, width, factor), mode)
    image = jpeg(add_noise(image, [photo.noise1], generator), [photo.jpeg1])

    image = _blurred(image, photo.blur2)
    factor, mode = photo.resize2
    image = resize(image, scaled_size(height, width, factor / photo.scale), mode)
    image = add_noise(image, [photo.noise2], generator).clamp(0, 1)

    if photo.sinc_first:
        return jpeg(_blurred(resize(image, final, photo.resize3), photo.sinc), [photo.jpeg2])
    image = jpeg(image, [photo.jpeg2])
    return round_to_8_bit(_blurred(resize(image, final, photo.resize3), photo.sinc))


def _blurred(image: torch.Tensor, kernel: Kernel | None) -> torch.Tensor:
    return image if kernel is None else filter_each(image, draw_kernels([kernel], image.device))

"""What to beat: a classical method for each task, at settings fixed beforehand, and Real-ESRGAN."""

import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch

from training.evaluation import real_esrgan

PSF_SIGMA = 1.0  # pixels; one guess for all: the best of 1, 1.5 and 2 on three validation photos
NLM_STRENGTH = 0.8  # times the noise, as scikit-image's example of the fast mode has it
TV_WEIGHT = 0.01  # of 0.01, 0.02 and 0.04 the best at qualities 10, 20 and 40 on three validation photos
MID_GREY = 0.45  # about the mean of a well exposed photo
STREAK = 5  # pixels: of 3, 5 and 7 the best on three validation photos
_BORDER = 16  # pixels mirrored around the photo, so that its borders do not ring


@dataclass(frozen=True)
class Baseline:
    """A method that is not ours. `run`: (H,W,3) float32 in [0,1] -> the same, not clipped."""

    task: str
    name: str
    what: str  # for the report: method, settings, library
    package: str  # the modules that must be there, with spaces between
    install: str
    run: Callable[[np.ndarray], np.ndarray]
    learned: bool = False  # such a one may look sharper at a larger error


def wiener(photo: np.ndarray) -> np.ndarray:
    """Unsupervised Wiener-Hunt deconvolution (Orieux et al. 2010), channel by channel."""
    from skimage.restoration import unsupervised_wiener

    offsets = np.arange(-round(4 * PSF_SIGMA), round(4 * PSF_SIGMA) + 1)
    line = np.exp(-(offsets**2) / (2 * PSF_SIGMA**2))
    psf = np.outer(line, line) / line.sum() ** 2
    border = min(_BORDER, *(side - 1 for side in photo.shape[:2]))
    padded = np.pad(photo, ((border, border), (border, border), (0, 0)), mode="reflect")
    sharp = [unsupervised_wiener(padded[..., c], psf, rng=0)[0] for c in range(3)]
    height, width = photo.shape[:2]
    return np.stack(sharp, -1)[border : border + height, border : border + width]


def dark_channel(photo: np.ndarray) -> np.ndarray:
    """The dark channel prior (He, Sun, Tang 2009) with a guided filter, at the package's own settings."""
    from adrishyam import dehaze

    dark = dehaze.get_dark_channel(photo)
    light = dehaze.estimate_atmospheric_light(photo, dark)
    transmission = dehaze.estimate_transmission(photo, light, dark)
    refined = dehaze.guided_filter_simple(photo[..., 0], transmission)
    return dehaze.dehaze(photo, refined, light)


def unsharp(photo: np.ndarray) -> np.ndarray:
    """Unsharp mask over the bicubically enlarged photo."""
    from skimage.filters import unsharp_mask

    return unsharp_mask(photo, radius=1, amount=1, channel_axis=2)  # -1 picks rows in scikit-image 0.26


def non_local_means(photo: np.ndarray) -> np.ndarray:
    """Non-local means (Buades et al. 2005) with the noise that a wavelet estimate finds (Donoho 1994)."""
    from skimage.restoration import denoise_nl_means, estimate_sigma

    sigma = float(np.mean(estimate_sigma(photo, channel_axis=-1)))
    return denoise_nl_means(photo, 5, 6, h=NLM_STRENGTH * sigma, sigma=sigma, fast_mode=True, channel_axis=-1)


def fast_nl_means(photo: np.ndarray) -> np.ndarray:
    """OpenCV's fastNlMeansDenoisingColored at the strengths of its documentation."""
    import cv2

    levels = (photo * 255).round().astype(np.uint8)
    return cv2.fastNlMeansDenoisingColored(levels, None, 10, 10, 7, 21).astype(np.float32) / 255


def total_variation(photo: np.ndarray) -> np.ndarray:
    """Total variation (Rudin et al. 1992, Chambolle 2004), which smooths weak steps between blocks."""
    from skimage.restoration import denoise_tv_chambolle

    return denoise_tv_chambolle(photo, TV_WEIGHT, channel_axis=-1)


def equalized(photo: np.ndarray) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994) of the brightness."""
    from skimage.color import lab2rgb, rgb2lab
    from skimage.exposure import equalize_adapthist

    lab = rgb2lab(photo)
    lab[..., 0] = 100 * equalize_adapthist(lab[..., 0] / 100)
    return lab2rgb(lab)


def gamma_to_mid_grey(photo: np.ndarray) -> np.ndarray:
    """The power of display values that brings their mean to MID_GREY."""
    from scipy.optimize import brentq

    def off(power: float) -> float:
        return float((photo**power).mean()) - MID_GREY

    return photo ** brentq(off, 0.02, 50) if off(0.02) > 0 > off(50) else photo


def median_across(photo: np.ndarray) -> np.ndarray:
    """The median of each pixel and its neighbours left and right, which rubs out thin upright streaks."""
    from scipy.ndimage import median_filter

    return median_filter(photo, size=(1, STREAK, 1))


def real_esrgan_x4plus(photo: np.ndarray) -> np.ndarray:
    """Real-ESRGAN on the small photo, which the middle of each 4x4 pixels of the enlarged one gives back."""
    return enlarged_again(photo, real_esrgan.load())


def enlarged_again(photo: np.ndarray, enlarge: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The bicubically enlarged photo made small again, and enlarged 4x by `enlarge`."""
    enlarged = torch.from_numpy(photo).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(enlarged, scale_factor=1 / real_esrgan.SCALE, mode="bicubic")
    output = torch.from_numpy(enlarge(small[0].permute(1, 2, 0).numpy())).permute(2, 0, 1)[None]
    same = torch.nn.functional.interpolate(output, size=photo.shape[:2], mode="bicubic")  # sides not of 4
    return same[0].permute(1, 2, 0).numpy()


_SKIMAGE = ("skimage", "pip install scikit-image==0.26.0")
_ADRISHYAM = ("adrishyam", "pip install adrishyam==0.1.1")
BASELINES = (
    Baseline(
        "denoise",
        "non-local means",
        f"scikit-image's non-local means of estimated noise, {NLM_STRENGTH:g} times as strong",
        *_SKIMAGE,
        non_local_means,
    ),
    Baseline(
        "denoise",
        "fastNlMeans",
        "OpenCV's fastNlMeansDenoisingColored, strengths 10",
        "cv2",
        "pip install opencv-python-headless==4.12.0.88",
        fast_nl_means,
    ),
    Baseline(
        "dejpeg",
        "total variation",
        f"scikit-image's total variation denoising, weight {TV_WEIGHT:g}",
        *_SKIMAGE,
        total_variation,
    ),
    Baseline(
        "low-light",
        "CLAHE",
        "scikit-image's equalize_adapthist of L*, at its own settings",
        *_SKIMAGE,
        equalized,
    ),
    Baseline(
        "low-light",
        "gamma",
        f"the power of display values with a mean of {MID_GREY:g}",
        "scipy",
        "pip install scipy",
        gamma_to_mid_grey,
    ),
    Baseline(
        "derain",
        "median",
        f"scipy's median of {STREAK} pixels side by side",
        "scipy",
        "pip install scipy",
        median_across,
    ),
    Baseline(
        "deblur",
        "wiener",
        f"unsupervised Wiener of scikit-image with a guessed Gaussian blur, sigma {PSF_SIGMA:g} pixel",
        *_SKIMAGE,
        wiener,
    ),
    Baseline("dehaze", "dark channel", "dark channel prior of adrishyam", *_ADRISHYAM, dark_channel),
    Baseline(
        "super-resolution",
        "unsharp",
        "bicubic enlargement and scikit-image's unsharp mask, radius 1, amount 1",
        *_SKIMAGE,
        unsharp,
    ),
    Baseline(
        "super-resolution",
        "Real-ESRGAN x4plus",
        "Real-ESRGAN x4plus by ncnn, given the photo at a quarter of the side",
        " ".join(real_esrgan.PACKAGES),
        real_esrgan.INSTALL,
        real_esrgan_x4plus,
        learned=True,
    ),
)


def baselines_for(tasks: Iterable[str]) -> tuple[list[Baseline], list[str]]:
    """The methods for these tasks whose package is installed, and a printed sentence for each other one."""
    wanted = [baseline for baseline in BASELINES if baseline.task in set(tasks)]
    there = [baseline for baseline in wanted if all(map(importlib.util.find_spec, baseline.package.split()))]
    notes = [
        f"The baseline {b.name} is left out: {b.package} is not here. Install it with: {b.install}"
        for b in wanted
        if b not in there
    ]
    for note in notes:
        print(note)
    return there, notes


def apply(baseline: Baseline, photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) in [0,1] -> the same, by the baseline."""
    output = baseline.run(photo[0].permute(1, 2, 0).contiguous().numpy())
    return torch.from_numpy(np.ascontiguousarray(output)).permute(2, 0, 1)[None].float().clamp(0, 1)

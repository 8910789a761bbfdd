"""How well a VAE gives photos back: `python -m training.evaluation.reconstruction --photos PHOTOS`.

Each VAE is a folder in diffusers' format behind the embedded network's 2x2 space-to-depth. The photos are
those of `training.evaluate --clean`: one crop of 512 pixels of each of 24 held-out photographs.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from lwr.images.metrics import psnr
from training.command_line import parse
from training.evaluation.samples import clean_photos
from training.losses.perceptual import distance

PATCH = 2  # of the space-to-depth


@dataclass(frozen=True)
class Options:
    """What is measured."""

    photos: str  # folder, tar or parquet shards, or a Hub dataset
    vaes: tuple[str, ...] = ("lwr/embedded/vae",)  # folders with config.json and weights
    limit: int = 24  # photographs


@torch.inference_mode()
def main(arguments: list[str] | None = None) -> None:
    """Print PSNR (dB) and LPIPS (AlexNet) of each VAE, means over the photos."""
    options = parse(Options, arguments, "python -m training.evaluation.reconstruction", __doc__)
    photos = clean_photos(options.photos, "validation", options.limit, [])
    lpips = distance("alexnet", "lpips")[0]
    for folder in options.vaes:
        vae = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32).eval()
        scores = []
        for photo in photos:
            clean = photo.pixels.permute(2, 0, 1)[None].float() / 255
            latent = vae.encode(F.pixel_unshuffle(clean * 2 - 1, PATCH)).latent_dist.mode()
            output = ((F.pixel_shuffle(vae.decode(latent).sample, PATCH) + 1) / 2).clamp(0, 1)
            scores.append((psnr(output, clean).item(), lpips(output, clean).item()))
        means = [sum(column) / len(scores) for column in zip(*scores, strict=True)]
        print(f"{folder}: {means[0]:.2f} dB, LPIPS {means[1]:.3f}, {len(photos)} photographs")


if __name__ == "__main__":
    main()

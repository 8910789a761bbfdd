"""Controllable feature wrapping (CFW; StableSR, Wang et al. 2024, section 3.3): the VAE decoder's fidelity.

At chosen decoder levels the decoder feature D meets the feature E that the VAE encoder found in the degraded
photo: F = D + w * C([E, D]), w = `fidelity` in [0,1]. Configured for public StableSR (two levels, dense
blocks) and for the embedded prior (every level, plain residual blocks, and the same rule once more on the
pixels).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn


@dataclass(frozen=True)
class WrappingConfig:
    """Sizes of CFW. `channels[i]` are the VAE's channels at encoder level i (level 0 is the finest)."""

    channels: tuple[int, ...]
    levels: tuple[int, ...]  # encoder levels that are fused; StableSR: (1, 2)
    dense_blocks: int = 2  # residual-in-residual dense blocks a level; StableSR: 2
    growth: int = 32  # channels that each dense convolution adds
    res_blocks: int = 1  # plain residual blocks after them; StableSR: 1
    groups: int = 32  # of every GroupNorm; 0 = none: norms take away the brightness that a veil adds
    scales: tuple[float, ...] = ()  # per level, brings features to about unit size without norms; () = all 1
    pixel_channels: int = 0  # >0: channels of the VAE's image, whose pixels are wrapped too (not in StableSR)


class ControllableFeatureWrapping(nn.Module):
    """The layers C of every fused level, finest first."""

    def __init__(self, config: WrappingConfig) -> None:
        super().__init__()
        self.config = config
        self.fusions = nn.ModuleDict({str(i): Fusion(config.channels[i], config) for i in config.levels})
        self.pixel_head = _pixel_head(config) if config.pixel_channels else None

    def correction(self, level: int, encoded: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
        """C([E, D]) of a fused level; (B,C,h,w) each."""
        scale = self._scale(level)
        return self.fusions[str(level)](torch.cat([encoded, decoded], 1) * scale) / scale

    def pixel_correction(
        self, correction: torch.Tensor, encoded: torch.Tensor, decoded: torch.Tensor
    ) -> torch.Tensor:
        """C([E, D]) of the VAE's image (B,P,h,w) in [-1,1]; sees the finest level's correction too."""
        return self.pixel_head(torch.cat([correction * self._scale(0), encoded, decoded], 1))

    def _scale(self, level: int) -> float:
        return self.config.scales[level] if self.config.scales else 1.0


class Fusion(nn.Module):
    """C of one level: (B,2c,h,w) = [E, D] -> (B,c,h,w)."""

    def __init__(self, channels: int, config: WrappingConfig) -> None:
        super().__init__()
        self.enter = ResidualBlock(2 * channels, channels, config.groups)
        self.dense = nn.Sequential(
            *(DenseTriple(channels, config.growth) for _ in range(config.dense_blocks))
        )
        self.leave = nn.Sequential(
            *(ResidualBlock(channels, channels, config.groups) for _ in range(config.res_blocks))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,2c,h,w) -> (B,c,h,w)."""
        return self.leave(self.dense(self.enter(x)))


class ResidualBlock(nn.Module):
    """[GroupNorm-]SiLU-conv twice around a skip, (B,in,h,w) -> (B,out,h,w)."""

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, eps=1e-6) if groups else nn.Identity()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, channels_out, eps=1e-6) if groups else nn.Identity()
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,in,h,w) -> (B,out,h,w)."""
        h = self.conv1(F.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class DenseTriple(nn.Module):
    """Residual-in-residual dense block (Wang et al. 2018, ESRGAN), (B,c,h,w) -> (B,c,h,w)."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DenseBlock(channels, growth) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,c,h,w) -> (B,c,h,w)."""
        h = x
        for block in self.blocks:
            h = block(h)
        return x + 0.2 * h


class DenseBlock(nn.Module):
    """Five convolutions, each seeing all before it; residual scaled by 0.2."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(channels + i * growth, growth if i < 4 else channels, 3, padding=1) for i in range(5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,c,h,w) -> (B,c,h,w)."""
        features = x
        for conv in self.convs[:-1]:
            features = torch.cat([features, F.leaky_relu(conv(features), 0.2)], 1)
        return x + 0.2 * self.convs[-1](features)


def encode_features(vae: AutoencoderKL, image: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """VAE input (B,P,H,W) in [-1,1] -> (moments (B,2C,h,w), each level's feature before its downsampling)."""
    encoder, features = vae.encoder, []
    h = encoder.conv_in(image)
    for block in encoder.down_blocks:
        for resnet in block.resnets:
            h = resnet(h, None)
        features.append(h)
        for downsampler in block.downsamplers or ():
            h = downsampler(h)
    h = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(encoder.mid_block(h))))
    return (vae.quant_conv(h) if vae.quant_conv is not None else h), features


def decode_wrapped(
    vae: AutoencoderKL,
    latent: torch.Tensor,
    wrapping: ControllableFeatureWrapping | None = None,
    features: Sequence[torch.Tensor] = (),
    image: torch.Tensor | None = None,
    fidelity: float = 0.0,
) -> torch.Tensor:
    """Latent (B,C,h,w) in the VAE's units -> image (B,P,H,W) about [-1,1].

    `features` and `image` are what `encode_features` gave and got for the degraded photo. `fidelity` 0 or no
    wrapping is the plain VAE decoder.
    """
    decoder = vae.decoder
    h = decoder.conv_in(vae.post_quant_conv(latent) if vae.post_quant_conv is not None else latent)
    h, correction = decoder.mid_block(h), None
    for index, block in enumerate(decoder.up_blocks):
        for resnet in block.resnets:
            h = resnet(h, None)
        level = len(decoder.up_blocks) - 1 - index
        if wrapping is not None and fidelity > 0 and str(level) in wrapping.fusions:
            correction = wrapping.correction(level, features[level], h)
            h = h + fidelity * correction
        for upsampler in block.upsamplers or ():
            h = upsampler(h)
    decoded = decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(h)))
    if correction is None or wrapping is None or wrapping.pixel_head is None or image is None:
        return decoded
    return decoded + fidelity * wrapping.pixel_correction(correction, image, decoded)


def _pixel_head(config: WrappingConfig) -> nn.Conv2d:
    """Starts as E - D plus a little of the correction, so that fidelity 1 starts near the input."""
    pixels, channels = config.pixel_channels, config.channels[0]
    head = nn.Conv2d(channels + 2 * pixels, pixels, 3, padding=1)
    nn.init.zeros_(head.bias)
    with torch.no_grad():
        head.weight[:, channels:] = 0
        for i in range(pixels):
            head.weight[i, channels + i, 1, 1] = 1
            head.weight[i, channels + pixels + i, 1, 1] = -1
    return head

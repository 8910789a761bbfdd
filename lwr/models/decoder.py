"""Controllable feature wrapping (CFW; StableSR, Wang et al. 2024, section 3.3): the VAE decoder's fidelity.

At chosen decoder levels the decoder feature D meets the feature E that the VAE encoder found in the degraded
photo: F = D + w * C([E, D]), w = `fidelity` in [0,1]. Two kinds of C:

- public StableSR's: two levels, dense blocks between residual blocks;
- `chain` (the embedded prior's): every level, plain residual blocks that also read the photo's own pixels and
  what the next coarser level found, and the same rule once more on the pixels: the chain's own photo is its
  input plus a learned correction, so what the small VAE cannot hold is not lost. The chain has two sets of
  weights, for the least error and for the look, and `fidelity` moves from one to the other (network
  interpolation, Wang et al. 2019): 1 is the exact photo, 0.5 the sharpest to the eye, 0 the decoder's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import nn

CHAIN_ALONE = 0.5  # fidelity from which on the photo is the chain's own, without any of the decoder's


@dataclass(frozen=True)
class WrappingConfig:
    """Sizes of CFW. `channels[i]` are the VAE's channels at encoder level i (level 0 is the finest)."""

    channels: tuple[int, ...]
    levels: tuple[int, ...]  # encoder levels that are fused; StableSR: (1, 2)
    dense_blocks: int = 2  # residual-in-residual dense blocks a level; StableSR: 2
    growth: int = 32  # channels that each dense convolution adds
    groups: int = 32  # of every GroupNorm
    chain: tuple[int, ...] = ()  # residual blocks a level; not empty = the chained kind, without norms
    scales: tuple[float, ...] = ()  # a level, bring the VAE's features to about unit size for the chain
    pixel_channels: int = 0  # of the VAE's image, whose pixels the chain reads and wraps
    filters: tuple[int, int] = (0, 0)  # number and size (odd, pixels) of the chain's adaptive filters
    gates: bool = False  # whether the chain's channels are weighed by their mean over the whole photo
    look_rank: int = 0  # of the chain's second set of weights, kept as a low-rank difference; 0 = none


class ControllableFeatureWrapping(nn.Module):
    """The layers C of every fused level, by encoder level."""

    def __init__(self, config: WrappingConfig) -> None:
        super().__init__()
        self.config = config
        self.pixel_head = _pixel_head(config) if config.chain else None
        self.filters = AdaptiveFilters(config) if config.chain else None
        self.fusions = nn.ModuleDict(
            {str(i): (ChainedFusion if config.chain else Fusion)(config, i) for i in config.levels}
        )

    def forward(
        self,
        level: int,
        encoded: torch.Tensor,
        decoded: torch.Tensor,
        image: torch.Tensor | None,
        coarser: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(C([E, D]) of a fused level, what the next finer level reads); E and D are (B,C,h,w).

        Only the chain looks at `image` (B,P,H,W), the VAE's input, and `coarser`, what the level before gave.
        """
        fusion = self.fusions[str(level)]
        if not self.config.chain:
            return fusion(torch.cat([encoded, decoded], 1)), None
        return fusion(encoded, decoded, F.pixel_unshuffle(image, 2**level), coarser)

    def exact(self, found: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """The chain's own photo (B,P,h,w) about [-1,1]: the VAE's input `image` and what the chain corrects.

        `found` (B,C,h,w) is what the finest level gave.
        """
        return image + self.pixel_head(torch.cat([found, image], 1)) + self.filters(found, image)

    def reads_decoder(self) -> bool:
        """Whether the chain, with the adapters that are folded in, looks at the decoder's features at all."""
        return not self.config.chain or any(
            bool(weight.any()) for fusion in self.fusions.values() for weight in fusion.weights_of_decoder()
        )

    def take_look(self, fidelity: float) -> None:
        """Set the chain's weights: the exact ones at fidelity 1, those for the look at 0.5 and below."""
        for module in self.modules():
            if isinstance(module, TwoWayConv2d):
                module.share = min(1.0, (1 - fidelity) / (1 - CHAIN_ALONE))

    def without_decoder(
        self, encoded: Sequence[torch.Tensor], image: torch.Tensor, fidelity: float = 1.0
    ) -> torch.Tensor:
        """The chain by itself, blind to the decoder: its photo (B,P,h,w) about [-1,1]."""
        self.take_look(fidelity)
        found = None
        for level in sorted(self.config.levels, reverse=True):
            found = self(level, encoded[level], torch.zeros_like(encoded[level]), image, found)[1]
        return self.exact(found, image)


class TwoWayConv2d(nn.Conv2d):
    """A convolution W + share * B A: `share` 0 for the least error, 1 for the look; B starts at zero."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *args: object,
        look_rank: int = 0,
        **kwargs: object,
    ) -> None:  # nn.Conv2d's own arguments, because PEFT builds its layers by the class of the base layer
        super().__init__(channels_in, channels_out, kernel, *args, **kwargs)
        self.share = 0.0
        if look_rank:
            self.look_a = nn.Parameter(torch.empty(look_rank, *self.weight.shape[1:]))
            self.look_b = nn.Parameter(torch.zeros(channels_out, look_rank))
            nn.init.kaiming_uniform_(self.look_a, a=5**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,in,h,w) -> (B,out,h,w)."""
        weight = self.weight
        if self.share and hasattr(self, "look_a"):
            weight = weight + self.share * (self.look_b @ self.look_a.flatten(1)).view_as(weight)
        return self._conv_forward(x, weight, self.bias)


class Fusion(nn.Module):
    """StableSR's C of one level: (B,2c,h,w) = [E, D] -> (B,c,h,w)."""

    def __init__(self, config: WrappingConfig, level: int) -> None:
        super().__init__()
        channels = config.channels[level]
        self.enter = ResidualBlock(2 * channels, channels, config.groups)
        self.dense = nn.Sequential(
            *(DenseTriple(channels, config.growth) for _ in range(config.dense_blocks))
        )
        self.leave = ResidualBlock(channels, channels, config.groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,2c,h,w) -> (B,c,h,w)."""
        return self.leave(self.dense(self.enter(x)))


class ChainedFusion(nn.Module):
    """The chain's C of one level; `leave` is zero at first: an untrained chain leaves the decoder alone."""

    def __init__(self, config: WrappingConfig, level: int) -> None:
        super().__init__()
        self.channels = channels = config.channels[level]
        self.scale = config.scales[level]
        rank = config.look_rank
        self.enter = TwoWayConv2d(
            2 * channels + config.pixel_channels * 4**level, channels, 1, look_rank=rank
        )
        with torch.no_grad():  # D has no say before the decoder takes part in training
            for weight in self.weights_of_decoder():
                weight.zero_()
        coarser = level + 1 in config.levels
        self.lift = (
            TwoWayConv2d(config.channels[level + 1], 4 * channels, 1, look_rank=rank) if coarser else None
        )
        self.blocks = nn.Sequential(*(ChainBlock(channels, config) for _ in range(config.chain[level])))
        self.leave = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def weights_of_decoder(self) -> list[torch.Tensor]:
        """Views of the weights that D is multiplied by."""
        channels = slice(self.channels, 2 * self.channels)
        return [
            getattr(self.enter, name)[:, channels]
            for name in ("weight", "look_a")
            if hasattr(self.enter, name)
        ]

    def forward(
        self, encoded: torch.Tensor, decoded: torch.Tensor, pixels: torch.Tensor, coarser: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """E, D (B,c,h,w), pixels (B,p,h,w), coarser (B,c',h/2,w/2) -> (correction, found), (B,c,h,w) each."""
        x = self.enter(torch.cat([self.scale * encoded, self.scale * decoded, pixels], 1))
        if self.lift is not None and coarser is not None:
            x = x + F.pixel_shuffle(self.lift(coarser), 2)
        found = self.blocks(x)
        return self.leave(found) / self.scale, found


class AdaptiveFilters(nn.Module):
    """sum_k a_k(x) (B_k * photo)(x): learned filters, mixed anew everywhere (after Mildenhall et al. 2018).

    Undoing a blur is close to a linear filter that depends on the blur; the chain then need only say which.
    The filters start as the photo less a disk-blurred or line-blurred copy, the shares a_k as 0.
    """

    def __init__(self, config: WrappingConfig) -> None:
        super().__init__()
        count, size = config.filters
        self.patch = math.isqrt(config.pixel_channels // 3)
        self.basis = nn.Parameter(_sharpening(count, size))
        self.shares = TwoWayConv2d(config.channels[0], count, 1, look_rank=config.look_rank)
        nn.init.zeros_(self.shares.weight)
        nn.init.zeros_(self.shares.bias)

    def forward(self, found: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """found (B,c,h,w), the VAE's image (B,P,h,w) in [-1,1] -> correction of that image, (B,P,h,w)."""
        photo = F.pixel_shuffle(image, self.patch)  # (B,3,H,W)
        reach = self.basis.shape[-1] // 2
        padded = F.pad(photo, (reach,) * 4, mode="replicate")
        shares = F.interpolate(self.shares(found), scale_factor=self.patch)  # (B,K,H,W)
        mixed = [(F.conv2d(padded[:, c : c + 1], self.basis) * shares).sum(1, keepdim=True) for c in range(3)]
        return F.pixel_unshuffle(torch.cat(mixed, 1), self.patch)


def _sharpening(count: int, size: int) -> torch.Tensor:
    """(count,1,size,size): a point less its blur, a quarter by disks of growing size, the rest by lines."""
    axis = torch.arange(size, dtype=torch.float32) - size // 2
    y, x = axis[:, None], axis[None, :]
    disks = max(count // 4, 1)
    lengths = (size / 3, 2 * size / 3, size)
    filters = []
    for k in range(count):
        if k < disks:
            radius = 0.8 + (size / 3 - 0.8) * k / max(disks - 1, 1)
            blur = (radius + 0.5 - torch.hypot(x, y)).clamp(0, 1)
        else:
            length, angle = lengths[k % 3], math.pi * (k - disks) / (count - disks)
            along, across = (
                x * math.cos(angle) + y * math.sin(angle),
                y * math.cos(angle) - x * math.sin(angle),
            )
            blur = (1 - across.abs()).clamp(0, 1) * (length / 2 + 0.5 - along.abs()).clamp(0, 1)
        blur = -blur / blur.sum()
        blur[size // 2, size // 2] += 1
        filters.append(blur)
    return torch.stack(filters)[:, None]


class ResidualBlock(nn.Module):
    """GroupNorm-SiLU-conv twice around a skip, (B,in,h,w) -> (B,out,h,w)."""

    def __init__(self, channels_in: int, channels_out: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in, eps=1e-6)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.norm2 = nn.GroupNorm(groups, channels_out, eps=1e-6)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,in,h,w) -> (B,out,h,w)."""
        h = self.conv1(F.silu(self.norm1(x)))
        return self.skip(x) + self.conv2(F.silu(self.norm2(h)))


class ChainBlock(nn.Module):
    """SiLU-conv twice around a skip, without norms, (B,c,h,w) -> (B,c,h,w).

    With `gates` every channel between the two is weighed by what all of them are on average over the photo
    (squeeze and excitation, Hu et al. 2018): a shake and a veil are the same everywhere, and no small
    neighbourhood tells them apart as well. Weights stay within 0 and 2: unbounded ones multiply from block to
    block, and one odd crop in training ended in NaN.
    """

    def __init__(self, channels: int, config: WrappingConfig) -> None:
        super().__init__()
        rank = config.look_rank
        self.conv1 = TwoWayConv2d(channels, channels, 3, padding=1, look_rank=rank)
        self.conv2 = TwoWayConv2d(channels, channels, 3, padding=1, look_rank=rank)
        self.gate = TwoWayConv2d(channels, channels, 1, look_rank=rank) if config.gates else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,c,h,w) -> (B,c,h,w)."""
        h = F.silu(self.conv1(F.silu(x)))
        if self.gate is not None:
            h = h * (1 + torch.tanh(self.gate(h.mean((2, 3), keepdim=True))))
        return x + self.conv2(h)


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
    decoder, active = vae.decoder, wrapping is not None and fidelity > 0
    if active:
        wrapping.take_look(fidelity)
    h = decoder.conv_in(vae.post_quant_conv(latent) if vae.post_quant_conv is not None else latent)
    h, found = decoder.mid_block(h), None
    for index, block in enumerate(decoder.up_blocks):
        for resnet in block.resnets:
            h = resnet(h, None)
        level = len(decoder.up_blocks) - 1 - index
        if active and str(level) in wrapping.fusions:
            correction, found = wrapping(level, features[level], h, image, found)
            h = h + fidelity * correction
        for upsampler in block.upsamplers or ():
            h = upsampler(h)
    chained = active and wrapping.pixel_head is not None
    if chained and fidelity >= CHAIN_ALONE:
        return wrapping.exact(found, image)
    decoded = decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(h)))
    if not chained:
        return decoded
    return decoded + fidelity / CHAIN_ALONE * (wrapping.exact(found, image) - decoded)


def _pixel_head(config: WrappingConfig) -> TwoWayConv2d:
    """Starts as a little of what the chain found, so that fidelity 1 starts near the input."""
    channels = config.channels[0]
    pixels = config.pixel_channels
    head = TwoWayConv2d(channels + pixels, pixels, 3, padding=1, look_rank=config.look_rank)
    nn.init.zeros_(head.bias)
    with torch.no_grad():
        head.weight[:, :channels] *= 0.1
        head.weight[:, channels:] = 0
    return head

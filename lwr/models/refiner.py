"""The refiner: the pixel-accurate path beside the VAE decoder; the default output is its work.

It reads the degraded photo three ways and corrects it: the VAE encoder's features E of every level (f2, f4,
f8), the photo's own pixels, and, where the sampler takes part, the VAE decoder's features D of the sampled
latent and the UNet's own last features U, which hold more than fits into the latent. U first corrects the
photo's colours, place by place; then the levels run from coarse to fine, each handing what it found to the
next:

    tone        photo, U                                            -> photo
    level f8    E (B,128,H/8,W/8), D, pixels (B,192,H/8,W/8), U     -> found (B,128,H/8,W/8)
    level f4    E (B,64,H/4,W/4),  D, pixels (B,48,H/4,W/4), found  -> found (B,64,H/4,W/4)
    level f2    E (B,32,H/2,W/2),  D, pixels (B,12,H/2,W/2), found  -> found (B,32,H/2,W/2)
    output      photo + convolution of (found, pixels) + adaptive filters of the photo, chosen by found and U

so that what the small VAE cannot hold is not lost. Each level also gives a correction C for the VAE decoder,
as CFW does: F = D + w C. There are two sets of weights: distortion weights (least error) and perceptual
weights (sharpest to the eye), the two ends of Blau and Michaeli's trade-off (2018). `fidelity` moves from one
to the other in a straight line (network interpolation, Wang et al. 2019): 1 is the first, 0.5 the second, and
below that the VAE decoder's own photo is blended in; 0 is that alone.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from lwr.models.activation import (
    Padded,
    conv_of_silu,
    has_channels_last,
    is_quickened,
    mean_of_places,
    padded_silu,
)
from lwr.models.config import RefinerConfig
from lwr.models.filters import AdaptiveFilters
from lwr.models.interpolated import InterpolatedConv2d, Part, reading_unet

FROM_UNET = "from_unet"  # ends the names of the layers that read the UNet's features
REFINER_ALONE = 0.5  # fidelity from which on the photo is the refiner's own, without any of the decoder's


class Refiner(nn.Module):
    """One level per VAE level, finest first, and the output layers."""

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.config = config
        self.pixel_head = _pixel_head(config)
        self.filters = AdaptiveFilters(config)
        self.levels = nn.ModuleList(RefinerLevel(config, level) for level in range(len(config.blocks)))
        self.tone = ToneCorrection(config) if config.unet_channels else None
        self.zero_sampler_inputs()

    def forward(self, encoded: Sequence[torch.Tensor], image: torch.Tensor, fidelity: float) -> torch.Tensor:
        """The photo (B,P,H/p,W/p) about [-1,1] at a fidelity of 0.5 to 1, without the decoder's features.

        `encoded`: E of every level, finest first; `image`: the VAE's input (B,P,H/p,W/p) in [-1,1].
        """
        return Refinement(self, encoded, image, fidelity).finished(len(self.levels))

    def coarse(self, image: torch.Tensor, unet: torch.Tensor) -> torch.Tensor:
        """What U alone makes of `image` (B,P,H/p,W/p), without the levels: tone and filters; same shape."""
        image = self.tone(image, unet)
        return image + self.filters(None, image, unet)

    def set_fidelity(self, fidelity: float) -> None:
        """Move the weights: the distortion weights at fidelity 1, the perceptual ones at 0.5 and below."""
        for module in self.modules():
            if isinstance(module, InterpolatedConv2d):
                module.share = min(1.0, (1 - fidelity) / (1 - REFINER_ALONE))

    def finest_read(self) -> int:
        """The finest level whose decoder features are read."""
        read = self.config.decoder_levels
        return 0 if read is None else len(self.levels) - read

    def reads_sampler(self) -> bool:
        """Whether any weight that the decoder's or the UNet's features are multiplied by is not zero."""
        return any(bool(weight.any()) for weight in self.weights_of_sampler())

    @torch.no_grad()
    def zero_sampler_inputs(self) -> None:
        """Read nothing of the sampler, for training before it takes part."""
        for weight in self.weights_of_sampler():
            weight.zero_()

    def weights_of_sampler(self) -> list[torch.Tensor]:
        """Views of the weights that D and U are multiplied by; of low-rank ones, a factor."""
        found = [weight for level in self.levels for weight in level.weights_of_decoder()]
        for name, weight in self.named_parameters():  # B, so that A, which starts at random, lets it train
            if name.endswith((f"{FROM_UNET}.weight", f"{FROM_UNET}.perceptual_b")):
                found.append(weight)
        return found


class Refinement:
    """The refiner at work on one batch, level by level, beside the VAE decoder."""

    def __init__(
        self,
        refiner: Refiner,
        encoded: Sequence[torch.Tensor],
        image: torch.Tensor,
        fidelity: float,
        unet: torch.Tensor | None = None,
    ) -> None:
        """`encoded`, `image`: see Refiner; `unet`: U (B,F,h,w), the UNet's last features."""
        refiner.set_fidelity(fidelity)
        if refiner.tone is not None and unet is not None:
            image = refiner.tone(image, unet)
        if has_channels_last(encoded[0]):
            image = image.contiguous(memory_format=torch.channels_last)
        self.refiner, self.encoded, self.image, self.fidelity = refiner, encoded, image, fidelity
        self.unet = unet
        self.found: torch.Tensor | None = None  # of the newest level

    def correct(self, level: int, decoded: torch.Tensor) -> torch.Tensor:
        """D (B,c,h,w) of a level -> F = D + w C, also (B,c,h,w); levels come from coarse to fine.

        At the finest level that is read F is D, if the decoder ends there: its own photo is not wanted.
        """
        finest, layer = self.refiner.finest_read(), self.refiner.levels[level]
        self._find(level, decoded if level >= finest else None)
        if level == finest and self.fidelity >= REFINER_ALONE:
            return decoded
        return decoded + self.fidelity * layer.correction(self.found)

    def _find(self, level: int, decoded: torch.Tensor | None) -> None:
        layer = self.refiner.levels[level]
        self.found = layer(self.encoded[level], decoded, self.image, self.found, self.unet)

    def finished(self, done: int) -> torch.Tensor:
        """The levels finer than `done` without the decoder's features, and then the photo."""
        for level in reversed(range(done)):
            self._find(level, None)
        return self.photo()

    def photo(self) -> torch.Tensor:
        """The refiner's photo (B,P,H/p,W/p) about [-1,1], once the finest level is done."""
        refiner, image = self.refiner, self.image
        if torch.is_inference_mode_enabled():  # in training it may have a LoRA
            parts = {0: Part(self.found), self.found.shape[1]: Part(image)}
            change = refiner.pixel_head.of_parts(parts)
        else:
            change = refiner.pixel_head(torch.cat([self.found, image], 1))
        return image + change + refiner.filters(self.found, image, self.unet)


class RefinerLevel(nn.Module):
    """One level; `leave` starts at zero: an untrained refiner leaves the decoder alone."""

    def __init__(self, config: RefinerConfig, level: int) -> None:
        super().__init__()
        self.channels = channels = config.channels[level]
        self.scale, self.patch = config.scales[level], 2**level
        rank = config.perceptual_rank
        inputs = 2 * channels + config.pixel_channels * 4**level
        self.enter = InterpolatedConv2d(inputs, channels, 1, perceptual_rank=rank)
        coarsest = level + 1 == len(config.blocks)
        coarser = None if coarsest else config.channels[level + 1]
        self.from_unet = reading_unet(config, channels) if coarsest else None
        lift = coarser and InterpolatedConv2d(coarser, 4 * channels, 1, perceptual_rank=rank)
        self.lift = lift or None
        self.blocks = nn.Sequential(*(RefinerBlock(channels, config) for _ in range(config.blocks[level])))
        self.leave = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def weights_of_decoder(self) -> list[torch.Tensor]:
        """Views of the weights that D is multiplied by; of low-rank ones, a factor."""
        channels = slice(self.channels, 2 * self.channels)
        found = [self.enter.weight[:, channels]]
        if hasattr(self.enter, "perceptual_a"):
            found.append(self.enter.perceptual_a[:, channels])
        return found

    def forward(
        self,
        encoded: torch.Tensor,
        decoded: torch.Tensor | None,
        image: torch.Tensor,
        coarser: torch.Tensor | None,
        unet: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """E, D (B,c,h,w), image (B,P,h*p,w*p), coarser (B,c',h/2,w/2), U (B,F,h,w) -> found (B,c,h,w).

        None instead of D stands for zeros.
        """
        if torch.is_inference_mode_enabled():  # in training `enter` may have a LoRA
            parts = {0: encoded, self.channels: decoded}
            parts = {first: Part(each, self.scale) for first, each in parts.items() if each is not None}
            x = self.enter.of_parts(parts | {2 * self.channels: Part(image, patch=self.patch)})
        else:
            pixels = F.pixel_unshuffle(image, self.patch)
            decoded = torch.zeros_like(encoded) if decoded is None else decoded
            x = self.enter(torch.cat([self.scale * encoded, self.scale * decoded, pixels], 1))
        if self.from_unet is not None and unet is not None:
            x = x + self.from_unet(unet)
        if self.lift is not None and coarser is not None:
            x = x + F.pixel_shuffle(self.lift(coarser), 2)
        return self.blocks(x)

    def correction(self, found: torch.Tensor) -> torch.Tensor:
        """What the level found, (B,c,h,w) -> C, the correction of the decoder's feature, (B,c,h,w)."""
        return self.leave(found) / self.scale


class ToneCorrection(nn.Module):
    """Colours of every place changed by an affine map that the UNet's features give, after HDRnet.

    (Gharbi et al. 2017.) Haze is such a change, J = I / t + A (1 - 1 / t), and so is a colour cast; how much
    of it lies where is a matter of the whole scene, which the UNet sees.
    """

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__()
        self.from_unet = reading_unet(config, 12)  # a matrix (3,3) and an offset (3,)

    def forward(self, image: torch.Tensor, unet: torch.Tensor) -> torch.Tensor:
        """image (B,P,h,w) about [-1,1], unet (B,F,h/n,w/n) -> image (B,P,h,w)."""
        size = image.shape[-2:]
        change = F.interpolate(self.from_unet(unet), size, mode="bilinear")
        matrix, offset = change[:, :9].unflatten(1, (3, 3)), change[:, 9:]
        colors = image.unflatten(1, (3, -1))  # (B,3,P/3,h,w): space-to-depth keeps a colour's pixels together
        parts = (matrix[:, :, i, None] * colors[:, None, i] for i in range(3))
        return image + (sum(parts) + offset[:, :, None]).flatten(1, 2)


class RefinerBlock(nn.Module):
    """SiLU-conv twice around a skip, without norms, (B,c,h,w) -> (B,c,h,w).

    With `gates` every channel between the two is weighed by what all of them are on average over the photo
    (squeeze and excitation, Hu et al. 2018): a shake and a veil are the same everywhere, and no small
    neighbourhood tells them apart as well. Weights stay within 0 and 2: unbounded ones multiply from block to
    block, and one odd crop in training ended in NaN.
    """

    def __init__(self, channels: int, config: RefinerConfig) -> None:
        super().__init__()
        rank = config.perceptual_rank
        self.conv1, self.conv2 = (_reflecting(channels, channels, rank) for _ in range(2))
        self.gate = InterpolatedConv2d(channels, channels, 1, perceptual_rank=rank) if config.gates else None
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.zeros_(self.gate.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B,c,h,w) -> (B,c,h,w)."""
        if len(x) == 1 and is_quickened(self.conv2):
            return self._quick(x)
        h = F.silu(self.conv1(F.silu(x)))
        if self.gate is not None:
            h = h * _within_bounds(self.gate(h.mean((2, 3), keepdim=True)))
        return x + self.conv2(h)

    def _quick(self, x: torch.Tensor) -> torch.Tensor:
        """The same for one photo: SiLU goes where conv2 pads, and the gates weigh conv2's weights."""
        h, conv = conv_of_silu(self.conv1, x), self.conv2
        padded = padded_silu(h, conv._reversed_padding_repeated_twice, conv.padding_mode)
        weight = conv.interpolated()
        if self.gate is not None:
            left, _, top, _ = conv._reversed_padding_repeated_twice
            inside = padded[:, :, top : top + h.shape[2], left : left + h.shape[3]]
            mean, gate = mean_of_places(inside), self.gate  # a sum is quicker than so small a convolution
            gates = (gate.interpolated().flatten(1) * mean.flatten()).sum(1) + gate.bias
            weight = weight * _within_bounds(gates)[:, None, None]
        return conv._conv_forward(Padded(padded), weight, conv.bias).add_(x)


def _within_bounds(gates: torch.Tensor) -> torch.Tensor:
    """Any numbers -> weights in [0,2]; 0 -> 1."""
    return 1 + torch.tanh(gates)


def _reflecting(channels_in: int, channels_out: int, rank: int) -> InterpolatedConv2d:
    """3x3, with the photo mirrored at its border, which continues the 2x2 pattern of `lift` too."""
    return InterpolatedConv2d(
        channels_in, channels_out, 3, padding=1, padding_mode="reflect", perceptual_rank=rank
    )


def _pixel_head(config: RefinerConfig) -> InterpolatedConv2d:
    """Starts as a little of what was found, so that fidelity 1 starts near the input."""
    channels = config.channels[0]
    pixels = config.pixel_channels
    head = _reflecting(channels + pixels, pixels, config.perceptual_rank)
    nn.init.zeros_(head.bias)
    with torch.no_grad():
        head.weight[:, :channels] *= 0.1
        head.weight[:, channels:] = 0
    return head

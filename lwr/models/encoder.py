"""StableSR's time-aware encoder (Wang et al. 2024, section 3.1), shared by all tasks.

It reads the latent of the degraded photo and the timestep, and gives one feature map per UNet level;
sft.py puts them into the UNet. Public StableSR: width 256, multipliers (1,1,2,2), two blocks a level,
output 256.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from lwr.models.activation import conv_of_silu
from lwr.models.config import EncoderConfig


class TimeAwareEncoder(nn.Module):
    """(latent of the degraded photo, timestep) -> one feature per UNet level, finest first."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        time_channels = 4 * config.width
        self.time = nn.Sequential(
            nn.Linear(config.width, time_channels), nn.SiLU(), nn.Linear(time_channels, time_channels)
        )
        self.enter = nn.Conv2d(config.latent_channels, config.width, 3, padding=1)
        self.levels, self.downs, self.outs = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = config.width
        for index, multiplier in enumerate(config.multipliers):
            layers = nn.ModuleList()
            for _ in range(config.blocks):
                layers.append(TimeBlock(channels, config.width * multiplier, time_channels, config.groups))
                channels = config.width * multiplier
                if index in config.attention_levels:
                    layers.append(SelfAttention(channels, config.heads, config.groups))
            self.levels.append(layers)
            if index + 1 < len(config.multipliers):
                self.downs.append(nn.Conv2d(channels, channels, 3, 2, 1))
            self.outs.append(TimeBlock(channels, config.out_channels, time_channels, config.groups))
        self.middle = nn.ModuleList(
            [
                TimeBlock(channels, channels, time_channels, config.groups),
                SelfAttention(channels, config.heads, config.groups),
                TimeBlock(channels, channels, time_channels, config.groups),
            ]
        )

    def forward(
        self, latent: torch.Tensor, timestep: torch.Tensor, count: int | None = None
    ) -> list[torch.Tensor]:
        """(B,C,h,w), (B,) -> [(B,out,h,w), (B,out,h/2,w/2), ...]; the coarsest is from the middle block.

        `count`: how many, from the finest, are wanted; None = all.
        """
        emb = self.time(sinusoidal(timestep, self.config.width).to(latent.dtype))  # (B, 4*width)
        h, features = self.enter(latent), []
        for index, layers in enumerate(self.levels):
            for layer in layers:
                h = layer(h, emb)
            if index == len(self.downs):
                for layer in self.middle:
                    h = layer(h, emb)
            features.append(h)
            if len(features) == count or index == len(self.downs):
                break
            h = self.downs[index](h)
        return [out(feature, emb) for out, feature in zip(self.outs, features, strict=False)]


class TimeBlock(nn.Module):
    """Residual block with an additive time embedding, (B,in,h,w), (B,E) -> (B,out,h,w)."""

    def __init__(self, channels_in: int, channels_out: int, time_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.time = nn.Linear(time_channels, channels_out)
        self.norm2 = nn.GroupNorm(groups, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        """(B,in,h,w), (B,E) -> (B,out,h,w)."""
        h = conv_of_silu(self.conv1, self.norm1(x)) + self.time(F.silu(emb))[:, :, None, None]
        return self.skip(x) + conv_of_silu(self.conv2, self.norm2(h))


class SelfAttention(nn.Module):
    """Multi-head self-attention over positions with a residual, (B,C,h,w) -> (B,C,h,w)."""

    def __init__(self, channels: int, heads: int, groups: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        """(B,C,h,w), unused time embedding -> (B,C,h,w)."""
        batch, channels, height, width = x.shape
        tokens = self.norm(x).flatten(2).transpose(1, 2)  # (B, hw, C)
        q, k, v = (t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in self.qkv(tokens).chunk(3, 2))
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, hw, C)
        return x + self.out(mixed).transpose(1, 2).view(batch, channels, height, width)


def sinusoidal(timestep: torch.Tensor, channels: int, max_period: float = 10000.0) -> torch.Tensor:
    """Timestep embedding (B,) -> (B,channels), cosines first (Ho et al. 2020)."""
    half = channels // 2
    rates = torch.exp(-math.log(max_period) * torch.arange(half, device=timestep.device) / half)
    angles = timestep.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], 1)

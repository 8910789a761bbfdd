"""Controllable feature wrapping, CFW (StableSR, Wang et al. 2024, section 3.3).

At chosen levels of the VAE decoder its feature D meets the feature E that the VAE encoder found in the
degraded photo: F = D + w C([E, D]) with w = `fidelity` in [0,1]. The embedded network has a refiner instead,
see refiner.py.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from lwr.models.config import CFWConfig


class ControllableFeatureWrapping(nn.Module):
    """The layers C of every fused level, by encoder level."""

    def __init__(self, config: CFWConfig) -> None:
        super().__init__()
        self.config = config
        self.fusions = nn.ModuleDict({str(level): Fusion(config, level) for level in config.levels})

    def on_features(
        self, encoded: Sequence[torch.Tensor], fidelity: float
    ) -> Callable[[int, torch.Tensor], torch.Tensor]:
        """What `Prior.decode` calls at each level: (level, D (B,c,h,w)) -> F (B,c,h,w)."""

        def wrap(level: int, decoded: torch.Tensor) -> torch.Tensor:
            if level not in self.config.levels:
                return decoded
            correction = self.fusions[str(level)](torch.cat([encoded[level], decoded], 1))
            return decoded + fidelity * correction

        return wrap


class Fusion(nn.Module):
    """C of one level: (B,2c,h,w) = [E, D] -> (B,c,h,w)."""

    def __init__(self, config: CFWConfig, level: int) -> None:
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

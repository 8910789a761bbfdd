"""Photos that tests of the degradations damage, and the seeds by which they do."""

import torch


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photo(batch: int = 1, height: int = 64, width: int = 64, texture: float = 0.03) -> torch.Tensor:
    """Smooth colours, hard edges, and a little texture or a white spot, (B,3,H,W) in [0,1], 8-bit."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    image = torch.stack([0.2 + 0.6 * x, 0.5 + 0.3 * torch.sin(9 * y + 4 * x), 0.8 - 0.6 * y])
    image[:, height // 4 : height // 2, width // 4 : width // 2] *= 0.3
    if texture:
        image = image + texture * torch.randn(1, height, width, generator=seeded(1))
    else:
        image[:, height // 3 : height // 3 + 4, width // 3 : width // 3 + 4] = 1
    return image.clamp(0, 1).mul(255).round().div(255).expand(batch, -1, -1, -1).clone()


def psnr(first: torch.Tensor, second: torch.Tensor) -> float:
    return -10 * torch.log10((first - second).square().mean()).item()

"""A small hinge PatchGAN with an adaptive weight: discriminator, its optimiser, and the loss of a photo."""

import torch
import torch.nn.functional as F
from accelerate.utils import reduce
from torch import nn

LR = 2e-4  # of the discriminator
START = 0.2  # of the run


class AdversarialLoss:
    """`(output, target, loss, progress)` -> (what to add to `loss`, logs). `step` trains the other side."""

    def __init__(self, weight: float, device: torch.device) -> None:
        self.weight = weight
        self.discriminator = PatchDiscriminator().to(device)
        self.optimizer = torch.optim.AdamW(self.discriminator.parameters(), LR, (0.5, 0.99))
        self.gradients: list[list[torch.Tensor]] = []  # of micro-steps since the last step

    def __call__(
        self, output: torch.Tensor, target: torch.Tensor, loss: torch.Tensor, progress: float
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(B,3,H,W) about [0,1], the scalar loss of `output` so far, 0 to 1 -> (scalar, logs)."""
        if progress <= START:
            return torch.zeros_like(loss), {}
        self.discriminator.requires_grad_(False)
        gan = -self.discriminator(output).mean()
        weight = adaptive_weight(loss, gan, output)
        self.discriminator.requires_grad_(True)
        discriminator_loss = hinge(self.discriminator(target), self.discriminator(output.detach()))
        parameters = list(self.discriminator.parameters())
        self.gradients.append(list(torch.autograd.grad(discriminator_loss, parameters)))
        logs = {"gan": gan.detach(), "loss_discriminator": discriminator_loss.detach()}
        return self.weight * weight * gan, logs | dict.fromkeys(("n_gan", "n_discriminator"), torch.ones(()))

    def step(self) -> None:
        """The discriminator's step, on the mean gradient of micro-steps and processes, if there is any."""
        gradients, self.gradients = self.gradients, []
        if not gradients:
            return
        for parameter, parts in zip(
            self.discriminator.parameters(), zip(*gradients, strict=True), strict=True
        ):
            parameter.grad = reduce(torch.stack(parts).mean(0))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


class PatchDiscriminator(nn.Module):
    """PatchGAN (Isola et al. 2017): (B,3,H,W) in [0,1] -> patch logits (B,1,H/8,W/8)."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, width, 3, 1, 1),
            nn.LeakyReLU(0.2),
            _norm(nn.Conv2d(width, 2 * width, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            _norm(nn.Conv2d(2 * width, 4 * width, 4, 2, 1)),
            nn.LeakyReLU(0.2),
            _norm(nn.Conv2d(4 * width, 4 * width, 3, 1, 1)),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * width, 1, 3, 1, 1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) in [0,1] -> (B,1,H/8,W/8) logits, positive = looks like a photo."""
        return self.layers(image * 2 - 1)


def _norm(conv: nn.Conv2d) -> nn.Module:
    return nn.utils.parametrizations.spectral_norm(conv)


def hinge(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Hinge loss of the discriminator's logits (Lim and Ye 2017), a scalar."""
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def adaptive_weight(image_loss: torch.Tensor, gan_loss: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """Gradient ratio of the two losses at the output image (after Esser et al. 2021, eq. 7), in [0, 100].

    Over all processes, so that every one weighs alike.
    """
    squares = [
        torch.autograd.grad(x, output, retain_graph=True)[0].square().sum() for x in (image_loss, gan_loss)
    ]
    image, gan = reduce(torch.stack(squares)).sqrt()
    return (image / (gan + 1e-6)).clamp(0, 100).detach()

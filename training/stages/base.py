"""What every stage shares: a network, the parameters that train, and a forward pass that gives the loss."""

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler
from torch import nn

from lwr.adapter import Adapter, AdapterFacts, load_adapter, new_pair, product, save_adapter, target_modules
from lwr.metrics import psnr
from lwr.network import RestorationNetwork, load_network
from lwr.sampling import timesteps
from training.config import Config
from training.create import create_network
from training.data import CropSampler
from training.mixture import Batch

Logs = dict[str, torch.Tensor]


class Stage(nn.Module):
    """One rung. `forward(sampler, generator, progress)` draws its own batch and returns (loss, logs)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        folder = Path(config.init) / "network" if config.init else None
        self.network: RestorationNetwork = load_network(folder) if folder else create_network(config.seed)
        self.network.requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)
        for module in self.network.modules():
            if isinstance(module, nn.GroupNorm):
                module.register_forward_pre_hook(_with_input_gradient)

    def forward(
        self, sampler: CropSampler, generator: torch.Generator, progress: float
    ) -> tuple[torch.Tensor, Logs]:
        """Loss (scalar) and what to log; `progress` runs from 0 to 1 over the run."""
        raise TypeError(f"{type(self).__name__} has no loss.")

    def train_conditioning(self) -> None:
        """Train whatever photo and sentence steer the UNet by; the UNet's own layers stay frozen."""
        self.network.encoder.requires_grad_(True)
        self.network.modulation.requires_grad_(True)
        self.network.prior.text_encoder.requires_grad_(True)
        for name, parameter in self.network.prior.unet.named_parameters():
            if ".attn2." in name:
                parameter.requires_grad_(True)

    def opponent_parameters(self) -> list[nn.Parameter]:
        """Parameters that the stage trains by itself (a discriminator)."""
        return []

    def after_step(self) -> None:
        """Called after each optimiser step."""

    def save(self, folder: Path) -> None:
        """Write what the next rung, or the product, loads."""
        self.network.save(folder)


def _with_input_gradient(module: nn.GroupNorm, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
    # torch 2.13 crashes (CPU, channels-last) in a group norm's backward when the weight wants a gradient and
    # the input does not; a leaf input that wants one costs nothing more below it.
    if module.weight.requires_grad and torch.is_grad_enabled() and not inputs[0].requires_grad:
        return (inputs[0].detach().requires_grad_(),)
    return None


LORA_PARTS = ("prior.unet", "encoder", "modulation", "wrapping")


class AdaptedStage(Stage):
    """A stage whose network carries one LoRA per task, folded into its weights at every step."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        targets = target_modules(self.network, LORA_PARTS)
        facts = self.network.prior.facts
        self.facts = {
            t: AdapterFacts(t, facts.id, facts.revision, config.rank, config.rank) for t in config.tasks
        }
        self.loras = nn.ModuleDict()
        for task in config.tasks:
            folder = Path(config.init or "") / "network" / "adapters" / task
            if folder.exists():
                pairs = load_adapter(folder, task, facts.id).pairs
            else:
                pairs = {name: new_pair(module, self._rank(name)) for name, module in targets.items()}
            self.loras[task] = nn.ModuleDict(
                {name.replace(".", "/"): nn.ParameterList(pair) for name, pair in pairs.items()}
            )

    def _rank(self, name: str) -> int:
        return self.config.wrapping_rank if name.startswith("wrapping.") else self.config.rank

    def restore(
        self, batch: Batch, generator: torch.Generator, steps: int, fidelity: float | None
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The network's whole pass with the batch's adapters at their strengths: (photo or None, latent).

        `steps` 0 runs CFW's chain alone, see `RestorationNetwork.forward`.
        """
        parameters = dict(self.network.named_parameters())
        folded: dict[str, torch.Tensor] = {}
        for task, strength in batch.tasks.items():
            for name, (a, b) in self.loras[task].items():
                if not steps and not name.startswith("wrapping/"):
                    continue
                weight = f"{name.replace('/', '.')}.weight"
                delta = strength * self.facts[task].scaling * product(a, b)
                folded[weight] = folded.get(weight, parameters[weight]) + delta
        photo = batch.degraded.contiguous(memory_format=torch.channels_last)
        size = (len(photo), self.network.prior.unet.config.in_channels)
        factor = self.network.prior.latent_factor
        noise = torch.randn(
            *size,
            photo.shape[2] // factor,
            photo.shape[3] // factor,
            generator=generator,
            device=photo.device,
        )
        schedule = timesteps(self.network.prior.facts.start_timestep, steps) if steps else []
        arguments = (photo, batch.instructions, schedule, noise, fidelity)
        return torch.func.functional_call(self.network, folded, arguments)

    def save(self, folder: Path) -> None:
        """The network, and each task's adapter under adapters/."""
        super().save(folder)
        for task, pairs in self.loras.items():
            named = {name.replace("/", "."): (a.detach(), b.detach()) for name, (a, b) in pairs.items()}
            save_adapter(Adapter(self.facts[task], named), folder / "adapters" / task)


def logged(output: torch.Tensor, batch: Batch, config: Config) -> Logs:
    """Mean absolute error by kind of batch; for a task on its own damage also the median PSNR gain in dB."""
    logs = {f"l1_{batch.kind}": (output - batch.target).abs().mean().detach()}
    logs |= {f"n_{batch.kind}": torch.ones(())}
    if batch.kind in config.tasks:
        gain = psnr(output.detach().clamp(0, 1), batch.target) - psnr(batch.degraded, batch.target)
        logs |= {f"gain_{batch.kind}": gain.median()}
    return logs


def diffusion_loss(
    scheduler: DDIMScheduler,
    clean: torch.Tensor,
    generator: torch.Generator,
    predict: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Scalar MSE of the UNet's output to its target (velocity or noise) at uniformly drawn timesteps."""
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    t = torch.randint(
        scheduler.config.num_train_timesteps, (len(clean),), generator=generator, device=clean.device
    )
    noisy = scheduler.add_noise(clean, noise, t)
    kind = scheduler.config.prediction_type
    target = scheduler.get_velocity(clean, noise, t) if kind == "v_prediction" else noise
    return F.mse_loss(predict(noisy, t).float(), target.float())

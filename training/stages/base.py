"""What every stage shares: a network, the parameters that train, and a forward pass that gives the loss."""

import shutil
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from lwr.images.metrics import psnr
from lwr.loading.adapter import Adapter, AdapterMetadata, load_adapter, product, save_adapter
from lwr.loading.load import load_network
from lwr.loading.locate import PARTS_CONFIG
from lwr.models.config import TextConditioning
from lwr.models.lora import new_pair, target_modules
from lwr.models.network import RestorationNetwork
from lwr.models.sampling import timesteps
from training.checkpoint import TrainingError
from training.config import Config
from training.create import create_network
from training.create_parts import network_around
from training.data.crops import CropSampler
from training.data.mixture import Batch
from training.data.rng import RngStreams

Logs = dict[str, torch.Tensor]
LORA_PARTS = ("prior.unet", "encoder", "sft", "wrapping")
ATTENTION = "unet-attention"  # of LoRAs: the UNet's attention alone, a few MB on a large UNet
TRAINED_PARTS = (*LORA_PARTS, "prior.vae", "text")  # "text": text encoder and cross-attention


def start_folder(config: Config) -> Path | None:
    """The network that a run starts from: `init`/network, or `init` when that is one itself; None: none."""
    places = [Path(config.init) / "network", Path(config.init)] if config.init else []
    return next((place for place in places if (place / PARTS_CONFIG).exists()), None)


class Stage(nn.Module):
    """One rung. `forward(sampler, rng, progress)` rng its own batch and returns (loss, logs)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.set_aside: dict[str, nn.Module] = {}
        self.start = start_folder(config)
        self.network: RestorationNetwork = _network(config, self.start)
        self.network.requires_grad_(False)
        if config.checkpointing:
            for name in ("encode", "predict", "decode"):
                setattr(self.network, name, checkpointed(getattr(self.network, name)))
            wrapping = self.network.wrapping
            wrapping.without_decoder = checkpointed(wrapping.without_decoder)
        self.prepare(self.network)

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """Loss (scalar) and what to log; `progress` runs from 0 to 1 over the run."""
        raise TypeError(f"{type(self).__name__} has no loss.")

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """What the stage makes of held-out photos, (B,3,H,W) about [0,1], for the eye and for PSNR."""
        raise TypeError(f"{type(self).__name__} has no preview.")

    def prepare(self, module: nn.Module) -> None:
        """Lay out a network, or what is added to it, as the loop wants it."""
        if self.config.channels_last:
            module.to(memory_format=torch.channels_last)
        for layer in module.modules():
            if isinstance(layer, nn.GroupNorm):
                layer.register_forward_pre_hook(_with_input_gradient)

    def train_parts(self, parts: Sequence[str]) -> None:
        """Let whole parts of the network train; "text" is the way of words: text encoder, cross-attention."""
        frozen = [part for part in parts if part == "text" or part.startswith("prior.")]
        if frozen and self.network.config.base is not None:
            raise TrainingError(
                f"{', '.join(frozen)} cannot train: the prior {self.network.config.base} stays as it is. "
                "Train encoder, sft, wrapping, or LoRAs."
            )
        for part in parts:
            if part == "text":
                self.network.prior.text_encoder.requires_grad_(True)
                for name, parameter in self.network.prior.unet.named_parameters():
                    if ".attn2." in name:
                        parameter.requires_grad_(True)
            else:
                self.network.get_submodule(part).requires_grad_(True)

    def need_chain(self) -> None:
        """TrainingError unless CFW is the embedded network's kind."""
        if not self.network.config.wrapping.chain:
            raise TrainingError(
                f"Stage {self.config.stage!r} trains CFW's chain, which this network has not: use stage "
                "fusion."
            )

    def aside(self, name: str, module: nn.Module | None) -> None:
        """Keep `self.name`, a module on the device that neither trains nor is saved with the stage."""
        object.__setattr__(self, name, module)  # not registered as a part
        if module is not None:
            self.set_aside[name] = module

    def _apply(self, *arguments: Any, **named: Any) -> "Stage":
        for module in self.set_aside.values():
            module._apply(*arguments, **named)
        return super()._apply(*arguments, **named)

    @property
    def opponent(self) -> nn.Module | None:
        """A discriminator; its gradients `opponent_gradients` hands over after each micro-step."""
        return self.set_aside.get("discriminator")

    def opponent_gradients(self) -> list[torch.Tensor] | None:
        """Of the opponent's own loss in the newest forward pass; None when it had none."""
        return None

    def after_backward(self) -> None:
        """Called after each backward pass."""

    def memory_format(self, photo: torch.Tensor) -> torch.Tensor:
        """`photo` (B,3,H,W) laid out as the network is."""
        return photo.contiguous(memory_format=torch.channels_last) if self.config.channels_last else photo

    def save(self, folder: Path) -> None:
        """Write what the next rung, or the product, loads."""
        self.network.save(folder)


def _network(config: Config, start: Path | None) -> RestorationNetwork:
    """The network that a run begins with."""
    if start is not None:
        return load_network(start)
    return network_around(config) if config.prior else create_network(config)


def lora_targets(network: RestorationNetwork, parts: Sequence[str]) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers that LoRAs of these parts change, by name."""
    found = target_modules(network, [part for part in parts if part != ATTENTION])
    if ATTENTION in parts:
        unet = target_modules(network, ["prior.unet"])
        found |= {name: layer for name, layer in unet.items() if ".attn1." in name or ".attn2." in name}
    return found


def checkpointed(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, run again in the backward pass instead of keeping what it computed."""

    @wraps(function)
    def run(*arguments: Any) -> Any:
        if not torch.is_grad_enabled():
            return function(*arguments)
        return checkpoint(function, *arguments, use_reentrant=False)

    return run


def _with_input_gradient(module: nn.GroupNorm, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor] | None:
    # torch 2.13 crashes (CPU, channels-last) in a group norm's backward when the weight wants a gradient and
    # the input does not; a leaf input that wants one costs nothing more below it.
    if module.weight.requires_grad and torch.is_grad_enabled() and not inputs[0].requires_grad:
        return (inputs[0].detach().requires_grad_(),)
    return None


class AdaptedStage(Stage):
    """A stage whose network carries one LoRA per task, folded into its weights at every step."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        own = self.network.config.base is None
        targets = lora_targets(self.network, LORA_PARTS if own else config.lora_parts)
        facts = self.network.prior.config
        self.facts: dict[str, AdapterMetadata] = {}
        self.loras = nn.ModuleDict()
        for task in config.tasks:
            self.facts[task] = AdapterMetadata(task, facts.id, facts.revision, config.rank, config.rank)
            known = self._known_pairs(task)
            pairs = {n: new_pair(module, self._rank(n)) for n, module in targets.items() if n not in known}
            pairs = {
                name: (known | pairs)[name] for name in (*targets, *sorted(known.keys() - targets.keys()))
            }
            self.loras[task] = nn.ModuleDict(
                {name.replace(".", "/"): nn.ParameterList(pair) for name, pair in pairs.items()}
            )
        self.loras.requires_grad_(False)
        self._unfolded: list[tuple[dict[str, Any], str, nn.Parameter]] = []

    def train_loras(self, parts: Sequence[str]) -> None:
        """Let the LoRA pairs in these parts of the network train."""
        names = lora_targets(self.network, parts)
        for pairs in self.loras.values():
            for name, pair in pairs.items():
                pair.requires_grad_(name.replace("/", ".") in names)

    @torch.no_grad()
    def blindfold(self) -> None:
        """Take CFW's view of the decoder from the LoRAs, for training without the decoder."""
        for pairs in self.loras.values():
            for name, (a, _) in pairs.items():
                if name.startswith("wrapping/") and name.endswith("/enter"):
                    channels = self.network.config.wrapping.channels[int(name.split("/")[2])]
                    a[:, channels : 2 * channels] = 0

    def _known_pairs(self, task: str) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """The pairs to go on from; TrainingError when their ranks are not those of the config."""
        folder = self.start / "adapters" / task if self.start else None
        if folder is None or not folder.exists():
            return {}
        adapter = load_adapter(folder, task, self.network.prior.config.id)
        ranks = {
            ("wrapping_rank" if n.startswith("wrapping.") else "rank"): a.shape[0]
            for n, (a, _) in adapter.pairs.items()
        }
        if any(getattr(self.config, field) != rank for field, rank in ranks.items()):
            options = " ".join(f"--{field.replace('_', '-')} {rank}" for field, rank in sorted(ranks.items()))
            raise TrainingError(
                f"The adapter for {task!r} in {self.start} has other ranks: give {options}, or start from a "
                "network without that adapter."
            )
        return dict(adapter.pairs)

    def _rank(self, name: str) -> int:
        return self.config.wrapping_rank if name.startswith("wrapping.") else self.config.rank

    def restore(
        self,
        batch: Batch,
        rng: RngStreams,
        steps: int,
        fidelity: float | None,
        loras: nn.ModuleDict | None = None,
        words: TextConditioning | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The network's whole pass with the batch's adapters at their strengths: (photo or None, latent).

        `words` None are the prior's. `steps` 0 runs CFW's chain alone, see `RestorationNetwork.forward`. The
        adapters stay folded in until `after_backward`, because gradient checkpointing runs the network again
        in the backward pass.
        """
        self.fold(self.loras if loras is None else loras, batch.tasks, whole=steps > 0)
        photo = self.memory_format(batch.degraded)
        channels, factor = self.network.prior.unet.config.in_channels, self.network.prior.latent_factor
        noise = rng.randn(channels, photo.shape[2] // factor, photo.shape[3] // factor)
        schedule = timesteps(self.network.prior.config.start_timestep, steps) if steps else []
        return self.network(photo, batch.instructions, schedule, noise, fidelity, words)

    def fold(self, loras: nn.ModuleDict, tasks: dict[str, float], whole: bool = True) -> None:
        """W + sum of strength * scaling * B A in place of W; without `whole` in CFW only.

        Until `after_backward`.
        """
        self.after_backward()
        folded: dict[str, torch.Tensor] = {}
        for task, strength in tasks.items():
            for name, (a, b) in loras[task].items():
                if whole or name.startswith("wrapping/"):
                    delta = strength * self.facts[task].scaling * product(a, b)
                    folded[name] = folded[name] + delta if name in folded else delta
        for name, delta in folded.items():
            parameters = self.network.get_submodule(name.replace("/", "."))._parameters
            weight = parameters["weight"]
            self._unfolded.append((parameters, "weight", weight))
            parameters["weight"] = weight + delta

    def after_backward(self) -> None:
        """Put the network's own weights back."""
        for parameters, name, weight in reversed(self._unfolded):
            parameters[name] = weight
        self._unfolded.clear()

    def save(self, folder: Path) -> None:
        """The network, and each task's adapter under adapters/; those of other tasks as they were."""
        super().save(folder)
        before = self.start / "adapters" if self.start else None
        if before is not None and before.is_dir():
            for adapter in before.iterdir():
                if adapter.name not in self.loras:
                    shutil.copytree(adapter, folder / "adapters" / adapter.name)
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

"""LoRAs in training: one set of pairs for each task, and the network with a batch's tasks folded in."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from lwr.loading.adapter import Adapter, AdapterMetadata, load_adapter, save_adapter
from lwr.models.config import TextConditioning
from lwr.models.lora import Pair, folded, new_pair, target_modules
from lwr.models.network import Encoded, OnePass, Prediction, RestorationNetwork
from lwr.models.refiner import FROM_UNET
from training.checkpoint import TrainingError
from training.config import Config

NEW_RANKS = {"rank": 4, "refiner_rank": 16}
LORA_PARTS = ("prior.unet", "encoder", "sft", "refiner", "cfw")
ATTENTION = "unet-attention"  # of LoRAs: the UNet's attention alone, a few MB on a large UNet

Loras = Mapping[str, Mapping[str, Pair]]  # {task: {module name: (A, B)}}


class AdaptedNetwork(OnePass):
    """A network with the LoRAs of some tasks folded in for one pass; gradients reach the pairs.

    With `checkpointing` each method runs again in the backward pass instead of keeping what it computed.
    """

    def __init__(
        self,
        network: RestorationNetwork,
        loras: Loras,
        tasks: Mapping[str, float],
        parts: Sequence[str] = LORA_PARTS,
        checkpointing: bool = False,
    ) -> None:
        self.network, self.prior, self.checkpointing = network, network.prior, checkpointing
        starts = tuple(f"{part}." for part in parts)
        adapters = [
            ({name: pair for name, pair in loras[task].items() if name.startswith(starts)}, strength)
            for task, strength in tasks.items()
        ]
        self.weights = folded(dict(network.named_parameters()), adapters)

    def encode(self, photo: torch.Tensor) -> Encoded:
        """As RestorationNetwork, like all below."""
        return self._run("encode", photo)

    def context(self, instructions: Mapping[str, float], text: TextConditioning) -> torch.Tensor:
        """(1 or 2, L, D)."""
        return self._run("context", instructions, text)

    def predict(self, *arguments: Any) -> Prediction:
        """((B,C,h,w), (B,F,h,w) or None)."""
        return self._run("predict", *arguments)

    def decode(
        self, latent: torch.Tensor, encoded: Encoded, fidelity: float, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(B,3,H,W)."""
        return self._run("decode", latent, encoded, fidelity, features)

    def refine(self, photo: torch.Tensor, fidelity: float) -> torch.Tensor:
        """(B,3,H,W)."""
        return self._run("refine", photo, fidelity)

    def needs_sampler(self, fidelity: float) -> bool:
        """Whether sampler and decoder have a part in the photo."""
        return self._run("needs_sampler", fidelity)

    def _run(self, method: str, *arguments: Any) -> Any:
        """`network.method(*arguments)` with the folded weights."""

        def run(*arguments: Any) -> Any:
            weights = {f"network.{name}": weight for name, weight in self.weights.items()}
            return functional_call(_Method(self.network, method), weights, arguments, tie_weights=False)

        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(run, *arguments, use_reentrant=False)
        return run(*arguments)


class _Method(nn.Module):
    """One method of a network as a module, which is what `functional_call` calls."""

    def __init__(self, network: nn.Module, method: str) -> None:
        super().__init__()
        self.network, self.method = network, method

    def forward(self, *arguments: Any) -> Any:
        return getattr(self.network, self.method)(*arguments)


class TaskLoras(nn.ModuleDict):
    """{task: {module name, with / for .: [A, B]}}, frozen until `train_parts`."""

    def __init__(self, config: Config, network: RestorationNetwork, start: Path | None) -> None:
        super().__init__()
        self.config, self.start = config, start
        self.prior_config = network.prior.config
        own = network.config.base is None
        for task in config.tasks:
            known = self._known(task)
            new = () if known or not own else LORA_PARTS  # where the config leaves it open
            targets = lora_targets(network, config.lora_parts or new)
            pairs = {n: new_pair(module, self._rank(n)) for n, module in targets.items() if n not in known}
            names = (*targets, *sorted(known.keys() - targets.keys()))
            self[task] = nn.ModuleDict(
                {name.replace(".", "/"): nn.ParameterList((known | pairs)[name]) for name in names}
            )
        self.requires_grad_(False)

    def train_parts(self, network: RestorationNetwork, parts: Sequence[str]) -> None:
        """Let the LoRA pairs in these parts of the network train."""
        names = lora_targets(network, parts)
        for pairs in self.values():
            for name, pair in pairs.items():
                pair.requires_grad_(name.replace("/", ".") in names)

    @torch.no_grad()
    def zero_sampler_inputs(self, network: RestorationNetwork) -> None:
        """The pairs read nothing of the sampler in the refiner, for training without it."""
        for pairs in self.values():
            for name, (a, b) in pairs.items():
                if name.startswith("refiner/") and name.endswith("/enter"):
                    channels = network.config.refiner.channels[int(name.split("/")[2])]
                    a[:, channels : 2 * channels] = 0
                elif name.endswith(f"/{FROM_UNET}"):
                    b.zero_()

    def pairs(self) -> dict[str, dict[str, Pair]]:
        """{task: {module name: (A, B)}}, the parameters themselves."""
        return {
            task: {name.replace("/", "."): (a, b) for name, (a, b) in pairs.items()}
            for task, pairs in self.items()
        }

    def save(self, folder: Path) -> None:
        """Each task's adapter, and those of other tasks as they were."""
        before = self.start / "adapters" if self.start else None
        if before is not None and before.is_dir():
            for adapter in before.iterdir():
                if adapter.name not in self:
                    shutil.copytree(adapter, folder / adapter.name)
        prior, rank = self.prior_config, self.config.rank or NEW_RANKS["rank"]
        for task, pairs in self.pairs().items():
            metadata = AdapterMetadata(
                task, prior.id, prior.revision, rank=rank, alpha=rank, version=prior.revision
            )
            save_adapter(
                Adapter(metadata, {name: (a.detach(), b.detach()) for name, (a, b) in pairs.items()}),
                folder / task,
            )

    def _known(self, task: str) -> dict[str, Pair]:
        """The pairs to go on from; TrainingError when the config asks for other ranks."""
        folder = self.start / "adapters" / task if self.start else None
        if folder is None or not folder.exists():
            return {}
        adapter = load_adapter(folder, task, self.prior_config.id)
        ranks = {_rank_field(name): a.shape[0] for name, (a, _) in adapter.pairs.items()}
        if any(getattr(self.config, field) not in (None, rank) for field, rank in ranks.items()):
            options = " ".join(f"--{field.replace('_', '-')} {rank}" for field, rank in sorted(ranks.items()))
            raise TrainingError(
                f"The adapter for {task!r} in {self.start} has other ranks: give {options}, or start from a "
                "network without that adapter."
            )
        return {name: (a, adapter.metadata.scaling * b) for name, (a, b) in adapter.pairs.items()}

    def _rank(self, name: str) -> int:
        field = _rank_field(name)
        return getattr(self.config, field) or NEW_RANKS[field]


def _rank_field(name: str) -> str:
    """The field of Config with the rank of the pair of this module."""
    return "refiner_rank" if name.startswith(("refiner.", "cfw.")) else "rank"


def lora_targets(network: RestorationNetwork, parts: Sequence[str]) -> dict[str, nn.Conv2d | nn.Linear]:
    """The layers that LoRAs of these parts change, by name."""
    found = target_modules(network, [part for part in parts if part != ATTENTION])
    if ATTENTION in parts:
        unet = target_modules(network, ["prior.unet"])
        found |= {name: layer for name, layer in unet.items() if ".attn1." in name or ".attn2." in name}
    return found

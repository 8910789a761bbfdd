"""A pruned network and its LoRAs learn from the network that they were pruned from, and from the photos.

Knowledge distillation with feature matching (Hinton et al. 2015; Romero et al. 2015; so BK-SDM, Kim et al.
2024, and TinyFusion): the loss of a photo is taken against the clean photo and against what the teacher
makes of the same input, and the features between the parts, whose sizes pruning left alone, are pulled
together.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from lwr.loading.load import load_network
from lwr.models.network import RestorationNetwork
from training.checkpoint import TrainingError
from training.config import Config
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.photo import PhotoLoss
from training.stages import fidelity
from training.stages.adapted import AdaptedNetwork, TaskLoras
from training.stages.base import CPU, Logs, Stage, start_folder

FEATURE_WEIGHT = 2.0


class Recover(Stage):
    """Trains `config.parts` and the LoRAs in `config.lora_parts` against the network in `config.teacher`."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        folder = start_folder(replace(config, init=config.teacher))
        if folder is None:
            raise TrainingError("Stage 'recover' needs --teacher, the network that --init was pruned from.")
        self.loras = TaskLoras(config, self.network, self.start)
        self.train_parts(config.parts)
        self.loras.train_parts(self.network, config.lora_parts)
        self.loss = PhotoLoss(config, device)
        self.teacher = [Teacher(config, folder, device)]  # in a list, so no part of the stage
        self.compared = compared(self.network)

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """Loss of the photo at the batch's fidelity, against photo and teacher, and of the features."""
        level = fidelity.draw(self.config, rng)
        with torch.no_grad():
            wanted, theirs = self.teacher[0].restore(batch, rng, level)
        with outputs(self.network, self.compared) as found:
            output, _ = self.restore(batch, rng, 1, level)
        share, logs = self.config.distill, {}
        # where one of them lacks a level there is nothing to compare
        kept = [name for name in found if name in theirs and found[name].shape == theirs[name].shape]
        apart = torch.stack([_apart(found[name], theirs[name]) for name in kept]).mean()
        loss = FEATURE_WEIGHT * share * apart
        states = rng.states()
        if share < 1:
            own, logs = self.loss(output, batch, level, rng, progress)
            loss = loss + (1 - share) * own
            rng.rewind(states)
        if share > 0:
            as_taught = replace(batch, target=wanted.float().clamp(0, 1))
            taught, more = self.loss(output, as_taught, level, rng, progress)
            loss, logs = loss + share * taught, logs or more
            logs["taught"] = taught.detach()
        return loss, logs | {"features": apart.detach()}

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """At the fidelity that trains most."""
        return self.restore(batch, rng, 1, fidelity.mostly(self.config))[0]


class Teacher:
    """The whole network with its adapters, frozen."""

    def __init__(self, config: Config, folder: Path, device: torch.device) -> None:
        self.network = load_network(str(folder)).to(device)
        if config.channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.loras = TaskLoras(
            replace(config, lora_parts=(), rank=None, refiner_rank=None), self.network, folder
        )
        self.loras.to(device)
        self.compared = compared(self.network)

    def restore(
        self, batch: Batch, rng: RngStreams, level: float
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """(its photo (B,3,H,W), {part: what it gave}) at a fidelity."""
        network = AdaptedNetwork(self.network, self.loras.pairs(), batch.tasks)
        with outputs(self.network, self.compared) as found:
            photo, _ = network.restore(
                batch.degraded, batch.instructions, rng.noise, steps=1, fidelity=level, sampler=True
            )
        return photo, found


def compared(network: RestorationNetwork) -> list[str]:
    """Names of the modules between the parts, whose outputs have the same size in both networks."""
    names = [
        f"prior.vae.encoder.down_blocks.{i}.resnets.0"
        for i in range(len(network.prior.vae.encoder.down_blocks))
    ]
    names += [f"prior.unet.up_blocks.{i}" for i in range(len(network.prior.unet.up_blocks))]
    if network.encoder is not None:
        names += [f"encoder.outs.{i}" for i in range(len(network.encoder.outs))]
    if network.refiner is not None:
        names += [f"refiner.levels.{i}.blocks" for i in range(len(network.refiner.levels))]
    return names


@contextmanager
def outputs(network: nn.Module, names: list[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Within it the first output of each module of these names is put into the dict."""
    found: dict[str, torch.Tensor] = {}
    handles = [
        network.get_submodule(name).register_forward_hook(
            lambda _module, _inputs, output, name=name: found.setdefault(name, output)
        )
        for name in names
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _apart(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Squared distance of two features (B,c,h,w), relative to how the teacher's vary."""
    student, teacher = student.float(), teacher.float()
    return (student - teacher).square().mean() / teacher.var().clamp_min(1e-8)

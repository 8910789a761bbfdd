"""The stage that every arm of the study trains: one sampler step from photo to photo, at fidelity 1."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from lwr.models.config import TextConditioning
from lwr.models.network import Encoded, OnePass, Prediction, RestorationNetwork
from lwr.tasks import TASKS
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.image import log_error
from training.stages.adapted import TaskLoras
from training.stages.base import CPU, Logs, Stage
from training.stages.end_to_end import LATENT_WEIGHT
from training.study.arms import StudyConfig

EMBEDDING_SPREAD = 0.1  # of new task embeddings around the empty text's encoding, in its own spread


class StudyStage(Stage):
    """Trains `config.parts`, or the LoRAs in `config.lora_parts`; what it hears is `config.prompt`."""

    config: StudyConfig

    def __init__(self, config: StudyConfig, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        self.train_parts(config.parts)
        if config.lora_parts:
            self.loras = TaskLoras(config, self.network, self.start)
            self.loras.train_parts(self.network, config.lora_parts)
        self.embeddings: nn.ParameterDict | None = None
        if config.prompt == "embedding":
            self.network.prior.text_encoder.requires_grad_(False)
            self.embeddings = new_embeddings(self.network, config.tasks)

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """PSNR as a loss, and the distance to the clean photo's latent where the UNet makes one."""
        output, latent = self.restore(batch, rng)
        loss = log_error(output.float(), batch.target)
        if self.config.with_unet:
            with torch.no_grad():
                clean = self.network.encode(batch.target).latent
            loss = loss + LATENT_WEIGHT * F.mse_loss(latent.float(), clean)
        return loss, {}

    def restore(self, batch: Batch, rng: RngStreams, *_: object) -> tuple[torch.Tensor, torch.Tensor]:
        """(photo (B,3,H,W) about [0,1], latent)."""
        if not self.config.with_unet:
            encoded = self.network.encode(batch.degraded)
            return self.network.decode(encoded.latent, encoded, 1.0), encoded.latent
        if self.embeddings is not None:
            network = WithEmbeddings(self.network, self.embeddings)
            return network.restore(
                batch.degraded, batch.tasks, rng.noise, steps=1, fidelity=1.0, sampler=True
            )
        if self.config.prompt == "none":
            batch = Batch(batch.degraded, batch.target, {}, batch.kind)
        return super().restore(batch, rng, 1, 1.0)


class WithEmbeddings(OnePass):
    """A network whose cross-attention reads the embeddings of tasks in place of a text."""

    def __init__(self, network: RestorationNetwork, embeddings: Mapping[str, torch.Tensor]) -> None:
        self.network, self.prior, self.embeddings = network, network.prior, embeddings

    def context(self, instructions: Mapping[str, float], text: TextConditioning) -> torch.Tensor:
        """`instructions` {task: strength} -> (1,L,D)."""
        return sum(strength * self.embeddings[task] for task, strength in instructions.items())

    def encode(self, photo: torch.Tensor) -> Encoded:
        """As the network, like all below."""
        return self.network.encode(photo)

    def predict(self, *arguments: Any) -> Prediction:
        """((B,C,h,w), (B,F,h,w) or None)."""
        return self.network.predict(*arguments)

    def decode(self, *arguments: Any) -> torch.Tensor:
        """(B,3,H,W)."""
        return self.network.decode(*arguments)

    def refine(self, photo: torch.Tensor, fidelity: float) -> torch.Tensor:
        """(B,3,H,W)."""
        return self.network.refine(photo, fidelity)

    def needs_sampler(self, fidelity: float) -> bool:
        """Whether sampler and decoder have a part in the photo."""
        return self.network.needs_sampler(fidelity)


def new_embeddings(network: RestorationNetwork, tasks: tuple[str, ...]) -> nn.ParameterDict:
    """{task: (1,L,D)}: the empty text's encoding, moved a little at random, another way for each task."""
    with torch.no_grad():
        empty = network.prior.encode_text([""])
    spread = EMBEDDING_SPREAD * empty.std()
    moves = {
        task: spread
        * torch.randn(empty.shape, generator=torch.Generator().manual_seed(list(TASKS).index(task)))
        for task in tasks
    }
    return nn.ParameterDict({task: nn.Parameter(empty + move) for task, move in moves.items()})

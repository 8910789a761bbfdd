"""StableSR's CFW on the latents that the few-step sampler really gives, in one command.

Public StableSR first writes 100,000 latents to disk, 200 steps each (over 20 days on one GPU), and then
trains on them. Here each batch gets its latents on the way, in `config.latent_steps` steps of the network
that will be served, and CFW learns to decode exactly those.
"""

import dataclasses

import torch

from lwr.models.cfw import ControllableFeatureWrapping
from lwr.models.config import CFWConfig
from training.checkpoint import TrainingError
from training.config import Config
from training.create_parts import CFW_LEVELS
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.photo import PhotoLoss
from training.stages import fidelity
from training.stages.adapted import TaskLoras
from training.stages.base import CPU, Logs, Stage

DEFAULT_FIDELITY = 0.5  # of a network with CFW


class CFWStage(Stage):
    """Trains CFW, the tasks' adapters folded in and frozen."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        if self.network.refiner is not None:
            raise TrainingError(
                "Stage 'cfw' trains StableSR's CFW, and this network has a refiner: use the stages refiner "
                "and perceptual."
            )
        if self.network.cfw is None:
            self._grow()
        self.loras = TaskLoras(config, self.network, self.start)
        self.train_parts(["cfw"])
        self.loss = PhotoLoss(config, device)
        self.adversarial = self.loss.adversarial

    def _grow(self) -> None:
        """Give the network CFW, and from now on a fidelity above 0."""
        network = self.network
        vae = network.prior.vae.config
        channels = tuple(vae.block_out_channels)
        levels = tuple(level for level in CFW_LEVELS if level < len(channels))
        size = CFWConfig(channels, levels, groups=vae.norm_num_groups)
        prior_config = dict(network.config.prior_config) | {"default_fidelity": DEFAULT_FIDELITY}
        network.config = dataclasses.replace(network.config, cfw=size, prior_config=prior_config)
        network.cfw = ControllableFeatureWrapping(size)
        self.prepare(network.cfw)

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """L1 and perceptual distance of the decoded photo, and the PatchGAN's."""
        level = fidelity.draw(self.config, rng)
        output = self.restore(batch, rng, self.config.latent_steps, level)[0]  # CFW alone keeps a graph
        return self.loss(output, batch, level, rng, progress)

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """At the fidelity that the page starts with."""
        return self.restore(batch, rng, self.config.latent_steps, DEFAULT_FIDELITY)[0]

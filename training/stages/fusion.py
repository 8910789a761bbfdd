"""StableSR's CFW on the latents that the few-step sampler really gives, in one command.

Public StableSR first writes 100,000 latents to disk, 200 steps each (over 20 days on one GPU), and then
trains on them. Here each batch gets its latents on the way, in `config.latent_steps` steps of the network
that will be served, and CFW learns to decode exactly those.
"""

import dataclasses

import torch
from lwr.models.decoder import WrappingConfig

from lwr.models.cfw import ControllableFeatureWrapping
from lwr.models.config import TextConditioning
from lwr.models.sampling import sample, timesteps
from lwr.tasks import TASKS
from training.checkpoint import TrainingError
from training.config import Config
from training.create_parts import FUSED
from training.data.crops import CropSampler
from training.data.mixture import Batch, draw
from training.data.rng import RngStreams
from training.stages.base import Logs
from training.stages.fidelity import FidelityStage


class FusionStage(FidelityStage):
    """Trains the fusion layers of CFW, the tasks' adapters folded in and frozen."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        sizes = self.network.config.wrapping
        if sizes.chain:
            raise TrainingError(
                "Stage 'fusion' trains StableSR's CFW, and this network has a chain: use the stages wrapping "
                "and decoder."
            )
        if not sizes.levels:
            self._grow(sizes)
        self.train_parts(["wrapping"])

    def _grow(self, sizes: WrappingConfig) -> None:
        """Give the network fusion layers, and from now on a fidelity above 0."""
        network, deepest = self.network, len(sizes.channels) - 1
        wrapping = dataclasses.replace(
            sizes,
            levels=tuple(level for level in FUSED if level <= deepest),
            groups=network.prior.vae.config.norm_num_groups,
        )
        facts = dict(network.config.facts) | {"default_fidelity": 0.5}
        network.config = dataclasses.replace(network.config, wrapping=wrapping, facts=facts)
        network.wrapping = ControllableFeatureWrapping(wrapping)
        self.prepare(network.wrapping)

    def forward(self, sampler: CropSampler, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """L1 and perceptual distance of the decoded photo, and the PatchGAN's."""
        batch = draw(self.config, sampler, rng)
        fidelity = self.draw_fidelity(rng)
        output = self._decoded(batch, rng, fidelity).float()
        loss, logs = self.photo_loss(output, batch, fidelity, rng)
        return self.against(output, batch, fidelity, progress, loss, logs)

    def _decoded(self, batch: Batch, rng: RngStreams, fidelity: float) -> torch.Tensor:
        """The photo of a few-step latent; the gradient stops at the latent and at the VAE's features."""
        self.fold(self.loras, batch.tasks)
        network, words = self.network, self.network.prior.config.text
        with torch.no_grad():
            encoded = network.encode(self.memory_format(batch.degraded))
            instructions = {TASKS[name].instruction: share for name, share in batch.tasks.items()}
            context = network.context(instructions, words)
            latent = sample(
                lambda x, t: network.predict(x, t, encoded.latent, context, words.guidance),
                encoded.latent,
                network.prior.scheduler,
                timesteps(network.prior.config.start_timestep, self.config.latent_steps),
                rng.randn(*encoded.latent.shape[1:]),
            )
        return network.decode(latent, encoded, fidelity)

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """A few-step latent at the fidelity that the page starts with."""
        return self._decoded(batch, rng, 0.5)

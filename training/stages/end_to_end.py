"""Everything around the prior trains through the few-step sampler, from photo to photo, at every fidelity.

The gradient goes on through the sampler into the time-aware encoder, its SFT layers, the text path and every
LoRA pair; a hinge PatchGAN helps the perceptual weights. The prior itself (VAE and the UNet's own layers)
stays frozen, unless `config.parts` names it.
"""

import torch
import torch.nn.functional as F

from training.config import Config
from training.create import grow_refiner
from training.data.mixture import Batch
from training.data.rng import RngStreams
from training.losses.photo import PhotoLoss
from training.stages import fidelity
from training.stages.adapted import TaskLoras
from training.stages.base import CPU, Logs, Stage

LATENT_WEIGHT = 0.1  # of the distance to the clean photo's latent, which fidelity 0 lives by
TWO_STEPS = 0.1  # share of the batches that take two steps, where the network is made for several


class EndToEnd(Stage):
    """Trains `config.parts` (encoder, SFT, text path, refiner) and the LoRAs in `config.lora_parts`."""

    def __init__(self, config: Config, device: torch.device = CPU) -> None:
        super().__init__(config, device)
        network = self.network
        if network.refiner is not None and not network.refiner.config.unet_channels:
            channels = network.prior.unet.config.block_out_channels[0]
            grow_refiner(network, unet_channels=channels, decoder_levels=1)
            self.prepare(network)
        self.loras = TaskLoras(config, self.network, self.start)
        self.train_parts(config.parts)
        self.loras.train_parts(self.network, config.lora_parts)
        self.loss = PhotoLoss(config, device)
        self.adversarial = self.loss.adversarial

    def forward(self, batch: Batch, rng: RngStreams, progress: float) -> tuple[torch.Tensor, Logs]:
        """Loss of the photo at the batch's fidelity and of its latent."""
        level = fidelity.draw(self.config, rng)
        several = self.network.prior.config.one_step_noise
        steps = 2 if several and torch.rand(1, generator=rng.shared).item() < TWO_STEPS else 1
        latents = []

        def restored(one: Batch) -> torch.Tensor:
            output, latent = self.restore(one, rng, steps, level)
            latents.append(latent.float())
            return output

        loss, logs = self.loss.of_stage(restored, batch, level, rng, progress)
        with torch.no_grad():
            clean = self.network.encode(batch.target).latent
        errors = torch.stack([F.mse_loss(latent, clean) for latent in latents])
        return loss + LATENT_WEIGHT * errors.mean(), logs

    def preview(self, batch: Batch, rng: RngStreams) -> torch.Tensor:
        """One step of the sampler at the fidelity that trains most."""
        return self.restore(batch, rng, 1, fidelity.mostly(self.config))[0]

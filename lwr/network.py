"""Prior + time-aware encoder + SFT + CFW as one module: every tensor operation between photo and photo.

Training, evaluation and the Restorer run these same methods.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lwr.decoder import (
    CHAIN_ALONE,
    ControllableFeatureWrapping,
    WrappingConfig,
    decode_wrapped,
    encode_features,
)
from lwr.encoder import EncoderConfig, TimeAwareEncoder
from lwr.modulate import Modulation, ModulationConfig
from lwr.prior import EMBEDDED, Prior, PriorError, load_prior
from lwr.sampling import sample

CONFIG = "restoration.json"
PARTS = ("encoder", "modulation", "wrapping")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of what StableSR adds to a prior."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    modulation: ModulationConfig = field(default_factory=ModulationConfig)
    wrapping: WrappingConfig = field(default_factory=lambda: WrappingConfig((128, 256, 512, 512), (1, 2)))


@dataclass(frozen=True)
class Encoded:
    """A degraded photo inside the network."""

    latent: torch.Tensor  # (B,C,h,w), in the UNet's units
    features: list[torch.Tensor]  # of the VAE encoder, finest first
    image: torch.Tensor  # the VAE's input, [-1,1]


class RestorationNetwork(nn.Module):
    """What runs between a degraded photo and a restored one. Images are (B,3,H,W) in [0,1]."""

    def __init__(self, prior: Prior, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.prior = prior
        self.encoder = TimeAwareEncoder(config.encoder)
        self.modulation = Modulation(prior.unet, config.modulation)
        self.wrapping = ControllableFeatureWrapping(config.wrapping)

    def forward(
        self,
        photo: torch.Tensor,
        instructions: Mapping[str, float],
        schedule: Sequence[int],
        noise: torch.Tensor,
        fidelity: float | None,
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The whole pass without tiles: (photo (B,3,H,W) about [0,1] or None, clean latent (B,C,h,w)).

        `instructions`: {sentence: strength}; `noise` (B,C,h,w); `fidelity` None leaves the decoder out. An
        empty `schedule` leaves out all but CFW's chain, which then sees no decoder.
        """
        encoded = self.encode(photo)
        if not schedule:
            return self.without_sampler(encoded, fidelity or 0.0), encoded.latent
        context = self.text_context(instructions)
        latent = sample(
            lambda x, t: self.predict(x, t, encoded.latent, context),
            encoded.latent,
            self.prior.scheduler,
            schedule,
            noise,
        )
        return (None if fidelity is None else self.decode(latent, encoded, fidelity)), latent

    def encode(self, photo: torch.Tensor) -> Encoded:
        """(B,3,H,W) in [0,1], sides multiples of the latent factor -> its latent and features."""
        image = self.prior.to_vae(photo)
        moments, features = encode_features(self.prior.vae, image)
        return Encoded(self.prior.scale_latent(moments), features, image)

    def text_context(self, instructions: Mapping[str, float]) -> torch.Tensor:
        """{sentence: strength} -> (1,L,D): the empty text moved towards each sentence by its strength."""
        texts = self.prior.encode_text(["", *instructions])
        context = texts[:1]
        for row, strength in zip(texts[1:], instructions.values(), strict=True):
            context = context + strength * (row[None] - texts[:1])
        return context

    def predict(
        self, latent: torch.Tensor, timestep: int, lq_latent: torch.Tensor, context: torch.Tensor
    ) -> torch.Tensor:
        """The modulated UNet's raw output (B,C,h,w); sides must be multiples of the UNet's downsampling."""
        time = torch.full((latent.shape[0],), timestep, device=latent.device)
        features = self.encoder(lq_latent, time)
        with self.modulation.applied(self.prior.unet, features):
            return self.prior.unet(latent, time, context.expand(latent.shape[0], -1, -1)).sample

    def without_sampler(self, encoded: Encoded, fidelity: float) -> torch.Tensor:
        """The photo (B,3,H,W) about [0,1] of CFW's chain alone, at a fidelity of 0.5 to 1."""
        return self.prior.from_vae(self.wrapping.without_decoder(encoded.features, encoded.image, fidelity))

    def needs_sampler(self, fidelity: float) -> bool:
        """Whether sampler and decoder have any part in the photo, with the adapters that are folded in."""
        return fidelity < CHAIN_ALONE or self.wrapping.reads_decoder()

    def keeps_colors(self, fidelity: float) -> bool:
        """Whether the photo is the input plus a learned correction, which needs no colour fix."""
        return bool(self.wrapping.config.chain) and fidelity >= CHAIN_ALONE

    def decode(self, latent: torch.Tensor, encoded: Encoded, fidelity: float) -> torch.Tensor:
        """Latent in the UNet's units -> photo (B,3,H,W) about [0,1], not clamped."""
        latent = latent / self.prior.vae.config.scaling_factor
        output = decode_wrapped(
            self.prior.vae, latent, self.wrapping, encoded.features, encoded.image, fidelity
        )
        return self.prior.from_vae(output)

    @property
    def multiple(self) -> int:
        """Photo sides must be multiples of this many pixels."""
        return self.prior.latent_factor * 2 ** (len(self.prior.unet.config.block_out_channels) - 1)

    def save(self, folder: Path) -> None:
        """Write the prior's folders, one safetensors file per added part, and restoration.json."""
        self.prior.save(folder)
        for part in PARTS:
            tensors = {k: v.half().contiguous() for k, v in getattr(self, part).state_dict().items()}
            save_file(tensors, folder / f"{part}.safetensors")
        (folder / CONFIG).write_text(json.dumps(asdict(self.config), indent=2) + "\n")


def load_network(folder: Path = EMBEDDED) -> RestorationNetwork:
    """Load prior and added parts from one folder, float32 on the CPU, in evaluation mode."""
    if not (folder / CONFIG).exists():
        raise PriorError(
            f"{folder} has no {CONFIG}: it may be a plain diffusion model; restoring needs the trained "
            "encoder and decoder parts beside it."
        )
    facts = json.loads((folder / CONFIG).read_text())
    config = NetworkConfig(
        encoder=EncoderConfig(**_tuples(facts["encoder"])),
        modulation=ModulationConfig(**facts["modulation"]),
        wrapping=WrappingConfig(**_tuples(facts["wrapping"])),
    )
    network = RestorationNetwork(load_prior(folder), config)
    for part in PARTS:
        tensors = {k: v.float() for k, v in load_file(folder / f"{part}.safetensors").items()}
        getattr(network, part).load_state_dict(tensors)
    return network.eval().requires_grad_(False)


def _tuples(values: Mapping[str, object]) -> dict[str, object]:
    return {
        key: tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
        for key, value in values.items()
    }

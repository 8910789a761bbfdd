"""Prior + time-aware encoder + SFT + CFW or refiner as one module, and the one pass from photo to photo.

Latents between the methods are float32, whatever precision the weights have.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from lwr.models.cfw import ControllableFeatureWrapping
from lwr.models.config import NetworkConfig, TextConditioning
from lwr.models.encoder import TimeAwareEncoder
from lwr.models.prior import Prior, precision_of
from lwr.models.refiner import REFINER_ALONE, Refinement, Refiner
from lwr.models.sampling import sample, timesteps
from lwr.models.sft import SFT

Noise = Callable[[torch.Size], torch.Tensor]  # shape -> standard normal numbers
# (the UNet's output (B,C,h,w), the features (B,F,h,w) that it is made from, where the refiner reads them)
Prediction = tuple[torch.Tensor, torch.Tensor | None]


@dataclass(frozen=True)
class Encoded:
    """A degraded photo inside the network."""

    photo: torch.Tensor  # (B,3,H,W) in [0,1]
    latent: torch.Tensor  # (B,C,h,w), in the UNet's units
    features: list[torch.Tensor]  # of the VAE encoder, finest first; none where tiles make them again
    image: torch.Tensor | None = None  # the VAE's input (B,P,H/p,W/p) in [-1,1], where the photo is whole


class OnePass(ABC):
    """The pass from a degraded photo to a restored one, over whatever encodes, predicts and decodes.

    RestorationNetwork does so whole, TiledNetwork tile by tile; in training a network with LoRAs does.
    """

    prior: Prior

    @abstractmethod
    def encode(self, photo: torch.Tensor) -> Encoded:
        """(B,3,H,W) in [0,1], sides multiples of the latent factor -> its latent and features."""

    @abstractmethod
    def context(self, instructions: Mapping[str, float], text: TextConditioning) -> torch.Tensor:
        """What the cross-attention reads: (1,L,D), or with guidance (2,L,D), positive and negative.

        `instructions` {sentence: strength} count only where `text` has no positive side.
        """

    @abstractmethod
    def predict(
        self,
        latent: torch.Tensor,
        timestep: int | torch.Tensor,
        lq_latent: torch.Tensor,
        context: torch.Tensor,
        guidance: float = 1.0,
    ) -> Prediction:
        """The conditioned UNet's output, guided, and its features; `timestep` one for all, or (B,)."""

    @abstractmethod
    def decode(
        self, latent: torch.Tensor, encoded: Encoded, fidelity: float, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Latent (B,C,h,w) in the UNet's units -> photo (B,3,H,W) about [0,1], not clamped.

        `features`: the UNet's of the last step, (B,F,h,w); None = the refiner does without.
        """

    @abstractmethod
    def refine(self, photo: torch.Tensor, fidelity: float) -> torch.Tensor:
        """(B,3,H,W) in [0,1] -> what the refiner alone makes of it, at a fidelity of 0.5 to 1."""

    @abstractmethod
    def needs_sampler(self, fidelity: float) -> bool:
        """Whether sampler and decoder have any part in the photo at this fidelity."""

    def restore(
        self,
        photo: torch.Tensor,
        instructions: Mapping[str, float],
        noise: Noise,
        *,
        steps: int | None = None,
        fidelity: float | None,
        text: TextConditioning | None = None,
        sampler: bool | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """The pass: (photo (B,3,H,W) about [0,1], clean latent (B,C,h,w)); what is left out is None.

        Args:
            photo: (B,3,H,W) in [0,1], sides multiples of `RestorationNetwork.multiple`.
            instructions: {the tasks' sentences: strength}.
            noise: gives the numbers of the start (none where a single step starts without), and of each
                step where the prior's eta is above 0.
            steps: None = the prior's default.
            fidelity: 0 to 1; None leaves the decoder out: there is only a latent.
            text: None = the prior's.
            sampler: None = only where it has a part in the photo; without it there is no latent.
        """
        if sampler is None:
            sampler = fidelity is None or self.needs_sampler(fidelity)
        if not sampler:
            return self.refine(photo, fidelity), None
        config, encoded = self.prior.config, self.encode(photo)
        text, steps = text or config.text, steps or config.default_steps
        context = self.context(instructions, text)
        features: torch.Tensor | None = None

        def predict(latent: torch.Tensor, timestep: int) -> torch.Tensor:
            nonlocal features
            output, features = self.predict(latent, timestep, encoded.latent, context, text.guidance)
            return output

        latent = sample(
            predict,
            encoded.latent,
            self.prior.scheduler,
            timesteps(config.start_timestep, steps),
            noise if steps > 1 or config.one_step_noise else encoded.latent.new_zeros,
            config.eta,
        )
        return (None if fidelity is None else self.decode(latent, encoded, fidelity, features)), latent


class RestorationNetwork(OnePass, nn.Module):
    """What runs between a degraded photo and a restored one. Images are (B,3,H,W) in [0,1]."""

    def __init__(self, prior: Prior, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.rounds = False  # whether some convolutions round to bfloat16
        self.prior = prior
        self.encoder = TimeAwareEncoder(config.encoder) if config.encoder else None
        self.sft = SFT(prior.unet, config.sft) if config.encoder else None
        if config.encoder:
            prior.match_padding(self.encoder, self.sft)
        self.cfw = ControllableFeatureWrapping(config.cfw) if config.cfw else None
        self.refiner = Refiner(config.refiner) if config.refiner else None

    @property
    def multiple(self) -> int:
        """Photo sides must be multiples of this many pixels."""
        return self.prior.latent_factor * 2 ** (len(self.prior.unet.config.block_out_channels) - 1)

    def encode(self, photo: torch.Tensor) -> Encoded:
        """See OnePass."""
        image = self._to_vae(photo)
        features = self.prior.encode_features(image)
        moments = self.prior.encode_moments(features[-1])
        return Encoded(photo, self.prior.scale_latent(moments).float(), features, image)

    def _to_vae(self, photo: torch.Tensor) -> torch.Tensor:
        return self.prior.to_vae(photo).to(precision_of(self.prior.vae))

    def context(self, instructions: Mapping[str, float], text: TextConditioning) -> torch.Tensor:
        """See OnePass."""
        if text.positive is None:
            rows = [self._instructed(instructions)]
        else:
            rows = [self.prior.encode_text([text.positive])]
        if text.guidance != 1:
            rows.append(self.prior.encode_text([text.negative]))
        return torch.cat(rows)

    def _instructed(self, instructions: Mapping[str, float]) -> torch.Tensor:
        """{sentence: strength} -> (1,L,D): the empty text moved towards each sentence by its strength."""
        texts = self.prior.encode_text(["", *instructions])
        context = texts[:1]
        for row, strength in zip(texts[1:], instructions.values(), strict=True):
            context = context + strength * (row[None] - texts[:1])
        return context

    def predict(
        self,
        latent: torch.Tensor,
        timestep: int | torch.Tensor,
        lq_latent: torch.Tensor,
        context: torch.Tensor,
        guidance: float = 1.0,
    ) -> Prediction:
        """See OnePass; sides are multiples of the UNet's downsampling."""
        unet, precision = self.prior.unet, self.prior.precision
        time = torch.as_tensor(timestep, device=latent.device).expand(len(latent))
        read: list[torch.Tensor] = []
        with self._conditioned(lq_latent.to(precision), time), self._reading(read):
            output, *away = (
                unet(latent.to(precision), time, text.expand(len(latent), -1, -1)).sample.float()
                for text in context
            )
        features = read[0].float() if read else None
        return (output if not away else away[0] + guidance * (output - away[0])), features

    @contextmanager
    def _reading(self, into: list[torch.Tensor]) -> Iterator[None]:
        """Within it `into` gets the UNet's last, normalised features of each call, where they are read."""
        if self.refiner is None or not self.refiner.config.unet_channels:
            yield
            return
        mine = threading.get_ident()  # another tile may pass at the same time

        def read(_module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
            if threading.get_ident() == mine:
                into.append(inputs[0])

        handle = self.prior.unet.conv_out.register_forward_pre_hook(read)
        try:
            yield
        finally:
            handle.remove()

    def _conditioned(self, lq_latent: torch.Tensor, time: torch.Tensor) -> AbstractContextManager[None]:
        """Within it SFT modulates the UNet by what the encoder sees at timesteps (B,) in (B,C,h,w)."""
        if self.encoder is None:
            return nullcontext()
        return self.sft.applied(self.prior.unet, self.encoder(lq_latent, time, self.sft.levels_read()))

    def decode(
        self, latent: torch.Tensor, encoded: Encoded, fidelity: float, features: torch.Tensor | None = None
    ) -> torch.Tensor:
        """See OnePass."""
        prior, refinement, on_level, finest = self.prior, None, None, 0
        if self.refiner is not None and fidelity > 0:
            image = self._to_vae(encoded.photo) if encoded.image is None else encoded.image
            unet = None if features is None else features.to(image.dtype)
            refinement = Refinement(self.refiner, encoded.features, image, fidelity, unet)
            on_level = refinement.correct
            finest = self.refiner.finest_read() if fidelity >= REFINER_ALONE else 0
            if finest == len(self.refiner.levels):  # nothing of the decoder is read
                return prior.from_vae(refinement.finished(finest).float())
        elif self.cfw is not None and fidelity > 0:
            on_level = self.cfw.on_features(encoded.features, fidelity)
        latent = (latent / prior.vae.config.scaling_factor).to(precision_of(prior.vae))
        feature = prior.decode_features(latent, on_level, finest)
        if refinement is not None and fidelity >= REFINER_ALONE:
            output = refinement.finished(finest)
        else:
            output = prior.decode_image(feature)
            if refinement is not None:
                output = output + fidelity / REFINER_ALONE * (refinement.photo() - output)
        return prior.from_vae(output.float())

    def refine(self, photo: torch.Tensor, fidelity: float) -> torch.Tensor:
        """See OnePass."""
        image = self._to_vae(photo)
        output = self.refiner(self.prior.encode_features(image), image, fidelity)
        return self.prior.from_vae(output.float())

    def coarse(self, photo: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) in [0,1] -> what the UNet's features (B,F,h,w) make of it, without the levels."""
        image = self._to_vae(photo)
        return self.prior.from_vae(self.refiner.coarse(image, features.to(image.dtype)).float())

    def needs_sampler(self, fidelity: float) -> bool:
        """See OnePass; also asks what the adapters that are folded in read."""
        return self.refiner is None or fidelity < REFINER_ALONE or self.refiner.reads_sampler()

    def keeps_colors(self, fidelity: float) -> bool:
        """Whether the photo is the input plus a learned correction, which needs no colour fix."""
        return self.refiner is not None and fidelity >= REFINER_ALONE

"""Prior + time-aware encoder + SFT + CFW as one module: every tensor operation between photo and photo.

Training, evaluation and the Restorer run these same methods. Latents between them are float32, whatever
precision the weights have.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from lwr.loading.locate import PARTS_CONFIG, ModelSource, locate, prior_config_of
from lwr.loading.streaming import stream
from lwr.models.decoder import (
    CHAIN_ALONE,
    ControllableFeatureWrapping,
    WrappingConfig,
    decode_wrapped,
    encode_features,
)
from lwr.models.encoder import EncoderConfig, TimeAwareEncoder
from lwr.models.prior import Prior, PriorConfig, PriorError, load_prior
from lwr.models.sampling import sample
from lwr.models.sft import SFT, SFTConfig

PARTS = ("encoder", "sft", "wrapping")


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of what StableSR adds to a prior, and what it was trained for. Without an encoder: nothing."""

    encoder: EncoderConfig | None = None
    sft: SFTConfig = field(default_factory=SFTConfig)
    wrapping: WrappingConfig = field(default_factory=lambda: WrappingConfig((), ()))
    id: str = ""  # of these parts; beside a prior from elsewhere the network is "PRIOR+ID"
    base: str | None = None  # the prior that they were trained on; None = it lies in the same folder
    prediction: str = ""  # what the UNet predicts on the prior that they were trained on; "" = not said
    tasks: tuple[str, ...] = ()  # that the parts do without an adapter
    # facts of the prior that these parts were trained with, by the names of PriorConfig: start_timestep, eta
    facts: Mapping[str, float | int | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Words:
    """What the UNet is told: the good side (None = the tasks' instructions), the bad one, how strongly."""

    positive: str | None = None
    negative: str = ""
    guidance: float = 1.0  # 1 = the good side alone

    @classmethod
    def of(cls, facts: PriorConfig) -> "Words":
        """Those that a prior is used with."""
        return cls(facts.positive, facts.negative, facts.guidance)


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
        self.encoder = TimeAwareEncoder(config.encoder) if config.encoder else None
        self.sft = SFT(prior.unet, config.sft) if config.encoder else None
        self.wrapping = ControllableFeatureWrapping(config.wrapping)

    def forward(
        self,
        photo: torch.Tensor,
        instructions: Mapping[str, float],
        schedule: Sequence[int],
        noise: torch.Tensor,
        fidelity: float | None,
        words: Words | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """The whole pass without tiles: (photo (B,3,H,W) about [0,1] or None, clean latent (B,C,h,w)).

        `instructions`: {sentence: strength}; `noise` (B,C,h,w); `fidelity` None leaves the decoder out;
        `words` None are the prior's. Steps add no fresh noise. An empty `schedule` leaves out all but CFW's
        chain, which then sees no decoder.
        """
        encoded = self.encode(photo)
        if not schedule:
            return self.without_sampler(encoded, fidelity or 0.0), encoded.latent
        words = words or Words.of(self.prior.config)
        context = self.context(instructions, words)
        latent = sample(
            lambda x, t: self.predict(x, t, encoded.latent, context, words.guidance),
            encoded.latent,
            self.prior.scheduler,
            schedule,
            noise,
        )
        return (None if fidelity is None else self.decode(latent, encoded, fidelity)), latent

    def encode(self, photo: torch.Tensor) -> Encoded:
        """(B,3,H,W) in [0,1], sides multiples of the latent factor -> its latent and features."""
        image = self.prior.to_vae(photo).to(self.prior.vae.dtype)
        moments, features = encode_features(self.prior.vae, image)
        return Encoded(self.prior.scale_latent(moments).float(), features, image)

    def context(self, instructions: Mapping[str, float], words: Words) -> torch.Tensor:
        """What the UNet is told: (1,L,D), or with guidance (2,L,D) of the good and the bad side.

        {sentence: strength} counts only where `words` have no good side.
        """
        if words.positive is None:
            rows = [self.text_context(instructions)]
        else:
            rows = [self.prior.encode_text([words.positive])]
        if words.guidance != 1:
            rows.append(self.prior.encode_text([words.negative]))
        return torch.cat(rows)

    def text_context(self, instructions: Mapping[str, float]) -> torch.Tensor:
        """{sentence: strength} -> (1,L,D): the empty text moved towards each sentence by its strength."""
        texts = self.prior.encode_text(["", *instructions])
        context = texts[:1]
        for row, strength in zip(texts[1:], instructions.values(), strict=True):
            context = context + strength * (row[None] - texts[:1])
        return context

    def predict(
        self,
        latent: torch.Tensor,
        timestep: int,
        lq_latent: torch.Tensor,
        context: torch.Tensor,
        guidance: float = 1.0,
    ) -> torch.Tensor:
        """The modulated UNet's output (B,C,h,w), guided; sides are multiples of the UNet's downsampling.

        `context` is what `context` gives, with two rows when `guidance` is not 1.
        """
        precision, time = self.prior.unet.dtype, torch.full((len(latent),), timestep, device=latent.device)
        with self.conditioned(lq_latent.to(precision), time):
            output, *away = (
                self.prior.unet(latent.to(precision), time, text.expand(len(latent), -1, -1)).sample.float()
                for text in context
            )
        return output if not away else away[0] + guidance * (output - away[0])

    def conditioned(self, lq_latent: torch.Tensor, time: torch.Tensor) -> AbstractContextManager[None]:
        """Within it the UNet is modulated by what the encoder sees at timesteps (B,) in (B,C,h,w)."""
        if self.encoder is None:
            return nullcontext()
        return self.sft.applied(self.prior.unet, self.encoder(lq_latent, time))

    def without_sampler(self, encoded: Encoded, fidelity: float) -> torch.Tensor:
        """The photo (B,3,H,W) about [0,1] of CFW's chain alone, at a fidelity of 0.5 to 1."""
        output = self.wrapping.without_decoder(encoded.features, encoded.image, fidelity)
        return self.prior.from_vae(output.float())

    def needs_sampler(self, fidelity: float) -> bool:
        """Whether sampler and decoder have any part in the photo, with the adapters that are folded in."""
        return fidelity < CHAIN_ALONE or self.wrapping.reads_decoder()

    def keeps_colors(self, fidelity: float) -> bool:
        """Whether the photo is the input plus a learned correction, which needs no colour fix."""
        return bool(self.wrapping.config.chain) and fidelity >= CHAIN_ALONE

    def decode(self, latent: torch.Tensor, encoded: Encoded, fidelity: float) -> torch.Tensor:
        """Latent in the UNet's units -> photo (B,3,H,W) about [0,1], not clamped."""
        vae = self.prior.vae
        latent = (latent / vae.config.scaling_factor).to(vae.dtype)
        output = decode_wrapped(vae, latent, self.wrapping, encoded.features, encoded.image, fidelity)
        return self.prior.from_vae(output.float())

    @property
    def multiple(self) -> int:
        """Photo sides must be multiples of this many pixels."""
        return self.prior.latent_factor * 2 ** (len(self.prior.unet.config.block_out_channels) - 1)

    def save(self, folder: Path) -> None:
        """Write one safetensors file per added part and restoration.json, and the prior if it has no base."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.config.base is None:
            self.prior.save(folder)
        else:  # for who reads the folder; loading asks the base
            self.prior.config.save(folder)
        for part in PARTS:
            module = getattr(self, part)
            if module is None:
                continue
            tensors = {k: v.half().contiguous() for k, v in module.state_dict().items()}
            save_file(tensors, folder / f"{part}.safetensors")
        (folder / PARTS_CONFIG).write_text(json.dumps(asdict(self.config), indent=2) + "\n")


def load_network(
    source: Path | str | ModelSource = "embedded", precision: torch.dtype = torch.float32
) -> RestorationNetwork:
    """Load a prior and the parts around it onto the CPU, in evaluation mode; `source` as `locate` takes it.

    In float16 all that is next to the pictures (VAE, CFW) stays float32. Raises PriorError with a sentence.
    """
    located = source if isinstance(source, ModelSource) else locate(str(source))
    config = read_config(located.parts) if located.parts else NetworkConfig()
    facts = replace(prior_config_of(located), **config.facts)
    if located.parts not in (None, located.folder) and config.id:
        facts = replace(facts, id=f"{facts.id}+{config.id}")
    prior = load_prior(located.folder, facts, precision)
    predicted = prior.scheduler.config.prediction_type
    if config.prediction not in ("", predicted):
        raise PriorError(
            f"The restoring parts in {located.parts} are for a prior that predicts {config.prediction}, and "
            f"{located.name} predicts {predicted}. Give their own prior as --prior, or other "
            "parts."
        )
    try:
        with torch.device("meta"):  # the prior is there already; the parts come from their files
            network = RestorationNetwork(prior, config)
    except (ValueError, RuntimeError) as error:
        if located.parts in (None, located.folder):
            raise
        raise _misfit(config, located) from error
    for part in PARTS if config.encoder else ():
        _load_part(network, part, located, prior.vae.dtype if part == "wrapping" else precision)
    return network.eval().requires_grad_(False)


def _load_part(network: RestorationNetwork, part: str, located: ModelSource, precision: torch.dtype) -> None:
    """Fill one part from its file; PriorError when it is of another prior's sizes."""
    tensors = dict(stream(located.parts / f"{part}.safetensors", precision))
    try:
        getattr(network, part).load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        if located.parts == located.folder:
            raise
        raise _misfit(network.config, located) from error


def _misfit(config: NetworkConfig, located: ModelSource) -> PriorError:
    trained = config.base or config.id or "another prior"
    return PriorError(
        f"The restoring parts in {located.parts} were made for {trained} and do not fit {located.name}: "
        "its UNet has other blocks. Give the prior that they were trained on as --prior, or other parts."
    )


def read_config(folder: Path) -> NetworkConfig:
    """The sizes of the parts in a folder, from its restoration.json."""
    facts = json.loads((folder / PARTS_CONFIG).read_text())
    kinds = {"encoder": EncoderConfig, "sft": SFTConfig, "wrapping": WrappingConfig}
    sizes = {name: kind(**_tuples(size)) for name, kind in kinds.items() if (size := facts.pop(name))}
    return NetworkConfig(**sizes, **_tuples(facts))


def _tuples(values: Mapping[str, object]) -> dict[str, object]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}

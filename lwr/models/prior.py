"""The frozen base: a latent diffusion model of diffusers' own classes. `lwr.loading` finds and reads it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.autoencoders.vae import Encoder
from torch import nn

from lwr.models.config import PriorConfig
from lwr.models.encoded import taken
from lwr.models.padding import continue_edges

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTokenizer

# (level, feature (B,c,h,w)) -> feature: what is done to the VAE decoder's feature of a level; 0 is the finest
OnLevel = Callable[[int, torch.Tensor], torch.Tensor]
READING = RLock()


@dataclass(frozen=True)
class StoredTexts:
    """What a text encoder made of some texts, and how to read it and its tokenizer for others."""

    embeddings: Mapping[str, torch.Tensor] = field(default_factory=dict)  # {text: (L,D)} in float32
    load: Callable[[], tuple["CLIPTextModel", "CLIPTokenizer"]] | None = None  # onto the CPU, in float32


class Prior(nn.Module):
    """VAE + UNet + scheduler + text conditioning. Images are [0,1] outside, [-1,1] next to the VAE only.

    With stored texts the text encoder and the tokenizer are read when they are first asked for; until then
    they are no part of the module.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
        text_encoder: "CLIPTextModel | None",
        tokenizer: "CLIPTokenizer | None",
        config: PriorConfig,
        stored: StoredTexts | None = None,
    ) -> None:
        """Without a text encoder, `stored` says how to read it."""
        super().__init__()
        self.vae, self.unet = vae, unet
        self.scheduler, self.config, self.stored = scheduler, config, stored or StoredTexts()
        if text_encoder is not None:
            self.text_encoder, self.tokenizer = text_encoder, tokenizer
        self.match_padding(vae, unet)
        self.work_device: torch.device | None = None  # where it runs, when its weights wait elsewhere

    def __getattr__(self, name: str) -> Any:
        """See the class; what else is no plain attribute is a parameter, a buffer or a module."""
        if name in ("text_encoder", "tokenizer") and self.__dict__["stored"].load is not None:
            with READING:  # two threads may ask
                if self.stored.load is not None:
                    text_encoder, self.tokenizer = self.stored.load()
                    self.text_encoder = text_encoder.to(self.unet.device).eval().requires_grad_(False)
                    self.stored = StoredTexts(self.stored.embeddings)  # last: who fails may try again
            return getattr(self, name)
        return super().__getattr__(name)

    def match_padding(self, *parts: nn.Module) -> None:
        """Let parts of a network pad as this prior does."""
        if self.config.edges:
            for part in parts:
                continue_edges(part)

    @property
    def latent_factor(self) -> int:
        """Image pixels per latent pixel along one side."""
        return self.config.patch_size * 2 ** (len(self.vae.config.block_out_channels) - 1)

    @property
    def reads_text(self) -> bool:
        """Whether a text can make a difference: a converted StableSR knows only the empty one."""
        return bool(self.stored.embeddings) or self.text_encoder.config.num_hidden_layers > 0

    @property
    def text_width(self) -> int:
        """Numbers that stand for one token of a text."""
        stored = next(iter(self.stored.embeddings.values()), None)
        return self.text_encoder.config.hidden_size if stored is None else stored.shape[1]

    @property
    def precision(self) -> torch.dtype:
        """Of the UNet's weights."""
        return precision_of(self.unet)

    def to_vae(self, image: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) in [0,1] -> the VAE encoder's input (B,3*p*p,H/p,W/p) in [-1,1], p the patch size."""
        return to_patches(image, self.config.patch_size)

    def from_vae(self, output: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_vae`; not clamped."""
        return (F.pixel_shuffle(output, self.config.patch_size) + 1) / 2

    def encode_features(self, image: torch.Tensor) -> Sequence[torch.Tensor]:
        """VAE input (B,P,H,W) in [-1,1] -> each level's feature, finest first."""
        return taken(self.vae.encoder, image) or encoder_features(self.vae.encoder, image)

    def encode_moments(self, coarsest: torch.Tensor) -> torch.Tensor:
        """The coarsest level's feature (B,c,h,w) -> moments (B,2C,h,w) of the posterior."""
        vae, encoder = self.vae, self.vae.encoder
        h = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(encoder.mid_block(coarsest))))
        return vae.quant_conv(h) if vae.quant_conv is not None else h

    def scale_latent(self, moments: torch.Tensor) -> torch.Tensor:
        """Encoder moments (B,2C,h,w) -> the posterior's mode (B,C,h,w) in the UNet's units."""
        return moments.chunk(2, 1)[0] * self.vae.config.scaling_factor

    def decode_features(
        self, latent: torch.Tensor, on_level: OnLevel | None = None, finest: int = 0
    ) -> torch.Tensor:
        """Latent (B,C,h,w) in the VAE's units -> the decoder's feature (B,c,h',w') of level `finest`.

        `on_level` sees the feature of each level, coarsest first, and gives the one to continue with.
        """
        vae, decoder = self.vae, self.vae.decoder
        h = decoder.conv_in(vae.post_quant_conv(latent) if vae.post_quant_conv is not None else latent)
        h = decoder.mid_block(h)
        for index, block in enumerate(decoder.up_blocks):
            level = len(decoder.up_blocks) - 1 - index
            for resnet in block.resnets:
                h = resnet(h, None)
            if on_level is not None:
                h = on_level(level, h)
            if level == finest:
                break
            for upsampler in block.upsamplers or ():
                h = upsampler(h)
        return h

    def decode_image(self, feature: torch.Tensor) -> torch.Tensor:
        """The decoder's finest feature (B,c,H,W) -> the VAE's output (B,P,H,W) about [-1,1]."""
        decoder = self.vae.decoder
        return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(feature)))

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        """Sentences -> (B,L,D) hidden states, padded or cut to the text encoder's length."""
        known = self.stored.embeddings
        if all(text in known for text in texts):
            return torch.stack([known[text] for text in texts]).to(self.unet.device)
        device = self.work_device or self.text_encoder.device
        return encode(texts, self.text_encoder, self.tokenizer, device)


def encode(
    texts: Sequence[str],
    text_encoder: "CLIPTextModel",
    tokenizer: "CLIPTokenizer",
    device: torch.device | None = None,
) -> torch.Tensor:
    """Sentences -> (B,L,D) hidden states, padded or cut to the text encoder's length."""
    tokens = tokenizer(
        list(texts),
        padding="max_length",
        truncation=True,
        max_length=min(tokenizer.model_max_length, text_encoder.config.max_position_embeddings),
        return_tensors="pt",
    )
    return text_encoder(tokens.input_ids.to(device))[0]


def precision_of(model: nn.Module) -> torch.dtype:
    """Of its first weights; diffusers' own `dtype` goes through all modules, in half a millisecond."""
    return next(model.parameters()).dtype


def to_patches(image: torch.Tensor, patch: int) -> torch.Tensor:
    """(B,3,H,W) in [0,1] -> (B,3*p*p,H/p,W/p) in [-1,1]."""
    return F.pixel_unshuffle(image * 2 - 1, patch)


def encoder_features(encoder: Encoder, image: torch.Tensor) -> list[torch.Tensor]:
    """A VAE encoder's input (B,P,H,W) in [-1,1] -> each level's feature, finest first."""
    features = []
    h = encoder.conv_in(image)
    for block in encoder.down_blocks:
        for resnet in block.resnets:
            h = resnet(h, None)
        features.append(h)  # before the level's downsampling
        for downsampler in block.downsamplers or ():
            h = downsampler(h)
    return features

"""A StableSR checkpoint of random weights, at any size: what converting and full-size checks are tried on.

The real ones cannot be downloaded everywhere, and their licence is non-commercial; their keys and shapes are
what `lwr.stablesr.keys` says.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from lwr.models.config import CFWConfig, EncoderConfig, NetworkConfig, SFTConfig
from lwr.models.network import RestorationNetwork
from lwr.models.prior import Prior
from lwr.stablesr import keys
from lwr.stablesr.convert import PRIOR, SCHEDULE


@dataclass(frozen=True)
class Sizes:
    """Of Stable Diffusion 2.1-base with StableSR's parts, unless said otherwise."""

    unet: tuple[int, ...] = (320, 640, 1280, 1280)
    blocks: int = 2
    head: int = 64  # channels per attention head
    text: int = 1024  # width of the text encoder
    text_layers: int = 24
    vocabulary: int = 49408
    vae: tuple[int, ...] = (128, 256, 512, 512)
    vae_blocks: int = 2
    encoder: int = 256
    multipliers: tuple[int, ...] = (1, 1, 2, 2)
    growth: int = 32
    dense_blocks: int = 2


FULL = Sizes()
TINY = Sizes(
    unet=(32, 64, 64, 64), blocks=1, head=32, text=64, text_layers=2, vocabulary=49408,
    vae=(32, 32, 32, 32), vae_blocks=1, encoder=32, growth=8, dense_blocks=1,
)  # fmt: skip


def shapes(sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Every key of the checkpoint with its shape."""
    found = {}
    for module, key_of in _parts(sizes):
        for name, tensor in module.state_dict().items():
            key = key_of(name)
            found[key] = _published_shape(key, tuple(tensor.shape))
    return found


def _published_shape(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that a weight has in the public file."""
    if key.startswith(keys.TEXT) and ".in_proj_" in key:  # q, k and v in one
        return (3 * shape[0], *shape[1:])
    if key.startswith(keys.ENCODER) and len(shape) == 2 and (".qkv." in key or ".proj_out." in key):
        return (*shape, 1)  # a convolution over positions
    if key.startswith(keys.VAE) and ".attn_1." in key and len(shape) == 2:
        return (*shape, 1, 1)
    return shape


def _parts(sizes: Sizes) -> list[tuple[nn.Module, Callable[[str], str]]]:
    """Modules without memory of their own, each with what its keys are called in the file."""
    whole = network(sizes)
    unet = whole.prior.unet
    return [
        (unet, keys.unet_keys(unet)),
        (whole.prior.vae, keys.vae_keys(len(sizes.vae))),
        (whole.encoder, keys.encoder_keys(whole.config.encoder)),
        (whole.sft, keys.sft_keys(unet)),
        (whole.cfw, keys.cfw_keys),
        (whole.prior.text_encoder, keys.text_keys),
    ]


def network(sizes: Sizes) -> RestorationNetwork:
    """All of it without memory of its own, and without a tokenizer."""
    levels = len(sizes.unet)
    encoder = EncoderConfig(
        width=sizes.encoder,
        multipliers=sizes.multipliers,
        blocks=sizes.blocks,
        attention_levels=tuple(range(levels - 1)),
        out_channels=sizes.encoder,
    )
    sft = SFTConfig(feature_channels=sizes.encoder, hidden=sizes.encoder // 2)
    cfw = CFWConfig(sizes.vae, (1, 2), sizes.dense_blocks, sizes.growth)
    scheduler = DDIMScheduler(**SCHEDULE)
    with torch.device("meta"):
        prior = Prior(_vae(sizes), _unet(sizes), scheduler, _text(sizes), None, PRIOR)
        return RestorationNetwork(prior, NetworkConfig(encoder, sft, cfw)).eval()


def _text(sizes: Sizes) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=sizes.vocabulary,
        hidden_size=sizes.text,
        intermediate_size=4 * sizes.text,
        num_hidden_layers=sizes.text_layers,
        num_attention_heads=max(1, sizes.text // 64),
    )
    return CLIPTextModel(config)


def _unet(sizes: Sizes) -> UNet2DConditionModel:
    levels = len(sizes.unet)
    down = ("CrossAttnDownBlock2D",) * (levels - 1) + ("DownBlock2D",)
    return UNet2DConditionModel(
        block_out_channels=sizes.unet,
        layers_per_block=sizes.blocks,
        cross_attention_dim=sizes.text,
        attention_head_dim=tuple(width // sizes.head for width in sizes.unet),
        use_linear_projection=True,
        down_block_types=down,
        up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(down)),
    )


def _vae(sizes: Sizes) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=sizes.vae,
        layers_per_block=sizes.vae_blocks,
        down_block_types=("DownEncoderBlock2D",) * len(sizes.vae),
        up_block_types=("UpDecoderBlock2D",) * len(sizes.vae),
        latent_channels=4,
    )


def random_weights(key: str, shape: tuple[int, ...], precision: torch.dtype = torch.float32) -> torch.Tensor:
    """Weights that follow from their key: of unit gain, norms near 1, biases near 0."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
    if len(shape) >= 2:
        values /= math.sqrt(math.prod(shape[1:]))
    else:
        values = 1 + 0.1 * values if key.endswith("weight") else 0.1 * values
    return values.to(precision)


def write(path: Path, sizes: Sizes, precision: torch.dtype = torch.float32) -> Path:
    """Write the checkpoint as PyTorch Lightning would: {"state_dict": ..., "global_step": ...}."""
    state = {key: random_weights(key, shape, precision) for key, shape in shapes(sizes).items()}
    torch.save({"state_dict": state, "global_step": 16500, "epoch": 117}, path)
    return path

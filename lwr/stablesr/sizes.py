"""The sizes of a StableSR network, read from the keys and shapes of its checkpoint."""

import re
from collections.abc import Iterable
from typing import Any

from transformers import CLIPTextConfig

from lwr.models.config import CFWConfig, EncoderConfig, NetworkConfig, SFTConfig
from lwr.stablesr.checkpoint import StableSRError, Tensors
from lwr.stablesr.keys import ENCODER, TEXT, UNET, VAE

TEXT_LENGTH = 77  # tokens, of every CLIP
TEXT_HEAD = 64  # channels per attention head, of every OpenCLIP text encoder
SCALING = 0.18215  # of Stable Diffusion's latents


def network_config(tensors: Tensors, name: str) -> NetworkConfig:
    """Sizes of the encoder, the SFT layers and the CFW layers; `name` is the checkpoint's, for sentences."""
    for prefix, what in ((UNET, "UNet"), (ENCODER, "time-aware encoder"), (VAE, "autoencoder")):
        if not any(key.startswith(prefix) for key in tensors):
            raise StableSRError(
                f"{name} is no StableSR checkpoint: it has no {what} (keys {prefix}*). Plain Stable "
                "Diffusion checkpoints, and files with the CFW layers only, cannot be converted alone."
            )
    shapes = _Shapes(tensors, name)
    width, latent_channels = shapes[f"{ENCODER}input_blocks.0.0.weight"][:2]
    levels, blocks = _levels(tensors, ENCODER)
    encoder = EncoderConfig(
        latent_channels=latent_channels,
        width=width,
        multipliers=tuple(n // width for n in _widths(shapes, ENCODER, levels, blocks)),
        blocks=blocks,
        attention_levels=_attending(tensors, ENCODER, levels, blocks),
        heads=4,
        out_channels=shapes[f"{ENCODER}fea_tran.0.in_layers.2.weight"][0],
        groups=32,
    )
    hidden, feature_channels = shapes[f"{UNET}input_blocks.1.0.spade.mlp_shared.0.weight"][:2]
    sft = SFTConfig(feature_channels=feature_channels, hidden=hidden, groups=32, residual=False)
    return NetworkConfig(encoder, sft, _cfw_config(tensors, shapes))


def unet_config(tensors: Tensors, name: str, head_channels: int) -> dict[str, Any]:
    """Arguments of diffusers' UNet2DConditionModel."""
    shapes = _Shapes(tensors, name)
    levels, blocks = _levels(tensors, UNET)
    widths = _widths(shapes, UNET, levels, blocks)
    attending = _attending(tensors, UNET, levels, blocks)
    if not attending or any(width % head_channels for width in widths):
        raise StableSRError(
            f"{name} has UNet levels of {', '.join(map(str, widths))} channels, which {head_channels} "
            "channels per attention head do not divide: give the right number as --head-channels."
        )
    transformer = f"{UNET}input_blocks.{1 + attending[0] * (blocks + 1)}.1."
    down = ["CrossAttnDownBlock2D" if i in attending else "DownBlock2D" for i in range(levels)]
    return {
        "sample_size": 64,
        "in_channels": shapes[f"{UNET}input_blocks.0.0.weight"][1],
        "out_channels": shapes[f"{UNET}out.2.weight"][0],
        "down_block_types": tuple(down),
        "up_block_types": tuple(kind.replace("Down", "Up") for kind in reversed(down)),
        "block_out_channels": widths,
        "layers_per_block": blocks,
        "cross_attention_dim": shapes[f"{transformer}transformer_blocks.0.attn2.to_k.weight"][1],
        # the number of heads, by the old name that diffusers keeps
        "attention_head_dim": tuple(width // head_channels for width in widths),
        "use_linear_projection": len(shapes[f"{transformer}proj_in.weight"]) == 2,
    }


def vae_config(tensors: Tensors, name: str) -> dict[str, Any]:
    """Arguments of diffusers' AutoencoderKL."""
    shapes = _Shapes(tensors, name)
    widths = _vae_widths(tensors, shapes)
    return {
        "in_channels": shapes[f"{VAE}encoder.conv_in.weight"][1],
        "out_channels": shapes[f"{VAE}decoder.conv_out.weight"][0],
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "block_out_channels": widths,
        "layers_per_block": _count(tensors, rf"{re.escape(VAE)}encoder\.down\.0\.block\.(\d+)\."),
        "latent_channels": shapes[f"{VAE}decoder.conv_in.weight"][1],
        "sample_size": 512,
        "scaling_factor": SCALING,
        "use_quant_conv": any(key.startswith(f"{VAE}quant_conv.") for key in tensors),
        "use_post_quant_conv": any(key.startswith(f"{VAE}post_quant_conv.") for key in tensors),
    }


def text_config(tensors: Tensors, name: str) -> CLIPTextConfig | None:
    """Sizes of the text encoder without its last layer (StableSR reads the one before), None without one."""
    if not any(key.startswith(TEXT) for key in tensors):
        return None
    shapes = _Shapes(tensors, name)
    vocabulary, width = shapes[f"{TEXT}token_embedding.weight"]
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=shapes[f"{TEXT}transformer.resblocks.0.mlp.c_fc.weight"][0],
        num_hidden_layers=text_layers(tensors) - 1,
        num_attention_heads=max(1, width // TEXT_HEAD),
        max_position_embeddings=TEXT_LENGTH,
        hidden_act="gelu",
    )


def text_layers(tensors: Iterable[str]) -> int:
    """Layers of the checkpoint's text encoder, 0 without one."""
    return _count(tensors, rf"{re.escape(TEXT)}transformer\.resblocks\.(\d+)\.")


class _Shapes:
    """Shapes by key; a missing key is a StableSRError that names it."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        self.tensors, self.name = tensors, name

    def __getitem__(self, key: str) -> tuple[int, ...]:
        if key not in self.tensors:
            raise StableSRError(
                f"{self.name} is no complete StableSR checkpoint: at least the key {key} is missing."
            )
        return tuple(self.tensors[key].shape)


def _cfw_config(tensors: Tensors, shapes: _Shapes) -> CFWConfig | None:
    pattern = rf"{re.escape(VAE)}decoder\.fusion_layer_(\d+)\."
    found = sorted({int(match[1]) for key in tensors if (match := re.match(pattern, key))})
    if not found:
        return None
    if lacking := [f"{VAE}decoder.fusion_layer_{n}.*" for n in (1, 2) if n not in found]:
        raise StableSRError(
            f"{shapes.name} has only a part of its CFW layers; keys: {len(lacking)} missing "
            f"({', '.join(lacking)}). Nothing was converted."
        )
    first = f"{VAE}decoder.fusion_layer_{found[0]}.encode_enc_2."
    return CFWConfig(
        channels=_vae_widths(tensors, shapes),
        levels=tuple(found),
        dense_blocks=_count(tensors, rf"{re.escape(first)}(\d+)\."),
        growth=shapes[f"{first}0.rdb1.conv1.weight"][0],
        groups=32,
    )


def _vae_widths(tensors: Tensors, shapes: _Shapes) -> tuple[int, ...]:
    levels = _count(tensors, rf"{re.escape(VAE)}encoder\.down\.(\d+)\.")
    return tuple(shapes[f"{VAE}encoder.down.{level}.block.0.conv1.weight"][0] for level in range(levels))


def _levels(tensors: Tensors, prefix: str) -> tuple[int, int]:
    """(levels, residual blocks a level) of a UNet or of its first half."""
    pattern = rf"{re.escape(prefix)}input_blocks\.(\d+)\.0\.op\."
    downs = sorted({int(match[1]) for key in tensors if (match := re.match(pattern, key))})
    if downs:
        return len(downs) + 1, downs[0] - 1
    return 1, _count(tensors, rf"{re.escape(prefix)}input_blocks\.(\d+)\.") - 1


def _widths(shapes: _Shapes, prefix: str, levels: int, blocks: int) -> tuple[int, ...]:
    """Channels of each level."""
    firsts = (f"{prefix}input_blocks.{1 + level * (blocks + 1)}.0." for level in range(levels))
    return tuple(shapes[f"{first}in_layers.2.weight"][0] for first in firsts)


def _attending(tensors: Tensors, prefix: str, levels: int, blocks: int) -> tuple[int, ...]:
    """The levels that have attention."""
    starts = {level: f"{prefix}input_blocks.{1 + level * (blocks + 1)}.1." for level in range(levels)}
    return tuple(level for level, start in starts.items() if any(key.startswith(start) for key in tensors))


def _count(tensors: Iterable[str], pattern: str) -> int:
    """One more than the greatest number that the pattern finds in a key."""
    return max((int(match[1]) + 1 for key in tensors if (match := re.match(pattern, key))), default=0)

"""Where each of our parameters lies in a public StableSR checkpoint, by name.

Every function takes the name of a parameter of one of our (or diffusers', transformers') modules and gives
the checkpoint's key, so that a missing key can be named as the checkpoint would name it.
"""

import re
from collections.abc import Callable

from diffusers import UNet2DConditionModel

from lwr.models.config import EncoderConfig
from lwr.models.sft import residual_blocks

UNET = "model.diffusion_model."
ENCODER = "structcond_stage_model."
VAE = "first_stage_model."
TEXT = "cond_stage_model.model."
IGNORED = (  # parts of training, and of a text encoder of which only the layers below the last are used
    r"[^.]+",  # buffers of the noise schedule
    r"(model_ema|loss|usm_sharpener|jpeger)\..*",
    rf"{re.escape(VAE)}(loss|model_ema)\..*",
    rf"{re.escape(TEXT)}(text_projection|logit_scale|attn_mask)",
)

KeyOf = Callable[[str], str]

_RESNET = {"norm1": "in_layers.0", "conv1": "in_layers.2", "norm2": "out_layers.0", "conv2": "out_layers.3"}
_UNET_RESNET = _RESNET | {"time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection"}
_UNET_ENDS = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
_SPADE = {"norm": "param_free_norm", "shared": "mlp_shared.0", "gamma": "mlp_gamma", "beta": "mlp_beta"}
_TIME_BLOCK = _RESNET | {"time": "emb_layers.1", "skip": "skip_connection"}
_TIME_BLOCK |= {"norm": "norm", "qkv": "qkv", "out": "proj_out"}  # of self-attention
_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
_TEXT = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm": "ln_final",
    "encoder.layers": "transformer.resblocks",
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


def unet_keys(unet: UNet2DConditionModel) -> KeyOf:
    """Keys of diffusers' UNet."""
    # blocks of one level, its downsampling or last up block included
    per_level = unet.config.layers_per_block + 1

    def key(name: str) -> str:
        part, _, rest = name.partition(".")
        if part not in ("down_blocks", "mid_block", "up_blocks"):
            module, _, kind = name.rpartition(".")
            return f"{UNET}{_UNET_ENDS[module]}.{kind}"
        if part == "mid_block":
            kind, index, rest = rest.split(".", 2)
            place = f"middle_block.{2 * int(index) if kind == 'resnets' else 1}"
        else:
            level, kind, index, rest = rest.split(".", 3)
            first = int(level) * per_level + (part == "down_blocks")
            side = "input_blocks" if part == "down_blocks" else "output_blocks"
            if kind == "downsamplers":
                return f"{UNET}{side}.{first + per_level - 1}.0.op.{rest.removeprefix('conv.')}"
            if kind == "upsamplers":
                attends = "Attn" in unet.config.up_block_types[int(level)]
                return f"{UNET}{side}.{first + per_level - 1}.{2 if attends else 1}.{rest}"
            place = f"{side}.{first + int(index)}.{0 if kind == 'resnets' else 1}"
        return f"{UNET}{place}.{_renamed(rest, _UNET_RESNET) if kind == 'resnets' else rest}"

    return key


def sft_keys(unet: UNet2DConditionModel) -> KeyOf:
    """Keys of our SFT: StableSR keeps each SFT layer inside the residual block that it modulates."""
    names = {id(module): name for name, module in unet.named_modules()}
    blocks = [names[id(block)] for _, block in residual_blocks(unet)]
    key_of = unet_keys(unet)

    def key(name: str) -> str:
        _, index, rest = name.split(".", 2)
        block = key_of(f"{blocks[int(index)]}.conv1.weight").removesuffix("in_layers.2.weight")
        return f"{block}spade.{_renamed(rest, _SPADE)}"

    return key


def encoder_keys(config: EncoderConfig) -> KeyOf:
    """Keys of our TimeAwareEncoder."""

    def key(name: str) -> str:
        part, index, rest = name.split(".", 2) if name.count(".") > 1 else (*name.split("."), "")
        if part == "time":
            return f"{ENCODER}time_embed.{index}.{rest}"
        if part == "enter":
            return f"{ENCODER}input_blocks.0.0.{index}"
        if part == "downs":
            return f"{ENCODER}input_blocks.{(int(index) + 1) * (config.blocks + 1)}.0.op.{rest}"
        if part == "levels":
            level = int(index)
            layer, rest = rest.split(".", 1)
            block, kind = divmod(int(layer), 2) if level in config.attention_levels else (int(layer), 0)
            place = f"input_blocks.{1 + level * (config.blocks + 1) + block}.{kind}"
        else:
            place = f"{'middle_block' if part == 'middle' else 'fea_tran'}.{index}"
        return f"{ENCODER}{place}.{_renamed(rest, _TIME_BLOCK)}"

    return key


def vae_keys(levels: int) -> KeyOf:
    """Keys of diffusers' AutoencoderKL with this many levels."""

    def up(match: re.Match[str]) -> str:
        return f"up.{levels - 1 - int(match[1])}."

    def key(name: str) -> str:
        name = re.sub(r"up_blocks\.(\d+)\.", up, name.replace("down_blocks", "down"))
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
        name = re.sub(r"(down|up)samplers\.0", r"\1sample", name).replace(".resnets.", ".block.")
        name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        side, attention, rest = name.partition(".mid_block.attentions.0.")
        return f"{VAE}{side}.mid.attn_1.{_renamed(rest, _VAE_ATTENTION)}" if attention else f"{VAE}{name}"

    return key


def cfw_keys(name: str) -> str:
    """Key of a parameter of our ControllableFeatureWrapping."""
    _, level, part, rest = name.split(".", 3)
    layer = f"{VAE}decoder.fusion_layer_{level}."
    if part == "enter":
        return f"{layer}encode_enc_1.{rest.replace('skip', 'conv_out')}"
    if part == "leave":
        return f"{layer}encode_enc_3.{rest}"
    triple, _, block, _, conv, kind = rest.split(".")
    return f"{layer}encode_enc_2.{triple}.rdb{int(block) + 1}.conv{int(conv) + 1}.{kind}"


def text_keys(name: str) -> str:
    """Key of a parameter of transformers' CLIPTextModel; q, k and v share OpenCLIP's in_proj."""
    name = re.sub(r"self_attn\.[qkv]_proj\.", "attn.in_proj_", name.removeprefix("text_model."))
    for ours, theirs in _TEXT.items():
        name = name.replace(ours, theirs)
    return TEXT + name


def _renamed(name: str, names: dict[str, str]) -> str:
    """ "conv1.weight" -> names["conv1"] + ".weight"."""
    module, _, kind = name.rpartition(".")
    return f"{names[module]}.{kind}"

"""Public StableSR checkpoints -> our folder format: `python -m lwr convert stablesr CKPT [CFW_CKPT] OUT`.

Sizes are read from the checkpoint's own keys. Three things are in no key: channels per attention head of
the UNet, heads of the time-aware encoder (4 in every public checkpoint), and the prediction type (the 768
model predicts v).

StableSR was trained with the empty text only, and a checkpoint holds no tokenizer. So of its text encoder we
keep what it says about the empty text: the folder's text encoder gives exactly that for every sentence.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors import SafetensorError
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lwr.loading.save import save_network
from lwr.models.config import NetworkConfig, PriorConfig
from lwr.models.network import RestorationNetwork
from lwr.models.prior import Prior
from lwr.stablesr import keys
from lwr.stablesr.checkpoint import StableSRError, Tensors, read_checkpoint
from lwr.stablesr.sizes import TEXT_LENGTH, network_config, text_config, text_layers, unet_config, vae_config

Prediction = Literal["epsilon", "v_prediction"]
Reshape = Callable[[str, torch.Tensor], torch.Tensor]  # (our name, the checkpoint's tensor) -> ours
PRIOR = PriorConfig(
    id="stablesr", revision="converted", default_steps=50, positive="", eta=1.0, least_side=512
)
# What the parts want of any prior that they are put on.
TRAINED_WITH = ("start_timestep", "eta", "default_fidelity")
SCHEDULE = {  # of Stable Diffusion
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
}
START, END, PAD = 49406, 49407, 0  # OpenCLIP's tokens
TASK = "super-resolution"  # what StableSR was trained for, without an adapter
LISTED = 8  # keys named in one sentence


def convert(
    checkpoint: Path,
    out: Path,
    cfw: Path | None = None,
    half: bool = False,
    head_channels: int = 64,
    prediction: Prediction = "epsilon",
) -> list[str]:
    """Convert a checkpoint, and the separate CFW checkpoint `cfw` if given, into the folder `out`.

    `out` must be new or empty. Keeps the checkpoint's precision unless `half`.
    Returns remarks for the user, one sentence each.
    Raises StableSRError with one sentence; then `out` is as it was.
    """
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise StableSRError(f"{out} exists already: give a new or an empty folder.")
    tensors = read_checkpoint(checkpoint)
    if cfw is not None:
        tensors |= first_stage(read_checkpoint(cfw), cfw)
    network = build_network(tensors, str(checkpoint), head_channels, prediction)
    partial, place = None, out.absolute()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{place.name[:32]}.", dir=place.parent))
        save_network(network.half() if half else network, partial, half=False)
        out.mkdir(exist_ok=True)
        for item in list(partial.iterdir()):
            item.rename(out / item.name)
        partial.rmdir()
    except (OSError, SafetensorError) as error:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
        text = f"{out} cannot be written ({error}): choose another folder, or make room."
        raise StableSRError(text) from error
    return _remarks(tensors, network)


def first_stage(tensors: Tensors, path: Path) -> Tensors:
    """The VAE and its fusion layers from a separate CFW checkpoint, under the keys of a full checkpoint."""
    whole = any(key.startswith(keys.VAE) for key in tensors)
    found = {key if whole else f"{keys.VAE}{key}": value for key, value in tensors.items()}
    found = {key: value for key, value in found.items() if key.startswith(keys.VAE)}
    if not any(key.startswith(f"{keys.VAE}decoder.fusion_layer_") for key in found):
        raise StableSRError(f"{path} is no CFW checkpoint: it has no decoder.fusion_layer_* keys.")
    return found


def build_network(
    tensors: Tensors, name: str, head_channels: int = 64, prediction: Prediction = "epsilon"
) -> RestorationNetwork:
    """The tensors of a checkpoint in our modules, in the checkpoint's precision and on its device (meta too).

    `name` is what sentences call the checkpoint. Raises StableSRError that lists missing and unexpected keys.
    """
    filling = _Filling(tensors, name)
    network = _empty_network(filling, head_channels, prediction)
    unet, config = network.prior.unet, network.config
    filling.fill(unet, keys.unet_keys(unet))
    filling.fill(network.prior.vae, keys.vae_keys(len(network.prior.vae.config.block_out_channels)))
    filling.fill(network.encoder, keys.encoder_keys(config.encoder), _heads_last(config))
    filling.fill(network.sft, keys.sft_keys(unet))
    if network.cfw is not None:
        filling.fill(network.cfw, keys.cfw_keys)
    filling.check()
    return network.eval().requires_grad_(False)


def _empty_network(filling: "_Filling", head_channels: int, prediction: Prediction) -> RestorationNetwork:
    """A network of the checkpoint's sizes on the meta device; only its text encoder is filled already."""
    tensors, name = filling.tensors, filling.name
    if prediction not in get_args(Prediction):
        use = " or ".join(get_args(Prediction))
        raise StableSRError(f"The prediction type is {prediction!r}: use {use}.")
    if head_channels < 1:
        raise StableSRError(f"The channels per attention head are {head_channels}: use 64, or what it has.")
    try:
        config = network_config(tensors, name)
        prior_config = PRIOR if config.cfw else replace(PRIOR, default_fidelity=0.0)
        if prediction == "v_prediction":  # the model for 768 pixels
            prior_config = replace(prior_config, tile=768, least_side=768)
        kept = {name: getattr(prior_config, name) for name in TRAINED_WITH}
        config = replace(config, id=prior_config.id, tasks=(TASK,), prior_config=kept, prediction=prediction)
        with torch.device("meta"):
            unet = UNet2DConditionModel(**unet_config(tensors, name, head_channels))
            vae = AutoencoderKL(**vae_config(tensors, name))
        text = _text_encoder(filling, unet.config.cross_attention_dim)
        scheduler = DDIMScheduler(**SCHEDULE, prediction_type=prediction)
        with torch.device("meta"):
            return RestorationNetwork(Prior(vae, unet, scheduler, text, _tokenizer(), prior_config), config)
    except StableSRError:
        raise
    except (ValueError, IndexError, RuntimeError) as error:  # a module's own complaint about sizes
        raise StableSRError(f"{name} has shapes that no StableSR network has ({error}).") from error


class _Filling:
    """Puts a checkpoint's tensors into modules and remembers what was missing, misshapen or not used."""

    def __init__(self, tensors: Tensors, name: str) -> None:
        self.tensors, self.name = tensors, name
        self.used: set[str] = set()
        self.missing: list[str] = []
        self.misshapen: list[str] = []

    def fill(self, module: nn.Module, key_of: keys.KeyOf, reshape: Reshape = lambda _, value: value) -> None:
        """Load `module` from the checkpoint; the keys of faults are kept for `check`."""
        state = {}
        for name, target in module.state_dict().items():
            key = key_of(name)
            self.used.add(key)
            if key not in self.tensors:
                self.missing.append(key)
                continue
            value = reshape(name, self.tensors[key])
            # 1x1 convolutions of StableSR's attention are linear layers here
            if value.shape[: target.dim()] == target.shape == value.squeeze().shape:
                value = value.reshape(target.shape)
            if not value.is_floating_point():
                self.misshapen.append(f"{key} of {str(value.dtype).removeprefix('torch.')} numbers")
            elif value.shape != target.shape:
                self.misshapen.append(f"{key} {list(value.shape)} instead of {list(target.shape)}")
            state[name] = value
        if not (self.missing or self.misshapen):
            module.load_state_dict(state, assign=True)

    def check(self) -> None:
        """StableSRError that names every kind of fault, if there was any."""
        last = rf"{re.escape(keys.TEXT)}transformer\.resblocks\.{text_layers(self.tensors) - 1}\..*"
        ignored = re.compile("|".join((*keys.IGNORED, last)))
        unexpected = [key for key in self.tensors if key not in self.used and not ignored.fullmatch(key)]
        missing = sorted(set(self.missing))
        faults = {"missing": missing, "unexpected": unexpected, "of another shape": self.misshapen}
        said = [f"{len(names)} {kind} ({_listed(names)})" for kind, names in faults.items() if names]
        if said:
            raise StableSRError(
                f"{self.name} is no complete StableSR checkpoint; keys: {'; '.join(said)}. "
                "Nothing was converted."
            )


def _listed(names: list[str]) -> str:
    more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more


def _heads_last(config: NetworkConfig) -> Reshape:
    """StableSR's encoder keeps q, k, v of one head together; ours all heads of q, then of k, of v."""

    def reshape(name: str, value: torch.Tensor) -> torch.Tensor:
        if ".qkv." not in name or value.dim() == 0 or value.shape[0] % (3 * config.encoder.heads):
            return value  # of another shape: `fill` will say so
        by_head = value.unflatten(0, (config.encoder.heads, 3, -1))
        return by_head.transpose(0, 1).flatten(0, 2).contiguous()

    return reshape


def _text_encoder(filling: _Filling, width: int) -> CLIPTextModel:
    """A text encoder without layers that gives, for every sentence, OpenCLIP's output for the empty one.

    Without a text encoder in the checkpoint it gives zeros.
    """
    with torch.device("cpu"):
        frozen = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=3,
                hidden_size=width,
                intermediate_size=width,
                num_hidden_layers=0,
                num_attention_heads=1,
                max_position_embeddings=TEXT_LENGTH,
                bos_token_id=1,
                eos_token_id=2,
                pad_token_id=0,
            )
        )
    for parameter in frozen.parameters():
        nn.init.zeros_(parameter)
    config = text_config(filling.tensors, filling.name)
    if config is None:
        return frozen
    with torch.device("meta"):
        whole = CLIPTextModel(config)
    filling.fill(whole, keys.text_keys, _split_projection)
    if any(one.is_meta for one in whole.parameters()):  # keys are missing, or the checkpoint is on meta
        return frozen
    whole.embeddings.position_ids = torch.arange(TEXT_LENGTH)[None]
    frozen.final_layer_norm.load_state_dict(whole.final_layer_norm.state_dict())
    whole.final_layer_norm = nn.Identity()  # what stands before it becomes the position embedding
    empty = torch.tensor([[START, END] + [PAD] * (TEXT_LENGTH - 2)])
    with torch.no_grad():
        before = whole.eval().float()(empty).last_hidden_state[0]
        frozen.embeddings.position_embedding.weight.copy_(before)
    return frozen


def _split_projection(name: str, value: torch.Tensor) -> torch.Tensor:
    for index, letter in enumerate("qkv"):
        if f".{letter}_proj." in name and value.dim() > 0:
            rows = value.shape[0] // 3
            return value[index * rows : (index + 1) * rows]
    return value


def _tokenizer() -> CLIPTokenizer:
    """Knows the start, the end and the padding; the frozen text encoder reads nothing else."""
    vocab = {"!": 0, "<|startoftext|>": 1, "<|endoftext|>": 2}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=TEXT_LENGTH, pad_token="!")


def _remarks(tensors: Tensors, network: RestorationNetwork) -> list[str]:
    remarks = []
    if text_layers(tensors) == 0:
        remarks.append(
            "The checkpoint has no text encoder (cond_stage_model.*): the network is conditioned on zeros "
            "instead of the empty text that it was trained with, so results will differ from StableSR's."
        )
    if network.config.cfw is None:
        remarks.append(
            "The checkpoint has no CFW layers: fidelity has no effect; give the CFW checkpoint as well."
        )
    if any(key.startswith("model_ema.") for key in tensors):
        remarks.append("The averaged weights (model_ema.*) were left out.")
    return remarks

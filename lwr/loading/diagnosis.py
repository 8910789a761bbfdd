"""The diagnosis' parts from their files: the head, and the embedded prior's VAE encoder that it reads."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from functools import cache, partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from diffusers.models.autoencoders.vae import Encoder
from safetensors import safe_open
from safetensors.torch import save_file

from lwr.loading.priors import EMBEDDED, read_prior_config
from lwr.models.config import PriorConfig
from lwr.models.convolutions import quicken
from lwr.models.diagnosis import DiagnosisHead, Kinds
from lwr.models.encoded import keep
from lwr.models.padding import continue_edges
from lwr.models.prior import encoder_features, to_patches

FILE = "diagnosis.safetensors"


@cache
def load_head(folder: Path = EMBEDDED.parent) -> DiagnosisHead:
    """The head that `save_head` wrote, in evaluation mode on the CPU."""
    with safe_open(folder / FILE, "pt") as file:
        weights = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
        kinds = Kinds(**{one.name: tuple(file.metadata()[one.name].split(",")) for one in fields(Kinds)})
    width, hidden = len(weights["readers.0.read.bias"]), len(weights["readers.0.layers.0.bias"])
    readers = sum(name.endswith(".read.bias") for name in weights)
    head = DiagnosisHead(kinds, len(weights["statistic_mean"]), width, hidden, readers)
    head.load_state_dict(weights)
    return head.eval().requires_grad_(False)


def save_head(head: DiagnosisHead, folder: Path) -> None:
    """Write FILE, in half precision."""
    weights = {name: value.half().contiguous() for name, value in head.state_dict().items()}
    kinds = {name: ",".join(defects) for name, defects in asdict(head.kinds).items()}
    save_file(weights, folder / FILE, metadata=kinds)


_lent: Encoder | None = None  # of a loaded network, with the same weights


def lend_encoder(encoder: Encoder) -> None:
    """Let the diagnosis read with this VAE encoder of the embedded prior instead of one of its own."""
    global _lent
    _lent = encoder


def load_encoder() -> Callable[[torch.Tensor], Sequence[torch.Tensor]]:
    """The embedded prior's VAE encoder on the CPU: (1,3,H,W) in [0,1] -> features, finest level first."""
    weight = None if _lent is None else _lent.conv_in.weight
    lent = weight is not None and weight.device.type == "cpu" and weight.dtype == torch.float32
    return partial(_features, _lent if lent else _own_encoder())


def _features(encoder: Encoder, photo: torch.Tensor) -> Sequence[torch.Tensor]:
    image = to_patches(photo, _config().patch_size)
    found = encoder_features(encoder, image)
    keep(encoder, image, found)
    return found


@cache
def _own_encoder() -> Encoder:
    vae = AutoencoderKL.from_pretrained(EMBEDDED / "vae", use_safetensors=True).eval().requires_grad_(False)
    if _config().edges:
        continue_edges(vae)
    quicken(vae.encoder)
    return vae.encoder


@cache
def _config() -> PriorConfig:
    return read_prior_config(EMBEDDED)

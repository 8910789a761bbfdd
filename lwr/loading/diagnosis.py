"""The diagnosis' parts from their files: the head, and the embedded prior's VAE encoder that it reads."""

from collections.abc import Callable
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors import safe_open
from safetensors.torch import save_file

from lwr.loading.priors import EMBEDDED, read_prior_config
from lwr.models.convolutions import quicken
from lwr.models.diagnosis import DiagnosisHead, Kinds
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


@cache
def load_encoder() -> Callable[[torch.Tensor], list[torch.Tensor]]:
    """The embedded prior's VAE encoder on the CPU: (1,3,H,W) in [0,1] -> features, finest level first."""
    config = read_prior_config(EMBEDDED)
    vae = AutoencoderKL.from_pretrained(EMBEDDED / "vae", use_safetensors=True).eval().requires_grad_(False)
    if config.edges:
        continue_edges(vae)
    quicken(vae.encoder)
    return lambda photo: encoder_features(vae.encoder, to_patches(photo, config.patch_size))

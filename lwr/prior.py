"""The frozen base: a latent diffusion model in diffusers' own classes and folder format.

A prior is a folder with `vae`, `unet`, `scheduler`, `text_encoder`, `tokenizer` and, for ours, `prior.json`
with what diffusers has no field for. The embedded prior ships in `lwr/embedded`.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from lwr.hub import HubError, Pin, fetch, is_repo

MAX_FILE = "9MB"  # a Space takes no plain file over 10 MB
EMBEDDED = Path(__file__).parent / "embedded"
COMPONENTS = {
    "vae": AutoencoderKL,
    "unet": UNet2DConditionModel,
    "text_encoder": CLIPTextModel,
}


class PriorError(ValueError):
    """A model that is unknown, incomplete or out of reach; one sentence with what to do."""


@dataclass(frozen=True)
class PriorFacts:
    """What diffusers' configs cannot say about a prior."""

    id: str = "embedded"
    revision: str = "0.3.0"
    patch_size: int = 1  # space-to-depth before the VAE's encoder and depth-to-space after its decoder
    start_timestep: int = 999  # where few-step sampling starts from the noised LQ latent
    default_steps: int = 4
    default_fidelity: float = 0.5


class Prior(nn.Module):
    """VAE + UNet + scheduler + text conditioning. Images are [0,1] outside, [-1,1] next to the VAE only."""

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        facts: PriorFacts,
    ) -> None:
        super().__init__()
        self.vae, self.unet, self.text_encoder = vae, unet, text_encoder
        self.scheduler, self.tokenizer, self.facts = scheduler, tokenizer, facts

    @property
    def latent_factor(self) -> int:
        """Image pixels per latent pixel along one side."""
        return self.facts.patch_size * 2 ** (len(self.vae.config.block_out_channels) - 1)

    def to_vae(self, image: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) in [0,1] -> the VAE encoder's input (B,3*p*p,H/p,W/p) in [-1,1], p the patch size."""
        return F.pixel_unshuffle(image * 2 - 1, self.facts.patch_size)

    def from_vae(self, output: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_vae`; not clamped."""
        return (F.pixel_shuffle(output, self.facts.patch_size) + 1) / 2

    def scale_latent(self, moments: torch.Tensor) -> torch.Tensor:
        """Encoder moments (B,2C,h,w) -> the posterior's mode (B,C,h,w) in the UNet's units."""
        return moments.chunk(2, 1)[0] * self.vae.config.scaling_factor

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        """Sentences -> (B,L,D) hidden states, padded to the tokenizer's length."""
        tokens = self.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )
        return self.text_encoder(tokens.input_ids.to(self.text_encoder.device))[0]

    def save(self, folder: Path) -> None:
        """Write diffusers' folder format, half precision."""
        for name in COMPONENTS:
            getattr(self, name).half().save_pretrained(folder / name, max_shard_size=MAX_FILE)
            getattr(self, name).float()
        self.scheduler.save_pretrained(folder / "scheduler")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        (folder / "prior.json").write_text(json.dumps(asdict(self.facts), indent=2) + "\n")


@dataclass(frozen=True)
class Located:
    """Where a model lies."""

    folder: Path
    name: str  # "embedded", the folder, or "NAMESPACE/NAME@REVISION"
    notes: tuple[str, ...] = ()  # for the user
    newer: str | None = None  # "NAMESPACE/NAME@vX.Y.Z", a later version than the one that was asked for


def locate(name: str, revision: str | None = None) -> Located:
    """A model by name: "embedded", a local folder, or a Hub repository "NAMESPACE/NAME" (fetched once).

    `revision` is a version tag, a branch or a commit; "NAMESPACE/NAME@REVISION" says the same. Raises
    PriorError with one sentence when there is no such model, or it cannot be reached.
    """
    if name == "embedded":
        return Located(EMBEDDED, name)
    if os.path.isdir(name):  # unlike Path.is_dir, never an error, however long the name
        return Located(Path(name), name)
    pin = Pin.parse(name)
    if not is_repo(pin.repo):
        raise PriorError(
            f"There is no model {name!r}: use 'embedded', the folder of a model, or a Hub repository "
            "'NAMESPACE/NAME'."
        )
    try:
        found = fetch(Pin(pin.repo, revision or pin.revision))
    except HubError as error:
        raise PriorError(f"{error} ('embedded' needs no network.)") from error
    return Located(found.folder, found.name, found.notes, found.newer)


def load_prior(folder: Path = EMBEDDED) -> Prior:
    """Load a prior from a diffusers folder, in float32 on the CPU.

    Raises PriorError with a sentence when a component is missing.
    """
    for name in (*COMPONENTS, "scheduler", "tokenizer"):
        if not (folder / name).is_dir():
            raise PriorError(f"{folder} is no model: it has no {name} folder. Give one in diffusers' format.")
    facts_file = folder / "prior.json"
    facts = (
        PriorFacts(**json.loads(facts_file.read_text()))
        if facts_file.exists()
        else PriorFacts(id=str(folder))
    )
    parts = {
        name: cls.from_pretrained(folder / name, torch_dtype=torch.float32, use_safetensors=True)
        for name, cls in COMPONENTS.items()
    }
    scheduler = DDIMScheduler.from_pretrained(folder / "scheduler")
    return Prior(
        scheduler=scheduler,
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        facts=facts,
        **parts,
    )

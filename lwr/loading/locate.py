"""Where a model lies (a name of PRIORS, a folder, a Hub repository), and the restoring parts that go with it.

A network is a prior and restoring parts (encoder, SFT, CFW). Both may lie in one folder, as in lwr/embedded;
a folder of parts alone names its prior in restoration.json as "base"; and a prior may stand alone.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from lwr.loading.hub import HubError, Pin, fetch, is_repo
from lwr.loading.priors import (
    BUNDLES,
    COMPONENTS,
    PRIORS,
    PriorError,
    bundled,
    fingerprint,
    read_prior_config,
)
from lwr.models.config import PriorConfig

PARTS_CONFIG = "restoration.json"
_WEIGHTS = {name: "model" if name == "text_encoder" else "diffusion_pytorch_model" for name in COMPONENTS}
_CONFIGS = ("*.json", "*/*.json", "tokenizer/*.txt", "adapters/*/*.json")
_PICKLES = {name: "pytorch_model" if name == "text_encoder" else _WEIGHTS[name] for name in COMPONENTS}


@dataclass(frozen=True)
class ModelSource:
    """Where a network lies."""

    folder: Path  # of the prior
    name: str  # "embedded", "sd-turbo", the folder, or "NAMESPACE/NAME@REVISION"
    notes: tuple[str, ...] = ()  # for the user
    newer: str | None = None  # "NAMESPACE/NAME@vX.Y.Z", a later version than the one that was asked for
    parts: Path | None = None  # folder of the restoring parts; None = there are none
    config: PriorConfig | None = None  # of a prior in PRIORS; None = what the folder says


def locate(
    name: str | os.PathLike[str], revision: str | None = None, parts: str | os.PathLike[str] | None = None
) -> ModelSource:
    """A network by name: one of PRIORS, a local folder, or a Hub repository "NAMESPACE/NAME" (fetched once).

    `revision` is a version tag, a branch or a commit; "NAME@REVISION" says the same. "sd-turbo=PLACE" takes
    the files of a prior in PRIORS from another folder or repository. `parts` (a folder or a repository) are
    restoring parts to put around the prior instead of its own. Raises PriorError with one sentence when there
    is no such model, or it cannot be reached.
    """
    name, parts = os.fspath(name), None if parts is None else os.fspath(parts)
    found = _find(name, revision)
    if parts is not None:
        around = _parts(parts)
        if not (around.folder / PARTS_CONFIG).exists():
            raise PriorError(
                f"{parts} has no {PARTS_CONFIG}, so no restoring parts: give a folder that `python -m lwr "
                "convert` or training wrote."
            )
        return replace(found, parts=around.folder, notes=found.notes + around.notes)
    if not (found.folder / PARTS_CONFIG).exists():
        return found
    base = _base(found.folder)
    if base is None:
        return replace(found, parts=found.folder)
    try:
        prior = _find(base, None)
    except PriorError as error:
        raise PriorError(
            f"{name} goes around another prior. {error} Elsewhere: --prior PLACE --parts {name}."
        ) from error
    notes = found.notes + prior.notes
    return replace(found, folder=prior.folder, config=prior.config, parts=found.folder, notes=notes)


def _parts(name: str) -> ModelSource:
    """The folder of restoring parts."""
    if not os.path.isdir(name) and not is_repo(Pin.parse(name).repo):
        raise PriorError(
            f"There are no restoring parts {name!r}: give a folder that `python -m lwr convert` or training "
            "wrote, or a Hub repository 'NAMESPACE/NAME'."
        )
    return _find(name, None)


def _base(folder: Path) -> str | None:
    """The prior that a folder of parts names; a relative path is meant from that folder."""
    try:
        base = json.loads((folder / PARTS_CONFIG).read_text())["base"]
    except (ValueError, TypeError, LookupError):
        return None  # none is named; whoever loads the file will say if it is damaged
    if not isinstance(base, str | None):
        raise PriorError(f"{folder / PARTS_CONFIG} is damaged (base is {base!r}): fetch the model again.")
    return str(folder / base) if base and os.path.isdir(folder / base) else base


def _find(name: str, revision: str | None) -> ModelSource:
    """The folder of that name, fetched if need be."""
    known, _, place = name.partition("=")
    if place and known in PRIORS and PRIORS[known].repo:
        return _as_known(known, _find(place, revision))
    local = name in BUNDLES or os.path.isdir(name)
    if local and revision:
        raise PriorError(f"{name} is on this machine and has no revision {revision!r}: leave it out.")
    if name in BUNDLES:
        if (folder := bundled(name)) is None:
            raise PriorError(f"This program came without {name}: use another model, or install it again.")
        return ModelSource(folder, name)
    if local:  # unlike Path.is_dir, never an error, however long the name
        return ModelSource(Path(name), name)
    pin = Pin.parse(name)
    revision = revision or pin.revision
    if pin.repo in PRIORS and PRIORS[pin.repo].repo:
        row, instead = PRIORS[pin.repo], f"'{pin.repo}=NAMESPACE/NAME' or '{pin.repo}=FOLDER'"
        hint = f" ({pin.repo} is looked for there; give another place as {instead}.)"
        return _as_known(pin.repo, _fetch(Pin(row.repo, revision or row.revision), hint))
    if not is_repo(pin.repo):
        near = get_close_matches(name.lower(), PRIORS, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise PriorError(
            f"There is no model {name!r}: use {', '.join(PRIORS)}, the folder of a model, or a Hub "
            f"repository 'NAMESPACE/NAME'.{hint}"
        )
    return _fetch(Pin(pin.repo, revision), "")


def _as_known(name: str, found: ModelSource) -> ModelSource:
    """What was found, with the config of the prior of that name in PRIORS."""
    revision = found.name.partition("@")[2] or fingerprint(found.folder)
    return replace(found, config=replace(PRIORS[name].config, revision=revision))


def _fetch(pin: Pin, hint: str) -> ModelSource:
    """A repository's files: all of a network of ours; of a plain prior only what is used of its many."""
    try:
        found = fetch(pin, _CONFIGS)
        pinned = Pin.parse(found.name)
        if (found.folder / PARTS_CONFIG).exists():
            fetch(pinned)
        elif (found.folder / "unet").is_dir():
            fetch(pinned, (*_CONFIGS, *_weights(_WEIGHTS, "safetensors")))
            # pickled weights only where there are no others; they are read without running what they hold
            lacking = {n: w for n, w in _PICKLES.items() if not any((found.folder / n).glob("*.safetensors"))}
            if lacking:
                fetch(pinned, _weights(lacking, "bin"))
        else:
            lack = "it has no unet folder. Give one in diffusers' format."
            raise PriorError(f"{found.name} is no model: {lack}")
    except HubError as error:
        raise PriorError(f"{error}{hint} ('embedded' needs no network.)") from error
    return ModelSource(found.folder, found.name, found.notes, found.newer)


def _weights(stems: dict[str, str], ending: str) -> Sequence[str]:
    """Patterns of the full-precision weights, in one file or several."""
    return [f"{n}/{stem}{more}" for n, stem in stems.items() for more in (f".{ending}", f"-*-of-*.{ending}")]


def prior_config_of(source: ModelSource) -> PriorConfig:
    """The config of the prior at this place."""
    return source.config or read_prior_config(source.folder)

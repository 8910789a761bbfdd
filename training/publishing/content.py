"""What each repository holds at a version: {path there: the file here, or the bytes made for it}."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from PIL import Image
from safetensors import SafetensorError

from lwr.loading.adapter import CONFIG, METADATA, WEIGHTS, AdapterError, AdapterMetadata, load_adapter
from lwr.loading.load import PARTS, load_network
from lwr.loading.locate import PARTS_CONFIG
from lwr.loading.priors import COMPONENTS, LITE
from lwr.loading.texts import FILE as TEXTS
from lwr.models.config import PriorConfig
from lwr.restore import PINS
from lwr.tasks import TASKS
from training.data.storage import sha256
from training.publishing.cards import (
    SHEET,
    STUDY_PICTURE,
    Measured,
    adapter_card,
    lite_card,
    prior_card,
    space_card,
)
from training.publishing.errors import PublishError
from training.publishing.light import MADE
from training.publishing.names import Names
from training.publishing.results import Results
from training.study import report

ROOT = Path(__file__).parents[2]
SPACE_SUFFIXES = (".py", ".js", ".css", ".md", ".json", ".jpg", ".webp", ".safetensors")  # in lwr and page
SPACE_FILES = ("app.py", "requirements.txt", "LICENSE", "cards/limits.md")
SHORT = "evaluate-short.md"  # the table of the page's About tab, with the command that measured it
NUMBERS = "numbers.webp"  # its picture
UNPINNED = re.compile(r'^    adapter="[^"]*",', re.MULTILINE)  # of a task file
BEGINNING = re.compile(r"^TASK = Task\($", re.MULTILINE)
Kind = Literal["model", "dataset", "space"]


@dataclass(frozen=True)
class Publication:
    """One repository at one version."""

    kind: Kind
    repo: str
    files: Mapping[str, Path | bytes]
    needs: Sequence[str] = field(default=())  # "REPO@VERSION" of models that must be published before
    names: Sequence[str] = field(default=())  # of models that it refers to and can do without


def prior(names: Names, network: Path, results: Results) -> Publication:
    """The network without its adapters, which it names by repository and version."""
    pins = {task: names.pin(task) for task in adapters(network)}
    measured = _measured(network, results)
    files: dict[str, Path | bytes] = {**_network(network)}
    files |= {
        "README.md": prior_card(names, pins, measured).encode(),
        "LICENSE": ROOT / "LICENSE",
        PINS: _json(pins),
    }
    files |= _sheet(measured, "evaluate.jpg")
    if study := _study(results):
        files[STUDY_PICTURE] = study[0]
    return Publication("model", names.prior, files, names=tuple(pins.values()))


def is_lite(network: Path) -> bool:
    """Whether the folder holds the smaller network, which has a repository and a card of its own."""
    return (network / "prior.json").exists() and _prior_config(network).id == LITE


def lite(names: Names, network: Path, results: Results) -> Publication:
    """The smaller network with its adapters."""
    there = adapters(network)
    files: dict[str, Path | bytes] = {**_network(network), "LICENSE": ROOT / "LICENSE"}
    for task in there:
        own = {name: network / "adapters" / task / name for name in (WEIGHTS, METADATA, CONFIG)}
        files |= {f"adapters/{task}/{name}": path for name, path in own.items()}
    files |= {MADE: network / MADE} if (network / MADE).exists() else {}
    files["README.md"] = lite_card(names, network, list(there), results).encode()
    return Publication("model", names.prior, files)


def adapter(names: Names, network: Path, task: str, results: Results) -> Publication:
    """One task's adapter, its metadata brought to this version and base repository."""
    metadata, prior = adapters(network)[task], _prior_config(network)
    folder, measured = network / "adapters" / task, _measured(network, results)
    if (metadata.prior, metadata.prior_revision) != (prior.id, prior.revision):
        raise PublishError(
            f"{folder} was trained on {metadata.prior}@{metadata.prior_revision}, and the network beside it "
            f"is {prior.name}: train it on that one first."
        )
    try:
        load_adapter(folder, task, metadata.prior)
        config = json.loads((folder / CONFIG).read_text())
    except AdapterError as error:
        raise PublishError(str(error)) from error
    except (OSError, ValueError) as error:
        raise PublishError(f"{folder / CONFIG} is missing or damaged: export the adapter again.") from error
    version = names.version.removeprefix("v")
    config |= {"base_model_name_or_path": names.prior, "revision": names.version}
    size = (folder / WEIGHTS).stat().st_size
    card = adapter_card(names, TASKS[task], replace(metadata, version=version), size, measured)
    files = {
        WEIGHTS: folder / WEIGHTS,
        METADATA: _json(json.loads((folder / METADATA).read_text()) | {"version": version}),
        CONFIG: _json(config),
        "LICENSE": ROOT / "LICENSE",
        "README.md": card.encode(),
    }
    sheet = _sheet(measured, f"evaluate-{task}.jpg") if task in measured.adapters else {}
    return Publication("model", names.adapter(task), files | sheet)


def dataset(names: Names, folder: Path) -> Publication:
    """A set that training.build_dataset finished, each shard checked against the set's own list."""
    try:
        manifest = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        shards = manifest["files"]
    except FileNotFoundError as error:
        raise PublishError(
            f"There is no finished dataset in {folder}: build one with python -m training.build_dataset "
            f"--photos PHOTOS --out {folder}, or give another with --dataset."
        ) from error
    except (ValueError, KeyError) as error:
        raise PublishError(f"{folder / 'dataset.json'} is damaged ({error}): build the set again.") from error
    there = _folder(folder)
    bad = [
        name for name, shard in shards.items() if name not in there or sha256(there[name]) != shard["sha256"]
    ]
    bad += [name for name in there if name.startswith("data/") and name not in shards]
    bad += [name for name in ("README.md", "rejected.csv") if name not in there]
    if bad:
        raise PublishError(
            f"{bad[0]} in {folder} is missing, or not as the set was built ({len(bad)} such): "
            "build it again; python -m training.build_dataset --out DIR --verify says more."
        )
    own = ("README.md", "rejected.csv", "dataset.json")
    files = {
        name: path for name, path in there.items() if name in (*own, *shards) or name.startswith("assets/")
    }
    card = files["README.md"].read_text(encoding="utf-8")
    for here, there in (
        ('"DIR", ', f'"{names.dataset}", '),
        ('split="train", ', f'split="train", revision="{names.version}", '),
        ("# DIR: this folder or its Hub name", "# without streaming: all of it, kept on your disk"),
    ):
        card = card.replace(here, there, 1)
    return Publication("dataset", names.dataset, files | {"README.md": card.encode()})


def space(names: Names, network: Path, results: Results) -> Publication:
    """The page, the library and the network; tasks are pinned to the adapters of this version."""
    there = adapters(network)
    if missing := [task for task in TASKS if task not in there]:
        raise PublishError(
            f"The Space offers the task {missing[0]!r}, and {network / 'adapters'} has no adapter for it: "
            "train it, or take its file out of lwr/tasks."
        )
    pins = {task: names.pin(task) for task in there}
    files: dict[str, Path | bytes] = {name: ROOT / name for name in SPACE_FILES}
    for folder in ("lwr", "page"):
        found = _folder(ROOT / folder, SPACE_SUFFIXES)
        files |= {
            f"{folder}/{name}": path for name, path in found.items() if not name.startswith("embedded/")
        }
    files |= {f"lwr/embedded/{name}": path for name, path in _network(network).items()}
    for task in there:
        own = {name: network / "adapters" / task / name for name in (WEIGHTS, METADATA, CONFIG)}
        files |= {f"lwr/embedded/adapters/{task}/{name}": path for name, path in own.items()}
    for task, pin in pins.items():
        name = f"lwr/tasks/{task.replace('-', '_')}.py"
        files[name] = _pinned(files, name, pin)
    measured = _measured(network, results)
    if measured.adapters:  # what the page's About tab shows
        shown = [results.folder / SHORT, results.folder / NUMBERS, *results.folder.glob("evaluate-*.jpg")]
        files |= {f"training/results/{path.name}": path for path in sorted(shown) if path.exists()}
    files |= {f"training/results/{path.name}": path for path in _study(results)}  # in its About tab, too
    files["page/published.json"] = _json(names.links(there))
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    files["README.md"] = space_card(names, pins, measured, requirements).encode()
    return Publication("space", names.space, files, tuple(pins.values()))


def _pinned(files: Mapping[str, Path | bytes], name: str, pin: str) -> bytes:
    """The task file with its adapter's line naming the published one."""
    source = files[name].read_text(encoding="utf-8") if name in files else ""
    line = f'    adapter="{pin}",'
    text, count = UNPINNED.subn(line, source)
    if count == 0:  # a task need not say that its adapter is the shipped one
        text, count = BEGINNING.subn(f"\\g<0>\n{line}", source)
    if count != 1:
        raise PublishError(f"{name} does not hold one constant TASK = Task(...): write it as the others are.")
    return text.encode()


def adapters(network: Path) -> dict[str, AdapterMetadata]:
    """{task: metadata} of the adapters beside the network, in the order of the tasks."""
    if not (network / "restoration.json").exists():
        raise PublishError(f"There is no network in {network}: give the folder of one with --prior.")
    folder, found = network / "adapters", {}
    for task in TASKS:
        try:
            found[task] = AdapterMetadata(**json.loads((folder / task / METADATA).read_text()))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError) as error:
            path = folder / task / METADATA
            raise PublishError(f"{path} is damaged ({error}): export the adapter again.") from error
    return found


def _prior_config(network: Path) -> PriorConfig:
    try:
        return PriorConfig(**json.loads((network / "prior.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise PublishError(
            f"{network / 'prior.json'} is missing or damaged ({error}): train again."
        ) from error


def _network(network: Path) -> dict[str, Path]:
    """{path: file} of the parts of a network, once it has been loaded to see that it is whole."""
    try:
        loaded = load_network(network)
        if loaded.encoder is None:
            raise ValueError(f"{PARTS_CONFIG} names no parts")
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise PublishError(f"The network in {network} is damaged ({reason}): give a whole one.") from error
    base = loaded.config.base or ""
    if os.path.isdir(base.rpartition("=")[2]):
        raise PublishError(
            f"The network in {network} goes around a prior that lies in a folder of this machine ({base}): "
            f"publish that prior, and name it in {network / PARTS_CONFIG} as NAMESPACE/NAME@REVISION."
        )
    single = (PARTS_CONFIG, "prior.json", TEXTS, *(f"{part}.safetensors" for part in PARTS))
    folders = tuple(f"{name}/" for name in (*COMPONENTS, "scheduler", "tokenizer"))
    return {
        name: path for name, path in _folder(network).items() if name in single or name.startswith(folders)
    }


def _measured(network: Path, results: Results) -> Measured:
    return Measured.of(results, _prior_config(network), adapters(network))


def _sheet(measured: Measured, name: str) -> dict[str, Path | bytes]:
    """The example pictures, if they were made."""
    path = measured.results.folder / name
    if not measured.adapters or not path.exists():
        return {}
    try:
        with Image.open(path) as picture:
            picture.verify()
    except OSError as error:
        raise PublishError(f"{path} is no picture: measure again with --sheet.") from error
    return {SHEET: path}


def _study(results: Results) -> list[Path]:
    """The main figure of the study and its sentences; [] when one is missing."""
    paths = [results.folder / name for name in (report.FIGURE, report.SHORT)]
    return paths if results.study() and all(path.exists() for path in paths) else []


def _folder(folder: Path, suffixes: Sequence[str] | None = None) -> dict[str, Path]:
    """{path: file} of all files under a folder (of these suffixes), but hidden ones and symbolic links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith((".", "__pycache__")) for part in parts)
        wanted = suffixes is None or path.suffix in suffixes
        if wanted and path.is_file() and not path.is_symlink() and not hidden:
            found["/".join(parts)] = path
    return found


def _json(values: object) -> bytes:
    return (json.dumps(values, indent=2) + "\n").encode()

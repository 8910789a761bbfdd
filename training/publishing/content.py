"""What each repository holds at a version: {path there: the file here, or the bytes made for it}."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lwr.adapter import CONFIG, FACTS, WEIGHTS, AdapterError, AdapterFacts, load_adapter
from lwr.prior import EMBEDDED, PriorFacts
from lwr.restore import PINS
from lwr.tasks import TASKS
from training.publishing.cards import SHEET, Measured, adapter_card, prior_card, space_card
from training.publishing.names import Names
from training.publishing.results import Results
from training.storage import sha256

ROOT = Path(__file__).parents[2]
SPACE_FILES = ("app.py", "requirements.txt", "LICENSE", "cards/limits.md")
UNPINNED = re.compile(r'^    adapter="[^"]*",', re.MULTILINE)  # of a task file
Kind = Literal["model", "dataset", "space"]


class PublishError(Exception):
    """What cannot be published, or not now; one sentence: what is wrong, and what to do."""


@dataclass(frozen=True)
class Publication:
    """One repository at one version."""

    kind: Kind
    repo: str
    files: Mapping[str, Path | bytes]
    needs: Sequence[str] = field(default=())  # "REPO@VERSION" of models that must be published before


def prior(names: Names, network: Path, results: Results) -> Publication:
    """The network without its adapters, which it names by repository and version."""
    pins = {task: names.pin(task) for task in adapters(network)}
    measured = _measured(network, results)
    files = _folder(network, skip=("adapters", PINS, "README.md"))
    files |= {
        "README.md": prior_card(names, pins, measured).encode(),
        "LICENSE": ROOT / "LICENSE",
        PINS: _json(pins),
    }
    return Publication("model", names.prior, files | _sheet(measured, "evaluate.jpg"))


def adapter(names: Names, network: Path, task: str, results: Results) -> Publication:
    """One task's adapter, its facts brought to this version and base repository."""
    facts = adapters(network)[task]
    folder, measured = network / "adapters" / task, _measured(network, results)
    try:
        load_adapter(folder, task, facts.prior)
    except AdapterError as error:
        raise PublishError(str(error)) from error
    version = names.version.removeprefix("v")
    config = json.loads((folder / CONFIG).read_text())
    config |= {"base_model_name_or_path": names.prior, "revision": names.version}
    size = (folder / WEIGHTS).stat().st_size
    card = adapter_card(names, TASKS[task], replace(facts, version=version), size, measured)
    files = {
        WEIGHTS: folder / WEIGHTS,
        FACTS: _json(json.loads((folder / FACTS).read_text()) | {"version": version}),
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
    files = _folder(folder, skip=())
    bad = [
        name for name, facts in shards.items() if name not in files or sha256(files[name]) != facts["sha256"]
    ]
    if bad:
        raise PublishError(
            f"{bad[0]} in {folder} is missing or not as it was built ({len(bad)} such): "
            "build it again; python -m training.build_dataset --out DIR --verify says more."
        )
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
    facts = adapters(network)
    pins = {task: names.pin(task) for task in facts}
    files: dict[str, Path | bytes] = {name: ROOT / name for name in SPACE_FILES}
    for folder, skip in (("lwr", ("embedded",)), ("page", ())):
        files |= {f"{folder}/{name}": path for name, path in _folder(ROOT / folder, skip).items()}
    shipped = _folder(network, skip=(PINS, "README.md"))
    files |= {f"lwr/embedded/{name}": path for name, path in shipped.items()}
    for task, pin in pins.items():
        name = f"lwr/tasks/{task.replace('-', '_')}.py"
        files[name] = _pinned(files, name, pin)
    measured = _measured(network, results)
    if measured.adapters:  # what the page's About tab shows
        shown = [results.folder / "evaluate.json", *sorted(results.folder.glob("evaluate-*.jpg"))]
        files |= {f"training/results/{path.name}": path for path in shown}
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    files["README.md"] = space_card(names, pins, measured, requirements).encode()
    return Publication("space", names.space, files, tuple(pins.values()))


def _pinned(files: Mapping[str, Path | bytes], name: str, pin: str) -> bytes:
    """The task file with its adapter's line naming the published one."""
    source = files[name].read_text(encoding="utf-8") if name in files else ""
    text, count = UNPINNED.subn(f'    adapter="{pin}",', source)
    if count != 1:
        raise PublishError(
            f'{name} does not say once which adapter it uses: give its Task the line adapter="embedded".'
        )
    return text.encode()


def adapters(network: Path) -> dict[str, AdapterFacts]:
    """{task: facts} of the adapters beside the network, in the order of the tasks."""
    if not (network / "restoration.json").exists():
        raise PublishError(f"There is no network in {network}: give the folder of one with --prior.")
    folder, found = network / "adapters", {}
    for task in TASKS:
        try:
            found[task] = AdapterFacts(**json.loads((folder / task / FACTS).read_text()))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError) as error:
            path = folder / task / FACTS
            raise PublishError(f"{path} is damaged ({error}): export the adapter again.") from error
    return found


def _measured(network: Path, results: Results) -> Measured:
    facts = PriorFacts(**json.loads((network / "prior.json").read_text()))
    return Measured.of(results, facts, adapters(network))


def _sheet(measured: Measured, name: str) -> dict[str, Path | bytes]:
    """The example pictures, if they were made."""
    path = measured.results.folder / name
    return {SHEET: path} if measured.adapters and path.exists() else {}


def _folder(folder: Path, skip: Sequence[str]) -> dict[str, Path | bytes]:
    """{path: file} of all files under a folder but hidden and compiled ones and those named in `skip`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        passed = parts[0] in skip or any(part.startswith((".", "__pycache__")) for part in parts)
        if path.is_file() and not passed:
            found["/".join(parts)] = path
    return found


def _json(facts: Mapping[str, object]) -> bytes:
    return (json.dumps(facts, indent=2) + "\n").encode()


DEFAULT_NETWORK = EMBEDDED

"""Publish the network, its adapters, the dataset and the Space as versioned repositories of the Hub.

    python -m training.publish all --namespace NAME --version v1.0.0 --dry-run    # the exact folders, here
    hf auth login && python -m training.publish all --namespace NAME --version v1.0.0

Cards name only repositories that this run makes or, unless it is a dry run, that are on the Hub already. Each
repository gets one commit and then the tag. The same command again does nothing, or resumes where it was
interrupted; a version never changes. The token is huggingface_hub's own: `hf auth login`, or HF_TOKEN.
"""

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id
from tyro.conf import Positional, UseAppendAction

from lwr.loading.priors import EMBEDDED
from lwr.tasks import TASKS
from training.command_line import parse
from training.publishing import content
from training.publishing.content import Publication
from training.publishing.errors import PublishError
from training.publishing.names import Names, Repository
from training.publishing.results import FOLDER, Results

COMMAND = "python -m training.publish"
DATASET = Path("runs/multitask")
LITE_NETWORK = "lwr-lite"  # repository of the smaller network
MARK = ".training-publish"  # beside the folders that a dry run wrote, which the next one may replace


@dataclass(frozen=True)
class Options:
    """Of the command line."""

    what: Positional[Literal["adapter", "prior", "dataset", "space", "all"]]  # 'all' publishes the Space last
    namespace: str  # user or organisation on the Hub
    version: str  # vX.Y.Z; a published version never changes
    dry_run: bool = False  # write the folders here, send nothing
    private: bool = False  # make new repositories private
    # 'adapter' of this task only; may be given several times
    task: UseAppendAction[list[Literal[*TASKS]]] = field(default_factory=list)
    prior: Path = EMBEDDED  # folder of the network to publish
    dataset: Path | None = None  # folder of a finished set; none = runs/multitask
    results: Path = FOLDER  # measurements for the cards
    out: Path = Path("runs/publish")  # where a dry run writes


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: all published or written; 1: not all; 2: wrong usage, nothing was done."""
    options = parse(Options, arguments, COMMAND, __doc__)
    try:
        names = _names(options)
        names = replace(names, there=_there(options, names))
        publications = _publications(options, names)
    except PublishError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        if options.dry_run:
            write(publications, options.out / names.version)
        else:
            _upload(publications, names, options.private)
    except PublishError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped: the same command continues from here; no unfinished version shows.", file=sys.stderr)
        return 130
    return 0


def _names(options: Options) -> Names:
    if not re.fullmatch(r"v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", options.version):
        raise PublishError(f"{options.version!r} is no version: use vX.Y.Z, such as v1.0.0.")
    names = Names(options.namespace, options.version)
    try:
        validate_repo_id(names.dataset)
    except HFValidationError as error:
        raise PublishError(f"{options.namespace!r} cannot be a namespace of the Hub.") from error
    if "/" in options.namespace:
        raise PublishError(f"{options.namespace!r} is no namespace: give the part before the slash.")
    if options.task and options.what != "adapter":
        raise PublishError("--task goes with 'adapter' only.")
    if not content.is_lite(options.prior) or options.what == "dataset":
        return names
    if options.what != "prior":
        raise PublishError(f"{options.prior} holds its adapters itself: publish it with 'prior'.")
    return replace(names, network=LITE_NETWORK)


def _wanted(options: Options) -> tuple[str, ...]:
    """The kinds of content that are to be published."""
    if options.what != "all":
        return (options.what,)
    has_dataset = options.dataset is not None or DATASET.exists()
    return ("adapter", "prior", *(["dataset"] if has_dataset else []), "space")


def _there(options: Options, names: Names) -> frozenset[Repository]:
    """What this run publishes, and what is on the Hub; a dry run does not ask the Hub."""
    wanted, every = (
        _wanted(options),
        {
            "prior": [("model", names.prior)],
            "dataset": [("dataset", names.dataset)],
            "space": [("space", names.space)],
            "adapter": [("model", names.adapter(task)) for task in TASKS],
        },
    )
    made = {repo for kind in wanted for repo in every[kind]}
    if "adapter" in wanted:
        tasks = options.task or content.adapters(options.prior)
        made -= {("model", names.adapter(task)) for task in TASKS if task not in tasks}
    others = {repo for repos in every.values() for repo in repos} - made
    if options.dry_run or not others:
        return frozenset(made)
    from training.publishing.upload import existing

    return frozenset(made | existing(others))


def _publications(options: Options, names: Names) -> list[Publication]:
    """What was asked for, in the order in which it may be published."""
    wanted, network, results = _wanted(options), options.prior, Results(options.results)
    found: list[Publication] = []
    if "adapter" in wanted:
        there = content.adapters(network)
        tasks = options.task or list(there)
        if missing := [task for task in tasks if task not in there]:
            raise PublishError(f"{network / 'adapters'} has no adapter for {missing[0]!r}: train it first.")
        for task in TASKS if not options.task else ():
            if task not in there:
                print(f"{network / 'adapters'} has no adapter for {task!r}: left out.", file=sys.stderr)
        found += [content.adapter(names, network, task, results) for task in tasks]
    if "prior" in wanted:
        make = content.lite if content.is_lite(network) else content.prior
        found.append(make(names, network, results))
    if "dataset" in wanted:
        found.append(content.dataset(names, options.dataset or DATASET))
    elif options.what == "all":
        print(f"No dataset is in {DATASET}, so none is published with the rest.", file=sys.stderr)
    if "space" in wanted:
        found.append(content.space(names, network, results))
    return found


def _upload(publications: Sequence[Publication], names: Names, private: bool) -> None:
    from huggingface_hub import HfApi

    from training.publishing.upload import check_login, publish

    api = HfApi()
    check_login(api, names.namespace)
    for publication in publications:
        print(publish(api, publication, names.version, private, lambda text: print(text, file=sys.stderr)))


def write(publications: Sequence[Publication], folder: Path) -> None:
    """Write each repository as a folder, KIND/NAMESPACE/NAME; a folder of an earlier dry run is replaced.

    Raises PublishError when something else is in the way.
    """
    for publication in publications:
        target = folder / f"{publication.kind}s" / publication.repo
        mark = target.parent / f"{MARK}-{target.name}"
        if target.exists() and not mark.exists():
            raise PublishError(f"{target} is there and not from a dry run, so it stays: give another --out.")
        try:
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(parents=True)
            mark.touch()
            for name, data in publication.files.items():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                if isinstance(data, bytes):
                    (target / name).write_bytes(data)
                else:
                    shutil.copyfile(data, target / name)
        except OSError as error:
            raise PublishError(f"{target} could not be written ({error}): give another --out.") from error
        print(target)


if __name__ == "__main__":
    sys.exit(main())

"""Publish the network, its adapters, the dataset and the Space as versioned repositories of the Hub.

    python -m training.publish all --namespace NAME --version v1.0.0 --dry-run    # the exact folders, here
    hf auth login && python -m training.publish all --namespace NAME --version v1.0.0

Each repository gets one commit and then the tag. The same command again does nothing, or goes on where it was
interrupted; a version never changes. The token is huggingface_hub's own: `hf auth login`, or HF_TOKEN.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from lwr.loading.priors import EMBEDDED
from lwr.tasks import TASKS
from training.publishing import content
from training.publishing.content import Publication
from training.publishing.errors import PublishError
from training.publishing.names import Names
from training.publishing.results import FOLDER, Results

TARGETS = ("prior", "adapter", "dataset", "space", "all")
DATASET = Path("runs/multitask")
DRY_RUN = Path("runs/publish")
MARK = ".training-publish"  # in a folder that a dry run wrote, which the next one may replace


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0: all published or written; 1: not all; 2: wrong usage, nothing was done."""
    options = _parser().parse_args(arguments)
    try:
        names = _names(options)
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
        print("Stopped: the same command goes on from here; no unfinished version shows.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    about, _, rest = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m training.publish",
        description=about,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", choices=TARGETS, help="'all' is every one of them, the Space last")
    parser.add_argument("--namespace", required=True, help="user or organisation on the Hub")
    parser.add_argument("--version", required=True, help="vX.Y.Z; a published version never changes")
    parser.add_argument("--dry-run", action="store_true", help="write the folders here, send nothing")
    parser.add_argument("--private", action="store_true", help="make new repositories private")
    parser.add_argument("--task", action="append", choices=list(TASKS), help="'adapter' of these only")
    for name, default, what in (
        ("--prior", EMBEDDED, "the network to publish [lwr/embedded]"),
        ("--dataset", None, f"a finished set [{DATASET}]"),
        ("--results", FOLDER, "measurements for the cards [training/results]"),
        ("--out", DRY_RUN, f"where a dry run writes [{DRY_RUN}]"),
    ):
        parser.add_argument(name, type=Path, default=default, metavar="DIR", help=what)
    return parser


def _names(options: argparse.Namespace) -> Names:
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
    return names


def _publications(options: argparse.Namespace, names: Names) -> list[Publication]:
    """What was asked for, in the order in which it may be published."""
    wanted = TARGETS[:-1] if options.what == "all" else (options.what,)
    network, results = options.prior, Results(options.results)
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
        found.append(content.prior(names, network, results))
    if "dataset" in wanted:
        folder = options.dataset or DATASET
        if options.what == "all" and options.dataset is None and not folder.exists():
            print(f"No dataset is in {folder}, so none is published with the rest.", file=sys.stderr)
        else:
            found.append(content.dataset(names, folder))
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

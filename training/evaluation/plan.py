"""The command line of `python -m training.evaluate`, checked, and the photos and cases that it asks for."""

import argparse
import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, NoReturn, TypeVar

from tqdm import tqdm

from lwr.tasks import TASKS
from training.data.shards import Skipped
from training.evaluation.cases import Case, swap_cases
from training.evaluation.report import check_ours, sheet_of
from training.evaluation.samples import (
    Sample,
    clean_photos,
    damaged_samples,
    find_pairs,
    find_photos,
    pair_samples,
    photo_samples,
)
from training.evaluation.scores import COMMAND, ResultsError

RESULTS = Path("training/results")
CLEAN = "../shared/photos"
T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """One call of the command line."""

    mode: Literal["clean", "pairs", "photos"]
    source: str
    split: str  # of the mode "clean"
    limit: int | None  # photos; None: all
    task: str | None
    prompt: str | None  # None, and no task: every task
    prior: str
    adapter: list[str]  # folders, or NAMESPACE/NAME@REVISION on the Hub
    fidelity: list[float] | None  # None: the prior's default and 1
    steps: int | None  # None: the prior's default
    swap: bool
    baselines: bool
    out: Path
    sheet: Path | None
    curve: Path | None
    against: Path | None

    @property
    def damages(self) -> tuple[str, ...]:
        """What may be wrong with the photos, as cases name it."""
        if self.mode != "clean":
            return (self.mode,)
        return (self.task,) if self.task else tuple(TASKS)

    def cases(self, default_fidelity: float) -> list[Case]:
        """What is asked for each damage at each fidelity, without the prompt swap."""
        asked = self.task or self.prompt
        fidelities = self.fidelity or ([None] if default_fidelity == 1 else [None, 1.0])
        return [Case(d, asked or d, f, self.steps) for d in self.damages for f in dict.fromkeys(fidelities)]

    def swapped(self, default_fidelity: float) -> list[Case]:
        """The prompt-swap cases, at the prior's fidelity or else the first one listed."""
        if not self.swap:
            return []
        listed = self.fidelity or [None]
        fidelity = default_fidelity if default_fidelity in listed else listed[0]
        return swap_cases(self.damages, fidelity, self.steps)

    def prepare_files(self) -> None:
        """Make the folders to write in; ResultsError when something foreign is in the way."""
        for path, suffix in ((self.out, ".json"), (self.sheet, ".jpg"), (self.curve, ".png")):
            if path is not None and path.suffix != suffix:
                raise ResultsError(f"{path} does not end with {suffix}: give a name that does.")
        if self.curve and self.mode == "photos":
            raise ResultsError("Photos without targets have no PSNR to draw: leave out --curve.")
        if self.curve and importlib.util.find_spec("matplotlib") is None:
            raise ResultsError("--curve needs matplotlib: pip install matplotlib==3.11.2")
        sheets = [sheet_of(self.sheet, damage) for damage in self.damages] if self.sheet else []
        for path in (self.out, self.out.with_suffix(".md"), self.sheet, *sheets, self.curve):
            if path is not None:
                check_ours(path)
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise ResultsError(f"{path.parent} cannot be made a folder: {error}.") from error


@dataclass(frozen=True)
class Photos:
    """The photos of a plan, read one by one, and what they are called: {damage: photo ids}."""

    samples: Iterable[Sample]
    ids: Mapping[str, Sequence[str]]


def find(plan: Plan, scale: float, skipped: list[Skipped]) -> Photos:
    """The photos of a plan; `scale` is for those without a target. SampleError when there are none."""
    folder = Path(plan.source)
    if plan.mode == "pairs":
        pairs = find_pairs(folder, plan.limit, skipped)
        return Photos(pair_samples(_progress(pairs), skipped), {"pairs": [p.id for p in pairs]})
    if plan.mode == "photos":
        files = find_photos(folder, plan.limit)
        names = [path.relative_to(folder).as_posix() for path in files]
        return Photos(photo_samples(folder, _progress(files), scale, skipped), {"photos": names})
    photos = clean_photos(plan.source, None if plan.split == "all" else plan.split, plan.limit, skipped)
    names = [photo.id for photo in photos]
    samples = damaged_samples(_progress(photos), plan.damages)
    return Photos(samples, dict.fromkeys(plan.damages, names))


def read_arguments(argv: Sequence[str], description: str) -> Plan:
    """The plan of a command line; a mistake in it ends the program with status 2 and one sentence."""
    parser = _Parser(
        prog=COMMAND,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _add_photos(parser)
    _add_model(parser)
    _add_output(parser)
    values = vars(parser.parse_args(argv))
    mode = next((name for name in ("pairs", "photos") if values[name] is not None), "clean")
    if mode != "clean" and values["task"] is None and values["prompt"] is None:
        parser.error(f"--{mode} needs --task NAME or --prompt TEXT: say what is to be restored.")
    if mode == "clean" and values["prompt"] is not None:
        parser.error("--prompt goes with --pairs or --photos: clean photos are damaged by task, see --task.")
    if values["task"] is not None and values["task"] not in TASKS:
        parser.error(f"There is no task {values['task']!r}: use {', '.join(TASKS)}.")
    values |= {"mode": mode, "source": values[mode] or CLEAN}
    values["out"] = values["out"] or RESULTS / f"{'evaluate' if mode == 'clean' else mode}.json"
    values["swap"] = mode == "clean" if values["swap"] is None else values["swap"]
    return Plan(**{field.name: values[field.name] for field in fields(Plan)})


def _add_photos(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("photos").add_mutually_exclusive_group()
    group.add_argument(
        "--clean",
        metavar="SOURCE",
        help=f"folder, shards or Hub dataset of clean photos, which every task damages (default: {CLEAN})",
    )
    group.add_argument(
        "--pairs", metavar="FOLDER", help="input/ and target/ (or lq/ gt/, degraded/ clean/), named alike"
    )
    group.add_argument("--photos", metavar="FOLDER", help="photos without targets")
    group = parser.add_argument_group("which of them, and what to ask for")
    splits = ["validation", "test", "train", "all"]
    group.add_argument("--split", choices=splits, default="validation", help="of clean photos")
    group.add_argument("--limit", type=_count, metavar="N", help="only so many photos")
    asked = group.add_mutually_exclusive_group()
    asked.add_argument("--task", metavar="NAME", help=", ".join(TASKS))
    asked.add_argument("--prompt", metavar="TEXT", help="in words, as a user would")


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--prior", default="embedded", help="embedded, a folder, or a Hub repository")
    group.add_argument("--model", dest="prior", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    group.add_argument(
        "--adapter",
        action="append",
        default=[],
        metavar="ADAPTER",
        help="a folder or NAMESPACE/NAME@REVISION, to use for its task; may be given several times",
    )
    group.add_argument(
        "--fidelity", type=_numbers, metavar="0,0.5,1", help="default: the prior's default, and 1"
    )
    group.add_argument("--steps", type=int, help="sampling steps; default: the prior's")
    yes_no = argparse.BooleanOptionalAction
    group.add_argument("--swap", action=yes_no, help="also every other task's prompt; default: clean photos")
    group.add_argument("--baselines", action=yes_no, default=True, help="also classical methods")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "--out", type=Path, metavar="FILE.json", help=f"default: in {RESULTS}; FILE.md goes beside"
    )
    group.add_argument("--sheet", type=Path, metavar="FILE.jpg", help="pictures: input | output | target")
    group.add_argument("--curve", type=Path, metavar="FILE.png", help="PSNR against LPIPS over fidelities")
    group.add_argument(
        "--against", type=Path, metavar="OTHER.json", help="compare with an earlier result, photo by photo"
    )


def _progress(items: Sequence[T]) -> Iterator[T]:
    """A bar that appears with the first photo, after everything has been checked."""
    yield from tqdm(items, "photos")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{message}\n")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of photos: give 1 or more.")
    return int(text)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers: write it as 0,0.5,1.") from error

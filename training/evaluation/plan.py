"""The command line of `python -m training.evaluate`, checked, and the photos and cases that it asks for."""

import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeVar

from tqdm import tqdm
from tyro.conf import UseAppendAction

from lwr.tasks import TASKS
from training.command_line import fail, parse
from training.data.built_set import there_in
from training.data.held_out import measured
from training.data.pairs import Pair, find_pairs, is_patterns
from training.data.photos import Split
from training.data.shards import BUILT_SET, Skipped
from training.data.storage import place
from training.evaluation.benchmarks import BENCHMARKS, Benchmark
from training.evaluation.cases import Case, swap_cases
from training.evaluation.pictures import sheet_of
from training.evaluation.protocol import PLAIN, Channel, Protocol
from training.evaluation.report import check_ours
from training.evaluation.samples import (
    Sample,
    SampleError,
    clean_photos,
    damaged_samples,
    find_photos,
    pair_samples,
    photo_samples,
)
from training.evaluation.scores import COMMAND, ResultsError, read_json
from training.evaluation.sets import DamagedSet, find_set, set_samples

RESULTS = Path("training/results")
MODES = ("clean", "pairs", "photos")
T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """One call of the command line; exactly one of `clean`, `pairs` and `photos` is given."""

    clean: str | None = None  # folder, shards or Hub dataset of clean photos, which every task damages
    # folder such as input/ and target/, two patterns (training/data/pairs.py), or a dataset in our format:
    # its folder or NAMESPACE/NAME@REVISION, with /CONFIG or every damage that it has
    pairs: str | None = None
    # the benchmark that lies in the folder of --pairs, whose layout and protocol are followed: gopro,
    # realblur, reds, reside, o-haze, realsr, drealsr, lol or rain100
    dataset: str | None = None
    channel: Channel | None = None  # that PSNR and SSIM are of; none = as the benchmark's papers, or rgb
    photos: str | None = None  # folder of photos without targets
    # of clean photos or our dataset, none = validation; of pairs of files, none = the folder test/ or else
    # validation/ where there is one (also named so in part, such as Test_x4), all of them where there is none
    split: Literal["validation", "test", "train", "all"] | None = None
    limit: int | None = None  # only so many photos
    task: str | None = None  # one task, by name
    prompt: str | None = None  # what to ask for in words, as a user would
    prior: str = "embedded"  # embedded, a folder, or a Hub repository
    # leave out a part: the sampler gives the photo's own latent back
    ablate: Literal["sampler"] | None = None
    # a folder or NAMESPACE/NAME@REVISION, to use for its task; may be given several times
    adapter: UseAppendAction[list[str]] = field(default_factory=list)
    fidelity: tuple[float, ...] | None = None  # such as 0,0.5,1; none = the prior's default, and 1
    steps: int | None = None  # of the sampler; none = the prior's
    swap: bool = True  # also every other task's prompt; for clean photos unless said otherwise
    baselines: bool = True  # also classical methods
    out: Path | None = None  # FILE.json; none = in training/results; FILE.md and FILE-short.md go beside
    sheet: Path | None = None  # FILE.jpg, pictures: input | output | target
    curve: Path | None = None  # FILE.png, PSNR against LPIPS over fidelities
    against: Path | None = None  # an earlier FILE.json, to compare with photo by photo
    # an earlier FILE.json of the same photos and network that gets the rows of --task; all its others stay
    into: Path | None = None

    @property
    def mode(self) -> str:
        """ "clean", "pairs" or "photos"."""
        return next(name for name in MODES if getattr(self, name) is not None)

    @property
    def part(self) -> Split | None:
        """The split of clean photos or our dataset; None: all."""
        return None if self.split == "all" else self.split or "validation"

    @property
    def source(self) -> str:
        """Where the photos are."""
        return getattr(self, self.mode)

    @property
    def benchmark(self) -> Benchmark | None:
        """That --dataset names."""
        return BENCHMARKS[self.dataset] if self.dataset else None

    @property
    def damaged_set(self) -> DamagedSet | None:
        """The dataset in our format that --pairs names."""
        return find_set(self.pairs, self.task) if self.pairs and not self.dataset else None

    @property
    def by_task(self) -> bool:
        """Whether it is known which task damaged a photo."""
        return self.mode == "clean" or self.damaged_set is not None

    @property
    def protocol(self) -> Protocol:
        """Of which pixels PSNR and SSIM are."""
        usual = self.benchmark.protocol if self.benchmark else PLAIN
        return replace(usual, channel=self.channel or usual.channel)

    @property
    def file(self) -> Path:
        """Where the results go."""
        name = "evaluate" if self.mode == "clean" else self.mode
        if about := self.about():
            name += f"-{re.sub(r'[^a-z0-9-]+', '-', about['name'].lower())}"
        return self.into or self.out or RESULTS / f"{name}.json"

    @property
    def damages(self) -> tuple[str, ...]:
        """What may be wrong with the photos, as cases name it."""
        if self.damaged_set:
            return self.damaged_set.tasks
        if self.mode != "clean":
            return (self.benchmark.name if self.benchmark else self.mode,)
        return (self.task,) if self.task and not (self.into and self.swap) else tuple(TASKS)

    def no_folder(self) -> str | None:
        """A sentence if --pairs or --photos name a folder that is not here."""
        if self.mode == "clean" or self.damaged_set or is_patterns(self.source) or Path(self.source).is_dir():
            return None
        above = str(place(self.source).parent)
        if (place(above) / BUILT_SET).exists():
            return f"{above} has no config {Path(self.source).name}; {there_in(above)}."
        what = "of your download" if self.dataset else f"of {self.mode}"
        return f"There is no folder {self.source}: give the folder {what}."

    def config(self) -> dict[str, object]:
        """The plan as results keep it, of files the names: where they lie is one machine's."""
        values = {name: v.name if isinstance(v, Path) else v for name, v in asdict(self).items()}
        return {"mode": self.mode, "source": self.source} | values

    def about(self) -> dict[str, str] | None:
        """The dataset, for reports and cards; None: photos without a name."""
        scored = {"scored": self.protocol.text}
        if one := self.benchmark:
            return {"name": one.name, "task": one.task, "licence": one.licence, "from": one.page} | scored
        if own := self.damaged_set:
            return {"name": own.name, "licence": "by photo"} | scored
        return None

    def cases(self, default_fidelity: float) -> list[Case]:
        """What is asked for each damage at each fidelity, without the prompt swap."""
        asked = self.task or self.prompt or (self.benchmark and self.benchmark.task)
        fidelities = self.fidelity or ([None] if default_fidelity == 1 else [None, 1.0])
        damages = (self.task,) if self.into else self.damages
        return [Case(d, asked or d, f, self.steps) for d in damages for f in dict.fromkeys(fidelities)]

    def swapped(self, default_fidelity: float) -> list[Case]:
        """The prompt-swap cases, at the prior's fidelity or else the first one listed."""
        if not self.swap:
            return []
        listed = self.fidelity or [None]
        fidelity = default_fidelity if default_fidelity in listed else listed[0]
        cases = swap_cases(self.damages, fidelity, self.steps)
        return [case for case in cases if not self.into or self.task in (case.damage, case.asked)]

    def prepare_files(self) -> None:
        """Make the folders to write in; ResultsError when a file of somebody else is in the way, and
        SampleError when the folder of the photos is not there."""
        if (sentence := self.no_folder()) is not None:
            raise SampleError(sentence)
        for path, suffix in ((self.file, ".json"), (self.sheet, ".jpg"), (self.curve, ".png")):
            if path is not None and path.suffix != suffix:
                raise ResultsError(f"{path} does not end with {suffix}: give a name that does.")
        if self.curve and self.mode == "photos":
            raise ResultsError("Photos without targets have no PSNR to draw: leave out --curve.")
        if self.curve and importlib.util.find_spec("matplotlib") is None:
            raise ResultsError("--curve needs matplotlib: pip install matplotlib==3.11.2")
        sheets = [sheet_of(self.sheet, damage) for damage in self.damages] if self.sheet else []
        texts = (self.file.with_suffix(".md"), short_of(self.file))
        _keep_others(self)
        for path in (self.file, *texts, self.sheet, *sheets, self.curve):
            if path is not None:
                check_ours(path)
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                except OSError as error:
                    raise ResultsError(f"{path.parent} cannot be made a folder: {error}.") from error


def _keep_others(plan: Plan) -> None:
    """ResultsError where the file that gets its name from the pairs holds results of other pairs."""
    if plan.mode != "pairs" or plan.out or plan.into or not plan.file.exists():
        return
    check_ours(plan.file)
    there, ours = read_json(plan.file), plan.config()
    config = dict(there.get("config", {}))
    for one in (config, ours):
        one["pairs"] = Path(str(one.get("pairs"))).name  # where they lie is one machine's
    if any(config.get(name) != ours[name] for name in ("pairs", "dataset", "split", "task", "prompt")):
        raise ResultsError(
            f"{plan.file} has the results of {there.get('command', 'other pairs')}: give --out FILE.json, "
            "or delete it."
        )


def short_of(path: Path) -> Path:
    """The short table beside a results file."""
    return path.with_name(f"{path.stem}-short.md")


@dataclass(frozen=True)
class Photos:
    """The photos of a plan, read one by one, and what they are called: {damage: photo ids}."""

    samples: Iterable[Sample]
    ids: Mapping[str, Sequence[str]]


def find(plan: Plan, scale: float, skipped: list[Skipped], notes: list[str]) -> Photos:
    """The photos of a plan; `scale` is for those without a target. SampleError when there are none."""
    folder = Path(plan.source)
    if plan.mode == "pairs":
        try:
            return _of_set(plan, skipped) if plan.damaged_set else _of_files(plan, skipped, notes)
        except FileNotFoundError as error:
            raise SampleError(str(error)) from error
    if plan.mode == "photos":
        files = find_photos(folder, plan.limit)
        names = [path.relative_to(folder).as_posix() for path in files]
        return Photos(photo_samples(folder, _progress(files), scale, skipped), {"photos": names})
    photos = clean_photos(plan.source, plan.part, plan.limit, skipped)
    names = [photo.id for photo in photos]
    samples = damaged_samples(_progress(photos), plan.damages)
    return Photos(samples, dict.fromkeys(plan.damages, names))


def _of_files(plan: Plan, skipped: list[Skipped], notes: list[str]) -> Photos:
    """Pairs of files."""
    if plan.benchmark:
        pairs = plan.benchmark.pairs(Path(plan.source), plan.limit, skipped, notes)
    else:
        pairs = find_pairs(plan.source, plan.limit, skipped, wanted=lambda named: _chosen(plan, named, notes))
    (damage,) = plan.damages
    return Photos(pair_samples(_progress(pairs), damage, skipped), {damage: [p.id for p in pairs]})


def _chosen(plan: Plan, pairs: Sequence[Pair], notes: list[str]) -> Callable[[Pair], bool]:
    """Which pairs to measure, with a note of it where these are not all; SampleError for none."""
    chosen, words = measured(pairs, plan.split)
    count = sum(map(chosen, pairs))
    if not count:
        raise SampleError(
            f"Of the {len(pairs)} pairs in {plan.source} none is among {words}: use --split all, or give "
            "more pairs."
        )
    if count < len(pairs):
        notes.append(
            f"{count} of the {len(pairs)} pairs in {plan.source} are measured: {words}; --split "
            "train, validation, test or all takes others."
        )
        print(notes[-1])
    return chosen


def _of_set(plan: Plan, skipped: list[Skipped]) -> Photos:
    """Rows of a dataset in our format."""
    rows = plan.damaged_set.rows(plan.part, plan.limit, skipped)
    again = plan.damaged_set.rows(plan.part, plan.limit, []) if plan.against else ()
    names = [str(row["image_id"]) for row in again]
    return Photos(set_samples(_progress(rows), plan.damages, skipped), dict.fromkeys(plan.damages, names))


def read_arguments(arguments: Sequence[str], about: str) -> Plan:
    """The plan of a command line; a mistake in it ends the program with status 2 and one sentence."""
    plan = parse(Plan, arguments, COMMAND, about, Plan(swap="--clean" in arguments))
    modes = [name for name in MODES if getattr(plan, name) is not None]
    if not modes and plan.dataset is not None:
        fail(COMMAND, f"--dataset {plan.dataset} goes with --pairs FOLDER: give the folder of your download.")
    if not modes:
        fail(COMMAND, "say which photos: --clean PHOTOS, or --pairs FOLDER, or --photos FOLDER.")
    if not plan.source.strip():
        fail(COMMAND, f"--{plan.mode} is empty: give a folder.")
    if len(modes) > 1 or (plan.task is not None and plan.prompt is not None):
        first, second = modes[:2] if len(modes) > 1 else ("task", "prompt")
        fail(COMMAND, f"--{second} is not allowed with --{first}: give one of them.")
    _check_dataset(plan)
    known = plan.benchmark or plan.damaged_set  # which say what is wrong
    if plan.mode != "clean" and not known and plan.task is None and plan.prompt is None:
        if (sentence := plan.no_folder()) is not None:
            fail(COMMAND, sentence)
        fail(COMMAND, f"--{plan.mode} needs --task NAME or --prompt TEXT: say what is to be restored.")
    if plan.mode == "clean" and plan.prompt is not None:
        fail(COMMAND, "--prompt goes with --pairs or --photos: clean photos are damaged by task, see --task.")
    if plan.task is not None and plan.task not in TASKS:
        fail(COMMAND, f"There is no task {plan.task!r}: use {', '.join(TASKS)}.")
    if plan.into is not None and (plan.mode != "clean" or plan.task is None or plan.out is not None):
        fail(
            COMMAND,
            "--into adds a task to an evaluation of clean photos: give --clean and --task, no --out.",
        )
    if plan.limit is not None and plan.limit < 1:
        fail(COMMAND, f"--limit {plan.limit} is no number of photos: give 1 or more.")
    return plan


def _check_dataset(plan: Plan) -> None:
    """End the program when --dataset or --channel cannot be meant so."""
    if plan.dataset is not None and plan.mode != "pairs":
        fail(COMMAND, "--dataset says what lies in --pairs FOLDER: give the folder of your download.")
    if plan.dataset is not None and plan.dataset not in BENCHMARKS:
        fail(COMMAND, f"There is no benchmark {plan.dataset!r}: use {', '.join(BENCHMARKS)}.")
    if plan.dataset is not None and plan.split is not None:
        fail(COMMAND, f"--dataset {plan.dataset} measures its test set: leave out --split.")
    if plan.mode == "photos" and plan.split is not None:
        fail(COMMAND, "--photos takes every photo of its folder: leave out --split.")
    if plan.dataset is not None and is_patterns(plan.source):
        fail(
            COMMAND, "--dataset knows its layout: give a folder instead of patterns, or leave out --dataset."
        )


def _progress(items: Iterable[T]) -> Iterator[T]:
    """A bar that appears with the first photo, after everything has been checked."""
    yield from tqdm(items, "photos")

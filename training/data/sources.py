"""What `--data` names: SOURCE[,SOURCE...], each [TASK=]PLACE[/CONFIG][:WEIGHT], as one list.

A place is a folder or shards of clean photos, which training damages itself; a folder of pairs, or two
patterns of files (training/data/pairs.py); or a dataset that `training.build_dataset` wrote, here or on the
Hub (NAMESPACE/NAME@REVISION/CONFIG).
"""

import math
import re
from dataclasses import dataclass
from typing import Literal

from lwr.tasks import TASKS
from training.checkpoint import TrainingError
from training.data.pairs import holds_pairs, is_patterns
from training.data.shards import BUILT_SET, USABLE
from training.data.storage import is_local
from training.data.storage import place as path_of

ALL = "all"  # the config of a dataset with every damage of a photo in one row
HUB_SET = re.compile(r"(?P<place>\w[\w.-]*/\w[\w.-]*(@[^/]+)?)(/(?P<config>[\w-]+))?")
_EXAMPLE = '--data "deblur=GoPro:2,multitask/dehaze:1,photos:1"'


@dataclass(frozen=True)
class Source:
    """One source of `--data`."""

    place: str  # folder, file, two patterns, or Hub dataset
    kind: Literal["photos", "pairs", "set"]
    config: str = ""  # a task, whose damage the pictures have; of a set also "all"; "" of clean photos
    weight: float = 1.0  # how often a batch comes from here, relative to the others


def parse_sources(text: str) -> list[Source]:
    """The sources of a `--data`; TrainingError with a sentence for what cannot be meant."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise TrainingError(f"--data is empty: write sources with commas between, such as {_EXAMPLE}.")
    sources = [_source(word) for word in words]
    if not sum(source.weight for source in sources) > 0:
        raise TrainingError(f"--data {text} gives no source a weight above 0: give one.")
    return sources


def _source(word: str) -> Source:
    rest, weight = _weighted(word)
    rest = rest.strip()
    task, equals, after = rest.partition("=")
    if equals and "/" not in task:
        if task not in TASKS:
            raise TrainingError(f"--data {word}: there is no task {task!r}; use {', '.join(TASKS)}.")
        rest = after
    else:
        task = ""
    if is_patterns(rest):
        return _paired(word, rest, task, weight)
    folder = path_of(rest)
    if folder.exists():
        if (folder / BUILT_SET).exists() and task:
            return _of_set(word, rest, task, weight)
        if is_local(folder) and holds_pairs(folder):
            return _paired(word, rest, task, weight)
        if task:
            raise TrainingError(
                f"--data {word}: {rest} holds no pairs of {task}; give a folder with input/ and target/, "
                f"or two patterns INPUTS+TARGETS, or leave out {task}= for clean photos to damage."
            )
        return Source(rest, "photos", "", weight)
    return _further(word, rest, task, weight)


def _further(word: str, rest: str, task: str, weight: float) -> Source:
    """A config of a set here, or a dataset on the Hub."""
    above, config = path_of(rest).parent, path_of(rest).name
    if (above / BUILT_SET).exists():
        if task and task != config:
            raise TrainingError(f"--data {word} names two tasks: leave out {task}=.")
        return _of_set(word, str(above), config, weight)
    hub = HUB_SET.fullmatch(rest)
    if hub and (config := task or hub["config"] or ""):
        if config not in (*TASKS, ALL) or (task and hub["config"] not in (None, task)):
            raise TrainingError(f"--data {word}: use one of the configs {', '.join((*TASKS, ALL))}.")
        return Source(hub["place"], "set", config, weight)
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(:[^@]+)?(@.+)?", rest):
        return Source(rest, "photos", "", weight)  # clean photos on the Hub, which `load_photos` looks up
    raise TrainingError(f"--data {word}: there is no file or folder {rest}; {USABLE}.")


def _paired(word: str, place: str, task: str, weight: float) -> Source:
    if not task:
        raise TrainingError(f"--data {word}: say what is wrong with the inputs of {place}: deblur={word}.")
    return Source(place, "pairs", task, weight)


def _of_set(word: str, place: str, config: str, weight: float) -> Source:
    there = sorted(path.name for path in (path_of(place) / "data").iterdir())
    if config not in there:
        raise TrainingError(f"--data {word}: {place} has no config {config}; use {', '.join(there)}.")
    if config not in (*TASKS, ALL):
        raise TrainingError(f"--data {word}: there is no task {config!r}; use {', '.join(TASKS)}.")
    return Source(place, "set", config, weight)


def _weighted(word: str) -> tuple[str, float]:
    """A source and the weight behind its last colon; 1 without one. (Colons may also stand in names.)"""
    rest, colon, end = word.rpartition(":")
    if not colon or "/" in end or "@" in end or path_of(word.partition("=")[2] or word).exists():
        return word, 1.0
    try:
        weight = float(end)
    except ValueError:
        weight = math.nan
    if not (weight >= 0 and math.isfinite(weight)):
        raise TrainingError(
            f"--data {word}: the weight {end!r} is no number from 0 on; write such as {rest}:2."
        )
    return rest, weight

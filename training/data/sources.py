"""What `--data` names: SOURCE[,SOURCE...], each [TASK=]PLACE[/CONFIG][:WEIGHT], as one list.

A place is a folder or shards of clean photos, which training damages itself; a folder of pairs, or two
patterns of files (training/data/pairs.py); or a dataset that `training.build_dataset` wrote, here or on the
Hub (NAMESPACE/NAME@REVISION/CONFIG).
"""

import math
import os
import re
from dataclasses import dataclass
from typing import Literal

from lwr.tasks import TASKS
from training.checkpoint import TrainingError
from training.data.hub import looks_local
from training.data.no_pairs import one_side
from training.data.pairs import find_pairs, is_patterns, layout_of, task_of
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
    words = _words(text)
    if not words:
        raise TrainingError(f"--data is empty: write sources with commas between, such as {_EXAMPLE}.")
    sources = [_source(word) for word in words]
    if not sum(source.weight for source in sources) > 0:
        raise TrainingError(f"--data {text} gives no source a weight above 0: give one.")
    return sources


def _words(text: str) -> list[str]:
    """The text of each source; a comma may also stand in the name of a folder that is there."""
    pieces, found = text.split(","), []
    while pieces:
        count = next((n for n in range(len(pieces), 1, -1) if _is_there(",".join(pieces[:n]))), 1)
        found.append(",".join(pieces[:count]).strip())
        pieces = pieces[count:]
    return [word for word in found if word]


def _is_there(word: str) -> bool:
    """Whether a source, with or without task and weight, is a folder or file."""
    task, _, after = word.strip().partition("=")
    whole = os.path.expanduser(after if task in TASKS else word.strip())
    place, _, weight = whole.rpartition(":")
    return path_of(whole).exists() or (bool(place) and "," not in weight and path_of(place).exists())


def _source(word: str) -> Source:
    rest, weight = _weighted(word)
    rest = rest.strip()
    task, equals, after = rest.partition("=")
    task = task.strip()
    if equals and "/" not in task:
        if task not in TASKS:
            raise TrainingError(f"--data {word}: there is no task {task!r}; use {', '.join(TASKS)}.")
        rest = after.strip()
    else:
        task = ""
    if not rest:
        raise TrainingError(f"--data {word} names no folder: write such as {_EXAMPLE}.")
    rest = os.path.expanduser(rest)  # which a shell does at the start of a word alone
    if is_patterns(rest):
        return _paired(word, rest, task, weight)
    if path_of(rest).exists():
        return _here(word, rest, task, weight)
    return _further(word, rest, task, weight)


def _here(word: str, rest: str, task: str, weight: float) -> Source:
    """A folder or file that is there."""
    folder = path_of(rest)
    if (folder / BUILT_SET).exists():
        return _of_set(word, rest, task, weight) if task else Source(rest, "photos", "", weight)
    leave_out = ""
    if task and not is_local(folder):
        raise TrainingError(
            f"--data {word}: pairs of files are read from this machine alone: copy them here."
        )
    try:
        if is_local(folder) and layout_of(folder):
            return _paired(word, rest, task, weight)
        if task:
            leave_out = f" Or leave out {task}= for clean photos to damage."
            find_pairs(rest, 1)  # which says why there are none
    except FileNotFoundError as error:
        raise TrainingError(f"--data {word}: {error}{leave_out}") from error
    if is_local(folder) and one_side(folder) == "damaged":
        above = folder.resolve().parent
        raise TrainingError(f"--data {word}: {rest} is the damaged side of pairs: give TASK={above}.")
    return Source(rest, "photos", "", weight)


def _further(word: str, rest: str, task: str, weight: float) -> Source:
    """A config of a set here, or a dataset on the Hub."""
    above, config = path_of(rest).parent, path_of(rest).name
    if (above / BUILT_SET).exists():
        if task and task != config:
            raise TrainingError(f"--data {word} names two tasks: leave out {task}=.")
        return _of_set(word, str(above), config, weight)
    local = looks_local(rest)
    hub = None if local else HUB_SET.fullmatch(rest)
    if hub and (config := task or hub["config"] or ""):
        if config not in (*TASKS, ALL) or (task and hub["config"] not in (None, task)):
            raise TrainingError(f"--data {word}: use one of the configs {', '.join((*TASKS, ALL))}.")
        return Source(hub["place"], "set", config, weight)
    if not local and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(:[^@]+)?(@.+)?", rest):
        return Source(rest, "photos", "", weight)  # clean photos on the Hub, which `load_photos` looks up
    raise TrainingError(f"--data {word}: there is no file or folder {rest}; {USABLE}.")


def _paired(word: str, place: str, task: str, weight: float) -> Source:
    if not task:
        try:
            known = task_of(place)
        except FileNotFoundError as error:
            raise TrainingError(f"--data {word}: {error}") from error
        named = f"{known}={word}" if known else f"write TASK= before it, one of {', '.join(TASKS)}"
        raise TrainingError(f"--data {word}: say what is wrong with the inputs of {place}: {named}.")
    return Source(place, "pairs", task, weight)


def _of_set(word: str, place: str, config: str, weight: float) -> Source:
    data = path_of(place) / "data"
    there = sorted(path.name for path in data.iterdir()) if data.exists() else []
    if config not in there:
        known = ", ".join(there) or "a set that has data/"
        raise TrainingError(f"--data {word}: {place} has no config {config}; use {known}.")
    if config not in (*TASKS, ALL):
        raise TrainingError(f"--data {word}: there is no task {config!r}; use {', '.join(TASKS)}.")
    return Source(place, "set", config, weight)


def _weighted(word: str) -> tuple[str, float]:
    """A source and the weight behind its last colon; 1 without one. (Colons may also stand in names.)"""
    rest, colon, end = word.rpartition(":")
    if (
        not colon
        or "/" in end
        or "@" in end
        or "*" in end
        or path_of(word.partition("=")[2] or word).exists()
    ):
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

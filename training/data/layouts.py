"""How users and benchmarks keep pairs, as data: a layout is two patterns, so another one is one more line.

In a pattern `*` is any text in one name and `**/` any folders, none included.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from training.data.photos import Split
from training.data.shards import SUFFIXES


@dataclass(frozen=True)
class Layout:
    """Where inputs and targets lie. Patterns end with a suffix or without (any picture); case is ignored."""

    input: str
    target: str
    # Regular expression: left out of an input's key when no target has that very key, for benchmarks that
    # damage a photo several times and number the results.
    drop: str = ""
    scenes: bool = False  # a folder of targets is one scene, such as a film's frames, and falls in one split
    task: str = ""  # whose damage the names tell of; "" = they say nothing

    @property
    def sides(self) -> tuple[str, str] | None:
        """The names of its two folders; None: it is told by names of files."""
        found = [re.fullmatch(r"\*\*/([^/*]+)/\*\*/\*", pattern) for pattern in (self.input, self.target)]
        return (found[0][1], found[1][1]) if all(found) else None

    @property
    def folders(self) -> set[str]:
        """The names of folders without which it fits nothing; small letters."""
        above = [part for side in (self.input, self.target) for part in PurePosixPath(side).parts[:-1]]
        return {part.lower() for part in above if "*" not in part}

    def rescaled(self) -> "dict[int, Layout]":
        """{scale: the same for pairs of that other scale}; none where its names say no scale."""
        own = re.search(r"_(?:LR|x)([234])(?=/|$)", self.input)
        return {
            scale: replace(
                self,
                input=re.sub(rf"_(LR|x){own[1]}(?=/|$)", rf"_\g<1>{scale}", self.input),
                target=re.sub(rf"_(LR|x){own[1]}(?=/|$)", rf"_\g<1>{scale}", self.target),
            )
            for scale in (2, 3, 4)
            if own and int(own[1]) != scale
        }


def folders(input_: str, target: str, drop: str = "", scenes: bool = False, task: str = "") -> Layout:
    """The layout of two folders, anywhere in the source, in which files are named alike."""
    return Layout(f"**/{input_}/**/*", f"**/{target}/**/*", drop, scenes, task)


NUMBERED = r"(_\d+(\.\d+)?)+$"  # RESIDE: 0001_0.8_0.2 (air light, density) belongs to 0001
ENLARGED = "super-resolution"
# Tried when none is given; of several that fit, the one with most pairs, of these the first.
LAYOUTS: tuple[Layout, ...] = (
    folders("input", "target"),
    folders("lq", "gt"),
    folders("degraded", "clean"),
    folders("blur", "sharp", scenes=True, task="deblur"),  # GoPro, REDS
    folders("hazy", "gt", NUMBERED, task="dehaze"),  # RESIDE's SOTS
    folders("hazy", "clear", NUMBERED, task="dehaze"),  # RESIDE's ITS and OTS
    folders("low", "high", task="low-light"),  # LOL
    folders("noisy", "clean", task="denoise"),
    folders("rain", "norain", task="derain"),
    Layout("**/hazy/**/*_hazy", "**/gt/**/*_gt", task="dehaze"),  # O-HAZE and its kind
    Layout("**/rain-*", "**/norain-*", task="derain"),  # Rain100
    *(Layout(f"**/*_LR{scale}", "**/*_HR", task=ENLARGED) for scale in (4, 3, 2)),  # RealSR
    Layout("**/*_blur/**/*", "**/*_sharp/**/*", scenes=True, task="deblur"),  # REDS: val_blur, val_sharp
    Layout("**/blur/blur_*", "**/gt/gt_*", scenes=True, task="deblur"),  # RealBlur
    *(Layout(f"**/*_LR/*_x{scale}", "**/*_HR/*_x1", task=ENLARGED) for scale in (4, 3, 2)),  # DRealSR
)
# Words in names of folders and files, and the task whose damage they mean
_WORDS = {
    "low-light": r"low|dark|night|under.?exposed",
    "dehaze": r"haz[ye]|fog|foggy|mist",
    "deblur": r"blur\w*",
    "derain": r"rain\w*|wet",
    "denoise": r"nois[ye]",
    "dejpeg": r"jpe?g|compressed",
    ENLARGED: r"lr[234]?|lrx[234]|lowres|small|x[234]",
}
_WILD = r"\*\*/|\*"
_SPLITS: dict[Split, str] = {
    "train": "train|training|our485",
    "validation": "val|valid|validation",
    "test": "test|testing|eval15",
}


def task_named(names: str) -> str | None:
    """The task whose damage the words in names of folders and files tell of; None: none or several do."""
    words = re.split(r"[^a-z0-9]+|_", names.lower())
    found = [task for task, known in _WORDS.items() if any(re.fullmatch(known, word) for word in words)]
    return found[0] if len(found) == 1 else None


def split_named(folder: str) -> Split | None:
    """The split that a folder's name means, as "train", "Test_x4", "val_blur" and LOL's "eval15" do."""
    for split, known in _SPLITS.items():
        if re.fullmatch(rf"({known})(_(x[234]|lr|hr|blur|sharp))?", folder, re.IGNORECASE):
            return split
    return None


def keyed(files: Iterable[PurePosixPath], pattern: str) -> list[tuple[str, PurePosixPath]]:
    """(what the wildcards stand for, file) of the files that a pattern describes."""
    bare = PurePosixPath(pattern)
    suffix = bare.suffix.lower() if bare.suffix.lower() in SUFFIXES else ""
    expression = _expression(pattern[: len(pattern) - len(suffix)])
    names = [kind == "*" for kind in re.findall(_WILD, pattern)]  # not folders, which end with a slash
    ends = ["/" * name for name in names[:-1]] + [""]  # or else 1, 11 and 11, 1 would be one key
    found = []
    for file in files:
        match = expression.fullmatch(file.with_suffix("").as_posix())
        if match and suffix in ("", file.suffix.lower()):
            found.append(("".join(map(str.__add__, match.groups(), ends)), file))
    return found


def apart(file: PurePosixPath, pattern: str) -> tuple[str, str]:
    """(folder, rest) of a file that a pattern describes: the folder of all files of its side, such as
    "train/gt", which read alone has the rest as names of its photos.

    It ends with the last folder that the pattern names, or before the first `*` where that is a folder of
    the user's: there folders tell photos apart.
    """
    *above, name = PurePosixPath(pattern).parts
    if above[:1] == ["**"] and "*" in name:
        count = max((i for i, one in enumerate(above) if one.strip("*")), default=0) + 1
    else:
        count = next((i for i, one in enumerate(above) if "*" in one), len(above))
    head = "".join(f"{one}/" for one in above[:count])
    folder = _expression(head).match(file.as_posix())[0]
    return folder.rstrip("/"), file.as_posix()[len(folder) :]


def _expression(pattern: str) -> re.Pattern[str]:
    parts = re.split(f"({_WILD})", pattern)
    wild = {"**/": "((?:[^/]+/)*)", "*": "([^/]*)"}
    return re.compile("".join(wild.get(part, re.escape(part)) for part in parts), re.IGNORECASE)

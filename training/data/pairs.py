"""Pairs of files: a damaged photo and its target, wherever a benchmark keeps the two.

What the wildcards of a layout (training/data/layouts.py) stand for is a photo's key, and the files of one key
are a pair. "SCENE/blur/000047.png" and "SCENE/sharp/000047.png" have the key "SCENE/000047".
"""

import csv
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path, PurePosixPath

from lwr.images import files as images
from lwr.restore import MAX_SCALE
from training.data.layouts import LAYOUTS, Layout, keyed, split_named, task_named
from training.data.no_pairs import why_half, why_none
from training.data.pair_photo import PairPhotos
from training.data.photos import Split
from training.data.shards import SUFFIXES, Skipped, reason
from training.data.storage import files_below


@dataclass(frozen=True)
class Pair:
    """Two files: the damaged photo and its target."""

    id: str  # of the input: its path in the folder, without suffix and the name of its side
    photo: str  # that it shows, or its scene: what splits go by, see training/data/pair_photo.py
    degraded: Path
    clean: Path
    scale: int  # side of `clean` / side of `degraded`; 0 = not looked at
    part: Split | None = None  # the split in whose folder it lies, such as test/; None: there is none


# All pairs by their names -> which of them are wanted
Wanted = Callable[[Sequence[Pair]], Callable[[Pair], bool]]
_Lost = tuple[Pair | None, Skipped]  # a file as if it were both sides of a pair; None: it stands for many


def find_pairs(
    source: str | Path,
    limit: int | None = None,
    skipped: list[Skipped] | None = None,
    layout: Layout | None = None,
    wanted: Wanted | None = None,
) -> list[Pair]:
    """The pairs of a folder, in the order of their ids; only headers of files are read.

    Args:
        source: the folder; or, without a layout, two patterns "FOLDER/rainy/*+FOLDER/clear/*".
        limit: at most so many; files after them are not looked at.
        skipped: gets what has no partner, cannot be read, or whose target is not 1 to 4 times as large.
        layout: None = the one of `LAYOUTS` that fits best.
        wanted: chooses by names; others are neither looked at nor skipped, and there may be none. None = all.

    Raises FileNotFoundError with a sentence when nothing is left of those that are wanted.
    """
    root, layout, sides = (Path(source), layout, ()) if layout else _of_text(str(source))
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}: give a folder of pairs.")
    files = _files(root, sides)
    layout = layout or _best(files)
    names = None if layout is None else _Names(root, files, layout)
    if names is None or not (names.pairs or names.unread):
        raise FileNotFoundError(why_none(root, files, layout))
    chosen = wanted(names.pairs) if wanted else lambda pair: True
    pairs, unfit = [], list(names.unread)
    for pair in filter(chosen, names.pairs):
        if limit is not None and len(pairs) >= limit:
            break
        try:
            pairs.append(replace(pair, scale=_scale(pair.degraded, pair.clean)))
        except images.ImageError as error:
            unfit.append(Skipped(pair.id, str(error).rstrip(".")))
    if unfit and not pairs:
        first = f"{unfit[0].name}: {unfit[0].reason}"
        raise FileNotFoundError(
            f"None of the {len(unfit)} pairs in {root} can be used; the first is {first}."
        )
    if skipped is not None:
        skipped += [one for pair, one in names.lost if pair is None or chosen(pair)] + unfit
    return pairs


def is_patterns(source: str) -> bool:
    """Whether a source is two patterns of files."""
    return "*" in source


def layout_of(folder: Path) -> Layout | None:
    """The layout of the pairs in a folder; None: it holds none. Only names are read.

    Raises FileNotFoundError with a sentence when it has the folders of both sides and yet no pair.
    """
    files = _files(folder) if folder.is_dir() else []
    best = _best(files)
    if best is None and folder.is_dir() and (half := why_half(folder, files)) is not None:
        raise FileNotFoundError(half)
    return best


def task_of(source: str) -> str | None:
    """The task whose damage the inputs have, as far as names tell, of a folder or two patterns."""
    if is_patterns(source):
        return task_named(source.partition("+")[0])
    layout = layout_of(Path(source))
    return (layout and layout.task) or task_named(Path(source).resolve().name)


def _of_text(source: str) -> tuple[Path, Layout | None, Sequence[Path]]:
    """A source as folder and layout, and where in the folder the two sides lie; () = anywhere."""
    if not is_patterns(source):
        return Path(source), None, ()
    patterns = [os.path.expanduser(pattern.strip()) for pattern in source.split("+")]
    if len(patterns) != 2 or not all(map(is_patterns, patterns)):
        raise FileNotFoundError(
            f"{source} is not two patterns: write INPUTS+TARGETS, each with a *, such as "
            "rain/*.png+clear/*.png."
        )
    if ".." in re.split("[/+]", source) or len(set(map(os.path.isabs, patterns))) > 1:
        patterns = list(map(os.path.abspath, patterns))  # which have a folder above both
    fixed = [PurePosixPath(pattern.partition("*")[0] + "x").parent.parts for pattern in patterns]
    common = next((i for i, (a, b) in enumerate(zip(*fixed, strict=False)) if a != b), min(map(len, fixed)))
    inputs, targets = ("/".join(PurePosixPath(pattern).parts[common:]) for pattern in patterns)
    root = Path(*fixed[0][:common])
    sides = [root.joinpath(*one[common:]) for one in fixed]
    if root != Path(root.anchor):  # sides may be written in other letters, and are looked for
        sides = [side if side.is_dir() else root for side in sides]
    return root, Layout(inputs, targets), sides


def _files(root: Path, sides: Sequence[Path] = ()) -> list[PurePosixPath]:
    """All pictures under a folder, or under its `sides`, relative to it, in order; no hidden ones."""
    below = chain.from_iterable(map(files_below, filter(os.path.isdir, dict.fromkeys(sides or (root,)))))
    inside = {path.relative_to(root) for path in below if path.suffix.lower() in SUFFIXES}
    return sorted(PurePosixPath(p.as_posix()) for p in inside if not any(x.startswith(".") for x in p.parts))


def _best(files: Sequence[PurePosixPath]) -> Layout | None:
    """The layout by which most files are a pair; None: by none is any."""
    names = {folder.lower() for folders in {file.parent for file in files} for folder in folders.parts}
    counts: dict[Layout, int] = {}
    for layout in (one for one in LAYOUTS if one.folders <= names):
        if inputs := keyed(files, layout.input):
            counts[layout] = len(_matched(inputs, keyed(files, layout.target), layout.drop))
    best = max(counts, key=lambda layout: counts[layout], default=None)
    return best if best and counts[best] else None


def _matched(
    inputs: Sequence[tuple[str, PurePosixPath]], targets: Sequence[tuple[str, PurePosixPath]], drop: str
) -> list[tuple[str, str, PurePosixPath]]:
    """(key of the input, key of its target, input) of the inputs that have a target."""
    known = {key for key, _ in targets}
    found = []
    for key, file in inputs:
        other = key if key in known or not drop else re.sub(drop, "", key)
        if other in known:
            found.append((key, other, file))
    return found


class _Names:
    """The pairs of a folder by their names, and the files that have no partner, or the name of another."""

    def __init__(self, root: Path, files: Sequence[PurePosixPath], layout: Layout) -> None:
        self._root, self._photos = root, PairPhotos(root, layout)
        self.lost: list[_Lost] = []
        self.unread: list[Skipped] = []  # what is beside them and would say which photo they show
        inputs, targets = (self._once(files, pattern) for pattern in (layout.input, layout.target))
        matched = _matched(list(inputs.items()), list(targets.items()), layout.drop)
        paired, wanted = {key for key, _, _ in matched}, {other for _, other, _ in matched}
        of_others = self._of_other_scales(files, layout)
        for key in (key for key in inputs if key not in paired):
            self._lose(key, inputs[key], layout.input, "it has no target")
        for key, file in targets.items():
            if key not in wanted and file not in of_others:
                self._lose(key, file, layout.target, "it has no input")
        self.pairs: list[Pair] = []
        for key, other, file in sorted(matched):
            try:
                self.pairs.append(self._pair(key, file, other, targets[other], layout.target))
            except (OSError, csv.Error) as error:
                self.unread.append(Skipped(key, f"the table of its photos cannot be read: {reason(error)}"))

    def _pair(
        self, key: str, degraded: PurePosixPath, other: str, clean: PurePosixPath, pattern: str
    ) -> Pair:
        """Two files, with the key of each and the pattern of the target."""
        photo = self._photos.of(other, clean, pattern)
        part = next(filter(None, map(split_named, degraded.parent.parts)), None)
        return Pair(key, photo, self._root / degraded, self._root / clean, 0, part)

    def _lose(self, key: str, file: PurePosixPath, pattern: str, why: str) -> None:
        try:
            pair = self._pair(key, file, key, file, pattern)
        except (OSError, csv.Error):
            pair = None
        self.lost.append((pair, Skipped(str(file), why)))

    def _once(self, files: Sequence[PurePosixPath], pattern: str) -> Mapping[str, PurePosixPath]:
        """{key: file} of a side, of several files of one key the first."""
        found: dict[str, PurePosixPath] = {}
        for key, file in keyed(files, pattern):
            if found.setdefault(key, file) != file:
                self._lose(key, file, pattern, f"{found[key]} has the same name")
        return found

    def _of_other_scales(self, files: Sequence[PurePosixPath], layout: Layout) -> set[PurePosixPath]:
        """The targets of pairs of the scales that a layout leaves out; these are one line in `lost`."""
        found, scales, count = set(), [], 0
        for scale, one in layout.rescaled().items():
            targets = keyed(files, one.target)
            matched = _matched(keyed(files, one.input), targets, one.drop)
            wanted = {key for _, key, _ in matched}
            found |= {file for key, file in targets if key in wanted}
            scales += [scale] if matched else []
            count += len(matched)
        if count:
            named = f"scales {', '.join(map(str, scales))}" if len(scales) > 1 else f"scale {scales[0]}"
            text = f"{count} pairs of {named} not used: give the folder of one scale"
            self.lost.append((None, Skipped(str(self._root), text)))
        return found


def _scale(degraded: Path, clean: Path) -> int:
    """How many times larger the target is; ImageError when that is no whole number up to 4."""
    small, large = images.upright_size(degraded), images.upright_size(clean)
    scale = large[0] // small[0]
    if (small[0] * scale, small[1] * scale) != large or not 1 <= scale <= MAX_SCALE:
        sizes = " and ".join(f"{width}x{height}" for height, width in (small, large))
        raise images.ImageError(
            f"{sizes} pixels do not fit: a target is as large as its input, or 2 to {MAX_SCALE:g} times on "
            "both sides"
        )
    return scale

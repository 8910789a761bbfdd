"""Pairs of files: a damaged photo and its target, wherever a benchmark keeps the two.

What the wildcards of a layout (training/data/layouts.py) stand for is a photo's key, and the files of one key
are a pair. "SCENE/blur/000047.png" and "SCENE/sharp/000047.png" have the key "SCENE/000047".
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lwr.images import files as images
from lwr.restore import MAX_SCALE
from training.data.layouts import LAYOUTS, Layout, keyed, split_named, task_named
from training.data.no_pairs import why_half, why_none
from training.data.photos import Split
from training.data.shards import SUFFIXES, Skipped
from training.data.storage import files_below


@dataclass(frozen=True)
class Pair:
    """Two files: the damaged photo and its target."""

    id: str  # of the input: its path in the folder, without suffix and the name of its side
    photo: str  # of the target, or its scene: what splits go by
    degraded: Path
    clean: Path
    scale: int  # side of `clean` / side of `degraded`
    part: Split | None = None  # the split in whose folder it lies, such as test/; None: there is none


def find_pairs(
    source: str | Path,
    limit: int | None = None,
    skipped: list[Skipped] | None = None,
    layout: Layout | None = None,
) -> list[Pair]:
    """The pairs of a folder, in the order of their ids; only headers of files are read.

    Args:
        source: the folder; or, without a layout, two patterns "FOLDER/rainy/*+FOLDER/clear/*".
        limit: at most so many; files after them are not looked at.
        skipped: gets what has no partner, cannot be read, or whose target is not 1 to 4 times as large.
        layout: None = the one of `LAYOUTS` that fits best.

    Raises FileNotFoundError with a sentence when nothing is left.
    """
    root, layout = (Path(source), layout) if layout else _of_text(str(source))
    if not root.is_dir():
        raise FileNotFoundError(f"There is no folder {root}: give a folder of pairs.")
    lost: list[Skipped] = []
    files = _files(root)
    layout = layout or _best(files)
    named = [] if layout is None else _named(root, files, layout, lost)
    if not named:
        raise FileNotFoundError(why_none(root, files, layout))
    pairs, unfit = [], []
    for key, other, degraded, clean in named:
        if limit is not None and len(pairs) >= limit:
            break
        try:
            scale = _scale(root / degraded, root / clean)
        except images.ImageError as error:
            unfit.append(Skipped(key, str(error).rstrip(".")))
            continue
        part = next(filter(None, map(split_named, degraded.parent.parts)), None)
        pairs.append(Pair(key, _photo(other, layout), root / degraded, root / clean, scale, part))
    if not pairs:
        first = f"{unfit[0].name}: {unfit[0].reason}"
        raise FileNotFoundError(
            f"None of the {len(unfit)} pairs in {root} can be used; the first is {first}."
        )
    if skipped is not None:
        skipped += lost + unfit
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


def _of_text(source: str) -> tuple[Path, Layout | None]:
    """A source as folder and layout."""
    if not is_patterns(source):
        return Path(source), None
    patterns = [os.path.expanduser(pattern.strip()) for pattern in source.split("+")]
    if len(patterns) != 2 or not all(map(is_patterns, patterns)):
        raise FileNotFoundError(
            f"{source} is not two patterns: write INPUTS+TARGETS, each with a *, such as "
            "rain/*.png+clear/*.png."
        )
    fixed = [PurePosixPath(pattern.partition("*")[0] + "x").parent.parts for pattern in patterns]
    common = next((i for i, (a, b) in enumerate(zip(*fixed, strict=False)) if a != b), min(map(len, fixed)))
    inputs, targets = ("/".join(PurePosixPath(pattern).parts[common:]) for pattern in patterns)
    return Path(*fixed[0][:common]), Layout(inputs, targets)


def _files(root: Path) -> list[PurePosixPath]:
    """All pictures under a folder, relative to it, in order; hidden ones are left out."""
    inside = (path.relative_to(root) for path in files_below(root) if path.suffix.lower() in SUFFIXES)
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


def _named(
    root: Path, files: Sequence[PurePosixPath], layout: Layout, lost: list[Skipped]
) -> list[tuple[str, str, PurePosixPath, PurePosixPath]]:
    """(key of the input, of the target, input, target) of each pair; what has no partner, or the name of
    another, is lost."""
    inputs, targets = _once(keyed(files, layout.input), lost), _once(keyed(files, layout.target), lost)
    matched = _matched(list(inputs.items()), list(targets.items()), layout.drop)
    with_target, wanted = {key for key, _, _ in matched}, {other for _, other, _ in matched}
    of_others = _of_other_scales(root, files, layout, lost)
    lost += [Skipped(str(inputs[key]), "it has no target") for key in inputs if key not in with_target]
    lost += [
        Skipped(str(file), "it has no input")
        for key, file in targets.items()
        if key not in wanted and file not in of_others
    ]
    return sorted((key, other, file, targets[other]) for key, other, file in matched)


def _of_other_scales(
    root: Path, files: Sequence[PurePosixPath], layout: Layout, lost: list[Skipped]
) -> set[PurePosixPath]:
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
        lost.append(Skipped(str(root), f"{count} pairs of {named} not used: give the folder of one scale"))
    return found


def _once(keys: Iterable[tuple[str, PurePosixPath]], lost: list[Skipped]) -> Mapping[str, PurePosixPath]:
    """{key: file}, of several files of one key the first."""
    found: dict[str, PurePosixPath] = {}
    for key, file in keys:
        if found.setdefault(key, file) != file:
            lost.append(Skipped(str(file), f"{found[key]} has the same name"))
    return found


def _photo(key: str, layout: Layout) -> str:
    """The same whether the folder of a split, such as train/, was given or one above it."""
    *above, name = PurePosixPath(key).parts
    above = [folder for folder in above if not split_named(folder)]
    return "/".join(above if layout.scenes and above else [*above, name])


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

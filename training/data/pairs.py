"""Pairs of files: a damaged photo and its target, wherever a benchmark keeps the two.

A `Layout` is two patterns, so a new benchmark is one more line of data. In a pattern `*` is any text in one
name and `**/` any folders, none included; what they stand for is a photo's key, and the files of one key are
a pair. "SCENE/blur/000047.png" and "SCENE/sharp/000047.png" have the key "SCENE/000047".
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lwr.images import files as images
from lwr.restore import MAX_SCALE
from training.data.shards import SUFFIXES, Skipped


@dataclass(frozen=True)
class Layout:
    """Where inputs and targets lie. Patterns end with a suffix or without (any picture); case is ignored."""

    input: str
    target: str
    # Regular expression: left out of an input's key when no target has that very key, for benchmarks that
    # damage a photo several times and number the results.
    drop: str = ""
    scenes: bool = False  # a folder of targets is one scene, such as a film's frames, and falls in one split


@dataclass(frozen=True)
class Pair:
    """Two files: the damaged photo and its target."""

    id: str  # of the input: its path in the folder, without suffix and the name of its side
    photo: str  # of the target, or its scene: what splits go by
    degraded: Path
    clean: Path
    scale: int  # side of `clean` / side of `degraded`


def folders(input_: str, target: str, drop: str = "", scenes: bool = False) -> Layout:
    """The layout of two folders, anywhere in the source, in which files are named alike."""
    return Layout(f"**/{input_}/**/*", f"**/{target}/**/*", drop, scenes)


NUMBERED = r"(_\d+(\.\d+)?)+$"  # RESIDE: 0001_0.8_0.2 (air light, density) belongs to 0001
# Tried when none is given; of several that fit, the one with most pairs, of these the first.
LAYOUTS: tuple[Layout, ...] = (
    folders("input", "target"),
    folders("lq", "gt"),
    folders("degraded", "clean"),
    folders("blur", "sharp", scenes=True),  # GoPro, REDS
    folders("hazy", "gt", NUMBERED),  # RESIDE's SOTS
    folders("hazy", "clear", NUMBERED),  # RESIDE's ITS and OTS
    folders("low", "high"),  # LOL
    Layout("**/hazy/**/*_hazy", "**/gt/**/*_gt"),  # O-HAZE and its kind
    Layout("**/rain-*", "**/norain-*"),  # Rain100
    *(Layout(f"**/*_LR{scale}", "**/*_HR") for scale in (4, 3, 2)),  # RealSR
    Layout("**/*_blur/**/*", "**/*_sharp/**/*", scenes=True),  # REDS: val_blur, val_sharp
    Layout("**/blur/blur_*", "**/gt/gt_*", scenes=True),  # RealBlur
    *(Layout(f"**/*_LR/*_x{scale}", "**/*_HR/*_x1") for scale in (4, 3, 2)),  # DRealSR
)
NEUTRAL = LAYOUTS[:3]  # which say nothing of what the pairs are


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
        raise FileNotFoundError(_nothing_found(root, layout))
    pairs, unfit = [], []
    for id_, photo, degraded, clean in named:
        if limit is not None and len(pairs) >= limit:
            break
        try:
            pairs.append(Pair(id_, photo, degraded, clean, _scale(degraded, clean)))
        except images.ImageError as error:
            unfit.append(Skipped(id_, str(error).rstrip(".")))
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


def holds_pairs(folder: Path) -> bool:
    """Whether a folder has the layout of pairs; only names are read."""
    return folder.is_dir() and _best(_files(folder)) is not None


def _of_text(source: str) -> tuple[Path, Layout | None]:
    """A source as folder and layout."""
    if not is_patterns(source):
        return Path(source), None
    patterns = source.split("+")
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
    inside = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(PurePosixPath(p.as_posix()) for p in inside if not any(x.startswith(".") for x in p.parts))


def _best(files: Sequence[PurePosixPath]) -> Layout | None:
    """The layout by which most files are a pair; None: by none is any."""
    counts = {layout: len(_matched(_keys(files, layout.input), _keys(files, layout.target), layout.drop))
              for layout in LAYOUTS}  # fmt: skip
    best = max(counts, key=lambda layout: counts[layout])
    return best if counts[best] else None


def _keys(files: Iterable[PurePosixPath], pattern: str) -> list[tuple[str, PurePosixPath]]:
    """(key, file) of the files that a pattern describes."""
    bare = PurePosixPath(pattern)
    suffix = bare.suffix.lower() if bare.suffix.lower() in SUFFIXES else ""
    parts = re.split(r"(\*\*/|\*)", pattern[: len(pattern) - len(suffix)])
    wild = {"**/": "((?:[^/]+/)*)", "*": "([^/]*)"}
    expression = re.compile("".join(wild.get(part, re.escape(part)) for part in parts), re.IGNORECASE)
    found = []
    for file in files:
        match = expression.fullmatch(file.with_suffix("").as_posix())
        if match and suffix in ("", file.suffix.lower()):
            found.append(("".join(match.groups()), file))
    return found


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
) -> list[tuple[str, str, Path, Path]]:
    """(id, photo, input, target) of each pair; what has no partner, or the name of another, is lost."""
    inputs, targets = _once(_keys(files, layout.input), lost), _once(_keys(files, layout.target), lost)
    matched = _matched(list(inputs.items()), list(targets.items()), layout.drop)
    with_target, wanted = {key for key, _, _ in matched}, {other for _, other, _ in matched}
    lost += [Skipped(str(inputs[key]), "it has no target") for key in inputs if key not in with_target]
    lost += [Skipped(str(targets[key]), "it has no input") for key in targets if key not in wanted]
    return sorted(
        (key, _photo(other, layout), root / file, root / targets[other]) for key, other, file in matched
    )


def _once(keys: Iterable[tuple[str, PurePosixPath]], lost: list[Skipped]) -> Mapping[str, PurePosixPath]:
    """{key: file}, of several files of one key the first."""
    found: dict[str, PurePosixPath] = {}
    for key, file in keys:
        if found.setdefault(key, file) != file:
            lost.append(Skipped(str(file), f"{found[key]} has the same name"))
    return found


def _photo(key: str, layout: Layout) -> str:
    folder = PurePosixPath(key).parent.as_posix()
    return folder if layout.scenes and folder != "." else key


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


def _nothing_found(root: Path, layout: Layout | None) -> str:
    if layout is not None:
        return (
            f"{root} holds no pairs of {layout.input} and {layout.target}: name inputs and targets alike, "
            "up to the suffix."
        )
    known = [layout for layout in LAYOUTS if layout.input.endswith("/**/*")]
    names = ", ".join(f"{one.input.split('/')[1]}/ and {one.target.split('/')[1]}/" for one in known)
    return (
        f"{root} holds no pairs: give a folder with {names}, in which files are named alike, or two patterns "
        "INPUTS+TARGETS."
    )

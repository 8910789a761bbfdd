"""Why the files of a folder are no pairs, as sentences."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from training.data.layouts import LAYOUTS, Layout, keyed, split_named
from training.data.shards import SUFFIXES

_SUFFIXES = ", ".join(sorted(SUFFIXES))
PATTERNS = "or two patterns INPUTS+TARGETS, such as rain/*.png+clear/*.png"


def why_none(root: Path, files: Sequence[PurePosixPath], layout: Layout | None) -> str:
    """Why no files under a folder are pairs: of a layout, or else of any."""
    if layout is not None:
        return f"{root} holds no pairs: {_of_sides(files, layout, (layout.input, layout.target))}."
    if (half := why_half(root, files)) is not None:
        return half
    if (side := one_side(root)) is not None:
        return f"{root} holds no pairs but their {side} side: give the folder above, {root.resolve().parent}."
    there = _folders(root)
    for one in (one for one in LAYOUTS if one.sides):
        for side, other in (one.sides, one.sides[::-1]):
            if side in there:
                return f"{root} holds no pairs: it has {side}/, but no {other}/ beside it."
    names = ", ".join(f"{one.sides[0]}/ and {one.sides[1]}/" for one in LAYOUTS if one.sides)
    return f"{root} holds no pairs: give a folder with {names}, in which files are named alike, {PATTERNS}."


def why_half(root: Path, files: Sequence[PurePosixPath]) -> str | None:
    """The same for a folder that has both sides' folders and yet no pair; None: it has not."""
    there = _folders(root)
    for one in (one for one in LAYOUTS if one.sides):
        if set(one.sides) <= there:
            names = tuple(f"{side}/" for side in one.sides)
            return f"{root} holds no pairs: {_of_sides(files, one, names)}."
    return None


def one_side(root: Path) -> str | None:
    """Which side of pairs a folder is by its name and its neighbour's, "damaged" or "good"; None: neither."""
    above, name = root.resolve().parent, root.resolve().name.lower()
    for one in (one for one in LAYOUTS if one.sides):
        for side, other, kind in ((*one.sides, "damaged"), (*one.sides[::-1], "good")):
            spellings = (other, other.upper(), other.title())
            if name == side and any((above / spelling).is_dir() for spelling in spellings):
                return kind
    return None


def _of_sides(files: Sequence[PurePosixPath], layout: Layout, names: tuple[str, str]) -> str:
    """Which side of a layout is empty, or that names differ; `names` is what a reader calls the sides."""
    sides = [keyed(files, pattern) for pattern in (layout.input, layout.target)]
    if not any(sides):
        return f"neither {names[0]} nor {names[1]} has a picture"
    for side, other, name, full in ((*sides, *names), (*sides[::-1], *names[::-1])):
        if not side:
            return f"{name} has no picture, {full} has {len(other)}; pictures end with {_SUFFIXES}"
    if names == (layout.input, layout.target):
        first = f"{sides[0][0][0]!r} and {sides[1][0][0]!r} of the first"
        return f"what the * of {names[0]} and of {names[1]} stand for never agrees: {first}"
    first = f"{sides[0][0][1].name}, {sides[1][0][1].name}"
    return (
        f"no picture of {names[0]} has the name of one of {names[1]} ({first}); name both alike, up to the "
        f"suffix, or give {PATTERNS.removeprefix('or ')}"
    )


def _folders(root: Path) -> set[str]:
    """Names of the folders in a folder, and in its train/, test/ and their like; small letters."""
    found = [path for path in root.iterdir() if path.is_dir()]
    inside = [path for one in found if split_named(one.name) for path in one.iterdir() if path.is_dir()]
    return {path.name.lower() for path in (*found, *inside)}

"""Which pairs train and which are held out: by the folders that a benchmark keeps apart, or else by name."""

from collections.abc import Callable, Sequence
from typing import Literal

from training.data.pairs import Pair
from training.data.photos import Split, split_of

Measured = Split | Literal["all"]
Chosen = Callable[[Pair], bool]


def training(pairs: Sequence[Pair]) -> Chosen:
    """Those of train/ if there are any; else no others than those of test/ and validation/ are left out.

    Of these, too, some are held out by name (`split_of`).
    """
    parts = {pair.part for pair in pairs}
    if parts.isdisjoint(("train", None)):
        return lambda pair: True
    own = "train" if "train" in parts else None
    return lambda pair: pair.part == own


def measured(pairs: Sequence[Pair], split: Measured | None) -> tuple[Chosen, str]:
    """Which pairs are of a split, and words for what they are; there may be none.

    None: those of test/, else of validation/, else those that lie beside train/, else those that training on
    train/ holds out; all, where there are no such folders.
    """
    parts = {pair.part for pair in pairs}
    if split == "all" or (split is None and parts == {None}):
        return lambda pair: True, "all"
    if split is None and "train" in parts and parts.isdisjoint(("test", "validation")):
        if None in parts:
            return lambda pair: pair.part is None, "those beside its train folder"
        return (
            lambda pair: split_of(pair.photo) != "train",
            "those of its train folder that training holds out by their names",
        )
    split = split or next(one for one in ("test", "validation") if one in parts)
    if split in parts:
        return lambda pair: pair.part == split, f"those in its {split} folder"
    trains, words = training(pairs), "trains on" if split == "train" else f"holds out for {split}"
    return (
        lambda pair: trains(pair) and split_of(pair.photo) == split,
        f"those that training {words} by their names",
    )

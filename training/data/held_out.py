"""Which pairs train and which are held out: by the folders that a benchmark keeps apart, or else by name."""

from collections.abc import Sequence
from typing import Literal

from training.data.pairs import Pair
from training.data.photos import Split, split_of

Measured = Split | Literal["all"]


def training_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """Those of train/ if there are any; else no others than those of test/ and validation/ are left out.

    Of these, too, some are held out by name (`split_of`).
    """
    of_train = [pair for pair in pairs if pair.part == "train"]
    return of_train or [pair for pair in pairs if pair.part is None] or list(pairs)


def measured_pairs(pairs: Sequence[Pair], split: Measured | None) -> tuple[list[Pair], str]:
    """The pairs of a split, and words for what they are; it may have none.

    None: those of test/, else of validation/, else those that lie beside train/, else those that training on
    train/ holds out; all, where there are no such folders.
    """
    parts = {pair.part for pair in pairs}
    if split == "all" or (split is None and parts == {None}):
        return list(pairs), "all"
    if split is None and "train" in parts and parts.isdisjoint(("test", "validation")):
        beside = [pair for pair in pairs if pair.part is None]
        held_out = [pair for pair in pairs if split_of(pair.photo) != "train"]
        if beside:
            return beside, "those beside its train folder"
        return held_out, "those of its train folder that training holds out by their names"
    split = split or next(one for one in ("test", "validation") if one in parts)
    if split in parts:
        return [pair for pair in pairs if pair.part == split], f"those in its {split} folder"
    by_name = [pair for pair in training_pairs(pairs) if split_of(pair.photo) == split]
    words = "trains on" if split == "train" else f"holds out for {split}"
    return by_name, f"those that training {words} by their names"

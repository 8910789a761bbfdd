"""A request as tokens: what a word or phrase means, and what belongs together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lwr.prompt.sizes import Size

MENTIONS = ("DEFECT", "ACTION", "QUALITY", "SCALE", "SIZE")  # tokens that name a task or a topic
ENDS = ("BREAK", "COMMA", "INSTEAD", "EXCEPT", "NOR")  # tokens that end a clause
REACH = 25  # tokens; nothing farther away belongs together


@dataclass(frozen=True)
class Token:
    """A word or phrase and what it means here."""

    kind: str  # of `CUES`, or one of `MENTIONS`, or WORD when unknown
    text: str
    task: str = ""  # of a mention; or the name of a topic
    value: float = 0.0  # of STRENGTH, SCALE, FACTOR and NUMBER
    role: str = ""  # of a topic: TOPIC, THING and COMMAND (of kind WORD); of a size without a unit: UNREAD
    look: bool = False  # of a defect that before a noun only tells of a thing: "dark hair"
    size: Size | None = None  # of SIZE


def bounds(tokens: Sequence[Token], i: int) -> tuple[int, int]:
    """Start and end of the segment around `i`: what stands between breaks, commas and conjunctions."""
    parts = (*ENDS, "JOIN")
    first, last = max(i - REACH, 0), min(i + REACH, len(tokens))
    start = next((j + 1 for j in range(i - 1, first - 1, -1) if tokens[j].kind in parts), first)
    return start, next((j for j in range(i + 1, last) if tokens[j].kind in parts), last)

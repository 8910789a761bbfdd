"""General requests, which leave it to the photo what is done: "enhance", "make it clear", "it's low quality".

What asks for something by name is none: "improve the resolution" says more than "improve it".
"""

from __future__ import annotations

from collections.abc import Sequence

from lwr.prompt.mentions import Clause, Rank
from lwr.prompt.tokens import ENDS, MENTIONS, REACH, Token
from lwr.tasks.base import phrases

_VERBS = frozenset(
    f"{verb}{end}"
    for verb in phrases(
        "enhanc, improv, restor, renovat, optimis, optimiz, rescu, retouch, fix, repair, correct, mend"
    )
    for end in ("e", "ing", "")
) | frozenset(
    phrases(
        """polish, clean up, cleaning up, sort out, touch up, touching up, heal, recover, do something about,
        refurbish, refresh, work on"""
    )
)
_PARTICIPLES = frozenset(
    phrases(
        """enhanced, improved, restored, renovated, optimised, optimized, fixed, repaired, corrected,
        mended, retouched, cleaned up"""
    )
)
_ADJECTIVES = frozenset(("clear", "clearer", "clean", "cleaner", "better", "way better"))
_AFTER_HEAD = ("PREPOSITION", "CAPTION", "NOT", "KEEP", *ENDS, "JOIN")
_OF = frozenset(("for", "with", "by", "to", "up", "of", "half of the photo"))


def general_rank(tokens: Sequence[Token], i: int, clause: Clause) -> Rank:
    """What the verb at `i` asks as a general request, after `clause`: "fix it", "make it clear",
    "not clear"."""
    text = tokens[i].text
    if tokens[i].kind != "REPAIR" or clause.seen & {"QUESTION", "CAPTION"}:
        return Rank.NOTHING
    made = clause.verb in ("CREATE", "WANT", "BECOME") or "GOAL" in clause.seen
    passive = i > 0 and tokens[i - 1].text == "be"  # "could be better", "can it be fixed"
    asked = Rank.FORBIDDEN if clause.odd else Rank.ASK
    if text in _ADJECTIVES:
        return _of_adjective(tokens, i, clause, made or passive, asked)
    if text in _PARTICIPLES:
        return asked if (made or passive) and _is_whole(tokens, i) else Rank.NOTHING
    plain = text in _VERBS and "BE" not in clause.seen and clause.verb != "KEEP"
    return asked if plain and _is_whole(tokens, i) else Rank.NOTHING


def _of_adjective(tokens: Sequence[Token], i: int, clause: Clause, made: bool, asked: Rank) -> Rank:
    own = made and tokens[i - 1].kind == "PICTURE" and "PREPOSITION" not in clause.seen  # "grandma's picture"
    strange = "MENTION" in clause.seen or (
        "WORD" in clause.seen and not own and tokens[i].text not in ("clear", "clearer")
    )
    if strange or not _is_whole(tokens, i):
        return Rank.NOTHING
    if made:
        return asked
    if "BE" in clause.seen:
        return Rank.COMPLAINT if clause.odd else Rank.NOTHING
    return Rank.NOTHING if clause.seen & {"WORD"} or clause.verb else asked


def _is_whole(tokens: Sequence[Token], i: int) -> bool:
    """Whether what follows the verb is the whole photo: nothing, "it", "my grandma's old photo"."""
    head = None
    for token in tokens[i + 1 : i + REACH]:
        if token.kind in _AFTER_HEAD or token.text in _OF:
            head = token if token.kind == "CAPTION" else head
            break
        if token.kind in ("WORD", "PICTURE", *MENTIONS) and token.kind not in ("SCALE", "SIZE"):
            head = token
    return head is None or head.kind in ("PICTURE", "CAPTION")

"""What one mention of a task asks, from its clause and from what follows it: "the haze should not stay"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from lwr.prompt.lexicon import ENDS, MENTIONS, REACH, Token

_DENIALS = (["BE", "NOT"], ["GOAL", "NOT"], ["NOT", "WANT"])  # "sharpening is not", "must not", "not needed"
_SAYING = frozenset(  # none of these in a title
    {"BE", "REMOVE", "REPAIR", "KEEP", "CREATE", "WANT", "GOAL", "CANNOT", "TROUBLE", "BAD", "FUNCTION"}
)
_THE = ("the", "this", "my", "that", "these", "those", "our")
_OBJECTS = ("the", "my", "this", "it", "out", "his", "her", "their", "everything")
_SIGNS = {"REMOVE": 1, "REPAIR": 1, "GONE": 1, "TROUBLE": 1, "BAD": 1, "KEEP": -1, "STAY": -1}


class Rank(IntEnum):
    """What a mention asks; of two about one task the higher one counts."""

    NOTHING = 0
    COMPLAINT = 1
    FORBIDDEN = 2
    ASK = 3

    @property
    def asks(self) -> bool:
        """Whether the task is asked for, in so many words or by a complaint."""
        return self in (Rank.COMPLAINT, Rank.ASK)


@dataclass
class Clause:
    """What a clause has said up to some token."""

    verb: str = ""  # kind of the last verb: REMOVE, REPAIR, KEEP, CREATE, WANT, BECOME
    before: int = 0  # negations before that verb
    after: int = 0  # negations since
    # Kinds of the other tokens; also MENTION (of a task), MODIFIER (a word with a preposition, "the man in"),
    # "no" (a negation of a noun) and "aside" ("without ..." after something was asked for).
    seen: set[str] = field(default_factory=set)

    @property
    def odd(self) -> bool:
        """Whether the negations do not cancel out."""
        return (self.before + self.after) % 2 == 1

    def govern(self, verb: str) -> None:
        """Take in a verb; the last one governs, but "make it look" still makes."""
        if verb == "BECOME" and self.verb:
            return
        self.verb, self.before, self.after = verb, self.before + self.after, 0
        self.seen -= {"WORD", "MODIFIER", "MENTION"}


@dataclass
class _Sequel:
    """What follows a mention in its clause: "the haze (should not stay)"."""

    sign: int = 0  # +1: it should go or is trouble, -1: it should stay, 0: nothing said
    bad: bool = False  # "the focus (is off)"
    odd: bool = False  # an odd number of negations
    goal: bool = False  # "should", "must"


def rank(tokens: Sequence[Token], i: int, clause: Clause) -> Rank:
    """What the mention at `i` asks, after `clause`."""
    if "QUESTION" in clause.seen:
        return Rank.NOTHING
    named = kinds(tokens, i + 1, 1) == ["REMOVAL"]  # "haze removal" is an action
    if tokens[i].kind == "DEFECT" and not named:
        return _of_defect(tokens, i, clause)
    if tokens[i].kind == "QUALITY":
        return _of_quality(clause, _sequel(tokens, i))
    return _of_action(tokens, i, clause)


def _of_action(tokens: Sequence[Token], i: int, clause: Clause) -> Rank:
    undone = clause.verb == "REMOVE" and "MENTION" not in clause.seen  # "undo the sharpening"
    unnecessary = any(token.text == "unnecessary" for token in tokens[i + 1 : i + 3])
    denied = kinds(tokens, i + 1, 2) in _DENIALS or unnecessary
    return Rank.FORBIDDEN if clause.odd ^ undone ^ denied else Rank.ASK


def _of_defect(tokens: Sequence[Token], i: int, clause: Clause) -> Rank:
    """Whether naming what is wrong asks to repair it: "no haze" and "it is hazy" do, "keep the haze" not."""
    if clause.verb == "REMOVE" and "MODIFIER" in clause.seen:
        return Rank.NOTHING  # "remove the man in the fog"
    if clause.verb in ("REMOVE", "REPAIR", "KEEP"):
        return Rank.ASK if clause.odd == (clause.verb == "KEEP") else Rank.FORBIDDEN
    if _is_only_denied(tokens, i):
        return Rank.COMPLAINT  # "the fog is fine, the blur is not"
    sequel = _sequel(tokens, i)
    # "the boat in the mist is not visible" denies no mist
    odd = clause.odd ^ ("MODIFIER" not in clause.seen and sequel.odd)
    if sequel.sign:
        return Rank.ASK if (sequel.sign > 0) ^ odd else Rank.FORBIDDEN
    if clause.verb == "WANT":
        return Rank.ASK if odd else Rank.FORBIDDEN
    if (clause.verb == "CREATE" and not _is_attribute(tokens, i)) or _is_imperative(tokens, i):
        undone = clause.verb and clause.after % 2 == 1 and clause.before % 2 == 0
        return Rank.ASK if undone else Rank.NOTHING  # "add no fog" does, "blur the background" does not
    return _of_described_defect(tokens, i, clause, odd, sequel.goal)


def _of_described_defect(tokens: Sequence[Token], i: int, clause: Clause, odd: bool, goal: bool) -> Rank:
    """The rank of a defect that no verb governs: "it is hazy", "no haze please", "a foggy forest at dawn"."""
    if "CAPTION" in clause.seen or _is_caption(tokens, i):
        return Rank.NOTHING
    if not odd:
        return Rank.COMPLAINT
    unwanted = "GOAL" in clause.seen or goal or ("no" in clause.seen and "BE" not in clause.seen)
    return Rank.ASK if unwanted and "aside" not in clause.seen else Rank.NOTHING


def _of_quality(clause: Clause, sequel: _Sequel) -> Rank:
    """Whether naming a virtue asks for it: "make it sharp" and "not sharp" do, "it is sharp" does not."""
    if clause.verb in ("KEEP", "REMOVE"):
        return Rank.NOTHING
    odd = clause.odd ^ sequel.odd
    if clause.verb in ("CREATE", "REPAIR", "WANT") or "GOAL" in clause.seen or sequel.goal:
        return Rank.FORBIDDEN if odd else Rank.ASK
    if "CANNOT" in clause.seen or odd:
        return Rank.NOTHING if sequel.sign > 0 and odd else Rank.COMPLAINT
    if clause.verb == "BECOME":
        return Rank.ASK
    return Rank.COMPLAINT if "BAD" in clause.seen or sequel.bad else Rank.NOTHING


# ---- what stands around a mention


def kinds(tokens: Sequence[Token], start: int, count: int) -> list[str]:
    """Kinds of up to `count` tokens from `start` on."""
    return [token.kind for token in tokens[start : start + count]]


def after_articles(tokens: Sequence[Token], i: int) -> int:
    """Index of the first token after `i` that is no article, 0 at the end."""
    return next((j for j in range(i + 1, len(tokens)) if tokens[j].kind != "ARTICLE"), 0)


def _sequel(tokens: Sequence[Token], i: int) -> _Sequel:
    sequel = _Sequel()
    for token in _following(tokens, i):
        if token.kind in MENTIONS:
            return _Sequel()  # what was said may belong to that mention
        if token.kind in (*ENDS, "JOIN", "PICTURE"):
            break
        if token.kind in _SIGNS:
            sequel.sign, sequel.bad = _SIGNS[token.kind], token.kind == "BAD"
            break
        sequel.odd ^= token.kind in ("NOT", "CANNOT")
        sequel.goal |= token.kind == "GOAL"
    return sequel


def _following(tokens: Sequence[Token], i: int) -> Iterator[Token]:
    """Tokens after `i`, without a colon ("fog: keep") and further defects ("the haze and the blur")."""
    j = i + 2 if i + 1 < len(tokens) and tokens[i + 1].text == ":" else i + 1
    while j < min(len(tokens), i + REACH):
        further = after_articles(tokens, j) if tokens[j].kind == "JOIN" else 0
        if further and tokens[further].kind == "DEFECT":
            j = further
        else:
            yield tokens[j]
        j += 1


def _is_only_denied(tokens: Sequence[Token], i: int) -> bool:
    """Whether the clause ends with "is not" right after the defect."""
    ends = (kinds(tokens, i + 3, 1) or ["BREAK"])[0] in ENDS
    return ends and kinds(tokens, i + 1, 2) == ["BE", "NOT"]


def _is_attribute(tokens: Sequence[Token], i: int) -> bool:
    """Whether the defect describes what is there: "make the foggy hills clear", unlike "add fog"."""
    if i == 0 or tokens[i - 1].text.removeprefix("so ") not in _THE:
        return False
    if i == 1 or tokens[i - 2].kind != "CREATE":
        return True
    rest = (token.kind for token in tokens[i + 1 :] if token.kind not in ("ARTICLE", "STRENGTH"))
    return next(rest, "") in ("WORD", "PICTURE")  # "increase the fog" asks for no less of it


def _is_imperative(tokens: Sequence[Token], i: int) -> bool:
    """Whether a defect is used as a verb: "blur the background"."""
    following = tokens[i + 1].text if i + 1 < len(tokens) else ""
    starts = i == 0 or tokens[i - 1].kind in ("FUNCTION", "BREAK", "COMMA", "JOIN", "NOT")
    return starts and " " not in tokens[i].text and following in _OBJECTS


def _is_caption(tokens: Sequence[Token], i: int) -> bool:
    """Whether the text is a title: "a foggy forest at dawn", "a mill in the fog"; not so "a foggy photo"."""
    before = kinds(tokens, 0, i)
    adorned = i == 1 and tokens[0].text in ("a", "an") and kinds(tokens, i + 1, 1) == ["WORD"]
    placed = before.count("PREPOSITION") == 1 and "WORD" in before
    placed = placed and set(before) <= {"WORD", "ARTICLE", "PREPOSITION"}
    said = {token.kind for token in tokens}
    return (adorned and "BE" not in said) or (placed and not said & _SAYING)

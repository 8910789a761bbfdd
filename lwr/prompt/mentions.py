"""What one mention of a task asks, from its clause and from what follows it: "the haze should not stay"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from lwr.prompt.tokens import ENDS, MENTIONS, REACH, Token, bounds
from lwr.prompt.topics import GENERAL
from lwr.tasks.base import phrases

_DENIALS = (["BE", "NOT"], ["GOAL", "NOT"], ["NOT", "WANT"])  # "sharpening is not", "must not", "not needed"
_SAYING = frozenset(  # none of these in a title
    {"BE", "REMOVE", "REPAIR", "KEEP", "CREATE", "WANT", "GOAL", "CANNOT", "TROUBLE", "BAD", "FUNCTION"}
)
_HIDDEN = phrases(  # what haze and the dark do to a thing: no title says so
    """disappear, disappears, disappeared, vanish, vanishes, vanished, hidden, swallowed, drowned, drowning,
    buried, invisible, unrecognisable, unrecognizable"""
)
_THE = ("the", "this", "my", "that", "these", "those", "our")
_OBJECTS = ("the", "my", "this", "it", "out", "his", "her", "their", "everything")
_GIVEN_SIZE = ("from", "than", "on", "my", "his", "her", "your", "our", "their")  # that of something there is
_WANTED_SIZE = ("to", "into", "fit", "fits", "as", "for", "up to")
_ABOUT = ("at least", "exactly", "about", "around", "roughly", "approximately", "least", "maximum", "max")
_SIZED = phrases("version, wallpaper, copy, format, print, poster, version please, edition, size, wide, high")
_BESIDE_SIZE = ("FUNCTION", "ARTICLE", "PICTURE", "CREATE", "QUALITY", "STRENGTH", "REPAIR", "STAY")
_PAPER = re.compile("a[0-6]")
_HAVING = ("has", "have", "had", "contains", "shows", "there", "see", "like a")  # what follows is a thing
_PLEASE = ("please", "pls", "plz", "kindly")
_SUBJECTS = ("i", "you", "we", "one", "they", "he", "she")
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
    token = tokens[i]
    named = kinds(tokens, i + 1, 1) == ["REMOVAL"]  # "haze removal" is an action
    if token.kind == "SIZE":
        return _of_size(tokens, i, clause)
    if token.kind == "DEFECT" and not named:
        adjective = token.look and clause.verb != "REPAIR" and _is_of_noun(tokens, i)
        return Rank.NOTHING if adjective else _of_defect(tokens, i, clause)  # "sharpen the dark car"
    if token.kind == "QUALITY":
        of_size = token.task == GENERAL.name and i > 0 and tokens[i - 1].kind == "SIZE"  # "4k quality"
        asked = Rank.NOTHING if of_size else _of_quality(clause, _sequel(tokens, i), token.role == "TOPIC")
        lone = not asked and not of_size and token.role and _is_lone(tokens, i)  # just "contrast"
        return Rank.COMPLAINT if lone else asked
    return _of_action(tokens, i, clause)


def rank_of_word(tokens: Sequence[Token], i: int, clause: Clause) -> Rank:
    """What a topic's noun or command at `i` asks: "remove the people" and "crop it" do."""
    if clause.seen & {"QUESTION", "CAPTION", "MENTION", "MODIFIER"}:
        return Rank.NOTHING
    if tokens[i].role == "COMMAND":
        starts = i == 0 or tokens[i - 1].kind in ("FUNCTION", "BREAK", "COMMA", "JOIN", "NOT")
        asked = starts and "BE" not in clause.seen
        return Rank.NOTHING if not asked else Rank.FORBIDDEN if clause.odd else Rank.ASK
    unwanted = "no" in clause.seen and not clause.verb and "BE" not in clause.seen
    return Rank.ASK if unwanted or (clause.verb == "REMOVE" and not clause.odd) else Rank.NOTHING


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
    start, end = bounds(tokens, i)
    please = "no" in clause.seen or any(token.text in _PLEASE for token in tokens[start:end])
    unwanted = "GOAL" in clause.seen or goal or (please and "BE" not in clause.seen)
    return Rank.ASK if unwanted and "aside" not in clause.seen else Rank.NOTHING


def _of_quality(clause: Clause, sequel: _Sequel, of_topic: bool) -> Rank:
    """Whether naming a virtue asks for it: "make it sharp" and "not sharp" do, "it is sharp" does not."""
    kept = clause.verb == "KEEP" or (not clause.verb and sequel.sign < 0)
    if of_topic and kept and not clause.odd ^ sequel.odd:
        return Rank.FORBIDDEN  # "keep the colours" lets nobody change them, "keep it sharp" lets sharpen
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


def _of_size(tokens: Sequence[Token], i: int, clause: Clause) -> Rank:
    """Whether a size is what the photo shall get: "make it 4k" does, "it is 640x480" not."""
    token, before = tokens[i], _before_size(tokens, i)
    start, end = bounds(tokens, i)
    beside = [one for one in tokens[start:end] if one.kind != "SIZE"]
    is_print = token.size is not None and token.size.is_print
    printing = is_print and any("print" in one.text for one in beside)
    given = before in _GIVEN_SIZE and not printing
    if "CAPTION" in clause.seen or given or any(_is_other(one) for one in beside):
        return Rank.NOTHING
    asked = Rank.FORBIDDEN if clause.odd else Rank.ASK
    acting = any(one.kind == "ACTION" and not one.role for one in beside)  # "enlarge it to 4k"
    acting = acting and any(_enlarges(one, token) for one in (*tokens[start:i], *tokens[i + 1 : i + 3]))
    if acting or printing or before in _WANTED_SIZE:
        return asked
    made = clause.verb in ("CREATE", "WANT", "BECOME", "REPAIR") or "GOAL" in clause.seen
    following = tokens[i + 1] if i + 1 < len(tokens) else None
    strange = following is not None and following.kind == "WORD" and following.text not in _SIZED
    if made:
        named = _PAPER.fullmatch(token.text) and i > 0 and tokens[i - 1].kind == "WORD"  # "my Audi A4"
        return Rank.NOTHING if strange or named else asked
    if _follows_task(tokens, i, clause) and not strange:
        return asked
    lacking = [one for one in beside if one.kind not in ("BE", "NOT")]  # "it is not HD"
    if clause.odd and "BE" in clause.seen and not strange and not is_print and _is_bare(lacking):
        return Rank.ASK
    described = "BE" in clause.seen or strange or _is_told(tokens, start)
    return Rank.NOTHING if described or not _is_bare(beside) else asked


def _follows_task(tokens: Sequence[Token], i: int, clause: Clause) -> bool:
    """Whether the size at `i` ends a command: "deblur 4k", "remove haze 1080p"; not "deblur 4k photos"."""
    before = tokens[i - 1] if i and not tokens[i - 1].role else None
    removed = before is not None and before.kind == "DEFECT" and clause.verb == "REMOVE"
    rest = tokens[i + 1 : bounds(tokens, i)[1]]
    ends = _is_bare(rest) and all(one.kind != "PICTURE" for one in rest)
    return ends and (removed or (before is not None and before.kind == "ACTION"))


def _is_bare(beside: Sequence[Token]) -> bool:
    """Whether a size stands with nothing but words that say no more: "in 4k please"."""
    rest = beside[1:] if beside and beside[0].kind == "PREPOSITION" else beside
    return all(one.kind in _BESIDE_SIZE or one.text in (*_SIZED, *_ABOUT) for one in rest)


def _is_lone(tokens: Sequence[Token], i: int) -> bool:
    """Whether the segment says nothing but the mention at `i`."""
    start, end = bounds(tokens, i)
    aside = ("FUNCTION", "PICTURE", "SIZE")  # "photo quality"
    return all(one is tokens[i] or one.kind in aside for one in tokens[start:end])


def _is_other(token: Token) -> bool:
    """Whether a token asks for something else that may have a size: "crop it to 800x600"."""
    acts = token.kind == "ACTION" or token.role == "COMMAND"
    return acts and bool(token.role) and token.task != GENERAL.name


def _enlarges(token: Token, size: Token) -> bool:
    return token.kind == "ACTION" and token.task == size.task


def _before_size(tokens: Sequence[Token], i: int) -> str:
    """The word that leads to the size at `i`, without articles and "about"."""
    j = i - 1
    while j >= 0 and (tokens[j].kind == "ARTICLE" or tokens[j].text in _ABOUT):
        j -= 1
    return tokens[j].text if j >= 0 else ""


def _is_told(tokens: Sequence[Token], start: int) -> bool:
    """Whether the segment from `start` on goes on with a description: "is only (200 pixels wide)"."""
    words = [token for token in tokens[max(0, start - 2) : start] if token.kind != "ARTICLE"]
    only = bool(words) and words[-1].text in ("only", "just", "but")
    return only and len(words) > 1 and words[-2].kind not in ("COMMA", "JOIN")


# ---- what stands around a mention


def kinds(tokens: Sequence[Token], start: int, count: int) -> list[str]:
    """Kinds of up to `count` tokens from `start` on."""
    return [token.kind for token in tokens[start : start + count]]


def after_articles(tokens: Sequence[Token], i: int) -> int:
    """Index of the first token after `i` that is no article, 0 at the end."""
    return next((j for j in range(i + 1, len(tokens)) if tokens[j].kind != "ARTICLE"), 0)


def _sequel(tokens: Sequence[Token], i: int) -> _Sequel:
    sequel, before, pictured = _Sequel(), "", False
    rest = [*_following(tokens, i)]
    for j, token in enumerate(rest):
        if token.kind in MENTIONS:
            return _Sequel()  # what was said may belong to that mention
        seeing = token.kind == "CANNOT" and before in _SUBJECTS  # "so much haze that you can not see a thing"
        praised = kinds(rest, j + 1, 1) == ["STAY"] and set(kinds(rest, j + 2, 1)) <= set(ENDS)
        if token.kind == "JOIN" and praised:
            continue  # "the sky is dark and beautiful"
        # "the dark photo is fine", but not "a dark photo of a fine house"
        if token.kind in (*ENDS, "JOIN") or seeing or (pictured and token.kind != "BE"):
            break
        pictured = token.kind == "PICTURE"
        if token.kind in _SIGNS:
            sequel.sign, sequel.bad = _SIGNS[token.kind], token.kind == "BAD"
            break
        sequel.odd ^= token.kind in ("NOT", "CANNOT")
        sequel.goal |= token.kind == "GOAL"
        before = token.text
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


def _is_of_noun(tokens: Sequence[Token], i: int) -> bool:
    """Whether an adjective only tells of a noun after it: "dark hair"; unlike "it is too dark here"."""
    near = reversed(tokens[max(i - REACH, 0) : i])
    before = next((token for token in near if token.kind != "STRENGTH"), None)
    joined = ("DEFECT", "JOIN") if before is not None and before.kind == "ARTICLE" else ("DEFECT",)
    after = next((token for token in tokens[i + 1 : i + REACH] if token.kind not in joined), None)
    said = before is not None and (
        before.text in ("too", "so") or (before.kind == "BE" and before.text not in _HAVING)
    )
    thing = after is not None and (after.kind == "WORD" or after.role == "TOPIC")
    return not said and thing  # also after "dark rainy (night)", "a dark and stormy (night)"


def _is_imperative(tokens: Sequence[Token], i: int) -> bool:
    """Whether a defect is used as a verb: "blur the background"."""
    following = tokens[i + 1].text if i + 1 < len(tokens) else ""
    starts = i == 0 or tokens[i - 1].kind in ("FUNCTION", "BREAK", "COMMA", "JOIN", "NOT")
    # "it rained the whole day", "they sent and compressed the photo"
    told = (i > 0 and tokens[i - 1].text == "it") or tokens[i].text.endswith("ed")
    return starts and not told and " " not in tokens[i].text and following in _OBJECTS


def _is_caption(tokens: Sequence[Token], i: int) -> bool:
    """Whether the text is a title: "a foggy forest at dawn", "a mill in the fog"; not so "a foggy photo"."""
    before = kinds(tokens, 0, i)
    adorned = i == 1 and tokens[0].text in ("a", "an") and kinds(tokens, i + 1, 1) == ["WORD"]
    placed = before.count("PREPOSITION") == 1 and "WORD" in before
    placed = placed and set(before) <= {"WORD", "ARTICLE", "PREPOSITION", "DEFECT"}
    said = {token.kind for token in tokens}
    hidden = any(token.text in _HIDDEN for token in tokens)
    return (adorned and "BE" not in said) or (placed and not said & _SAYING and not hidden)

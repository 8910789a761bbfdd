"""Tokens -> intents: what a text says about each task that it mentions.

One pass from left to right follows, clause by clause, which verb governs and how often it was negated.
`lwr.prompt.mentions` says what each mention asks after that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lwr.prompt.general import general_rank
from lwr.prompt.mentions import Clause, Rank, after_articles, kinds, rank, rank_of_word
from lwr.prompt.tokens import MENTIONS, Token, bounds
from lwr.prompt.topics import GENERAL
from lwr.tasks.base import phrases

_LISTED = ("ARTICLE", "COMMA", "DEFECT", "ACTION", "QUALITY", "FUNCTION")
_REFERENCES = frozenset(  # what "but I like it" leaves is what was named last
    phrases("it, that, them, as it is, as is, alone, the mood, that mood, the atmosphere, that atmosphere")
)


_PRAISED = (["it"], ["that"], ["this"], ["which"], ["i", "think", "it"], ["i", "think", "that"])


@dataclass(frozen=True)
class Intent:
    """What the text says about one mention."""

    token: Token
    at: int  # index of the token
    rank: Rank


def intents(tokens: Sequence[Token]) -> list[Intent]:
    """The intents of a text, in order of mention; a task may have several."""
    return _Reader(tokens).read()


class _Reader:
    """Reads tokens from left to right; `clause` is what has been said since the clause started."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.tokens, self.clause, self.intents = tokens, Clause(), list[Intent]()

    def read(self) -> list[Intent]:
        for i, token in enumerate(self.tokens):
            _HANDLERS.get(token.kind, _Reader._other)(self, token, i)
        return self.intents

    def _other(self, token: Token, i: int) -> None:
        self.clause.seen.add(token.kind)

    def _end(self, token: Token, i: int) -> None:
        self.clause = Clause()

    def _end_negated(self, token: Token, i: int) -> None:
        self.clause = Clause(after=1)  # "instead of sharpening it"

    def _comma(self, token: Token, i: int) -> None:
        rest = next((following for following in self.tokens[i:] if following.kind not in _LISTED), None)
        if rest is not None and rest.text == "or":
            self._other(token, i)  # within a list: "no sharpening, enlarging or dehazing"
        else:
            self._end(token, i)

    def _so(self, token: Token, i: int) -> None:
        if self.clause.verb:
            self._other(token, i)
        else:
            self._end(token, i)  # "I had no tripod so it is blurry"

    def _join(self, token: Token, i: int) -> None:
        """After "and" or "or" what governs nouns goes on, and a new verb starts a clause."""
        following = after_articles(self.tokens, i)
        kind = self.tokens[following].kind if following else ""
        if kind in ("DEFECT", "QUALITY", "WORD", "STRENGTH"):
            return
        goes_on = kind in ("ACTION", "SCALE") and (token.text == "or" or self.tokens[i - 1].kind == kind)
        # "don't sharpen or enlarge"
        self.clause = Clause(after=self.clause.before + self.clause.after) if goes_on else Clause()

    def _negation(self, token: Token, i: int) -> None:
        self.clause.after += 1
        if token.text == "without":
            asked = any(intent.rank.asks for intent in self.intents)
            self.clause.seen.add("aside" if asked else "GOAL")
        elif token.text in ("no", "no more", "zero"):
            self.clause.seen.add("no")

    def _exception(self, token: Token, i: int) -> None:
        if token.text == "everything but" and {"KEEP", "NOT"} & set(kinds(self.tokens, i + 1, 2)):
            self._end(token, i)  # "sharpen everything but keep the fog"
        else:
            self._negation(token, i)

    def _word(self, token: Token, i: int) -> None:
        if token.task:
            self.intents.append(Intent(token, i, rank_of_word(self.tokens, i, self.clause)))
        self._other(token, i)

    def _verb(self, token: Token, i: int) -> None:
        general = general_rank(self.tokens, i, self.clause)
        self.clause.govern(token.kind)
        if general:
            self.intents.append(Intent(replace(token, task=GENERAL.name), i, general))
        if self.intents and self._keeps_as_is(i):
            self.intents.append(replace(self.intents[-1], rank=Rank.FORBIDDEN))

    def _keeps_as_is(self, i: int) -> bool:
        """Whether the verb leaves what was named last: "it is foggy, but I like it", "don't touch it"."""
        clause = self.clause
        if clause.verb not in ("KEEP", "REMOVE", "REPAIR") or clause.seen & {"CANNOT", "MENTION"}:
            return False
        rest = self.tokens[i + 1 : bounds(self.tokens, i)[1]]
        alone = not any(token.kind in (*MENTIONS, "WORD", "PICTURE") for token in rest)
        pronoun = bool(rest) and rest[0].text in _REFERENCES
        return alone and pronoun and clause.odd != (clause.verb == "KEEP")

    def _praise(self, token: Token, i: int) -> None:
        """ "it is foggy, but that is fine" leaves what was only told of before."""
        start, _ = bounds(self.tokens, i)
        told = bool(self.intents) and self.intents[-1].at < start and self.intents[-1].rank == Rank.COMPLAINT
        said = [one.text for one in self.tokens[start:i] if one.kind not in ("BE", "STRENGTH")]
        if told and "BE" in kinds(self.tokens, start, i - start) and said in _PRAISED:
            self.intents.append(replace(self.intents[-1], rank=Rank.FORBIDDEN))
        self._other(token, i)

    def _mention(self, token: Token, i: int) -> None:
        self.intents.append(Intent(token, i, rank(self.tokens, i, self.clause)))
        self.clause.seen.add("MENTION")

    def _preposition(self, token: Token, i: int) -> None:
        if "WORD" in self.clause.seen:
            self.clause.seen.add("MODIFIER")

    def _question(self, token: Token, i: int) -> None:
        if not (self.clause.seen or self.clause.verb):  # unlike "I want to see what is behind the fog"
            self._other(token, i)

    def _being(self, token: Token, i: int) -> None:
        self._other(token, i)
        self.clause.seen.discard("CAPTION")


_HANDLERS: dict[str, Callable[[_Reader, Token, int], None]] = {  # by kind of token; `_other` for the rest
    "BREAK": _Reader._end,
    "INSTEAD": _Reader._end_negated,
    "NOR": _Reader._end_negated,
    "COMMA": _Reader._comma,
    "SO": _Reader._so,
    "JOIN": _Reader._join,
    "NOT": _Reader._negation,
    "WORD": _Reader._word,
    "EXCEPT": _Reader._exception,
    "PREPOSITION": _Reader._preposition,
    "QUESTION": _Reader._question,
    "BE": _Reader._being,
    "STAY": _Reader._praise,
    **dict.fromkeys(("REMOVE", "REPAIR", "KEEP", "CREATE", "WANT", "BECOME"), _Reader._verb),
    **dict.fromkeys(MENTIONS, _Reader._mention),
}

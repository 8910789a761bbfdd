"""A request as tokens: known words and phrases with what they mean, typos corrected, numbers read.

`lwr.prompt.router` decides what they ask for.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from lwr.prompt.english import COMMON, CORRECTED, CUES, INFLECTED, NUMBERS, STRENGTHS
from lwr.tasks.base import Vocabulary

MENTIONS = ("DEFECT", "ACTION", "QUALITY", "SCALE")  # tokens that name a task
ENDS = ("BREAK", "COMMA", "INSTEAD", "EXCEPT", "NOR")  # tokens that end a clause
REACH = 25  # tokens; nothing farther away belongs together
_NUMBER = r"\d+(?:[.,]\d+)?"
_COUNT = rf"(?:{_NUMBER}|{'|'.join(NUMBERS)})"
_TOKEN = re.compile(
    rf"(?P<bare>(?<![\w.])(?:{_NUMBER})\s?[x×](?![\w×]|\s\d)|(?<![\w.])(?<!\d\s)[x×]\s?{_NUMBER}(?![\w.]*\w))"
    rf"|(?P<percent>\b{_NUMBER}\s?(?:%|percent\b)|(?<![\w.,])0[.,]\d+(?![\w.,]*\w))"
    rf"|(?P<factor>\b{_COUNT}[\s-]?(?:times|fold)\b|\b(?:twice|(?:doubl|tripl|quadrupl)(?:e|ed|ing))\b"
    rf"|\b(?:by|factor|scale)(?:\s(?:a|factor|of|to))*[\s:=]+{_COUNT}\b(?!\s?(?:[%x×]|percent|times)))"
    r"|(?P<word>\d+[a-z]*|[^\W\d_]+)|(?P<stop>[.!?;:()\n]+)|(?P<comma>,)|(?P<join>[&+])"
)
_MULTIPLY = re.compile("doubl|tripl|quadrupl")
_SPELLING = (  # (pattern, replacement), in this order, on lower-case text
    (r"[’‘`´]", "'"),
    (r"\b(can|do|does|did|is|are|was|were|should|could|would|must|need|has|have|had|wo)\s?n'?t\b", r"\1 not"),
    (r"\bcannot\b", "can not"),
    (r"'(?:s|re|m)\b", " is"),
    (r"'d\b", " would"),
    (r"\b(de|un|up|re|over)-(?=[a-z])", r"\1"),
    (r"(?<=[^\W\d_])[-/'](?=\w)", " "),
    (r"\s[-–—]+\s|[–—]", " ; "),
)


@dataclass(frozen=True)
class Token:
    """A word or phrase and what it means here."""

    kind: str  # of `CUES`, or one of `MENTIONS`, or WORD when unknown
    text: str
    task: str = ""  # of a mention
    value: float = 0.0  # of STRENGTH, SCALE and FACTOR


class Lexicon:
    """All words and phrases that mean something, general ones and those of the given vocabularies."""

    def __init__(self, vocabularies: Sequence[tuple[str, Vocabulary]]) -> None:
        self.phrases: dict[tuple[str, ...], Token] = {}
        for kind, phrases in CUES.items():
            self._add(kind, phrases, inflect=kind in INFLECTED)
        for value, phrases in STRENGTHS.items():
            self._add("STRENGTH", phrases, value=value)
        for name, words in vocabularies:
            self._add("DEFECT", words.defects, name)
            self._add("ACTION", words.actions, name, inflect=True)
            self._add("QUALITY", words.qualities, name)
            self._add("FUNCTION", words.idioms)
        self.scaled = next((name for name, words in vocabularies if words.measures), "")
        self.measures = {word for _, words in vocabularies for word in words.measures}
        self.words = {word for phrase in self.phrases for word in phrase} | self.measures
        self.longest: dict[str, int] = {}  # first word -> number of words of its longest phrase
        for first, *rest in self.phrases:
            self.longest[first] = max(self.longest.get(first, 0), 1 + len(rest))
        meanings = [(word, token) for phrase, token in self.phrases.items() for word in phrase]
        self.loose = {word for word, token in meanings if token.task}  # corrected even from two typos
        correctable = sorted(self.loose | {word for word, token in meanings if token.kind in CORRECTED})
        self.squeezed = {_squeeze(word): word for word in correctable}
        self.initial: dict[str, list[str]] = {}  # first letter -> words that a typo may have meant
        for word in correctable:
            self.initial.setdefault(word[0], []).append(word)
        self.corrected = lru_cache(10_000)(self.correct)  # bounded: a server must not grow with its requests

    def _add(
        self, kind: str, phrases: Iterable[str], task: str = "", value: float = 0.0, inflect: bool = False
    ) -> None:
        for phrase in phrases:
            for form in _inflected(phrase) if inflect and (not task or " " not in phrase) else (phrase,):
                words = tuple(form.casefold().replace("-", " ").split())
                if form == phrase or words not in self.phrases:
                    self.phrases[words] = Token(kind, form, task, value)

    def tokens(self, text: str) -> list[Token]:
        """The tokens of a text, longest phrases first, typos corrected."""
        text = unicodedata.normalize("NFKC", text).casefold()
        for pattern, replacement in _SPELLING:
            text = re.sub(pattern, replacement, text)
        single = [self._token(match) for match in _TOKEN.finditer(text)]
        words = [token.text for token in single]
        tokens, i = [], 0
        while i < len(single):
            lengths = range(self.longest.get(words[i], 0), 0, -1)
            used = next((n for n in lengths if tuple(words[i : i + n]) in self.phrases), 0)
            tokens.append(self.phrases[tuple(words[i : i + used])] if used else single[i])
            i += used or 1
        return self._scaled(tokens)

    def _token(self, match: re.Match[str]) -> Token:
        kind, text = str(match.lastgroup), match.group()
        if kind == "word":
            return Token("WORD", self.corrected(text))
        if kind in ("stop", "comma", "join"):
            return Token({"stop": "BREAK", "comma": "COMMA", "join": "JOIN"}[kind], text)
        value = _number(text)
        if kind == "percent":  # "50%", or "0.5"
            value = value / 100 if text[-1] in "%t" else value
            return Token("PERCENT" if value <= 1 else "SCALE", text, "" if value <= 1 else self.scaled, value)
        return Token("SCALE" if kind == "bare" else "FACTOR", text, self.scaled, value)

    def _scaled(self, tokens: list[Token]) -> list[Token]:
        """The tokens with each number decided: "twice as big" is a scale, "2x sharper" is none."""
        numbers = ("SCALE", "FACTOR", "PERCENT")
        return [self._decided(tokens, i) if one.kind in numbers else one for i, one in enumerate(tokens)]

    def _decided(self, tokens: list[Token], i: int) -> Token:
        """The number at `i` as a SCALE, a STRENGTH or a mere WORD."""
        token, segment = tokens[i], tokens[slice(*bounds(tokens, i))]
        about = {other.task for other in segment if other.kind in MENTIONS[:3]}
        measured = self.scaled in about or any(other.text in self.measures for other in segment)
        if token.kind == "SCALE":
            is_scale = measured or not about
        elif token.kind == "FACTOR":
            is_scale = measured or token.text.startswith("scale") or _is_lone(token, tokens, segment)
        else:
            is_scale = measured and about <= {self.scaled}
        if is_scale and self.scaled:
            value = 1 + token.value if token.kind == "PERCENT" else token.value  # "enlarge by 50%"
            return Token("SCALE", token.text, self.scaled, value)
        if token.kind == "PERCENT" and token.value > 0:
            return Token("STRENGTH", token.text, value=token.value)
        return Token("WORD", token.text)

    def correct(self, word: str) -> str:
        """The known word that `word` is a likely misspelling of, else `word`."""
        if word in self.words or word in COMMON or len(word) < 4:
            return word
        if _squeeze(word) in self.squeezed:
            return self.squeezed[_squeeze(word)]
        swapped = [known for known in self.initial.get(word[1], ()) if known[1:2] == word[0]]
        candidates = [*self.initial.get(word[0], ()), *swapped]
        # insert, delete, change or swap neighbours: once, in a long word twice
        edits = 1 if len(word) < 8 else 2
        near = extract(word, candidates, scorer=OSA.distance, score_cutoff=edits, limit=None)
        likely = [(known, distance) for known, distance, _ in near if self._likely(word, known, distance)]
        # a letter is sooner lost than added: "sharpr" is "sharper" rather than "sharp"
        return min(likely, key=lambda pair: (pair[1], -len(pair[0])), default=(word, 0))[0]

    def _likely(self, word: str, known: str, distance: int) -> bool:
        """Whether somebody who wrote `word` may have meant `known`."""
        # of four letters only swapped ones are corrected: "fog" is no "frog", "blur" no "blue"
        allowed = len(word) > 4 or sorted(word) == sorted(known)
        return allowed and (distance < 2 or known in self.loose)


@lru_cache(maxsize=16)
def lexicon(vocabularies: tuple[tuple[str, Vocabulary], ...]) -> Lexicon:
    """The lexicon of these (task name, vocabulary) pairs, built once."""
    return Lexicon(vocabularies)


def _inflected(phrase: str) -> list[str]:
    """A verb phrase in its regular forms: "blow up" -> "blow up", "blows up", "blowed up", "blowing up"."""
    verb, _, rest = phrase.partition(" ")
    stem = verb[:-1] if verb.endswith("e") else verb
    forms = [verb, stem + "ed", stem + "ing", verb + "s"]
    if re.search(r"[^aeiou][aeiou][bdgmnprt]$", verb):
        forms += [verb + verb[-1] + "ed", verb + verb[-1] + "ing"]
    if verb.endswith("y"):
        forms += [verb[:-1] + "ies", verb[:-1] + "ied"]
    return [f"{form} {rest}".strip() for form in forms]


def _squeeze(word: str) -> str:
    """`word` with runs of one letter made single: "deblurrr" -> "deblur"."""
    return re.sub(r"(.)\1+", r"\1", word)


def _number(text: str) -> float:
    """The number in "2,5x", "three times" or "twice"."""
    digits = re.search(_NUMBER, text)
    if digits:
        return float(digits.group().replace(",", "."))
    return next(value for word, value in NUMBERS.items() if re.search(rf"\b{word}", text))


def _is_lone(token: Token, tokens: Sequence[Token], segment: Sequence[Token]) -> bool:
    """Whether the factor says all by itself what it multiplies: "double it", or just "two times"."""
    plain = all(m is token or m.kind in ("FUNCTION", "ARTICLE", "CREATE", "PICTURE") for m in segment)
    return plain and (bool(_MULTIPLY.match(token.text)) or all(m.kind not in MENTIONS[:3] for m in tokens))


def bounds(tokens: Sequence[Token], i: int) -> tuple[int, int]:
    """Start and end of the segment around `i`: what stands between breaks, commas and conjunctions."""
    parts = (*ENDS, "JOIN")
    first, last = max(i - REACH, 0), min(i + REACH, len(tokens))
    start = next((j + 1 for j in range(i - 1, first - 1, -1) if tokens[j].kind in parts), first)
    return start, next((j for j in range(i + 1, last) if tokens[j].kind in parts), last)

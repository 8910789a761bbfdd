"""A request as tokens: known words and phrases with what they mean, typos mended, numbers read.

`lwr.prompt` decides what they ask for.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from lwr.prompt.english import COMMON, CUES, INFLECTED, MENDED, NUMBERS, STRENGTHS
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
        self.mended: dict[str, str] = {}  # word -> what it was mended to, of the words met so far
        self.scaled = next((name for name, words in vocabularies if words.measures), "")
        self.measures = {word for _, words in vocabularies for word in words.measures}
        self.words = {word for phrase in self.phrases for word in phrase} | self.measures
        self.longest: dict[str, int] = {}  # first word -> number of words of its longest phrase
        for first, *rest in self.phrases:
            self.longest[first] = max(self.longest.get(first, 0), 1 + len(rest))
        marked = [(word, token) for phrase, token in self.phrases.items() for word in phrase]
        self.loose = {word for word, token in marked if token.task}  # mended even from two typos
        mended = self.loose | {word for word, token in marked if token.kind in MENDED}
        self.squeezed = {_squeeze(word): word for word in sorted(mended)}
        self.initial: dict[str, list[str]] = {}
        for word in sorted(mended):
            self.initial.setdefault(word[0], []).append(word)

    def _add(
        self, kind: str, phrases: Iterable[str], task: str = "", value: float = 0.0, inflect: bool = False
    ) -> None:
        for phrase in phrases:
            for form in _inflected(phrase) if inflect and (not task or " " not in phrase) else (phrase,):
                words = tuple(form.casefold().replace("-", " ").split())
                if form == phrase or words not in self.phrases:
                    self.phrases[words] = Token(kind, form, task, value)

    def tokens(self, text: str) -> list[Token]:
        """The tokens of a text, longest phrases first, typos mended."""
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
            if text not in self.mended:
                if len(self.mended) >= 10_000:  # a server must not grow with what it is asked
                    self.mended.clear()
                self.mended[text] = self.mend(text)
            return Token("WORD", self.mended[text])
        if kind in ("stop", "comma", "join"):
            return Token({"stop": "BREAK", "comma": "COMMA", "join": "JOIN"}[kind], text)
        value = _number(text)
        if kind == "percent":  # "50%", or "0.5"
            value = value / 100 if text[-1] in "%t" else value
            return Token("PERCENT" if value <= 1 else "SCALE", text, "" if value <= 1 else self.scaled, value)
        return Token("SCALE" if kind == "bare" else "FACTOR", text, self.scaled, value)

    def _scaled(self, tokens: list[Token]) -> list[Token]:
        """Decide which numbers are scales: "twice as big" is one, "2x sharper" is none."""
        decided = []
        for i, token in enumerate(tokens):
            if token.kind not in ("SCALE", "FACTOR", "PERCENT"):
                decided.append(token)
                continue
            segment = _segment(tokens, i)
            about = {other.task for other in segment if other.kind in MENTIONS[:3]}
            measured = self.scaled in about or any(other.text in self.measures for other in segment)
            if token.kind == "FACTOR":
                measured |= token.text.startswith("scale") or _is_lone(token, tokens, segment)
            if token.kind == "SCALE" and (not self.scaled or (about and not measured)):
                token = replace(token, kind="WORD", task="")
            elif token.kind == "FACTOR":
                token = replace(token, kind="SCALE" if self.scaled and measured else "WORD")
            elif token.kind == "PERCENT" and self.scaled and measured and about <= {self.scaled}:
                token = Token("SCALE", token.text, self.scaled, 1 + token.value)  # "enlarge by 50%"
            elif token.kind == "PERCENT":
                token = replace(token, kind="STRENGTH" if token.value > 0 else "WORD")
            decided.append(token)
        return decided

    def mend(self, word: str) -> str:
        """The known word that `word` is a likely misspelling of, else `word`."""
        if word in self.words or word in COMMON or len(word) < 4:
            return word
        if _squeeze(word) in self.squeezed:
            return self.squeezed[_squeeze(word)]
        allowed = 1 + (len(word) >= 8)
        best, best_distance = word, allowed + 1
        for initial in dict.fromkeys(word[:2]):
            for known in self.initial.get(initial, ()):
                swapped_start = initial != word[0]
                if abs(len(known) - len(word)) > allowed or (swapped_start and known[1:2] != word[0]):
                    continue
                distance = _distance(word, known, allowed)
                if distance == 2 and known not in self.loose:
                    continue
                # of four letters only swapped ones are mended: "fog" is no "frog", "blur" no "blue"
                if len(word) == 4 and sorted(word) != sorted(known):
                    continue
                # a letter is sooner lost than added: "sharpr" is "sharper" rather than "sharp"
                if distance <= allowed and (distance, -len(known)) < (best_distance, -len(best)):
                    best, best_distance = known, distance
        return best


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


def _distance(a: str, b: str, allowed: int) -> int:
    """Edits from `a` to `b` (insert, delete, change, swap neighbours), 3 for too many; `allowed`: 1 or 2."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    a, b = a[start:], b[start:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    if max(len(a), len(b)) > (2 if allowed == 1 else 5):
        return 3
    rows = [list(range(len(b) + 1))]
    for i, x in enumerate(a):
        row = [i + 1]
        for j, y in enumerate(b):
            row.append(min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (x != y)))
            if i and j and x == b[j - 1] and a[i - 1] == y:
                row[-1] = min(row[-1], rows[i - 1][j - 1] + 1)
        rows.append(row)
    return min(rows[-1][-1], 3)


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


def _segment(tokens: Sequence[Token], i: int) -> Sequence[Token]:
    start, end = bounds(tokens, i)
    return tokens[start:end]


def bounds(tokens: Sequence[Token], i: int) -> tuple[int, int]:
    """Start and end of the segment around `i`: what stands between breaks, commas and conjunctions."""
    parts = (*ENDS, "JOIN")
    first, last = max(i - REACH, 0), min(i + REACH, len(tokens))
    start = next((j + 1 for j in range(i - 1, first - 1, -1) if tokens[j].kind in parts), first)
    return start, next((j for j in range(i + 1, last) if tokens[j].kind in parts), last)

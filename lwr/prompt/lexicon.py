"""A request as tokens: known words and phrases with what they mean, typos corrected, numbers read.

`lwr.prompt.router` decides what they ask for.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from lwr.prompt.english import COMMON, CORRECTED, CUES, INFLECTED, STRENGTHS
from lwr.prompt.numbers import COUNT, NUMBER, decided, number_in
from lwr.prompt.old import OLD, REPAIRS
from lwr.prompt.sizes import DPI, INCHES, ODD, PATTERN, SPACED, dots_of, is_plain, size_of
from lwr.prompt.tokens import Token
from lwr.prompt.topics import GENERAL, topics
from lwr.tasks.base import Vocabulary

_TOKEN = re.compile(
    rf"(?P<size>{PATTERN})|(?P<dpi>{DPI})"
    rf"|(?P<odd>{ODD})"
    rf"|(?P<bare>(?<![\w.])(?:{NUMBER})\s?[x×](?![\w×]|\s\d)|(?<![\w.])(?<!\d\s)[x×]\s?{NUMBER}(?![\w.]*\w))"
    rf"|(?P<percent>\b{NUMBER}\s?(?:%|percent\b)|\bby\s(?:a\s)?half\b|(?<![\w.,])0[.,]\d+(?![\w.,]*\w))"
    rf"|(?P<factor>\b{COUNT}[\s-]?(?:times|fold)\b|\b(?:twice|thrice|(?:doubl|tripl|quadrupl)(?:e|ed|ing))\b"
    rf"|\b(?:by|factor|scale)(?:\s(?:a|factor|of|to))*[\s:=]+{COUNT}\b(?!\s?(?:[%x×]|percent|times)))"
    rf"|(?P<number>(?<![\w.,]){NUMBER}(?![\w%×]|[.,]\d))"
    r"|(?P<word>\d+[a-z]*|[^\W\d_]+)|(?P<stop>[.!?;:()\n]+)|(?P<comma>,)|(?P<join>[&+])"
)
_UNIT = r"(?:[x×kp]|times|fold|px|pixels?|mega\w+|mp)"
_SPELLING = (  # (pattern, replacement), in this order, on lower-case text
    INCHES,
    SPACED,
    (r"(?<=[a-z]{4})(?=\d{1,3}(?:[.,]\d{1,3})?[xk]\b)", " "),  # "enlarge2x"
    (  # "but not more than 2x"
        rf"\b(?:but\s)?(?:not|no|never)\s(?:more|larger|bigger|greater|higher|wider)"
        rf"\sthan(?=\s(?:twice\b|{COUNT}\s?{_UNIT}\b))",
        "max",
    ),
    (r"[’‘`´]", "'"),
    (r"\b(can|do|does|did|is|are|was|were|should|could|would|must|need|has|have|had|wo)\s?n'?t\b", r"\1 not"),
    (r"\bcannot\b|\bcan'?t\b", "can not"),
    (r"'(?:s|re|m)\b", " is"),
    (  # "do not brighten it too much", but not "I do not like it too much"
        r"\b(?:do not|never) (?!want|need|like|love|mind|see|have|care)"
        r"((?:\w+ ){1,5})too (?:much|strongly|hard)\b(?! \w)",
        r"\1not too much",
    ),
    (r"'d(?= to (?:death|hell|bits))", "ed"),
    (r"'d\b", " would"),
    (r"\b(de|un|up|re|over)-(?=[a-z])", r"\1"),
    (r"(?<=[^\W\d_])[-/'](?=\w)", " "),
    (r"[-=]+>|[→⇒]|\s[-–—]+\s|[–—]", " ; "),
)


class Lexicon:
    """All words and phrases that mean something, general ones and those of the given vocabularies."""

    def __init__(self, vocabularies: Sequence[tuple[str, Vocabulary]]) -> None:
        self.phrases: dict[tuple[str, ...], Token] = {}
        for kind, phrases in CUES.items():
            self._add(kind, phrases, inflect=kind in INFLECTED)
        for value, phrases in STRENGTHS.items():
            self._add("STRENGTH", phrases, value=value)
        for topic in (GENERAL, *REPAIRS.values(), OLD, *topics([name for name, _ in vocabularies])):
            self._add_words(topic.name, topic.words, "TOPIC")
            self._add("WORD", topic.things, topic.name, role="THING")
            self._add("WORD", topic.commands, topic.name, role="COMMAND")
        for name, words in vocabularies:
            self._add_words(name, words)
        self.scaled = next((name for name, words in vocabularies if words.measures), "")
        self.measures = {word for _, words in vocabularies for word in words.measures}
        self.words = {word for phrase in self.phrases for word in phrase} | self.measures
        self.longest: dict[str, int] = {}  # first word -> number of words of its longest phrase
        for first, *rest in self.phrases:
            self.longest[first] = max(self.longest.get(first, 0), 1 + len(rest))
        meanings = [(word, token) for phrase, token in self.phrases.items() for word in phrase]
        # corrected even from two typos
        self.loose = {word for word, token in meanings if token.task and not token.role}
        correctable = self.loose | {word for word, token in meanings if token.kind in CORRECTED}
        self.topical = {
            phrase[0] for phrase, token in self.phrases.items() if token.role and len(phrase) == 1
        }
        self.topical -= correctable
        correctable = sorted(correctable | self.topical)
        self.squeezed = {_squeeze(word): word for word in correctable}
        self.initial: dict[str, list[str]] = {}  # first letter -> words that a typo may have meant
        for word in correctable:
            self.initial.setdefault(word[0], []).append(word)
        self.corrected = lru_cache(10_000)(self.correct)  # bounded: a server must not grow with its requests

    def _add_words(self, name: str, words: Vocabulary, role: str = "") -> None:
        self._add("DEFECT", words.defects, name, role=role)
        self._add("DEFECT", words.looks, name, role=role, look=True)
        self._add("ACTION", words.actions, name, inflect=True, role=role)
        self._add("QUALITY", words.qualities, name, role=role)
        self._add("FUNCTION", words.idioms)

    def _add(
        self,
        kind: str,
        phrases: Iterable[str],
        task: str = "",
        value: float = 0.0,
        inflect: bool = False,
        role: str = "",
        look: bool = False,
    ) -> None:
        for phrase in phrases:
            for form in _inflected(phrase) if inflect and (not task or " " not in phrase) else (phrase,):
                words = tuple(form.casefold().replace("-", " ").split())
                if form == phrase or words not in self.phrases:
                    self.phrases[words] = Token(kind, form, task, value, role, look)

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
        return decided(tokens, self.scaled, self.measures)

    def _token(self, match: re.Match[str]) -> Token:
        kind, text = str(match.lastgroup), match.group()
        if kind == "word":
            return Token("WORD", self.corrected(text))
        if kind == "odd":
            return Token("WORD", text, role="UNREAD" if self.scaled else "")
        if kind in ("stop", "comma", "join"):
            return Token({"stop": "BREAK", "comma": "COMMA", "join": "JOIN"}[kind], text)
        if kind in ("size", "dpi"):
            return self._size(text, kind)
        value = number_in(text)
        if kind == "number":
            return Token("NUMBER", text, value=value)
        if kind == "percent":  # "50%", or "0.5"
            value = value / 100 if text[-1] in "%t" else value
            return Token("PERCENT" if value <= 1 else "SCALE", text, "" if value <= 1 else self.scaled, value)
        return Token("SCALE" if kind == "bare" else "FACTOR", text, self.scaled, value)

    def _size(self, text: str, kind: str) -> Token:
        """A SIZE; also "300 dpi" as one of no size, until a print beside it takes it."""
        if kind == "dpi":
            return Token("SIZE", text, "dpi", dots_of(text), "TOPIC")
        size = size_of(text)
        if not self.scaled:
            return Token("WORD", text)
        if size is None or not (is_plain(size) or "p" in text):  # "8x10" and "0x0", but not "8x10 px"
            return Token("WORD", text, role="UNREAD")
        return Token("SIZE", text, self.scaled, size=size)

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
        if known in self.topical:  # less is lost by not knowing these
            return sorted(word) == sorted(known) or (len(word) > 5 and distance < 2)
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

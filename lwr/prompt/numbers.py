"""Numbers in a request: which are a scale, a size or a strength, and which say nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from lwr.prompt.english import NUMBERS as NUMBER_WORDS
from lwr.prompt.sizes import pixels_wide, size_of
from lwr.prompt.tokens import MENTIONS, REACH, Token, bounds
from lwr.prompt.topics import GENERAL

NUMBER = r"\d+(?:[.,]\d+)?"
COUNT = rf"(?:{NUMBER}|{'|'.join(NUMBER_WORDS)})"
MAX_BARE = 16  # a number without "x" or "times" above this is no scale
_MULTIPLY = re.compile("doubl|tripl|quadrupl")


def decided(tokens: list[Token], scaled: str, measures: Collection[str]) -> list[Token]:
    """The tokens with each number decided: "twice as big" is a scale, "2x sharper" is none.

    `scaled` is the task that scales, "" = none; `measures` are the words for what it multiplies.
    """
    tokens = _printed(tokens, scaled)
    numbers = ("SCALE", "FACTOR", "PERCENT")
    known = [
        _decided(tokens, i, scaled, measures) if one.kind in numbers else one for i, one in enumerate(tokens)
    ]
    return [_counted(known, i, scaled) if one.kind == "NUMBER" else one for i, one in enumerate(known)]


def _counted(tokens: Sequence[Token], i: int, scaled: str) -> Token:
    """The bare number at `i`: "upscale 3" is a scale, "upscale to 4000" a size, "enlarge 3 faces" none."""
    token, following = tokens[i], tokens[i + 1 : i + 2]
    word = Token("WORD", token.text)
    if any(after.kind in ("WORD", "PICTURE", "NUMBER", *MENTIONS) for after in following):
        return word
    j = i - 1
    while j > max(0, i - REACH) and _leads_to_number(tokens, j):
        j -= 1
    if j < 0 or tokens[j].kind != "ACTION" or tokens[j].task != scaled:
        return word
    if token.value <= MAX_BARE:
        return Token("SCALE", token.text, scaled, token.value)
    if token.value < 100 or token.value != int(token.value):
        return Token("WORD", token.text, role="UNREAD")
    return Token("SIZE", token.text, scaled, size=pixels_wide(int(token.value)))


def _decided(tokens: Sequence[Token], i: int, scaled: str, measures: Collection[str]) -> Token:
    """The number at `i` as a SCALE, a STRENGTH or a mere WORD."""
    token, segment = tokens[i], tokens[slice(*bounds(tokens, i))]
    about = {other.task for other in segment if other.kind in MENTIONS[:3]} - {GENERAL.name}
    measured = scaled in about or any(other.text in measures for other in segment)
    if token.kind == "SCALE":
        is_scale = measured or not about
    elif token.kind == "FACTOR":
        is_scale = measured or token.text.startswith("scale") or _is_lone(token, tokens, segment)
    else:
        is_scale = measured and about <= {scaled}
    if is_scale and scaled:
        if token.text[-1].isdigit() and token.kind != "PERCENT" and token.value > MAX_BARE:
            return Token("WORD", token.text, role="UNREAD")  # "x 2160"
        more = token.kind == "PERCENT" and token.text[-1] in "%tf" and (i == 0 or tokens[i - 1].text != "to")
        value = 1 + token.value if more else token.value  # "enlarge by 50%"
        return Token("SCALE", token.text, scaled, value)
    if token.kind == "PERCENT" and token.value > 0:
        return Token("STRENGTH", token.text, value=token.value)
    return Token("WORD", token.text)


def number_in(text: str) -> float:
    """The number in "2,5x", "three times", "twice" or "by half"."""
    if text.endswith("half"):
        return 0.5
    digits = re.search(NUMBER, text)
    if digits:
        return float(digits.group().replace(",", "."))
    return next(value for word, value in NUMBER_WORDS.items() if re.search(rf"\b{word}", text))


def _printed(tokens: list[Token], scaled: str) -> list[Token]:
    """The tokens with each print at the density that is said beside it: "A4, 300 dpi"."""
    found = list(tokens)
    for i, token in enumerate(tokens):
        unread = token.role == "UNREAD"  # "8x10 at 300 dpi" are inches
        size = size_of(f"{token.text} inches") if unread else token.size
        if size is None or not size.is_print:
            continue
        around = range(max(0, i - REACH), min(len(tokens), i + REACH))
        near = [j for j in around if found[j].task == "dpi"]
        if near:
            nearest = min(near, key=lambda j, i=i: abs(j - i))
            found[i] = Token("SIZE", token.text, scaled, size=size.at(tokens[nearest].value))
            for j in (max(0, nearest - 1), nearest):  # "at 300 dpi" is used up
                if j == nearest or tokens[j].text in ("at", "in", "with"):
                    found[j] = Token("FUNCTION", tokens[j].text)
    return found


def _leads_to_number(tokens: Sequence[Token], j: int) -> bool:
    """Whether a number may follow the token at `j` on its way from the verb: "upscale (this photo to) 3"."""
    token, before = tokens[j], tokens[j - 1].kind if j else ""
    the = token.text in ("this", "the", "my", "that") and tokens[j + 1].kind == "PICTURE"
    return (
        token.kind in ("FUNCTION", "STRENGTH")
        or token.text in (":", "this", "that", "it")
        or the
        or (token.kind == "PICTURE" and before == "ARTICLE")  # "upscale photo 3" names a photo
    )


def _is_lone(token: Token, tokens: Sequence[Token], segment: Sequence[Token]) -> bool:
    """Whether the factor says all by itself what it multiplies: "double it", or just "two times"."""
    plain = all(m is token or m.kind in ("FUNCTION", "ARTICLE", "CREATE", "PICTURE") for m in segment)
    return plain and (bool(_MULTIPLY.match(token.text)) or all(m.kind not in MENTIONS[:3] for m in tokens))

"""Target sizes in words: "3840x2160", "4k", "1080p", "4000 pixels wide", "A4 at 300 dpi".

`size_of` reads one, as `--size` takes it; `PATTERN` and `DPI` find them in a sentence.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

EXAMPLES = (
    '"3840x2160", a width such as "4000", "x2000" for a height, "4k", "1080p", "12 megapixels" or "A4@300dpi"'
)
MAX_CHARACTERS = 80  # of a size in words
PRINT_DPI = 300  # what is assumed of a print when nobody says more
VIDEO_HEIGHTS = (480, 576, 720, 900, 1080, 1440, 2160, 4320)

# box: fits into width x height; sheet: the same, turned as the photo is; area: megapixels
Kind: TypeAlias = Literal["box", "sheet", "width", "height", "long", "short", "area"]


@dataclass(frozen=True)
class Size:
    """A size that a restored photo shall have; its aspect is kept."""

    kind: Kind
    text: str  # as people read it, and as `size_of` reads it again
    width: float  # pixels, or inches of a print, or megapixels; the number of whatever side is meant
    height: float = 0.0
    is_print: bool = False  # in inches
    dpi: float | None = None  # of a print; None: unsaid
    reading: str = ""  # how an open word is read: "HD is read as 1080p"

    @property
    def is_grade(self) -> bool:
        """Whether it is also a word for a good picture, as "HD" and "4k" are."""
        return re.fullmatch(r"\d+[kp]|(?:[UQ]|full )?HD", self.text) is not None

    def at(self, dpi: float) -> Size:
        """The same print at this many dots per inch."""
        return replace(self, dpi=dpi, text=f"{self.text} at {dpi:g} dpi", reading="")

    def scale(self, width: int, height: int) -> float:
        """Output side / input side at which a photo of these pixels gets this size, be it possible or not."""
        dots = (self.dpi or PRINT_DPI) if self.is_print else 1.0
        a, b = self.width * dots, self.height * dots
        if self.kind == "area":
            return math.sqrt(self.width * 1e6 / (width * height))
        a, b = max(1, round(a)), max(1, round(b))
        if self.kind == "sheet" and (a < b) != (width < height):
            a, b = b, a
        one_sided = {
            "width": width,
            "height": height,
            "long": max(width, height),
            "short": min(width, height),
        }
        side = one_sided.get(self.kind)
        return a / side if side else min(a / width, b / height)


def size_of(text: str) -> Size | None:
    """The size in a text that says nothing else, or None: "4k", "4000" (a width), "A4 at 300 dpi"."""
    return _size_of(text) if len(text) <= MAX_CHARACTERS else None


@lru_cache(1000)  # bounded: a server must not grow with its requests
def _size_of(text: str) -> Size | None:
    if any(letter.isdigit() and not letter.isdecimal() for letter in text):  # "²"
        return None
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub(*SPACED, re.sub(*INCHES, text)).strip()
    dots = re.search(DPI, text)
    words = text.replace(dots[0], " ") if dots else text
    words = re.sub(r"^[\s,@(]*(?:(?:an?|to|at|in|for|on|fit|as)\s+)?", "", words)
    words = re.sub(r"[\s,@()]*(?:\b(?:at|with|and|in))?[\s,@()]*$", "", words) if dots else words.strip()
    found = next((make(match) for form, make in _FORMS if (match := form.fullmatch(words))), _bare(words))
    if found is None or min(found.width, found.height or 1) <= 0:
        return None
    if dots is None:
        return found
    return found.at(dots_of(dots[0])) if found.is_print else found  # pixels are pixels at any density


def dots_of(text: str) -> float:
    """The number in "300 dpi"."""
    return float(re.match(r"\d+", text)[0])


def box_of(width: Size, height: Size) -> Size:
    """The size of both, from "4000 pixels wide and 3000 pixels high"."""
    return Size("box", f"{width.width:g}x{height.width:g}", width.width, height.width)


def is_plain(size: Size) -> bool:
    """Whether bare numbers can be pixels: "16x9" is an aspect, "8x10" perhaps a print in inches."""
    return size.kind != "box" or max(size.width, size.height) >= 64 or size.width == size.height >= 16


def pixels_wide(number: float) -> Size:
    """What "upscale 4000" means: a width, or the height of a kind of video, as in "upscale 1080"."""
    if number in VIDEO_HEIGHTS:
        return Size("short", f"{number:g}p", number)
    return Size("width", f"{number:g} pixels wide", number)


# ---- the forms, on lower-case text

INCHES = (r"(?<=\d)\s?(?:\"|''|′′|”|“)", " in ")  # 8"x10"
SPACED = (  # "4 000 pixels"
    r"(?<![\w.,×])([1-9]\d{0,2})\s(\d{3})(?=[\s-]?(?:px|pixels?|wide|high|tall)\b)",
    r"\1\2",
)
_WHOLE = r"(?:\d{1,3}(?:[,.']\d{3})+(?![\d,.'])|\d{1,6})"  # pixels are whole: "4.000" is four thousand
_DECIMAL = r"\d{1,3}(?:[.,]\d{1,3})?"
_PX = r"(?:px|pixels?|pix)"
_BY = r"(?:\s*[x×✕✖*]\s*|\s+by\s+)"
_IN = r"in(?!\s(?:size|the|a|my|this|total|resolution|pixels|px)\b)"  # not the preposition
_UNIT = rf"(?:cms?|centimet(?:er|re)s?|mms?|millimet(?:er|re)s?|inch(?:es)?|{_IN})"
_RANKED = r"\s(?:side|edge|dimension|axis)"
_SIDES: dict[Kind, tuple[str, str]] = {  # kind -> (words, how people read it)
    "width": (r"(?:wide|width|across)", "{} pixels wide"),
    "height": (r"(?:high|height|tall)", "{} pixels high"),
    "long": (
        r"(?:long(?:er|est)?|larg(?:er|est)|bigg(?:er|est)|max(?:imum)?)" + _RANKED,
        "long side {} pixels",
    ),
    "short": (r"(?:short(?:er|est)?|small(?:er|est)|min(?:imum)?)" + _RANKED, "short side {} pixels"),
}
_SIDE = "|".join(words for words, _ in _SIDES.values())
_TO_SIDE = r"[\s-]*(?:(?:in|on|at|along|for|as|of)\s)?(?:(?:the|its|a)\s)?"
_OF_SIDE = r"\s*(?:(?:of|to|is|at|should\sbe|must\sbe)\s)?(?:[=:]\s*)?(?:(?:at\sleast|exactly|about)\s)?"
_NO_MORE = r"(?![\w%×])(?!\s?(?:x\b|%|×|(?:times|percent|fold|dpi|ppi|cm|mm|in|inch|inches)\b))"
_SHEETS = {  # inches
    **{f"a{n}": (w / 25.4, h / 25.4) for n, (w, h) in enumerate(
        ((841, 1189), (594, 841), (420, 594), (297, 420), (210, 297), (148, 210), (105, 148))
    )},
    "letter": (8.5, 11.0), "legal": (8.5, 14.0), "tabloid": (11.0, 17.0), "ledger": (11.0, 17.0),
}  # fmt: skip
_PAPER = r"(?:[\s-](?:sized?|paper|page|sheet|format|print(?:out)?|landscape|portrait)\b)"
_AMERICAN = r"(?:us\s)?(?:letter|legal|tabloid|ledger)"  # a sentence may say "letter" of something else
_SHEET = (
    rf"(?:a[0-6]{_PAPER}*|{_AMERICAN}{_PAPER}+|us\sletter|{_AMERICAN}(?=[\s,(@]*(?:at\s)?\d+\s?(?:dpi|ppi)))"
)
_LONG_SIDES = {1: 1024, 2: 2048, 3: 3072, 4: 3840, 5: 5120, 6: 6144, 8: 7680, 10: 10240, 12: 12288, 16: 15360}
_THOUSANDS = "|".join(map(str, sorted(_LONG_SIDES, reverse=True)))
_K = rf"(?:{_THOUSANDS})\s?k(?:[\s-](?:u?hd|ultra[\s-]?hd))?"
_P = r"\d{3,4}\s?p(?:\s(?:full\s|ultra\s)?hd)?"
_HD = r"(?:(?:ultra|full|quad)[\s-]?|[ufq]|wq)?(?:hd|high[\s-]?def(?:inition)?)(?:\s\d{3,4}p)?"
_MEGA = r"(?:mps?|mpx|mpix|mega[\s-]?pix(?:el)?s?|million\spixels)"
DPI = r"(?<![\w.,])\d{2,4}[\s-]?(?:dpi|ppi|(?:dots|pixels)\sper\sinch)\b"

_PRINT = rf"{_DECIMAL}\s?{_UNIT}?{_BY}{_DECIMAL}[\s-]?{_UNIT}"
_FRACTIONS = rf"\d{{1,3}}\.\d{{1,2}}{_BY}\d{{1,3}}(?:\.\d{{1,2}})?"  # no pixels, so inches: "8.5x11"
_PRINT_SIDE = rf"{_DECIMAL}[\s-]?{_UNIT}{_TO_SIDE}(?:{_SIDE})"
_BOX = rf"{_WHOLE}\s?{_PX}?{_BY}{_WHOLE}(?:[\s-]?(?:{_PX}|p)\b)?"
_ACROSS, _UP = (rf"[\s-]?{_PX}?\s?(?:{words})" for words in ("wide|width|across", "high|height|tall"))
_BOTH_SIDES = rf"{_WHOLE}{_ACROSS}{_BY}{_WHOLE}{_UP}"
_ONE_SIDE = rf"{_WHOLE}[\s-]?{_PX}?{_TO_SIDE}(?:{_SIDE})"
_SIDE_FIRST = rf"(?:{_SIDE}){_OF_SIDE}{_WHOLE}(?:\s?{_PX}\b|{_NO_MORE})"
_PIXELS = rf"{_WHOLE}[\s-]?{_PX}"
_AREA = rf"\d{{1,4}}(?:[.,]\d{{1,3}})?[\s-]?{_MEGA}"

PATTERN = (  # all that a sentence may call a size
    rf"(?<![\w.,])(?:(?:{_PRINT}|{_FRACTIONS}(?![\d.]|\s?{_UNIT})|{_PRINT_SIDE}|{_BOTH_SIDES}|{_ONE_SIDE}|{_AREA}|{_P}|{_K}|{_PIXELS}(?!\s?(?:per|by|x)\b))\b"
    rf"|{_BOX}(?![\w×*]))|\b(?:{_SHEET}|{_HD}|{_SIDE_FIRST})(?![\w+])"
)

ODD = (  # numbers that nothing is: "-2", "1e9x", "99999999999999999999 pixels"
    r"(?<![^\s:=])[-−]\d[\d.,]*(?:\s?x)?(?![\w×])|(?<![\w.,])\d+(?:[.,]\d+)?e[+-]?\d+x?\b"
    r"|(?<![\w.,])\d{7,}(?:\s?(?:x|px|pixels?))?\b"
)


def _print_box(match: re.Match[str]) -> Size:
    texts, unit = (match[1], match[3]), match[4]
    inch = {"c": 1 / 2.54, "m": 1 / 25.4}.get(unit[:1], 1.0)
    name = {"c": "cm", "m": "mm"}.get(unit[:1], "inches")
    width, height = (float(text.replace(",", ".")) for text in texts)
    text = f"{width:g}x{height:g} {name}"
    return _printed("sheet", text, width * inch, height * inch)


def _print_side(match: re.Match[str]) -> Size:
    inch = {"c": 1 / 2.54, "m": 1 / 25.4}.get(match[2][0], 1.0)
    number, kind = float(match[1].replace(",", ".")), _kind(match[3])
    name = {"c": "cm", "m": "mm"}.get(match[2][0], "inches")
    return _printed(kind, _SIDES[kind][1].replace("pixels", name).format(f"{number:g}"), number * inch)


def _sheet(match: re.Match[str]) -> Size:
    name = match[1] or match[2]
    return _printed("sheet", name.upper() if name[0] == "a" else name, *_SHEETS[name])


def _printed(kind: Kind, text: str, width: float, height: float = 0.0) -> Size:
    return Size(kind, text, width, height, True, reading=f"{text} is read at {PRINT_DPI} dpi")


def _box(match: re.Match[str]) -> Size:
    width, height = _pixels(match[1]), _pixels(match[2])
    return Size("box", f"{width}x{height}", width, height)


def _one_side(number: str, side: str) -> Size:
    kind, pixels = _kind(side), _pixels(number)
    return Size(kind, _SIDES[kind][1].format(pixels), pixels)


def _area(match: re.Match[str]) -> Size:
    number = float(match[1].replace(",", "."))
    return Size("area", f"{number:g} megapixels", number)


def _k(match: re.Match[str]) -> Size:
    number = int(match[1])
    text, side = f"{number}k", _LONG_SIDES[number]
    return Size(
        "long", text, side, reading="" if number in (4, 8) else f"{text} is read as long side {side} pixels"
    )


def _video(match: re.Match[str]) -> Size:
    return Size("short", f"{int(match[1])}p", int(match[1]))


def _hd(match: re.Match[str]) -> Size:
    if match[2]:
        return Size("short", f"{int(match[2])}p", int(match[2]))
    prefix = (match[1] or "").strip(" -")
    if prefix.startswith("u"):
        return Size("long", "UHD", 3840)
    if prefix.startswith(("q", "wq")):
        return Size("short", "QHD", 1440)
    name = "full HD" if prefix else "HD"
    return Size("short", name, 1080, reading=f"{name} is read as 1080p, short side 1080 pixels")


def _bare(text: str) -> Size | None:
    """What only an option says so shortly: "4000", "4000x" and "x2000"."""
    match = re.fullmatch(rf"({_WHOLE})\s?(?:{_PX})?x?|x\s?({_WHOLE})(?:\s?{_PX})?", text)
    if match is None or re.match(r"x?\s?\d{3}[,.']\d{3}", text):  # "160,100" is no number of pixels
        return None
    if text.endswith("x") and _pixels(text) < 100:  # "4x" is a scale
        return None
    return _one_side(match[1] or match[2], "width" if match[1] else "height")


def _pixels(text: str) -> int:
    return int(re.sub(r"\D", "", text))


def _kind(words: str) -> Kind:
    return next(kind for kind, (pattern, _) in _SIDES.items() if re.fullmatch(pattern, words))


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Size]], ...] = tuple(
    (re.compile(pattern), make)
    for pattern, make in (
        (rf"({_DECIMAL})\s?({_UNIT})?{_BY}({_DECIMAL})[\s-]?({_UNIT})", _print_box),
        (rf"(?={_FRACTIONS}$)({_DECIMAL})(){_BY}({_DECIMAL})()", _print_box),
        (rf"({_DECIMAL})[\s-]?({_UNIT}){_TO_SIDE}({_SIDE})", _print_side),
        (rf"(a[0-6]){_PAPER}*|(?:us\s)?(letter|legal|tabloid|ledger){_PAPER}*", _sheet),
        (rf"({_WHOLE})\s?{_PX}?{_BY}({_WHOLE})(?:[\s-]?(?:{_PX}|p))?", _box),
        (rf"({_WHOLE}){_ACROSS}{_BY}({_WHOLE}){_UP}", _box),
        (rf"({_WHOLE})[\s-]?{_PX}?{_TO_SIDE}({_SIDE})", lambda m: _one_side(m[1], m[2])),
        (rf"({_SIDE}){_OF_SIDE}({_WHOLE})(?:\s?{_PX})?", lambda m: _one_side(m[2], m[1])),
        (rf"(\d{{1,4}}(?:[.,]\d{{1,3}})?)[\s-]?{_MEGA}", _area),
        (r"(\d{3,4})\s?p(?:\s(?:full\s|ultra\s)?hd)?", _video),
        (rf"({_THOUSANDS})\s?k(?:[\s-](?:u?hd|ultra[\s-]?hd))?", _k),
        (r"(?:((?:ultra|full|quad)[\s-]?|[ufq]|wq)?(?:hd|high[\s-]?def(?:inition)?))(?:\s(\d{3,4})p)?", _hd),
    )
)

"""Which licences a photo may have to be passed on in a dataset, and how people write them."""

import re
from collections.abc import Collection

# name -> how its text may look once in lower case with hyphens for spaces. With anything else in it, such as
# "-nc" or "-nd", it is another licence, and one that is not known here.
_PORT = r"(-\d\.\d(-(international|unported|generic|universal|(?!nc|nd|sa)[a-z]{2}))?)?"
_CC = r"(cc|creative-commons)-"
LICENCES: dict[str, str] = {
    "CC0": rf"(cc-?0|{_CC}zero){_PORT}",
    "public-domain": r"public-domain(-mark)?(-1\.0)?|pdm|pd",
    "CC-BY": rf"{_CC}(by|attribution){_PORT}",
    "CC-BY-SA": rf"{_CC}(by-sa|attribution-share-?alike){_PORT}",
    "MIT": r"(the-)?mit",
    "Apache-2.0": r"(the-)?apache(-software)?(-2(\.0)?)?",
    "BSD": r"(0|2|3)?-?(clause-)?bsd(-(2|3)-clause)?",
    "GPL": r"(gnu-)?gpl(-?v?\d(\.\d)?)?(-or-later|-only|\+)?",
    "AGPL": r"(gnu-)?agpl(-?v?\d(\.\d)?)?(-or-later|-only|\+)?",
    "Unsplash": r"unsplash",
    "Pexels": r"pexels",
}
# The last four are left out unless asked for: the GPL's terms for pictures are unclear, and the other two
# forbid a collection that competes with them.
DEFAULT = ("CC0", "public-domain", "CC-BY", "CC-BY-SA", "MIT", "Apache-2.0", "BSD")

_ADDRESS = re.compile(r"(https?://)?creativecommons\.org/(licenses|publicdomain)/([a-z-]+)/?([\d.]*)\S*")
_PUBLIC = {"zero": "cc0", "mark": "public domain"}


def names(text: str) -> list[str] | None:
    """All licences named in a text such as "CC-BY-4.0 / CC-BY-SA (see copyright)"; None: one is unknown.

    Remarks in parentheses do not count. Several licences, with "/", ";", ",", "and" or "or" between them,
    stand for a collection that does not say which photo has which, so each must be good.
    """
    text = _ADDRESS.sub(lambda found: _PUBLIC.get(found[3], f"cc-{found[3]}-{found[4]}"), text.lower())
    text = re.sub(r"\([^)]*\)|,\s*(?=version)", " ", text)
    parts = [part for part in re.split(r"[/;,]|\band\b|\bor\b(?!-)", text) if part.strip()]
    found = [_name(part) for part in parts]
    return None if None in found or not found else found


def _name(part: str) -> str | None:
    """The licence that one part of a text names."""
    plain = re.sub(r"[\s_-]+", "-", re.sub(r"\b(licen[sc]ed?|version)\b", " ", part)).strip("-. ")
    return next((name for name, pattern in LICENCES.items() if re.fullmatch(pattern, plain)), None)


def objection(text: str, basis: str, allowed: Collection[str]) -> str | None:
    """Why a photo whose licence is stated as `text` must stay out; None: it may come in.

    `basis` is "explicit" or "" when the photo itself has it, and else says what has, such as "repository".
    """
    if not text:
        return "no licence stated"
    if basis not in ("explicit", ""):
        return f"licence not stated for the photo itself: {text} (of its {basis})"
    found = names(text)
    if found is None:
        return f"licence not known as an open one: {text}"
    return None if set(found) <= set(allowed) else f"licence not among the allowed: {text}"

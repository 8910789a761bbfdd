"""Old photos: their damages are one topic, whichever is named; "scan from the 1950s" asks for all too."""

import re

from lwr.prompt.topics import Topic
from lwr.tasks.base import Vocabulary, phrases

OLD = Topic(
    "old photo",
    Vocabulary(
        defects=phrases(
            """scratch, scratches, scratched, scratchy, hairlines, dust, dusty, dust spots, dust specks,
            specks, specs of dust, faded, fading, faded colours, faded colors, faded away, discoloured,
            discolored, discolouration, discoloration, yellowed, yellowing, yellowish, turned yellow,
            gone yellow, aged, brittle"""
        ),
        actions=phrases("descratch, dedust, unfade, old photo restoration"),
        idioms=phrases(
            "from scratch, dusty road, dust storm, gold dust, saw dust, scratch card, faded jeans"
        ),
    ),
)
_AGE = (
    r"(?:old|vintage|antique|ancient|historic(?:al)?|aged|faded|worn|damaged|yellowed|scratched|dusty|sepia"
    r"|analog(?:ue)?|black\s(?:and|&)\swhite)"
)
_WHOSE = (
    r"(?:(?:an?|the|this|that|these|my|our|his|her|their)\s|(?:(?:great\s?)?grand\w+|mom|mum|dad)(?:'?s)?\s)*"
)
_KIND = r"(?:\w+\s)?"  # "family photo", "wedding picture"
_PICTURE = (
    r"(?:photo(?:graph)?s?|pictures?|pics?|images?|prints?|scans?|snapshots?|slides?|negatives?|portraits?)"
)
_DECADE = (
    r"(?:from|of|taken\sin)\s(?:about\s|around\s)?(?:the\s)?(?:early\s|late\s)?(?:1[89]\d\d'?s?|[2-7]0'?s)"
)
_MARKED = re.compile(
    rf"\b{_AGE}\s(?:{_AGE}\s)*{_KIND}{_PICTURE}\b|\b{_DECADE}\b|\bgrand\w+'?s?\s{_KIND}{_PICTURE}\b"
)
_TITLE = re.compile(
    rf"{_WHOSE}(?:{_AGE}\s)+{_KIND}{_PICTURE}(?:\s{_DECADE})?|{_WHOSE}{_KIND}{_PICTURE}\s{_DECADE}"
)


def is_marked(text: str) -> bool:
    """Whether a text speaks of an old photo: "old family picture", "from the 1950s", "grandma's photo"."""
    return bool(_MARKED.search(_plain(text)))


def is_title(text: str) -> bool:
    """Whether a text is no more than what an old photo is called: "scan from the 1950s", "an old photo"."""
    return bool(_TITLE.fullmatch(_plain(text).strip(" .!")))


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[’‘`´]", "'", text.casefold()).replace("-", " ").replace(",", " ").split())

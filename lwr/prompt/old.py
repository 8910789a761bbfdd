"""Old photos: what years do to them, each repair a topic of its own; "scan from the 1950s" asks for all.

`Route.repairs` names those that are asked for. What else such a photo needs is left to the diagnosis.
"""

import re
from collections.abc import Collection, Iterator, Mapping

from lwr.prompt.mentions import Rank
from lwr.prompt.topics import COLOURS, GENERAL, Topic
from lwr.tasks.base import Vocabulary, phrases

_COLOURS = phrases("colour, color, colours, colors, colouring, coloring")
_ORIGINAL = phrases("the, its, the original, the lost, original, her, his, their, my")
SCRATCHES = Topic(
    "scratches",
    Vocabulary(
        defects=phrases(
            """scratch, scratches, scratched, scratched up, scratchy, scratch marks, hairlines, dust,
            dust spots, dust specks, dust marks, specks, specks of dust, specs of dust, dust particles,
            white specks, black specks, scuffs, scuff marks, scuffed, lint, bits of dirt"""
        ),
        looks=phrases("dusty"),
        actions=phrases("descratch, dedust"),
        idioms=phrases(
            """from scratch, scratch that, dusty road, dust storm, gold dust, saw dust, scratch card,
            dust bowl, dusty pink, dust cloud, dust clouds, dust in the air, dust devil, gold specks"""
        ),
    ),
    does="fill scratches and dust",
)
FADING = Topic(
    "fading",
    Vocabulary(
        defects=phrases(
            """faded, fading, faded away, faded out, discoloured, discolored, discolouration,
            discoloration, yellowed, yellowing, yellow with age, brown with age, turned yellow,
            gone yellow, gone all yellow, went yellow, went all yellow, turning yellow, going yellow,
            yellow tint, sun bleached, bleached by the sun, bleached out, bleached"""
        )
        + tuple(f"faded {colours}" for colours in _COLOURS)
        + tuple(
            f"{lost} {its} {colours}" if its else f"{lost} {colours}"
            for lost in ("lost", "losing", "has lost")
            for its in ("", "its", "all its", "the", "their", "most of its")
            for colours in _COLOURS
        ),
        actions=phrases("unfade, unyellow, deyellow")
        + tuple(
            f"{verb} {its} {colours}"
            for verb in ("bring back", "get back", "revive", "recover")
            for its in _ORIGINAL
            for colours in _COLOURS
        ),
        looks=phrases("yellowish"),
        idioms=phrases(
            """faded into, fading into, fading in the distance, faded jeans, fading light, light is fading,
            fade in, fade to black, bleached hair, bleached wood, bleached coral"""
        ),
    ),
    does="correct faded colours",
)
OLD = Topic(
    "old photo",
    Vocabulary(
        defects=phrases("aged, brittle"),
        actions=phrases("old photo restoration"),
        idioms=phrases("middle aged, aged man, aged woman, aged cheese, aged wood, aged wine"),
    ),
)
REPAIRS = {topic.name: topic for topic in (SCRATCHES, FADING)}

_AGE = (
    r"(?:old|vintage|antique|ancient|historic(?:al)?|aged|worn|damaged|sepia|analog(?:ue)?"
    r"|black\s(?:and|&)\swhite)"
)
# None of them alone: "my faded photo" may be a week old
_LOOK = rf"(?:{_AGE}|very|really|faded|yellow(?:ed)?|brown(?:ed)?|torn|cracked|scratched|dusty)"
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
_AGED = rf"(?:{_LOOK}\s)*{_AGE}\s(?:{_LOOK}\s)*{_KIND}{_PICTURE}"
_MARKED = re.compile(rf"\b{_AGED}\b|\b{_DECADE}\b|\bgrand\w+'?s?\s{_KIND}{_PICTURE}\b")
_TITLE = re.compile(rf"{_WHOSE}{_AGED}(?:\s{_DECADE})?|{_WHOSE}{_KIND}{_PICTURE}\s{_DECADE}")
_CLAUSE = re.compile(r"[.,;:!]|\bbut\b|\bexcept\b|\bwithout\b")


def is_whole(text: str, ranks: Mapping[str, Rank], named: Collection[str]) -> bool:
    """Whether a text asks for all that an old photo needs; `named`: the tasks that it asks for by name.

    Who names one thing means that: "remove the scratches from this old photo". A description names nothing.
    """
    asked = {name for name in REPAIRS if ranks.get(name) == Rank.ASK}
    general = ranks.get(GENERAL.name, Rank.NOTHING).asks
    if ranks.get(OLD.name, Rank.NOTHING).asks:
        return True
    if named or (asked and not general):
        return False
    told = any(ranks.get(name) == Rank.COMPLAINT for name in REPAIRS)
    return is_title(text) or ((general or told) and is_marked(text))


def repairs_in(ranks: Mapping[str, Rank], whole: bool) -> Iterator[str]:
    """The repairs that are asked for, one by one or as the `whole`, without those that are forbidden."""
    for name in REPAIRS:
        if ranks.get(name, Rank.NOTHING).asks or (whole and name not in left_alone(ranks)):
            yield name


def left_alone(ranks: Mapping[str, Rank]) -> tuple[str, ...]:
    """The repairs that are forbidden: "keep the scratches"; "don't change the colours" forbids one too."""
    kept = {FADING.name: COLOURS} if FADING.name not in ranks else {}
    return tuple(
        name for name in REPAIRS if Rank.FORBIDDEN in (ranks.get(name), ranks.get(kept.get(name, "")))
    )


def is_marked(text: str) -> bool:
    """Whether a text speaks of an old photo: "old family picture", "from the 1950s", "grandma's photo"."""
    return bool(_MARKED.search(_plain(text)))


def is_title(text: str) -> bool:
    """Whether a text, or its first clause, is what an old photo is called: "scan from the 1950s"."""
    first = _CLAUSE.split(text.casefold().strip(), maxsplit=1)[0]
    return any(_TITLE.fullmatch(_plain(part).strip(" .!").removesuffix(" please")) for part in (text, first))


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[’‘`´]", "'", text.casefold()).replace("-", " ").replace(",", " ").split())

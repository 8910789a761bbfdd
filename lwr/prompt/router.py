"""Free text -> the tasks it asks for: `route("slightly dehaze, then enlarge 2x")`; no model, no network.

`lwr.prompt.lexicon` turns the text into tokens (known words and phrases), and `lwr.prompt.intents` those into
what is asked about each task. It never guesses: what is only described ("a photo of a foggy forest"), denied
("not blurry"), forbidden ("leave the haze") or unknown ("make it pretty") asks for nothing. What is
understood and no task does is named in `ignored`. A task's words stand in its `Vocabulary`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lwr.prompt.intents import Intent, intents
from lwr.prompt.lexicon import lexicon
from lwr.prompt.mentions import Rank
from lwr.prompt.old import OLD, REPAIRS, is_whole, left_alone, repairs_in
from lwr.prompt.sizes import Size, box_of
from lwr.prompt.tokens import MENTIONS, Token, bounds
from lwr.prompt.topics import GENERAL
from lwr.tasks import TASKS
from lwr.tasks.base import Task

MAX_CHARACTERS = 1000  # what comes later in a longer text is not read: a request is a sentence, not a book
# what can be asked for beside tasks: title, example
ALSO = {"repair an old photo": "restore this old photo", "do what the photo needs": "make it better"}
TOO_LONG = f"Only the first {MAX_CHARACTERS} characters of the prompt were read."


@dataclass(frozen=True)
class Route:
    """What a text asks for."""

    tasks: dict[str, float]  # task name -> strength in (0, 1], in order of mention
    understood: bool  # whether anything was asked for that can be done
    scale: float | None = None  # output side / input side as said, be it possible or not; None: unsaid
    message: str = ""  # when nothing was understood: what can be asked
    size: Size | None = None  # of the restored photo; None: unsaid
    wish: bool = False  # "make it HD" and no more: it is to look better; not "enlarge it to HD"
    general: bool = False  # a request that leaves it to the photo what is done: "enhance"
    repairs: tuple[str, ...] = ()  # of `lwr.prompt.old.REPAIRS`, what years did to an old photo
    degree: float | None = None  # how much of what the photo needs, "slightly enhance"; 1: all of it in full
    ignored: tuple[str, ...] = ()  # what was understood and no task does: "noise", "brightness"
    spared: tuple[str, ...] = ()  # tasks and repairs that were forbidden; they matter to a general request
    insisted: tuple[str, ...] = ()  # tasks that are to be done in full whatever the photo shows: "strongly"
    notes: tuple[str, ...] = ()  # remarks on the text for its writer

    def json(self) -> dict[str, object]:
        """{"tasks", "understood"}, and of the rest what says something."""
        optional = {
            "scale": self.scale,
            "size": self.size and self.size.text,
            "general": self.general,
            "repairs": list(self.repairs),
            "degree": self.degree,
            "ignored": list(self.ignored),
            "notes": list(self.notes),
            "message": self.message,
        }
        return {"tasks": dict(self.tasks), "understood": self.understood} | {
            k: v for k, v in optional.items() if v
        }


def route(text: str, tasks: Mapping[str, Task] | None = None) -> Route:
    """Tasks, strengths, scale and size that `text` asks for.

    `tasks` are those that can be asked for, by name; None: all of `lwr.tasks.TASKS`. Only the first 1000
    characters are read, and a note says so. Nothing asked for: no tasks, `understood` False, a `message` that
    lists what can be.
    """
    known = TASKS if tasks is None else tasks
    words = lexicon(tuple((name, task.vocabulary) for name, task in known.items()))
    tokens = words.tokens(text[:MAX_CHARACTERS])
    found = intents(tokens)
    ranks = _ranks(found)
    asked = [name for name, rank in ranks.items() if rank.asks and name in known]
    ours = (*known, *REPAIRS, GENERAL.name, OLD.name)
    ignored = tuple(name for name, rank in ranks.items() if rank.asks and name not in ours)
    # who names what is wrong means that; "enhance it and make it larger" means both
    named = set(asked) - {words.scaled}
    whole = is_whole(text, ranks, named)
    repairs = tuple(repairs_in(ranks, whole))
    general = not named and (whole or (ranks.get(GENERAL.name, Rank.NOTHING).asks and not repairs))
    notes = (TOO_LONG,) if len(text.rstrip()) > MAX_CHARACTERS else ()
    if words.scaled in asked:
        unread = dict.fromkeys(token.text for token in tokens if token.role == "UNREAD")
        notes += tuple(_unread(one) for one in unread)
    spared = tuple(name for name, rank in ranks.items() if rank == Rank.FORBIDDEN and name in known)
    spared += left_alone(ranks)
    if not (asked or general or repairs):
        offer = _offer(text, known.values(), ignored)
        return Route({}, False, message=offer, ignored=ignored, spared=spared, notes=notes)
    strengths = _strengths(tokens, [intent for intent in found if intent.rank.asks])
    if GENERAL.name in strengths:  # "it is really dark, fix it a little"
        told = [name for name in asked if ranks[name] == Rank.COMPLAINT]
        strengths |= dict.fromkeys(told, strengths[GENERAL.name])
    enlarging = [one.token for one in found if one.rank == Rank.ASK]
    scale, size = _enlargement(enlarging)
    return Route(
        tasks={name: strengths.get(name, 1.0) for name in asked},
        understood=True,
        scale=scale,
        size=size,
        wish=size is not None and size.is_grade and _is_wish(found),
        general=general,
        repairs=repairs,
        degree=strengths.get(GENERAL.name) if general else None,
        ignored=ignored,
        insisted=tuple(name for name in asked if strengths.get(name) == 1),
        spared=spared,
        notes=(*notes, *_left_out(enlarging, scale, size)),
    )


def _left_out(asked: Sequence[Token], scale: float | None, size: Size | None) -> Iterator[str]:
    """Notes on the sizes that a scale replaces, or on the scales that a size does."""
    if scale is not None:
        for text in dict.fromkeys(token.size.text for token in asked if token.size):
            yield f"{text} is left out, as {scale:g}x is asked for too."
    elif size is not None:
        for number in dict.fromkeys(token.value for token in asked if token.kind == "SCALE"):
            yield f"{number:g}x is left out, as {size.text} is asked for too."


def _unread(text: str) -> str:
    """The note on a number that may have been meant as a size or a scale."""
    if re.fullmatch(r"[1-9][\d.]*\D{1,4}[1-9][\d.]*", text):
        return f"{text} was not read as a size: add px, cm or inches to it."
    return f"{text} was not read as a scale or a size: use a scale of 1 to 4, or a size such as 3840x2160."


def _offer(text: str, tasks: Iterable[Task], ignored: Sequence[str]) -> str:
    """One sentence that lists what can be asked for."""
    pairs = [(task.title.lower(), task.examples[0]) for task in tasks] + [*ALSO.items()]
    *offers, last = (f"{title} (“{example}”)" for title, example in pairs)
    listed = f"{', '.join(offers)} or {last}"
    why = "I found nothing in this that I can do" if text.strip() else "Say what is wrong"
    if ignored:
        why = f"I understood {', '.join(ignored)}, but there is no task for that yet"
    return f"{why}; you can ask me to {listed}."


def _ranks(found: Sequence[Intent]) -> dict[str, Rank]:
    """What is asked of each task and topic, in order of mention."""
    ranks: dict[str, Rank] = {}
    for intent in found:
        ranks[intent.token.task] = max(ranks.get(intent.token.task, Rank.NOTHING), intent.rank)
    return ranks


def _enlargement(asked: Sequence[Token]) -> tuple[float | None, Size | None]:
    """(scale, size) as said last, one of them None; a width and a height are one size."""
    said = [token for token in asked if token.kind == "SCALE" or token.size]
    if not said or said[-1].size is None:
        return (said[-1].value if said else None), None
    sides = {token.size.kind: token.size for token in said if token.size and not token.size.is_print}
    if {"width", "height"} == set(sides):
        return None, box_of(sides["width"], sides["height"])
    return None, said[-1].size


def _is_wish(found: Sequence[Intent]) -> bool:
    """Whether nothing but sizes asks for anything."""
    return all(one.token.kind == "SIZE" for one in found if one.rank.asks)


def _strengths(tokens: Sequence[Token], asking: Sequence[Intent]) -> dict[str, float]:
    """{task: strength} from the strength words beside its mentions; the last one said counts."""
    strengths: dict[str, float] = {}
    for i, token in enumerate(tokens):
        followed = any(after.kind in ("WORD", "PICTURE") for after in tokens[i + 1 : i + 2])
        if token.kind == "STRENGTH" and not followed:  # "slightly dark" is no strength of a task
            strengths |= {intent.token.task: token.value for intent in _meant(tokens, i, asking)}
    return strengths


def _meant(tokens: Sequence[Token], i: int, asking: Sequence[Intent]) -> Sequence[Intent]:
    """The mentions that the strength word at `i` belongs to."""
    start, end = bounds(tokens, i)
    near = [intent for intent in asking if start <= intent.at < end]
    if not near:
        if any(token.kind in (*MENTIONS, "WORD", "PICTURE") for token in tokens[start:end]):
            return ()
        return [intent for intent in asking if intent.at < i][-1:]  # "dehaze it, but only slightly"
    nearest = min(near, key=lambda intent: (abs(intent.at - i), intent.at < i))
    if not any(token.kind in ("REMOVE", "REPAIR") for token in tokens[i : nearest.at]):
        return [nearest]
    listed = ("JOIN", "ARTICLE", "DEFECT")  # "slightly reduce the haze and the blur"
    later = (intent for intent in asking if intent.at > end)
    return [nearest, *(one for one in later if all(t.kind in listed for t in tokens[end : one.at]))]

"""Free text -> the tasks it asks for: `route("slightly dehaze, then enlarge 2x")`; no model, no network.

`lwr.prompt.lexicon` turns the text into tokens (known words and phrases), and `lwr.prompt.intents` those into
what is asked about each task. It never guesses: what is only described ("a photo of a foggy forest"), denied
("not blurry"), forbidden ("leave the haze") or unknown ("make it pretty") asks for nothing. A task's words
stand in its `Vocabulary`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lwr.prompt.intents import Intent, intents
from lwr.prompt.lexicon import MENTIONS, Token, bounds, lexicon
from lwr.prompt.mentions import Rank
from lwr.tasks import TASKS
from lwr.tasks.base import Task

MAX_CHARACTERS = 1000  # what comes later in a longer text is not read: a request is a sentence, not a book


@dataclass(frozen=True)
class Route:
    """What a text asks for."""

    tasks: dict[str, float]  # task name -> strength in (0, 1], in order of mention
    understood: bool  # whether any task was asked for
    scale: float | None = None  # output side / input side as said, be it possible or not; None: unsaid
    message: str = ""  # when nothing was understood: what can be asked

    def json(self) -> dict[str, object]:
        """{"tasks", "understood"}, with "scale" only when given and "message" only when not understood."""
        optional = {"scale": self.scale, "message": self.message or None}
        known = {key: value for key, value in optional.items() if value is not None}
        return {"tasks": dict(self.tasks), "understood": self.understood} | known


def route(text: str, tasks: Mapping[str, Task] | None = None) -> Route:
    """Tasks, strengths and scale that `text` asks for.

    `tasks` are those that can be asked for, by name; None: all of `lwr.tasks.TASKS`. Only the first 1000
    characters are read. Nothing asked for: no tasks, `understood` False, a `message` that lists what can be.
    """
    known = TASKS if tasks is None else tasks
    words = lexicon(tuple((name, task.vocabulary) for name, task in known.items()))
    tokens = words.tokens(text[:MAX_CHARACTERS])
    found = intents(tokens)
    asked = _asked(found)
    if not asked:
        return Route({}, False, message=_offer(text, known.values()))
    strengths = _strengths(tokens, [intent for intent in found if intent.rank.asks])
    scales = [one.token.value for one in found if one.token.kind == "SCALE" and one.rank == Rank.ASK]
    return Route({name: strengths.get(name, 1.0) for name in asked}, True, scales[-1] if scales else None)


def _offer(text: str, tasks: Iterable[Task]) -> str:
    """One sentence that lists what can be asked for."""
    offers = [f"{task.title.lower()} (“{task.examples[0]}”)" for task in tasks]
    listed = ", ".join(offers[:-1]) + " or " + offers[-1] if len(offers) > 1 else "".join(offers)
    why = "I found nothing in this that I can do" if text.strip() else "Say what is wrong"
    return f"{why}; you can ask me to {listed}."


def _asked(found: Sequence[Intent]) -> list[str]:
    """Names of the tasks asked for, in order of mention."""
    ranks: dict[str, Rank] = {}
    for intent in found:
        ranks[intent.token.task] = max(ranks.get(intent.token.task, Rank.NOTHING), intent.rank)
    return [name for name, rank in ranks.items() if rank.asks]


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

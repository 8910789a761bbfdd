"""Free text -> the tasks it asks for: `route("slightly dehaze, then enlarge 2x")`; no model, no network.

`lwr.prompt.lexicon` turns the text into tokens (known words and phrases). One pass from left to right then
follows, clause by clause, which verb governs and how often it was negated, and judges each mention of a task.
It never guesses: what is only described ("a photo of a foggy forest"), denied ("not blurry"), forbidden
("leave the haze") or unknown ("make it pretty") asks for nothing. A task's words stand in its `Vocabulary`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lwr.prompt.lexicon import ENDS, MENTIONS, REACH, Token, bounds, lexicon
from lwr.tasks import TASKS
from lwr.tasks.base import Task, phrases

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
    intents = _intents(tokens)
    asked = _asked(intents)
    if not asked:
        return Route({}, False, message=_offer(known.values()))
    strengths = _strengths(tokens, intents)
    scales = [
        intent.token.value for intent in intents if intent.token.kind == "SCALE" and intent.rank == _ASK
    ]
    return Route({name: strengths.get(name, 1.0) for name in asked}, True, scales[-1] if scales else None)


def _offer(tasks: Iterable[Task]) -> str:
    """One sentence that lists what can be asked for."""
    offers = [f"{task.title.lower()} (“{task.examples[0]}”)" for task in tasks]
    listed = ", ".join(offers[:-1]) + " or " + offers[-1] if len(offers) > 1 else "".join(offers)
    return f"I found nothing in this that I can do; you can ask me to {listed}."


# Marks -> intents ----------------------------------------------------------------------------------

_NOTHING, _COMPLAINT, _FORBIDDEN, _ASK = range(
    4
)  # ranks: of two intents about one task the higher one counts
_DENIALS = (("BE", "NOT"), ("GOAL", "NOT"), ("NOT", "WANT"))  # "sharpening is not", "must not", "not needed"
_SAYING = frozenset(  # none of these in a title
    {"BE", "REMOVE", "REPAIR", "KEEP", "CREATE", "WANT", "GOAL", "CANNOT", "TROUBLE", "BAD", "FUNCTION"}
)
_REFERENCES = frozenset(  # what "but I like it" leaves is what was named last
    phrases("it, that, them, as it is, as is, alone, the mood, that mood, the atmosphere, that atmosphere")
)
_LIST = ("ARTICLE", "COMMA", "DEFECT", "ACTION", "QUALITY", "FUNCTION")


@dataclass(frozen=True)
class _Intent:
    """What the text says about one mention."""

    token: Token
    at: int  # index of the token
    rank: int


@dataclass
class _Scope:
    """What has been said since the clause began."""

    verb: str = ""  # kind of the last verb: REMOVE, REPAIR, KEEP, CREATE, WANT, BECOME
    before: int = 0  # negations before that verb
    after: int = 0  # negations since
    seen: set[str] = field(default_factory=set)  # kinds of the other tokens; "no", "aside": see `_intents`

    @property
    def odd(self) -> bool:
        return (self.before + self.after) % 2 == 1

    def govern(self, verb: str) -> None:
        """Take in a verb; the last one governs, but "make it look" still makes."""
        if verb == "BECOME" and self.verb:
            return
        self.verb, self.before, self.after = verb, self.before + self.after, 0
        self.seen -= {"WORD", "MODIFIER", "MENTION"}


@dataclass
class _Sequel:
    """What follows a mention in its clause: "the haze (should not stay)"."""

    sign: int = 0  # +1: it should go or is trouble, -1: it should stay, 0: nothing said
    bad: bool = False  # "the focus (is off)"
    negations: int = 0
    goal: bool = False  # "should", "must"


def _intents(tokens: Sequence[Token]) -> list[_Intent]:
    intents: list[_Intent] = []
    scope = _Scope()
    for i, token in enumerate(tokens):
        kind = token.kind
        if token.text == "everything but" and {"KEEP", "NOT"} & set(_kinds(tokens, i + 1, 2)):
            scope = _Scope()  # "sharpen everything but keep the fog"
        elif kind in ("BREAK", "INSTEAD", "NOR") or (kind == "COMMA" and not _in_list(tokens, i)):
            scope = _Scope(after=int(kind != "BREAK" and kind != "COMMA"))
        elif kind == "SO" and not scope.verb:
            scope = _Scope()  # "I had no tripod so it is blurry"
        elif kind == "JOIN":
            scope = _joined(scope, tokens, i)
        elif kind in ("NOT", "EXCEPT"):
            scope.after += 1
            if token.text in ("no", "no more", "without", "zero"):
                asked_already = token.text == "without" and any(w.rank in (_COMPLAINT, _ASK) for w in intents)
                scope.seen.add("aside" if asked_already else "GOAL" if token.text == "without" else "no")
        elif kind in ("REMOVE", "REPAIR", "KEEP", "CREATE", "WANT", "BECOME"):
            scope.govern(kind)
            if intents and _keeps_as_is(scope, tokens, i):
                intents.append(replace(intents[-1], rank=_FORBIDDEN))
        elif kind in MENTIONS:
            intents.append(_Intent(token, i, _judge(token, scope, tokens, i)))
            scope.seen.add("MENTION")
        elif kind == "PREPOSITION":
            if "WORD" in scope.seen:
                scope.seen.add("MODIFIER")
        elif kind != "QUESTION" or not (
            scope.seen or scope.verb
        ):  # unlike "I want to see what is behind the fog"
            scope.seen.add(kind)
            if kind == "BE":
                scope.seen.discard("CAPTION")
    return intents


def _keeps_as_is(scope: _Scope, tokens: Sequence[Token], i: int) -> bool:
    """Whether the verb at `i` leaves what was named last: "it is foggy, but I like it", "don't touch it"."""
    if scope.verb not in ("KEEP", "REMOVE", "REPAIR") or "CANNOT" in scope.seen or scope.seen & {"MENTION"}:
        return False
    clause = tokens[i + 1 : bounds(tokens, i)[1]]
    alone = not any(token.kind in (*MENTIONS, "WORD", "PICTURE") for token in clause)
    pronoun = bool(clause) and clause[0].text in _REFERENCES
    return alone and pronoun and scope.odd != (scope.verb == "KEEP")


def _judge(token: Token, scope: _Scope, tokens: Sequence[Token], i: int) -> int:
    if "QUESTION" in scope.seen:
        return _NOTHING
    sequel = _sequel(tokens, i)
    named = i + 1 < len(tokens) and tokens[i + 1].kind == "REMOVAL"  # "haze removal" is an action
    if token.kind == "DEFECT" and not named:
        return _judge_defect(scope, sequel, tokens, i)
    if token.kind == "QUALITY":
        return _judge_quality(scope, sequel)
    undone = scope.verb == "REMOVE" and "MENTION" not in scope.seen  # "undo the sharpening"
    rest = tuple(m.kind for m in tokens[i + 1 : i + 3])
    denied = rest in _DENIALS or any(m.text == "unnecessary" for m in tokens[i + 1 : i + 3])
    return _FORBIDDEN if scope.odd ^ undone ^ denied else _ASK


def _judge_defect(scope: _Scope, sequel: _Sequel, tokens: Sequence[Token], i: int) -> int:
    """Whether naming what is wrong asks to mend it: "no haze" and "it is hazy" do, "keep the haze" not."""
    if scope.verb in ("REMOVE", "REPAIR"):
        if scope.verb == "REMOVE" and "MODIFIER" in scope.seen:
            return _NOTHING  # "remove the man in the fog"
        return _FORBIDDEN if scope.odd else _ASK
    if scope.verb == "KEEP":
        return _ASK if scope.odd else _FORBIDDEN
    if _kinds(tokens, i + 1, 2) == ["BE", "NOT"] and (_kinds(tokens, i + 3, 1) or ["BREAK"])[0] in ENDS:
        return _COMPLAINT  # "the fog is fine, the blur is not"
    # "the boat in the mist is not visible" denies no mist
    odd = scope.odd ^ ("MODIFIER" not in scope.seen and sequel.negations % 2 == 1)
    if sequel.sign:
        return _ASK if (sequel.sign > 0) ^ odd else _FORBIDDEN
    if scope.verb == "WANT":
        return _ASK if odd else _FORBIDDEN
    determiner = tokens[i - 1].text.removeprefix("so ") if i else ""
    attribute = determiner in ("the", "this", "my", "that", "these", "those", "our")
    if attribute and i > 1 and tokens[i - 2].kind == "CREATE":  # unlike "make the foggy hills clear",
        following = next((m.kind for m in tokens[i + 1 :] if m.kind not in ("ARTICLE", "STRENGTH")), "")
        attribute = following in ("WORD", "PICTURE")  # "increase the fog" asks for no less of it
    if (scope.verb == "CREATE" and not attribute) or _is_imperative(tokens, i):
        return _ASK if scope.after % 2 == 1 and scope.before % 2 == 0 and scope.verb else _NOTHING
    if "CAPTION" in scope.seen or _is_caption(tokens, i):
        return _NOTHING
    if not odd:
        return _COMPLAINT
    if "GOAL" in scope.seen or sequel.goal or ("no" in scope.seen and "BE" not in scope.seen):
        return _NOTHING if "aside" in scope.seen else _ASK
    return _NOTHING


def _judge_quality(scope: _Scope, sequel: _Sequel) -> int:
    """Whether naming a virtue asks for it: "make it sharp" and "not sharp" do, "it is sharp" does not."""
    if scope.verb in ("KEEP", "REMOVE"):
        return _NOTHING
    odd = scope.odd ^ (sequel.negations % 2 == 1)
    missing = _NOTHING if sequel.sign > 0 and odd else _COMPLAINT
    if scope.verb in ("CREATE", "REPAIR", "WANT") or "GOAL" in scope.seen or sequel.goal:
        return _FORBIDDEN if odd else _ASK
    if "CANNOT" in scope.seen or odd:
        return missing
    if scope.verb == "BECOME":
        return _ASK
    return _COMPLAINT if "BAD" in scope.seen or sequel.bad else _NOTHING


def _sequel(tokens: Sequence[Token], i: int) -> _Sequel:
    sequel, j = _Sequel(), i + 1
    while j < min(len(tokens), i + REACH):
        token = tokens[j]
        if token.text == ":" and j == i + 1:
            pass  # "fog: keep"
        elif token.kind == "JOIN" and (following := _next(tokens, j)) and tokens[following].kind == "DEFECT":
            j = following  # "the haze and the blur must go"
        elif token.kind in MENTIONS:
            return _Sequel()  # what was said may belong to that mention
        elif token.kind in (*ENDS, "JOIN", "PICTURE"):
            break
        elif token.kind in ("NOT", "CANNOT"):
            sequel.negations += 1
        elif token.kind == "GOAL":
            sequel.goal = True
        elif token.kind in ("REMOVE", "REPAIR", "GONE", "TROUBLE", "BAD"):
            sequel.sign, sequel.bad = 1, token.kind == "BAD"
            break
        elif token.kind in ("KEEP", "STAY"):
            sequel.sign = -1
            break
        j += 1
    return sequel


def _next(tokens: Sequence[Token], i: int) -> int:
    """Index of the first token after `i` that is no article, 0 at the end."""
    return next((j for j in range(i + 1, len(tokens)) if tokens[j].kind != "ARTICLE"), 0)


def _kinds(tokens: Sequence[Token], start: int, count: int) -> list[str]:
    return [token.kind for token in tokens[start : start + count]]


def _joined(scope: _Scope, tokens: Sequence[Token], i: int) -> _Scope:
    """The scope after "and" or "or" at `i`: what governs nouns goes on, a new verb begins anew."""
    following = _next(tokens, i)
    kind = tokens[following].kind if following else ""
    if kind in ("DEFECT", "QUALITY", "WORD", "STRENGTH"):
        return scope
    if kind in ("ACTION", "SCALE") and (tokens[i].text == "or" or tokens[i - 1].kind == kind):
        return _Scope(after=scope.before + scope.after)  # "don't sharpen or enlarge"
    return _Scope()


def _in_list(tokens: Sequence[Token], i: int) -> bool:
    """Whether the comma at `i` parts a list that ends in "or": "no sharpening, enlarging or dehazing"."""
    rest = next((token for token in tokens[i:] if token.kind not in _LIST), None)
    return rest is not None and rest.text == "or"


def _is_imperative(tokens: Sequence[Token], i: int) -> bool:
    """Whether a defect is used as a verb: "blur the background"."""
    following = tokens[i + 1].text if i + 1 < len(tokens) else ""
    starts = i == 0 or tokens[i - 1].kind in ("FUNCTION", "BREAK", "COMMA", "JOIN", "NOT")
    return (
        starts
        and " " not in tokens[i].text
        and following in ("the", "my", "this", "it", "out", "his", "her", "their", "everything")
    )


def _is_caption(tokens: Sequence[Token], i: int) -> bool:
    """Whether the text is a title: "a foggy forest at dawn", "a mill in the fog", unlike "a foggy photo"."""
    before = _kinds(tokens, 0, i)
    adorned = i == 1 and tokens[0].text in ("a", "an") and _kinds(tokens, i + 1, 1) == ["WORD"]
    placed = before.count("PREPOSITION") == 1 and "WORD" in before
    placed = placed and set(before) <= {"WORD", "ARTICLE", "PREPOSITION"}
    said = set(_kinds(tokens, 0, len(tokens)))
    return (adorned and "BE" not in said) or (placed and not said & _SAYING)


def _asked(intents: Sequence[_Intent]) -> list[str]:
    """Names of the tasks asked for, in order of mention."""
    ranks: dict[str, int] = {}
    for intent in intents:
        ranks[intent.token.task] = max(ranks.get(intent.token.task, _NOTHING), intent.rank)
    return [name for name, rank in ranks.items() if rank in (_COMPLAINT, _ASK)]


# Strengths ----------------------------------------------------------------------------------------


def _strengths(tokens: Sequence[Token], intents: Sequence[_Intent]) -> dict[str, float]:
    """Strength by task, from the strength words beside its mentions; the last one said counts."""
    strengths: dict[str, float] = {}
    asking = [intent for intent in intents if intent.rank in (_COMPLAINT, _ASK)]
    for i, token in enumerate(tokens):
        if token.kind != "STRENGTH" or any(m.kind in ("WORD", "PICTURE") for m in tokens[i + 1 : i + 2]):
            continue  # "slightly dark" is no strength of a task
        start, end = bounds(tokens, i)
        near = [intent for intent in asking if start <= intent.at < end]
        if near:
            nearest = min(near, key=lambda intent: (abs(intent.at - i), intent.at < i))
            strengths[nearest.token.task] = token.value
            shared = any(m.kind in ("REMOVE", "REPAIR") for m in tokens[i : nearest.at])
            for intent in asking if shared else ():  # "slightly reduce the haze and the blur"
                if intent.at > end and all(
                    m.kind in ("JOIN", "ARTICLE", "DEFECT") for m in tokens[end : intent.at]
                ):
                    strengths[intent.token.task] = token.value
        elif not any(m.kind in (*MENTIONS, "WORD", "PICTURE") for m in tokens[start:end]):
            earlier = [intent for intent in asking if intent.at < i]  # "dehaze it, but only slightly"
            if earlier:
                strengths[earlier[-1].token.task] = token.value
    return strengths

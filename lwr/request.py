"""What a caller asks of one photo, and what it resolves to: everything that decides the pixels."""

import math
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from lwr.models.config import TextConditioning
from lwr.prompt import Route, route, size_of
from lwr.prompt.old import REPAIRS
from lwr.prompt.sizes import EXAMPLES
from lwr.tasks import TASKS

if TYPE_CHECKING:  # the command line lists the options without loading a model
    from lwr.models.prior import Prior

MAX_SCALE = 4.0
MAX_OUTPUT_PIXELS = 64_000_000
MAX_GUIDANCE = 30.0
# The task that a size alone asks for: the one that knows sizes
ENLARGING = next((name for name, task in TASKS.items() if task.vocabulary.measures), "")

PASSED_OVER = "The sentence has no part in this: nothing was found in it that can be done."

N = TypeVar("N", int, float)
Picture: TypeAlias = Any  # the path of a picture, or a PIL image


class RestoreError(ValueError):
    """A request that cannot be carried out; one sentence: what is wrong, and what would work."""


def option(default: Any, text: str, **more: Any) -> Any:
    """A field that is an option of the command line too, with its help; `more` are arguments of typer's."""
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True)
class Request:
    """What a caller asks of one photo; None = left open. Python, command line, page and API all make one."""

    prompt: str = option("", 'what is wrong, such as "remove the haze"; none: what the photo needs is done')
    # a name, or {name: strength}
    task: str | Mapping[str, float] | None = option(None, "a task by name; wins over the prompt")
    scale: float | None = option(None, "output side / input side, 1 to 4 [default: by task]")
    steps: int | None = option(None, "sampling steps; the embedded network takes one [default: by prior]")
    fidelity: float | None = option(
        None,
        "1 has the least error, 0.5 is the sharpest, 0 is the diffusion model's picture [default: by task]",
    )
    seed: int = option(0, "same seed, same pixels")
    guidance: float | None = option(
        None, "towards --positive, away from --negative; 1 is none [default: by prior]"
    )
    positive: str | None = option(None, "text that a Stable Diffusion prior is guided towards")
    negative: str | None = option(None, "text that it is guided away from")
    # a number is a width, a pair a width and a height
    size: str | int | tuple[int, int] | None = option(
        None, f"size of the restored photo instead of a scale: {EXAMPLES}"
    )
    auto: bool = option(False, "do what the photo needs, beside what is asked for")
    strength: float | None = option(
        None,
        "0 to 1: how much of all that is asked for is done, whatever the photo shows "
        "[default: as the photo shows]",
    )
    old: bool = option(False, "an old photo: --scratches, --fading, and what else it needs")
    scratches: bool = option(False, "scratches and dust are found and filled")
    fading: bool = option(False, "faded and yellowed colours are corrected")
    mask: str | Picture | None = option(
        None,
        "a picture of the photo's size: what is white in it, or painted, is filled, up to 32 pixels wide",
    )
    fast: bool = option(False, "by embedded-lite, a smaller network than the embedded one")

    @classmethod
    def of(cls, prompt: "str | Request" = "", **options: Any) -> "Request":
        """A sentence and other fields by name, or a Request as it is; RestoreError for an unknown field."""
        if isinstance(prompt, Request):
            if options:
                also = ", ".join(options)
                raise RestoreError(
                    f"There is a Request, and {also} beside it: use dataclasses.replace on it."
                )
            return prompt
        known = [one.name for one in fields(cls)]
        for name in options:
            if name not in known:
                raise RestoreError(f"There is no option {name!r}: use {_choice(name, known)}")
        return cls(prompt, **options)

    def resolve(
        self, prior: "Prior", source: str, tile: int, chosen: Mapping[str, float] | None = None
    ) -> "Settings":
        """The settings without adapters, for a prior from `source`; RestoreError says what is bad.

        `chosen` is what the photo needs, once it is known, when the request leaves that to it.
        """
        asked = self.asked()
        found = {name: s for name, s in (chosen or {}).items() if name not in asked.spared}
        degree = asked.degree if self.strength is None else float(self.strength)
        if degree is not None:  # part of what it needs, or all in full
            found = {name: 1.0 if degree == 1 else round(degree * s, 2) for name, s in found.items()}
        tasks = found | asked.tasks  # what was asked for by name wins
        text = self._text(prior)
        return Settings(
            tasks=tasks,
            scale=self._scale(tasks, asked),
            steps=self._steps(prior),
            fidelity=self._fidelity(tasks, prior),
            seed=_checked("seed", self.seed, (0, 2**63 - 1), "a whole number from 0 to 2^63 - 1", int),
            prior=source,
            adapters={},
            tile=tile,
            precision=str(prior.precision).removeprefix("torch."),
            positive=text.positive,
            negative=text.negative,
            guidance=text.guidance,
            size=asked.size and asked.size.text,
            general=asked.general and chosen is None,
            wish=asked.wish and chosen is None,
            repairs=asked.repairs,
        )

    def asked(self) -> Route:
        """What is asked for by all fields together; RestoreError when it is bad.

        Who asks for nothing leaves it to the photo, as `auto` does beside what is asked for.
        """
        _check_kinds(self)
        found, tasks = _with_size(route(self.prompt), self), _named(self.task)
        if tasks:  # who names a task means it
            found = replace(
                found, tasks=tasks, insisted=tuple(tasks), general=self.auto, wish=False, repairs=()
            )
        elif not found.understood:
            found = _unnamed(found, self)
        elif self.auto:
            found = replace(found, general=True)
        if found.general and _enlarges(found) and ENLARGING not in (*found.tasks, *found.spared):
            found = replace(found, tasks=found.tasks | {ENLARGING: 1.0})
        found = replace(found, understood=True, message="", repairs=tuple(_repairs(found, self)))
        return found if self.strength is None else _at_strength(found, self.strength)

    def _scale(self, tasks: Mapping[str, float], asked: Route) -> float:
        """Output side / input side; 1 as long as a size waits for the photo, see `fitted`."""
        if asked.size is not None:
            return 1.0
        done = (name for name, strength in tasks.items() if strength > 0)
        usual = max((TASKS[name].default_scale for name in done), default=1.0)
        scale = usual if asked.scale is None else asked.scale
        return _checked("scale", scale, (1, MAX_SCALE), f"1 (keep the size) to {MAX_SCALE:g}")

    def _steps(self, prior: "Prior") -> int:
        most, usual = prior.config.start_timestep, max(4, prior.config.default_steps)
        steps = prior.config.default_steps if self.steps is None else self.steps
        use = f"a whole number from 1 to {most}; 1 to {usual} is usual"
        return _checked("number of steps", steps, (1, most), use, int)

    def _fidelity(self, tasks: Mapping[str, float], prior: "Prior") -> float:
        fidelity, usual = self.fidelity, prior.config.default_fidelity
        if fidelity is None:
            wanted = (TASKS[name].default_fidelity for name in tasks)
            fidelity = min((usual if one is None else one for one in wanted), default=usual)
        use = "0 (the diffusion model's picture) to 1 (least error)"
        return _checked("fidelity", fidelity, (0, 1), use)

    def _text(self, prior: "Prior") -> TextConditioning:
        """The UNet's text; RestoreError when a text of the caller's own would make no difference."""
        usual = prior.config.text
        guidance = usual.guidance if self.guidance is None else self.guidance
        use = f"1 (none) to {MAX_GUIDANCE:g}; 7 is usual"
        guidance = _checked("guidance", guidance, (1, MAX_GUIDANCE), use)
        for side, text in (("positive", self.positive), ("negative", self.negative)):
            if not isinstance(text, str | None):
                raise RestoreError(f"The {side} text is {text!r}: use a text.")
        asked = TextConditioning(
            usual.positive if self.positive is None else self.positive,
            usual.negative if self.negative is None else self.negative,
            guidance,
        )
        if asked != usual and (usual.positive is None or not prior.reads_text):
            kind = "follows the tasks alone" if usual.positive is None else "knows the empty text alone"
            raise RestoreError(
                f"The model {prior.config.id} {kind}: leave out guidance, positive and negative, which are "
                "for priors like sd-2.1-base."
            )
        return asked


@dataclass(frozen=True)
class Settings:
    """All that decides the pixels, beside the photo: `restorer(photo, task=s.tasks, scale=s.scale, ...)`.

    Before the photo is known, `scale` may wait for it (then there is a `size`), and `tasks` too (`general`).
    """

    tasks: dict[str, float]  # task name -> strength in [0, 1]
    scale: float
    steps: int
    fidelity: float
    seed: int
    prior: str  # id@revision
    adapters: dict[str, str]  # task name -> id@version, or REPO@REVISION of one from the Hub
    tile: int  # pixels; photos up to TILE_SLACK times its area pass whole
    precision: str = "float32"  # of the weights; chosen when the Restorer is loaded, like the tile
    positive: str | None = None  # text that conditions the UNet; None = the instructions of the tasks
    negative: str = ""
    guidance: float = 1.0
    size: str | None = None  # of the restored photo as it was asked for; None: a scale was, or nothing
    general: bool = False  # the photo decides what is done, beside `tasks`, and has not been seen
    wish: bool = False  # it does so if it has that size already: who wants it "in HD" wants it better
    # {defect: severity in [0,1]} that the photo was found to have, {} where nobody looked; no pixel needs it
    found: dict[str, float] = field(default_factory=dict, compare=False)
    repairs: tuple[str, ...] = ()  # what was looked for: "scratches" and dust, "fading" of colours
    filled: int = field(default=0, compare=False)  # pixels of the photo that were filled
    faded: float = field(default=0.0, compare=False)  # share of the fading found that was undone

    @property
    def text(self) -> TextConditioning:
        """What conditions the UNet."""
        return TextConditioning(self.positive, self.negative, self.guidance)

    def json(self) -> dict[str, Any]:
        """The settings of a finished photo."""
        written = {name: value for name, value in asdict(self).items() if name not in ("general", "wish")}
        return written | {"repairs": list(self.repairs)}


def remarks(asked: Route) -> Iterator[str]:
    """What there is to say about the words of a request: what was not read or not done."""
    yield from asked.notes
    if asked.ignored:
        yield f"Not done, as there is no task for it yet: {', '.join(asked.ignored)}."


def fitted(settings: Settings, photo: tuple[int, int]) -> tuple[Settings, tuple[str, ...]]:
    """(settings, remarks) for a photo (H, W): the scale at which it gets the size asked for, or the nearest.

    A photo that is that large already is not enlarged: the task that does so then does nothing to it, and
    who asked for the size alone gets what the photo needs.
    """
    size = size_of(settings.size) if settings.size else None
    if size is None:
        return settings, ()
    height, width = photo
    wanted, notes = size.scale(width, height), [f"{size.reading}."] if size.reading else []
    room = math.sqrt(MAX_OUTPUT_PIXELS / (height * width)) * 0.9999  # whole pixels round up
    scale = max(1.0, min(wanted, MAX_SCALE, room))
    if wanted <= 1:
        already = "that large" if wanted == 1 else "larger than that"
        notes.append(
            f"{size.text} was asked for, and the photo with its {width}x{height} pixels is {already} "
            "already: it is not enlarged."
        )
        tasks = {name: 0.0 if name == ENLARGING else strength for name, strength in settings.tasks.items()}
        general = settings.general or settings.wish
        return replace(settings, scale=1.0, tasks=tasks, general=general), tuple(notes)
    if scale < wanted:
        limit = f"{MAX_SCALE:g} is the limit"
        if scale < MAX_SCALE:
            limit = f"{MAX_OUTPUT_PIXELS / 1e6:.0f} megapixels are the limit"
        notes.append(
            f"{size.text} would take scale {wanted:.3g}, and {limit}: the photo is enlarged {scale:.3g}x."
        )
    return replace(settings, scale=scale), tuple(notes)


def output_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(H, W) of the restored photo; RestoreError when it would be too large."""
    height, width = (max(1, round(side * scale)) for side in size)
    if height * width > MAX_OUTPUT_PIXELS:
        raise RestoreError(
            f"At scale {scale:g} the restored photo would have {height * width / 1e6:.0f} megapixels, over "
            f"the limit of {MAX_OUTPUT_PIXELS / 1e6:.0f}: use a smaller scale or a smaller photo."
        )
    return height, width


def pass_size(size: tuple[int, int], least: int) -> tuple[int, int]:
    """(H, W) at which a photo passes a prior that wants a short side of `least` pixels or more.

    Only as far as the long side stays within twice that: a strip does not become a square.
    """
    factor = max(1.0, min(least / min(size), 2 * least / max(size)))
    return tuple(max(1, round(side * factor)) for side in size)


def _check_kinds(request: Request) -> None:
    """RestoreError for fields of other types than they can be; records in files hold anything."""
    if not isinstance(request.prompt, str):
        raise RestoreError(f"The prompt is {request.prompt!r}: use a text, such as 'remove the haze'.")
    if not isinstance(request.task, str | Mapping | None):
        raise RestoreError(f"The task is {request.task!r}: use a name, or {{name: strength}}.")
    for name in ("auto", "old", "fast", *REPAIRS):
        if not isinstance(value := getattr(request, name), bool):
            raise RestoreError(f"The option {name} is {value!r}: use true or false.")
    if request.mask == "":
        raise RestoreError("The mask has no name: give a picture of the photo's size.")
    if isinstance(request.mask, str | os.PathLike) and not os.path.isfile(request.mask):
        raise RestoreError(f"There is no mask {request.mask}: give a picture of the photo's size.")


def _named(task: str | Mapping[str, float] | None) -> dict[str, float]:
    """{task: strength} of a task by name; RestoreError for one that is unknown."""
    if task is None or task == "auto":
        return {}
    tasks = {task: 1.0} if isinstance(task, str) else dict(task)
    return {name: _strength(name, strength) for name, strength in tasks.items()}


def _unnamed(found: Route, request: Request) -> Route:
    """What is asked for where neither prompt nor task name anything; RestoreError for what is nonsense."""
    empty = not request.prompt.strip()
    if empty and not request.auto:
        if _enlarges(found):
            return replace(found, tasks={ENLARGING: 1.0})
        if isinstance(request.task, Mapping):  # {}: the tasks of a photo that came back as it was
            return found
    heard = empty or bool(found.ignored or found.spared)
    whole = request.auto or request.old
    repaired = request.mask is not None or any(getattr(request, name) for name in REPAIRS)
    if heard and repaired and not whole:
        return found
    if empty or (heard and whole):
        return replace(found, general=True)
    if request.old:
        return replace(found, general=True, notes=(*found.notes, PASSED_OVER))
    raise RestoreError(found.message)


def _repairs(found: Route, request: Request) -> Iterator[str]:
    """Those that prompt and options ask for; a prompt can take some of them from `old`."""
    for name in REPAIRS:
        if name in found.repairs or getattr(request, name) or (request.old and name not in found.spared):
            yield name


def _at_strength(found: Route, strength: object) -> Route:
    """The same with all of its tasks at one strength, which insists; at 0 no old photo is repaired either."""
    strength = _checked("strength", strength, (0, 1), "0 (nothing is done) to 1 (all of it)")
    tasks = dict.fromkeys(found.tasks, strength)
    return replace(found, tasks=tasks, insisted=tuple(tasks), repairs=found.repairs if strength else ())


def _with_size(found: Route, request: Request) -> Route:
    """`found` with the size and scale that are given beside the prompt, which win over it."""
    given, scale = request.size, request.scale
    if given is None or given in ("", "auto"):
        return _clamped(found) if scale is None else replace(found, size=None, scale=scale)
    if scale is not None:
        raise RestoreError(f"There are a scale ({scale}) and a size ({given}): give one of the two.")
    pair = given if isinstance(given, tuple | list) else (given,)
    size = None if isinstance(given, bool) else size_of("x".join(str(side) for side in pair))
    if size is None:
        raise RestoreError(f"The size is {given!r}: use {EXAMPLES}.")
    return replace(found, size=size, scale=None)


def _clamped(asked: Route) -> Route:
    """What a sentence asks, with its scale at the limit when it is over it, and a note that says so."""
    if asked.scale is None or asked.scale <= MAX_SCALE:
        return asked
    note = f"Scale {asked.scale:g} was asked for, and {MAX_SCALE:g} is the limit."
    return replace(asked, scale=MAX_SCALE, notes=(*asked.notes, note))


def _enlarges(asked: Route) -> bool:
    """Whether a size or a larger scale is asked for."""
    return asked.size is not None or (isinstance(asked.scale, int | float) and asked.scale > 1)


def _strength(name: str, strength: object) -> float:
    """A known task's strength; RestoreError names the nearest task for one that is unknown."""
    if name not in TASKS:
        raise RestoreError(f"There is no task {name!r}: use {_choice(str(name), TASKS)}")
    return _checked(f"strength of {name}", strength, (0, 1), "0 to 1")


def _choice(name: str, known: Collection[str]) -> str:
    """What there is, and what was probably meant, as the end of a sentence."""
    near = get_close_matches(name, known, 1, 0.5)
    return ", ".join(known) + (f"; did you mean {near[0]}?" if near else ".")


def _checked(name: str, value: object, limits: tuple[float, float], use: str, kind: type[N] = float) -> N:
    """`value` as a number within `limits`; RestoreError for all else, such as NaN, "4" or half a step."""
    try:
        number = kind(value)
        if not isinstance(value, bool) and number == value and limits[0] <= number <= limits[1]:
            return number
    except (TypeError, ValueError, OverflowError):  # not a number at all, or int(nan), int(inf)
        pass
    raise RestoreError(f"The {name} is {value!r}: use {use}.")

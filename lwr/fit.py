"""A request meets its photo: what the photo needs, how much of what was asked for, and its size."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from lwr.diagnose import Diagnosis, described, harmless, needed_scale
from lwr.prompt import Route
from lwr.prompt.old import REPAIRS
from lwr.request import ENLARGING, Request, Settings, fitted, remarks
from lwr.tasks import TASKS

UNCHANGED = "Nothing wrong was found: the photo is unchanged."
NO_MORE = "Nothing else wrong was found."
DETAIL = "bring out detail"  # what the task that enlarges does to a photo that keeps its size
NO_STRENGTH = "Nothing was restored, as strength 0 was asked for."
NO_MORE_STRENGTH = "Nothing else was restored, as strength 0 was asked for."

# (request, what the photo needs when the request leaves that to it) -> settings
Resolve = Callable[[Request, Mapping[str, float] | None], Settings]


@dataclass(frozen=True)
class Fit:
    """What a request comes to for one photo, and what there is to say about it."""

    settings: Settings
    on_words: tuple[str, ...]  # what was not read or has no task
    on_size: tuple[str, ...]
    account: tuple[str, ...]  # what was found and done, where the request left that to the photo
    on_tasks: tuple[str, ...]  # what was asked for and is not done, or in part

    @property
    def remarks(self) -> tuple[str, ...]:
        """All that there is to say once it is done."""
        return (*self.on_words, *self.on_size, *self.account, *self.on_tasks)


def fit_to(
    request: Request,
    resolve: Resolve,
    size: tuple[int, int],
    find: Callable[[], Diagnosis],
    repaired: bool = False,
) -> Fit:
    """For a photo of `size` (H,W); `find` says what is wrong with it, and is called where that matters.

    A general request gets what the photo needs, and so does "make it HD" for a photo that is. Tasks that a
    sentence names are done as far as the photo shows their defect, unless it insists; enlarging has other
    reasons. A photo that was `repaired` is not unchanged.
    """
    asked, settings = request.asked(), resolve(request, None)
    named = [name for name in asked.tasks if name not in asked.insisted]
    chosen = fitted(settings, size)[0].general
    found = find() if chosen or named else None
    severities = found.severities if found else {}
    if chosen:
        settings = resolve(request, _needed(found, asked))
        if asked.scale is None and ENLARGING not in asked.tasks:
            done = {name: strength for name, strength in settings.tasks.items() if strength > 0}
            settings = replace(settings, scale=needed_scale(done, size))
    settings, on_size = fitted(settings, size)
    named = [name for name in named if settings.scale == 1 or name != ENLARGING]
    tasks, on_tasks = harmless(settings.tasks, named, found.seen or severities if found else {})
    rounded = {name: round(severity, 2) for name, severity in severities.items()}
    settings = replace(settings, tasks=tasks, found=rounded)
    account = (" ".join(found_and_done(found, asked, settings, repaired)),) if chosen else ()
    on_strength = (NO_MORE_STRENGTH if repaired else NO_STRENGTH,) if request.strength == 0 else ()
    return Fit(settings, tuple(remarks(asked)), on_size, account, (*on_strength, *on_tasks))


def found_and_done(
    found: Diagnosis, asked: Route, settings: Settings, repaired: bool = False
) -> Iterator[str]:
    """Sentences on a request that left it to the photo: what is wrong with it, and what was done and not."""
    present = found.present
    done = {name: strength for name, strength in settings.tasks.items() if strength > 0}
    if not present and not done and settings.scale == 1:
        yield NO_MORE if repaired else UNCHANGED
        return
    listed = (f"{described(name, severity)} ({severity:.2f})" for name, severity in present.items())
    yield f"Found: {', '.join(listed)}." if present else "Nothing wrong was found."
    if done:
        yield f"Done: {', '.join(_deed(name, strength, settings) for name, strength in done.items())}."
    spared = [TASKS[name].title.lower() for name in present if name in asked.spared]
    spared += [REPAIRS[name].does for name in REPAIRS if name in asked.spared and asked.repairs]
    if spared:
        yield f"Left out, as you asked: {', '.join(spared)}."
    stays = [described(name, severity) for name, severity in present.items() if name not in TASKS]
    if stays:
        yield f"The photo stays {', '.join(stays)}, as there is no task for that yet."
    if not (settings.tasks or spared or stays):
        yield "That is too little to change anything" + ("." if repaired else ": the photo is unchanged.")


def _deed(name: str, strength: float, settings: Settings) -> str:
    """ "remove haze (strength 0.9)"."""
    scale = f" {settings.scale:g}x" if name == ENLARGING and settings.scale > 1 else ""
    return f"{deed(name, settings.scale)}{scale} (strength {strength:g})"


def deed(name: str, scale: float) -> str:
    """What a task does at this scale, for a person: "remove haze"; nothing is enlarged at scale 1."""
    return DETAIL if name == ENLARGING and scale == 1 else TASKS[name].title.lower()


def _needed(found: Diagnosis, asked: Route) -> dict[str, float]:
    """{task: strength} that the photo needs; what the sentence forbids counts as not there."""
    severities = {name: 0.0 if name in asked.spared else s for name, s in found.severities.items()}
    return replace(found, severities=severities).tasks

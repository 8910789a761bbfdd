"""What a visitor asks for, read from the widgets, and the line that says what would be done."""

import html
from typing import Any

import gradio as gr
from PIL import Image

from lwr.diagnose import Diagnosis
from lwr.prompt import route
from lwr.prompt.old import REPAIRS
from lwr.request import ENLARGING, Request, RestoreError, Settings
from lwr.tasks import TASKS
from page import brush, chips, options
from page.errors import VISITOR_ERRORS, sentence
from page.inputs import read_request, upload_path
from page.results import NOTHING, left_out, plan
from page.service import Service
from page.status import duration
from page.style import NOTHING_ASKED, NOTHING_SAID
from page.words import said, t

FILL = "fill what is painted"
UNCHANGED = "Your photo would come back as it is."
SLIGHT = "What was found is too slight to be changed: your photo would come back as it is."


def request_from(
    routed: str, prompt: str, chosen: list[str], *values: Any, mask: Image.Image | None = None
) -> Request:
    """The Request in the widgets' values and in what is painted; RestoreError says what is wrong."""
    given, strengths = _options(values)
    given["mask"] = mask
    tasks = {name: s for name, s in zip(TASKS, strengths, strict=True) if name in (chosen or ())}
    if (prompt or "") != (routed or ""):  # sent before the chips could follow
        return read_request(prompt=prompt, **given)
    found, aged = route(prompt or ""), [name for name in chips.AGED if name in (chosen or ())]
    if not tasks and not aged and (found.tasks or found.repairs):  # all were unchecked
        if mask is None:
            raise RestoreError(NOTHING_ASKED)
        return read_request(task={}, **given)
    said = chips.aged(found)
    if tasks == found.tasks and aged == said:
        return read_request(prompt=prompt, **given)
    # as "restore this old photo" and "... and enlarge it" do, and "fix the blur of it" does not
    given["auto"] = found.general or (chips.OLD in aged and set(tasks) <= {ENLARGING})
    given |= dict.fromkeys(aged, True)
    if tasks == found.tasks and set(said) <= set(aged):
        return read_request(prompt=prompt, **given)
    # Only chips and strengths changed by hand insist on a task; "enhance" still counts beside them.
    return read_request(prompt=prompt if tasks else "", task=tasks, **given)


def fixing(_prompt: str, _chosen: list[str], *values: Any, mask: Image.Image | None = None) -> Request:
    """The Request of "Just fix it", by the same values: what the photo needs, whatever else is asked for.

    What is painted is filled too.
    """
    return read_request(auto=True, mask=mask, **_options(values)[0])


def _options(values: tuple[Any, ...]) -> tuple[dict[str, Any], tuple[float, ...]]:
    """({field: value} of OPTIONS, the strength of each task) in the values after sentence and chips."""
    count = len(options.OPTIONS)
    given = dict(zip(options.OPTIONS, values[:count], strict=True))
    if (given["size"] or "").strip():  # wins over a scale, whose widget is disabled then
        given["scale"] = None
    return given, values[count:]


def preview(service: Service, image: Any, painted: str, routed: str, *values: Any) -> list[Any]:
    """What would be done and how long it takes, then the widgets of `options.CHANGING`.

    In fixed words: a visitor's own are never shown as HTML.
    """
    path = upload_path(image)
    try:
        request = request_from(routed, *values, mask=brush.mask_of(painted, image))
        settings, remarks, seconds = service.planned(path, request)
    except VISITOR_ERRORS as error:
        return [sentence(error), *[gr.skip()] * len(options.CHANGING)]
    effects = options.effects(service.restorer.network, settings, sized=request.size is not None)
    return [
        said(_plan(request, settings, remarks, seconds)),
        *(gr.update(**effects[name] | {"info": t(effects[name]["info"])}) for name in options.CHANGING),
    ]


def _plan(request: Request, settings: Settings, remarks: tuple[str, ...], seconds: float | None) -> str:
    """The plan's sentences; without the `seconds` there is no photo."""
    asked = request.asked()
    if seconds is None and asked.general and not (asked.tasks or asked.repairs or request.prompt.strip()):
        return NOTHING_SAID
    repairs = [FILL] if request.mask is not None else []
    repairs += [REPAIRS[name].does for name in asked.repairs]
    what = plan(settings, photo_is_known=seconds is not None, strengths=asked.general, repairs=repairs)
    nothing = what == NOTHING and seconds is not None
    if nothing:
        slight = asked.general and TASKS.keys() & Diagnosis(settings.found).present
        remarks = (SLIGHT if slight else UNCHANGED, *remarks)
    # by the photo, or by the visitor's words
    start = "I would do" if asked.general or nothing or request.mask is not None else "I understood"
    about = "" if nothing or seconds is None else f", in about {duration(seconds)}"
    remarks = (*(html.escape(note, quote=False) for note in asked.notes), *remarks)
    line = f"{start}: **{what}**{about}{left_out(asked.ignored)}"
    return " ".join([f"{line}.", *remarks]) if remarks else line

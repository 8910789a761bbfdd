"""The first tab: a photo and a sentence in, a comparison and a file out."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import Dependency

from lwr.prompt import MAX_CHARACTERS
from lwr.request import Request, RestoreError
from page import brush, chips, examples, findings, given, links, options
from page.compare import Comparison
from page.errors import errors_for_visitors, not_done
from page.inputs import upload_path, uploaded
from page.planning import fixing, preview, request_from
from page.results import (
    FORMATS,
    GONE,
    comparison,
    download_button,
    if_current,
    in_format,
    summary,
)
from page.service import Service, upright_size
from page.status import told, with_bar
from page.style import FIX, NOTHING_SAID
from page.words import said, t

HINT = "It is a bit hazy, and please enlarge it 2x"
# On a phone picture and status are above the button.
TO_RESULT = "() => { document.querySelector('#result').scrollIntoView({block: 'nearest'}); return []; }"
PRESS = "() => { document.querySelector('#restore:not([disabled])')?.click(); return []; }"
# (sentence, chips, what is painted) -> (Just fix it, Restore): the one that is meant by these stands out.
EMPHASIS = """(sentence, chosen, painted) => {
  const asked = Boolean((sentence || "").trim() || (chosen || []).length || painted);
  const stands = (out) => ({__type__: "update", variant: out ? "primary" : "secondary"});
  return [stands(!asked), stands(asked)];
}"""
SHOWN = "shown"  # kind of a run that ends once its visitor has chosen another picture
RESULT = 8  # values that a finished photo fills
LIVE = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
LAST = {"trigger_mode": "always_last"} | LIVE


@dataclass(frozen=True)
class _Inputs:
    """The left half: what a visitor gives."""

    photo: gr.Image
    prompt: gr.Textbox
    chips: gr.CheckboxGroup
    found: findings.Findings
    strengths: list[gr.Slider]  # one for each task
    plan: gr.Markdown  # what would be done
    fix: gr.Button
    restore: gr.Button
    cancel: gr.Button
    options: list[gr.components.Component]  # in the order of OPTIONS
    link: gr.Textbox
    share: gr.Button
    routed: gr.Textbox  # the sentence that the chips stand for, hidden
    painted: gr.Textbox  # for `brush.mask_of`, hidden

    @property
    def request(self) -> list[gr.components.Component]:
        """All that decides what is done: the widgets of `links.NAMES`, then the strengths."""
        return [self.prompt, self.chips, *self.options, *self.strengths]

    @property
    def all(self) -> list[gr.components.Component]:
        """Inputs of a run and of its preview."""
        return [self.photo, self.painted, self.routed, *self.request]


@dataclass(frozen=True)
class _Outputs:
    """The right half: what a visitor gets."""

    pictures: Comparison
    status: gr.Markdown  # what goes on, and why there is no new result
    details: gr.Column  # hidden until there is a result
    done: gr.Markdown
    kind: gr.Radio
    file: gr.DownloadButton
    again: gr.Button
    settings: gr.JSON
    png: gr.State  # path of the result's PNG, from which other formats are made

    @property
    def result(self) -> list[Any]:
        """Everything that a finished photo fills."""
        return [
            self.pictures, self.status, self.done, self.file, self.png, self.settings, self.details, self.kind
        ]  # fmt: skip


def build(service: Service) -> list[gr.components.Component]:
    """Lay out the tab and connect it; returns the widgets that a link sets."""
    with gr.Row(elem_id="desk"):
        with gr.Column(scale=5, min_width=300, elem_id="asked"):
            inputs = _inputs(service)
        with gr.Column(scale=11, min_width=300, elem_id="shown"):
            outputs, shown = _outputs()
    taken = _connect_inputs(service, inputs)
    _connect_brush(inputs, outputs)
    _connect_restore(service, inputs, outputs)
    _connect_result(service, inputs, outputs)
    filled = [inputs.photo, inputs.prompt, outputs.pictures, outputs.status, outputs.done, outputs.details]

    def show_example(request: gr.Request, event: gr.SelectData) -> tuple[Any, ...]:
        let_go(service, request)
        return examples.show(event)

    def show_photo(request: gr.Request, image: Any = None) -> tuple[Any, ...]:
        if upload_path(image) is not None:
            let_go(service, request)
        return _show_photo(image)

    def clear(request: gr.Request) -> None:
        let_go(service, request)

    inputs.photo.clear(clear, None, None, **LIVE)
    shown.select(show_example, None, filled, **LIVE)
    inputs.photo.input(show_photo, inputs.photo, filled[2:], preprocess=False, **LIVE)
    # Once there is a preview of it; nothing is let go, as this photo may be in work by then.
    taken.then(_show_photo, inputs.photo, filled[2:], preprocess=False, **LIVE)
    return [*inputs.request, inputs.routed]


def _inputs(service: Service) -> _Inputs:
    photo = gr.Image(
        label=t("Photo: drop, paste, choose or take one"),
        height=210,
        sources=["upload", "clipboard", "webcam"],
        buttons=["fullscreen"],
        elem_id="photo",
    )
    prompt = gr.Textbox(
        label=t("What is wrong with it?"), placeholder=HINT, max_length=MAX_CHARACTERS, elem_id="sentence"
    )
    tasks = chips.build()
    found = findings.Findings(elem_id="findings")
    strengths = chips.sliders()
    line = gr.Markdown(t(NOTHING_SAID), elem_id="plan")
    with gr.Row():
        fix = gr.Button(t(FIX), variant="primary", elem_id="fix", scale=3, min_width=110)
        restore = gr.Button(t("Restore"), elem_id="restore", scale=3, min_width=100)
        cancel = gr.Button(t("Cancel"), elem_id="cancel", interactive=False, scale=1, min_width=90)
    with gr.Accordion(t("Advanced"), open=False):
        advanced = options.build(service.restorer.network, service.offers_fast)
    with gr.Accordion(t("Link to these settings"), open=False):
        link = gr.Textbox(show_label=False, buttons=["copy"], interactive=False, elem_id="link")
        share = gr.Button(t("Create and copy the link"), size="sm", elem_id="share")
    # No State: that would be of the server, which knows it before the browser has the chips.
    routed, painted = (gr.Textbox(visible="hidden", container=False) for _ in range(2))
    return _Inputs(
        photo,
        prompt,
        tasks,
        found,
        strengths,
        line,
        fix,
        restore,
        cancel,
        advanced,
        link,
        share,
        routed,
        painted,
    )


def _outputs() -> tuple[_Outputs, examples.Strip]:
    """The comparison with its file and settings, and the examples under it."""
    pictures = Comparison(examples.pictures(), widest=brush.WIDEST, elem_id="result")
    status = gr.Markdown(elem_id="status")
    done = gr.Markdown(examples.first_caption(), elem_id="done")
    with gr.Column(visible=False) as details:
        with gr.Row(elem_id="take"):
            kind = gr.Radio(
                list(FORMATS), value="PNG", label=t("File format"), show_label=False, container=False,
                scale=3, min_width=280,
            )  # fmt: skip
            file = gr.DownloadButton(
                t("Download PNG"), variant="primary", elem_id="download", size="md", scale=2, min_width=150
            )
            again = gr.Button(
                t("Restore the result again"), elem_id="again", size="md", scale=2, min_width=150
            )
        with gr.Accordion(t("Settings of this result"), open=False):
            settings = gr.JSON(show_label=False)
    shown = examples.build()
    outputs = _Outputs(pictures, status, details, done, kind, file, again, settings, gr.State(""))
    return outputs, shown


def _connect_inputs(service: Service, inputs: _Inputs) -> Dependency:
    """Chips follow the sentence, sliders the chips, the plan all of them; a result brings its settings.

    Returns the event that takes an upload.
    """
    brought = [inputs.photo, *inputs.request, inputs.routed]
    take = partial(given.taken, fast=service.offers_fast)
    taken = inputs.photo.upload(take, inputs.photo, brought, **given.ON_UPLOAD)
    follow = [inputs.chips, *inputs.strengths, inputs.routed]
    inputs.prompt.change(chips.understood, [inputs.prompt, inputs.routed], follow, **LAST)
    inputs.chips.change(chips.sliders_for, inputs.chips, inputs.strengths, **LIVE)
    said = [inputs.prompt, inputs.chips, inputs.painted]
    gr.on([widget.change for widget in said], None, said, [inputs.fix, inputs.restore], js=EMPHASIS, **LIVE)
    inputs.photo.change(
        partial(findings.look, service), inputs.photo, [inputs.found, inputs.chips], js=findings.FADE,
        preprocess=False, api_name="look", **LAST,
    )  # fmt: skip
    changes = [widget.change for widget in (inputs.photo, inputs.painted, *inputs.request)]
    shown = [inputs.plan, *(inputs.options[options.OPTIONS.index(name)] for name in options.CHANGING)]
    gr.on(changes, partial(preview, service), inputs.all, shown, preprocess=False, **LAST)
    return taken


def _connect_brush(inputs: _Inputs, outputs: _Outputs) -> None:
    """The comparison is told which photo can be painted on, and tells what is painted on it."""
    pixels = gr.Textbox(visible="hidden", container=False)
    looked = inputs.photo.change(brush.pixels, inputs.photo, pixels, preprocess=False, **LAST)
    looked.then(None, [inputs.photo, pixels], None, js=brush.TELL, **LIVE)
    outputs.pictures.input(None, None, inputs.painted, js=brush.PAINTED, **LIVE)


def _connect_restore(service: Service, inputs: _Inputs, outputs: _Outputs) -> None:
    """Just fix it, Restore, Enter and Cancel."""

    def restore_on_page(
        request: gr.Request, image: Any = None, painted: str = "", routed: str = "", *values: Any
    ) -> Iterator[tuple[Any, ...]]:
        def wanted() -> Request:
            return request_from(routed, *values, mask=brush.mask_of(painted, image))

        yield from restoring(service, request.session_hash, image, wanted)

    def fix_on_page(
        request: gr.Request, image: Any = None, painted: str = "", _routed: str = "", *values: Any
    ) -> Iterator[tuple[Any, ...]]:
        def wanted() -> Request:
            return fixing(*values, mask=brush.mask_of(painted, image))

        yield from restoring(service, request.session_hash, image, wanted)

    # Enter presses the button, so that it does nothing while that is disabled.
    inputs.prompt.submit(None, None, None, js=PRESS, **LIVE)
    buttons = [inputs.fix, inputs.restore, inputs.cancel]
    for button, run in ((inputs.fix, fix_on_page), (inputs.restore, restore_on_page)):
        start = button.click(_buttons(working=True), None, buttons, js=TO_RESULT, **LIVE)
        working = start.then(
            run, inputs.all, outputs.result, preprocess=False, show_progress="hidden",
            api_visibility="private", concurrency_limit=None,
        )  # fmt: skip
        working.then(_buttons(working=False), None, buttons, js=TO_RESULT, **LIVE)
    inputs.cancel.click(service.stop_photo, None, None, **LIVE)
    inputs.cancel.click(lambda: gr.Button(interactive=False), None, inputs.cancel, **LIVE)


def restoring(
    service: Service, visitor: str, image: Any, wanted: Callable[[], Request]
) -> Iterator[tuple[Any, ...]]:
    """Values of `_Outputs.result` for how the photo stands and at its end; a photo let go leaves none.

    `wanted` makes the request, or raises RestoreError.
    """
    steps = _told(service, visitor, image, wanted)
    with service.stops.run(visitor, SHOWN) as shown, closing(steps):
        for state in steps:
            if shown.stopped:
                yield gr.skip(), "", *[gr.skip()] * (RESULT - 2)
                return
            yield state


def _told(
    service: Service, visitor: str, image: Any, wanted: Callable[[], Request]
) -> Generator[tuple[Any, ...]]:
    rest = [gr.skip()] * (RESULT - 2)  # the last picture and all about it stay
    try:
        path = uploaded(image)
        with errors_for_visitors(path):
            request = wanted()
        steps = service.restoring(path, request, visitor)
        done = yield from told(steps, lambda state: (gr.skip(), with_bar(state), *rest))
        pictures = comparison(done)
    except gr.Error as error:  # raised on, it would cover the picture
        yield gr.skip(), not_done(error), *rest
        return
    file, details, kind = download_button(done.file), gr.Column(visible=True), gr.Radio(value="PNG")
    yield pictures, "", summary(done), file, done.file, done.settings, details, kind


def let_go(service: Service, request: gr.Request) -> None:
    """The visitor has chosen another picture: the photo that is being restored stops and is not shown."""
    service.stops.stop(request.session_hash, SHOWN)
    service.stop_photo(request)


def _connect_result(service: Service, inputs: _Inputs, outputs: _Outputs) -> None:
    """File format, "Restore the result again" and the link to these settings."""

    def take_again(request: gr.Request, png: str = "") -> tuple[Any, ...]:
        if Path(png).is_file():
            let_go(service, request)
        return take_result(png)

    made = gr.State(("", "", "", ""))  # by in_format
    changing = outputs.kind.input(lambda: gr.DownloadButton(interactive=False), None, outputs.file, **LAST)
    converted = changing.then(in_format, [outputs.png, outputs.kind], made, **LAST)
    converted.then(if_current, [made, outputs.png, outputs.kind], [outputs.file, outputs.status], **LAST)
    again = [inputs.photo, inputs.prompt, outputs.status]
    outputs.again.click(take_again, outputs.png, again, **LIVE)
    inputs.share.click(None, inputs.request, inputs.link, js=links.JS, **LIVE)


def take_result(png: str) -> tuple[Any, ...]:
    """(photo, no sentence, status): the result as the next photo, while it is there."""
    return (png, "", "") if Path(png).is_file() else (gr.skip(), gr.skip(), said(GONE))


def _show_photo(image: Any) -> tuple[Any, ...]:
    """A new photo stands alone until there is a result to compare; what is none leaves all as it is."""
    path = upload_path(image)
    try:
        if path is not None:
            upright_size(path)
            return (image["path"], None), "", "", gr.Column(visible=False)  # its preview, if it has one
    except RestoreError:
        pass  # the plan says it
    return (gr.skip(),) * 4


def _buttons(working: bool) -> Callable[[], tuple[gr.Button, ...]]:
    """(Just fix it, Restore, Cancel): the last can be pressed when the others cannot."""
    return lambda: tuple(gr.Button(interactive=on) for on in (not working, not working, working))

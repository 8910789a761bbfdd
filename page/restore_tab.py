"""The first tab: a photo and a sentence in, a comparison and a file out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from PIL import Image

from lwr.images import files as images
from lwr.prompt import MAX_CHARACTERS, route
from lwr.restore import RestoreError
from lwr.tasks import TASKS
from page import examples
from page.look import NOTHING_ASKED
from page.service import (
    FORMATS,
    MISTAKES,
    Done,
    Service,
    mistakes_told,
    new_folder,
    plan,
    sentence,
    upload_path,
    uploaded,
)

SHOWN_PIXELS = 16_000_000  # a larger result is shown smaller; the download never is
QUALITY = [("Fast, 1 step", 1), ("Balanced, 4 steps", 4), ("Best, 12 steps", 12)]
FIDELITIES = ["auto", "0", "0.25", "0.5", "0.75", "0.9", "1"]
SCALES = ["auto", "1", "2", "3", "4"]
HINT = "It is a bit hazy, and please enlarge it 2x"
LIVE = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
PROGRESS = gr.Progress()  # as a parameter's default it makes Gradio show that event's progress
LINK = """(...values) => {
  const names = %s, tasks = %s, link = new URL(window.location.origin + window.location.pathname);
  const strengths = values.slice(names.length);
  values[1] = values[1].map((task) => task + ":" + strengths[tasks.indexOf(task)]);
  names.forEach((name, i) => { if (values[i] !== null) { link.searchParams.set(name, String(values[i])); } });
  navigator.clipboard?.writeText(link.toString()).catch(() => {});
  return link.toString();
}"""
LINKED = ("prompt", "tasks", "scale", "steps", "fidelity", "seed")


@dataclass(frozen=True)
class _Question:
    """The left half: what a visitor gives."""

    photo: gr.Image
    words: gr.Textbox
    chips: gr.CheckboxGroup
    strengths: list[gr.Slider]  # one a task
    line: gr.Markdown  # what would be done
    button: gr.Button
    cancel: gr.Button
    advanced: tuple[gr.components.Component, ...]  # scale, steps, fidelity, seed

    routed: gr.State  # the sentence that the chips stand for

    @property
    def wishes(self) -> list[gr.components.Component]:
        """All that decides what is done, in the order of LINKED, then the strengths."""
        return [self.words, self.chips, *self.advanced, *self.strengths]


@dataclass(frozen=True)
class _Answer:
    """The right half: what a visitor gets."""

    slider: gr.ImageSlider
    details: gr.Column  # hidden until there is a result
    done: gr.Markdown
    kind: gr.Radio
    file: gr.DownloadButton
    again: gr.Button
    settings: gr.JSON
    link: gr.Textbox
    share: gr.Button


def build(service: Service) -> list[gr.components.Component]:
    """Lay the tab out and wire it up; the widgets that a link sets."""
    with gr.Row():
        with gr.Column(min_width=320):
            asked = _question(service)
        with gr.Column(min_width=320):
            answer = _answer()
    shown = examples.build()
    _wire(service, asked, answer)
    outputs = [asked.photo, asked.words, answer.slider, answer.done, answer.details]
    shown.select(examples.show, None, outputs, **LIVE)
    return [*asked.wishes, asked.routed]


def _question(service: Service) -> _Question:
    photo = gr.Image(
        label="Photo: drop, paste, choose or take one",
        height=320,
        sources=["upload", "clipboard", "webcam"],
        buttons=["fullscreen"],
        elem_id="photo",
    )
    words = gr.Textbox(
        label="What is wrong with it?", placeholder=HINT, max_length=MAX_CHARACTERS, elem_id="sentence"
    )
    chips = gr.CheckboxGroup(
        [(task.title, name) for name, task in TASKS.items()],
        label="What will be done",
        info="Follows your sentence; press to choose for yourself.",
        elem_id="tasks",
    )
    strengths = [
        gr.Slider(0.05, 1, 1, step=0.05, label=f"Strength: {task.title.lower()}", visible=False)
        for task in TASKS.values()
    ]
    line = gr.Markdown(NOTHING_ASKED, elem_id="plan")
    with gr.Row():
        button = gr.Button("Restore", variant="primary", size="lg", elem_id="restore", scale=3)
        cancel = gr.Button("Cancel", size="lg", elem_id="cancel", interactive=False, scale=1)
    with gr.Accordion("Advanced", open=False):
        advanced = _advanced(service)
    return _Question(photo, words, chips, strengths, line, button, cancel, advanced, gr.State(""))


def _answer() -> _Answer:
    slider = gr.ImageSlider(
        label="Before and after", format="png", max_height=640, elem_id="result", buttons=["fullscreen"]
    )
    done = gr.Markdown(elem_id="done")
    with gr.Column(visible=False) as details:
        with gr.Row():
            kind = gr.Radio(list(FORMATS), value="PNG", label="File format", scale=2)
            file = gr.DownloadButton("Download", variant="primary", elem_id="download", scale=1)
        again = gr.Button("Restore the result again", elem_id="again")
        with gr.Accordion("Settings of this result", open=False):
            settings = gr.JSON(show_label=False)
    with gr.Accordion("Link to these settings", open=False):
        link = gr.Textbox(show_label=False, buttons=["copy"], interactive=False, elem_id="link")
        share = gr.Button("Make the link, and copy it", size="sm", elem_id="share")
    return _Answer(slider, details, done, kind, file, again, settings, link, share)


def _wire(service: Service, asked: _Question, answer: _Answer) -> None:
    master = gr.State("")  # the result's PNG, from which other formats are made
    told = [asked.photo, asked.routed, *asked.wishes]
    last = {"trigger_mode": "always_last"} | LIVE
    follows = [asked.chips, *asked.strengths, asked.routed]
    asked.words.change(understood, [asked.words, asked.routed], follows, **last)
    asked.chips.change(sliders_for, asked.chips, asked.strengths, **LIVE)
    previewed = partial(preview, service)
    gr.on(
        [w.change for w in (asked.photo, *asked.wishes)],
        previewed,
        told,
        asked.line,
        preprocess=False,
        **last,
    )

    def restore_on_page(
        request: gr.Request,
        progress: gr.Progress = PROGRESS,
        image: Any = None,
        routed: str = "",
        *values: Any,
    ) -> tuple[Any, ...]:
        """(comparison, what was done, file, its PNG, settings, the part of the page that holds those)."""
        path = uploaded(image)
        with mistakes_told(path):
            wanted = wished(service, routed, *values)
        finished = service.restore(path, wanted, request.session_hash, progress)
        for note in finished.restored.notes:
            gr.Info(sentence(RestoreError(note)), title="Note")
        file = gr.DownloadButton(value=finished.file, interactive=True)
        return (
            comparison(finished), summary(finished), file, finished.file,
            finished.settings, gr.Column(visible=True), gr.Radio(value="PNG"),
        )  # fmt: skip

    outputs = [answer.slider, answer.done, answer.file, master, answer.settings, answer.details, answer.kind]
    start = gr.on([asked.button.click, asked.words.submit], _may_cancel(True), None, asked.cancel, **LIVE)
    working = start.then(
        restore_on_page, told, outputs, preprocess=False, show_progress_on=answer.slider,
        scroll_to_output=True, api_visibility="private", concurrency_id="restore", concurrency_limit=1,
    )  # fmt: skip
    working.then(_may_cancel(False), None, asked.cancel, **LIVE)
    asked.cancel.click(service.stop_photo, None, None, cancels=[working], **LIVE)
    asked.cancel.click(_may_cancel(False), None, asked.cancel, **LIVE)
    wait = gr.DownloadButton(interactive=False)
    changing = answer.kind.input(lambda: wait, None, answer.file, **LIVE)
    changing.then(in_format, [master, answer.kind], answer.file, **LIVE)
    answer.again.click(lambda path: (path, ""), master, [asked.photo, asked.words], **LIVE)
    answer.share.click(None, asked.wishes, answer.link, js=LINK % (list(LINKED), list(TASKS)), **LIVE)


def _may_cancel(may: bool) -> Callable[[], gr.Button]:
    return lambda: gr.Button(interactive=may)


def sliders_for(chosen: list[str]) -> list[gr.Slider]:
    """A slider for the strength of each chosen task."""
    return [gr.Slider(visible=name in chosen) for name in TASKS]


def _advanced(service: Service) -> tuple[gr.components.Component, ...]:
    """Scale, steps, fidelity and seed."""
    network = service.restorer.network
    facts, chain = network.prior.config, network.config.wrapping.chain
    usual = facts.default_steps in dict(QUALITY).values()
    quality = QUALITY if usual else [("As this network likes it", facts.default_steps), *QUALITY]
    return (
        gr.Radio(SCALES, value="auto", label="Scale", info="Growth of each side; auto follows the sentence."),
        gr.Radio(
            quality,
            value=facts.default_steps,
            label="Quality",
            info="Sampling steps."
            + (" With this network they only count below fidelity 0.5." if chain else ""),
        ),
        gr.Radio(
            FIDELITIES,
            value="auto",
            label="Fidelity",
            info="1 is the exactest, 0.5 the sharpest to the eye, 0 the model's own picture.",
        ),
        gr.Number(0, label="Seed", precision=0, minimum=0, info="Same seed, same pixels."),
    )


def understood(text: str, routed: str) -> list[Any]:
    """Chips and strengths for a sentence, and the sentence itself; a link has set them already."""
    if text and text == routed:
        return [gr.skip()] * (len(TASKS) + 2)
    return [*_chosen(route(str(text or "")).tasks), text]


def _chosen(tasks: Mapping[str, float]) -> list[Any]:
    """The chips and each task's strength."""
    return [list(tasks), *(gr.Slider(value=tasks.get(name, 1.0), visible=name in tasks) for name in TASKS)]


def wished(service: Service, routed: str, prompt: str, chips: list[str], *rest: Any) -> dict[str, Any]:
    """The restorer's arguments from the widgets' values; RestoreError says what is wrong."""
    scale, steps, fidelity, seed, *strengths = rest
    tasks: Any = {name: s for name, s in zip(TASKS, strengths, strict=True) if name in (chips or ())}
    if (prompt or "") != (routed or ""):  # sent before the chips could follow
        tasks = "auto"
    if not tasks and (not (prompt or "").strip() or route(prompt).tasks):  # or all were unchecked
        raise RestoreError(NOTHING_ASKED)
    return service.request(prompt, tasks or "auto", scale, steps, fidelity, seed)


def preview(service: Service, image: Any, routed: str, *values: Any) -> str:
    """What would be done and how long it takes, in fixed words: the visitor's own are never shown as HTML."""
    prompt, chips = values[:2]
    if not (prompt or "").strip() and not chips:
        return NOTHING_ASKED
    try:
        wanted = wished(service, routed, *values)
        seconds = service.estimate(upload_path(image), wanted)
    except MISTAKES as mistake:
        return sentence(mistake)
    about = "" if seconds is None else f", in about {_duration(seconds)}"
    return f"I understood: **{plan(service.restorer.resolve(**wanted))}**{about}"


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def comparison(finished: Done) -> tuple[Image.Image, Image.Image]:
    """(before, after) at one size: the result's own, up to what a browser shows well."""
    after = finished.restored.image
    shrink = min(1.0, (SHOWN_PIXELS / (after.width * after.height)) ** 0.5)
    if shrink < 1:
        after = after.resize((round(after.width * shrink), round(after.height * shrink)))
    before = images.to_pil(finished.source.rgb, finished.source.alpha)
    return before.resize(after.size, Image.Resampling.BICUBIC), after


def summary(finished: Done) -> str:
    """What was done, in one line."""
    restored = finished.restored
    width, height = restored.image.size
    return f"Done: **{plan(restored.settings)}**, {width}x{height} pixels, {restored.seconds:.1f} s"


def in_format(master: str, kind: str) -> Any:
    """The result as a file of another format, EXIF and colour profile kept."""
    if not master:
        return gr.skip()
    path = uploaded({"path": master})
    with mistakes_told(path):
        if kind == "PNG":
            return gr.DownloadButton(value=path, interactive=True)
        loaded = images.load(path)
        name = Path(path).name.removesuffix(".png") + FORMATS[kind]
        return gr.DownloadButton(value=str(images.save(loaded, new_folder() / name)), interactive=True)


def from_link(request: gr.Request) -> list[Any]:
    """Values of the wishes and of the routed sentence from the page's address.

    What the address lacks, or has wrong, stays as it is.
    """
    asked = {name: found[-1] for name, found in parse_qs(str(request.query_params)).items()}
    if not set(asked) & set(LINKED):  # no link: whoever was quick has typed already
        return [gr.skip()] * (len(LINKED) + len(TASKS) + 1)
    prompt, text = asked.get("prompt", "")[:MAX_CHARACTERS], asked.get("tasks")
    tasks = route(prompt).tasks if text is None else _tasks(text)
    chips, *strengths = _chosen(tasks)
    scale, fidelity = (
        asked[name] if asked.get(name) in known else gr.skip()
        for name, known in (("scale", SCALES), ("fidelity", FIDELITIES))
    )
    steps, seed = (_number(asked.get(name, "")) for name in ("steps", "seed"))
    steps = steps if steps in dict(QUALITY).values() else gr.skip()
    seed = gr.skip() if seed is None else seed
    return [prompt, chips, scale, steps, fidelity, seed, *strengths, prompt]


def _tasks(text: str) -> dict[str, float]:
    """{task: strength} of "dehaze:0.5,deblur:1"; what is no task is left out."""
    pairs = (part.partition(":")[::2] for part in text.split(","))
    found = {}
    for name, strength in pairs:
        try:
            number = float(strength or 1)
        except ValueError:
            continue
        if name in TASKS and 0 < number <= 1:
            found[name] = number
    return found


def _number(text: str) -> int | None:
    """A whole number that a browser keeps exactly."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None

"""The first tab: a photo and a sentence in, a comparison and a file out."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
from PIL import Image

from lwr import image as images
from lwr.prompt import MAX_CHARACTERS, route
from lwr.restore import RestoreError
from lwr.tasks import TASKS
from page import examples
from page.look import NOTHING_ASKED
from page.service import FORMATS, MISTAKES, Done, Service, mistakes_told, new_folder, plan, sentence, uploaded

SHOWN_PIXELS = 16_000_000  # a larger result is shown smaller; the download never is
QUALITY = [("Fast, 1 step", 1), ("Balanced, 4 steps", 4), ("Best, 12 steps", 12)]
FIDELITIES = ["auto", "0", "0.25", "0.5", "0.75", "0.9", "1"]
SCALES = ["auto", "1", "2", "3", "4"]
HINT = "It is a bit hazy, and please enlarge it 2x"
PROGRESS = gr.Progress()  # as a parameter's default it makes Gradio show that event's progress
LINK = """(...values) => {
  const names = %s, link = new URL(window.location.origin + window.location.pathname);
  names.forEach((name, i) => { if (values[i] !== null && String(values[i]) !== "") {
    link.searchParams.set(name, String(values[i])); } });
  navigator.clipboard?.writeText(link.toString()).catch(() => {});
  return link.toString();
}"""
LINKED = ("prompt", "tasks", "scale", "steps", "fidelity", "seed")


def build(service: Service) -> list[gr.components.Component]:
    """Lay the tab out and wire it up; the widgets that a link sets."""
    with gr.Row():
        with gr.Column(min_width=320):
            photo = gr.Image(
                label="Photo: drop, paste, choose or take one",
                height=320,
                sources=["upload", "clipboard", "webcam"],
                buttons=["fullscreen"],
                elem_id="photo",
            )
            words = gr.Textbox(
                label="What is wrong with it?",
                placeholder=HINT,
                max_length=MAX_CHARACTERS,
                elem_id="sentence",
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
                scale, steps, fidelity, seed = _advanced(service)
        with gr.Column(min_width=320):
            slider = gr.ImageSlider(
                label="Before and after",
                format="png",
                max_height=640,
                elem_id="result",
                buttons=["fullscreen"],
            )
            with gr.Column(visible=False) as details:
                done = gr.Markdown(elem_id="done")
                with gr.Row():
                    kind = gr.Radio(list(FORMATS), value="PNG", label="File format", scale=2)
                    file = gr.DownloadButton("Download", variant="primary", elem_id="download", scale=1)
                again = gr.Button("Restore the result again", elem_id="again")
                with gr.Accordion("Settings of this result", open=False):
                    settings = gr.JSON(show_label=False)
            with gr.Accordion("Link to these settings", open=False):
                link = gr.Textbox(show_label=False, buttons=["copy"], interactive=False, elem_id="link")
                share = gr.Button("Make the link, and copy it", size="sm", elem_id="share")
    shown = examples.build()

    routed = gr.State("")  # the sentence that the chips stand for
    master = gr.State("")  # the result's PNG, from which other formats are made
    wishes = [words, chips, scale, steps, fidelity, seed, *strengths]
    live = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}

    words.change(understood, words, [chips, *strengths, routed], trigger_mode="always_last", **live)
    chips.change(
        lambda chosen: [gr.Slider(visible=name in chosen) for name in TASKS], chips, strengths, **live
    )
    told = [photo, routed, *wishes]
    gr.on(
        [photo.change, *(wish.change for wish in wishes)],
        lambda *values: preview(service, *values),
        told, line, preprocess=False, trigger_mode="always_last", **live,
    )  # fmt: skip

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
        return (
            comparison(finished), summary(finished), gr.DownloadButton(value=finished.file), finished.file,
            finished.settings, gr.Column(visible=True), gr.Radio(value="PNG"),
        )  # fmt: skip

    busy = gr.on([button.click, words.submit], lambda: gr.Button(interactive=True), None, cancel, **live)
    working = busy.then(
        restore_on_page, told, [slider, done, file, master, settings, details, kind], preprocess=False,
        show_progress_on=slider, scroll_to_output=True, api_visibility="private",
        concurrency_id="restore", concurrency_limit=1,
    )  # fmt: skip
    working.then(lambda: gr.Button(interactive=False), None, cancel, **live)
    cancel.click(service.stop_visitor, None, None, cancels=[working], **live)
    cancel.click(lambda: gr.Button(interactive=False), None, cancel, **live)
    kind.input(in_format, [master, kind], file, **live)
    again.click(lambda path: path, master, photo, **live)
    share.click(None, [words, chips, scale, steps, fidelity, seed], link, js=LINK % list(LINKED), **live)
    shown.select(examples.show, None, [photo, words, slider, done, details], **live)
    return [words, chips, scale, steps, fidelity, seed]


def _advanced(service: Service) -> tuple[gr.components.Component, ...]:
    """Scale, steps, fidelity and seed."""
    facts = service.restorer.network.prior.facts
    quality = (
        [*QUALITY] if facts.default_steps in dict(QUALITY).values() else [("Default", facts.default_steps)]
    )
    return (
        gr.Radio(SCALES, value="auto", label="Scale", info="Growth of each side; auto follows the sentence."),
        gr.Radio(
            quality,
            value=facts.default_steps,
            label="Quality",
            info="Sampling steps. With this network they only count below fidelity 0.5.",
        ),
        gr.Radio(
            FIDELITIES,
            value="auto",
            label="Fidelity",
            info="1 is the exactest, 0.5 the sharpest to the eye, 0 the model's own picture.",
        ),
        gr.Number(0, label="Seed", precision=0, minimum=0, info="Same seed, same pixels."),
    )


def sliders_for(chosen: list[str]) -> list[gr.Slider]:
    """A slider for the strength of each chosen task."""
    return [gr.Slider(visible=name in chosen) for name in TASKS]


def understood(text: str) -> list[Any]:
    """Chips and strengths for a sentence, and the sentence itself."""
    found = route(str(text or "")).tasks
    sliders = [gr.Slider(value=found.get(name, 1.0), visible=name in found) for name in TASKS]
    return [list(found), *sliders, text]


def wished(service: Service, routed: str, prompt: str, chips: list[str], *rest: Any) -> dict[str, Any]:
    """The restorer's arguments from the widgets' values; RestoreError says what is wrong."""
    scale, steps, fidelity, seed, *strengths = rest
    tasks: Any = {name: s for name, s in zip(TASKS, strengths, strict=True) if name in (chips or ())}
    if (prompt or "") != (routed or ""):  # sent before the chips could follow
        tasks = "auto"
    if not tasks and not (prompt or "").strip():
        raise RestoreError(NOTHING_ASKED)
    return service.request(prompt, tasks or "auto", scale, steps, fidelity, seed)


def preview(service: Service, image: Any, routed: str, *values: Any) -> str:
    """What would be done and how long it takes, in fixed words: the visitor's own are never shown as HTML."""
    prompt, chips = values[:2]
    if not (prompt or "").strip() and not chips:
        return NOTHING_ASKED
    try:
        wanted = wished(service, routed, *values)
    except MISTAKES as mistake:
        return sentence(mistake)
    path = image.get("path") if isinstance(image, dict) else None
    seconds = service.estimate(path, wanted)
    about = "" if seconds is None else f", in about {_duration(seconds)}"
    return f"I understood: **{plan(service.restorer.settle(**wanted))}**{about}"


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
            return gr.DownloadButton(value=path)
        loaded = images.load(path)
        name = Path(path).name.removesuffix(".png") + FORMATS[kind]
        return gr.DownloadButton(value=str(images.save(replace(loaded), new_folder() / name)))


def from_link(request: gr.Request) -> list[Any]:
    """Values of the linked widgets from the page's address; what it lacks or has wrong stays as it is."""
    asked = {name: found[-1] for name, found in parse_qs(str(request.query_params)).items()}
    values: list[Any] = []
    for name in LINKED:
        text = asked.get(name)
        if text is None:
            values.append(gr.skip())
        elif name == "prompt":
            values.append(text[:MAX_CHARACTERS])
        elif name == "tasks":
            values.append([task for task in text.split(",") if task in TASKS])
        elif name == "scale":
            values.append(text if text in SCALES else gr.skip())
        elif name == "fidelity":
            values.append(text if text in FIDELITIES else gr.skip())
        else:
            number = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
            fits = number is not None and (name == "seed" or number in dict(QUALITY).values())
            values.append(number if fits else gr.skip())
    return values

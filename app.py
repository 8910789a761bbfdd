"""The Space: one page and three API endpoints around one `lwr.restore.Restorer`.

Run `python app.py` and open http://127.0.0.1:7860 (another port: GRADIO_SERVER_PORT). It uses the network
that ships with this repository, so the page works without internet, on a CPU as on a GPU.
"""

import html
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

try:
    import spaces  # before torch, whose CUDA calls it replaces on ZeroGPU
except ImportError:
    spaces = None

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from lwr import image as images
from lwr.adapter import AdapterError
from lwr.image import ImageError
from lwr.prompt import MAX_CHARACTERS, route
from lwr.restore import MAX_OUTPUT_PIXELS, Restored, RestoreError, Restorer, Settings
from lwr.tasks import TASKS

SAMPLES = Path(__file__).parent / "lwr" / "samples"
MAX_FILE_SIZE = "50 MB"  # of an upload
SHOWN_SIDE = 1600  # pixels; longer pictures are shrunk for the comparison, the download is never
HOUR = 3600  # seconds that a visitor's files stay on the server
MISTAKES = (ImageError, RestoreError, AdapterError)  # each says in one sentence what is wrong
PROGRESS = gr.Progress()  # as a parameter's default it makes Gradio show that event's progress
TITLE = "Light-Weight Restoration"
PURPOSE = "Give a photo and say in your own words what is wrong with it: hazy, blurry or too small."
EXAMPLE = "It is a bit hazy, and please enlarge it 2x"
HINT = "Say what is wrong, or pick a sentence below."
LIMITS = f"""Photos up to {MAX_FILE_SIZE}, results up to {MAX_OUTPUT_PIXELS // 10**6} megapixels; files are
deleted after about an hour. Detail in a restored photo is partly imagined: do not take it as evidence."""
CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto !important; }
footer .divider { display: none; }
"""
FONTS = {"font": ["system-ui", "sans-serif"], "font_mono": "monospace"}  # none from other servers
DARKER = {"button_primary_background_fill": "*primary_700", "block_info_text_color": "*neutral_600"}
THEME = gr.themes.Default(primary_hue="teal", **FONTS).set(**DARKER)

RESTORER = Restorer.load()


@contextmanager
def mistakes_told(photo: str) -> Iterator[None]:
    """Turn a visitor's mistake into a `gr.Error` of one sentence, escaped since browsers show it as HTML."""
    try:
        yield
    except MISTAKES as mistake:
        sentence = html.escape(str(mistake).replace(photo, Path(photo).name), quote=False)
        raise gr.Error(sentence, print_exception=False) from None


def run(photo: str, request: dict[str, Any], progress: gr.Progress) -> Restored:
    """All that needs the GPU; of the process where ZeroGPU runs it only a `gr.Error` comes back whole."""

    def report(done: int, total: int, what: str) -> None:
        progress((done, total), desc=what.capitalize(), unit="parts")

    with mistakes_told(photo):
        return RESTORER(photo, **request, progress=report)


if spaces is not None:
    run = spaces.GPU(run)  # does nothing off ZeroGPU


def restore(image: Any, wishes: tuple, progress: gr.Progress) -> tuple[images.Loaded, Restored, str]:
    """Restore an upload, write the PNG: the photo as it came, what became of it, the new file's path.

    `image` is Gradio's record of the upload; `wishes` are prompt, task, scale, steps, fidelity and seed.
    """
    photo = _uploaded(image)
    with mistakes_told(photo):  # before a GPU is asked for
        request = _request(*wishes)
        RESTORER.settle(**request)
        source = images.load(photo)
    restored = run(photo, request, progress)
    folder = Path(tempfile.mkdtemp(dir=get_upload_folder()))  # where `delete_cache` finds it
    with mistakes_told(photo):
        file = images.save(restored.loaded, folder / f"{Path(photo).stem[:80]}.restored.png")
    return source, restored, str(file)


def restore_on_page(image: Any, *wishes: Any, progress: gr.Progress = PROGRESS) -> tuple:
    """(before, after) at one size, the new file, its settings, and the part of the page that holds those."""
    source, restored, file = restore(image, wishes, progress)
    after = restored.image.copy()
    after.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    before = images.to_pil(source.rgb, source.alpha).resize(after.size, Image.Resampling.BICUBIC)
    for note in restored.notes:
        gr.Info(html.escape(note), title="Note")
    return (before, after), file, _settings(restored), gr.Column(visible=True)


def restore_by_api(
    image: gr.FileData,
    prompt: str,
    task: str = "auto",
    scale: str | float = "auto",
    steps: int | None = None,
    fidelity: float | None = None,
    seed: int = 0,
) -> tuple[gr.FileData, dict[str, Any]]:
    """Restore a photo: `prompt` says what is wrong, such as "remove the haze"; a `task` by name wins over it.

    scale: "auto" or 1 to 4; steps: None = the network's default; fidelity: 1 the exactest, 0.5 the sharpest,
    0 the model's own picture, None = the task's default; seed: same seed, same pixels. Returns the restored
    PNG and all settings.
    """
    _, restored, file = restore(image, (prompt, task, scale, steps, fidelity, seed), PROGRESS)
    return gr.FileData(path=file).model_dump(), _settings(restored)


def route_prompt(prompt: str) -> dict[str, Any]:
    """What a sentence asks for: {"tasks": {name: strength}, "understood": true or false, ...}."""
    return route(str(prompt)).json()


def list_tasks() -> list[dict[str, Any]]:
    """All that can be asked for: name, title, example sentences and default scale."""
    tasks = TASKS.values()
    return [dict(name=t.name, title=t.title, examples=t.examples, scale=t.default_scale) for t in tasks]


def understood(prompt: str, task: str, scale: str) -> str:
    """What would be done, in fixed words: the visitor's own are never shown as Markdown or HTML."""
    if not prompt.strip() and task == "auto":
        return HINT
    try:
        return f"I understood: **{_plan(RESTORER.settle(**_request(prompt, task, scale, None, None, 0)))}**"
    except MISTAKES as mistake:
        return html.escape(str(mistake), quote=False)


def _plan(settings: Settings) -> str:
    """Settings in words: "remove haze (slightly), enlarge 2x"."""
    words = []
    for name, strength in settings.tasks.items():
        degree = "" if strength == 1 else " (slightly)" if strength <= 0.5 else " (moderately)"
        words.append(TASKS[name].title.lower() + degree)
    if settings.scale != 1:
        words = [word for word in words if word != "enlarge"] + [f"enlarge {settings.scale:g}x"]
    return ", ".join(words)


def _request(prompt: Any, task: Any, scale: Any, steps: Any, fidelity: Any, seed: Any) -> dict[str, Any]:
    """The Restorer's arguments from what a browser or client sent; `Restorer.settle` checks their values."""
    try:
        return {
            "prompt": str(prompt or ""),
            "task": str(task or "auto"),
            "scale": None if scale in ("auto", "", None) else float(scale),
            "steps": None if steps is None else int(steps),
            "fidelity": None if fidelity in ("auto", "", None) else float(fidelity),
            "seed": int(seed or 0),
        }
    except (TypeError, ValueError, OverflowError) as error:
        raise RestoreError(f"Scale, steps, fidelity and seed must be numbers: {error}.") from None


def _uploaded(image: Any) -> str:
    """The path of an upload; nothing outside Gradio's upload cache is ever opened."""
    path = image.get("path") if isinstance(image, dict) else None
    if not isinstance(path, str) or Path(get_upload_folder()).resolve() not in Path(path).resolve().parents:
        raise gr.Error("There is no photo yet: give one first.", print_exception=False)
    return path


def _settings(restored: Restored) -> dict[str, Any]:
    size = dict(zip(("width", "height"), restored.image.size, strict=True))
    return (
        asdict(restored.settings)
        | size
        | {"seconds": restored.seconds, "notes": restored.notes, "newer": restored.newer}
    )


def build() -> gr.Blocks:
    """The page and its endpoints."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(HOUR // 2, HOUR)) as page:
        gr.Markdown(f"# {TITLE}\n{PURPOSE}")
        with gr.Row():
            with gr.Column(min_width=320):
                inputs, button = _questions()
            with gr.Column(min_width=320):
                slider = gr.ImageSlider(label="Before and after", format="png", elem_id="result")
                with gr.Column(visible=False) as details:
                    file = gr.DownloadButton("Download the restored photo", elem_id="download")
                    with gr.Accordion("Settings of this result", open=False):
                        settings = gr.JSON(show_label=False)
        gr.Markdown(LIMITS)
        outputs = [slider, file, settings, details]
        at_once = {"concurrency_id": "restore", "concurrency_limit": 1}  # one photo, from the page or the API
        start = [button.click, inputs[1].submit]
        gr.on(start, restore_on_page, inputs, outputs, preprocess=False, show_progress_on=slider,
              scroll_to_output=True, api_visibility="private", **at_once)  # fmt: skip
        gr.api(restore_by_api, api_name="restore", **at_once)
        gr.api(route_prompt, api_name="route")
        gr.api(list_tasks, api_name="tasks")
    return page.queue(max_size=20)


def _questions() -> tuple[list[gr.components.Component], gr.Button]:
    """The left half: what a visitor gives, in the order that `restore_on_page` takes it, and the button."""
    # The browser sends the file as it is, but `gr.Image` then turns and re-encodes what is not RGB (EXIF,
    # alpha, 16 bits, CMYK are lost) and fails on damaged or giant files. So the event takes no preprocessing
    # and gets the path of the very file that was sent, for `lwr.image.load` to judge.
    photo = gr.Image(label="Photo", height=320, buttons=["fullscreen"], elem_id="photo")
    label = "What is wrong with it?"
    sentence = gr.Textbox(label=label, placeholder=EXAMPLE, max_length=MAX_CHARACTERS, elem_id="sentence")
    line = gr.Markdown(HINT, elem_id="understood")
    button = gr.Button("Restore", variant="primary", size="lg", elem_id="restore")
    private = {"api_visibility": "private"}
    if samples := sorted(str(path) for path in SAMPLES.glob("*") if path.suffix.lower() in images.SUFFIXES):
        gr.Examples([[path] for path in samples], photo, label="Photos to try", **private)
    sentences = [[example] for task in TASKS.values() for example in task.examples[:2]]
    gr.Examples(sentences, sentence, label="Sentences to try", **private)
    with gr.Accordion("Advanced", open=False):
        wishes = [sentence, *_advanced()]
    live = {"queue": False, "show_progress": "hidden", "trigger_mode": "always_last"}
    gr.on([wish.change for wish in wishes[:3]], understood, wishes[:3], line, **live, **private)
    return [photo, *wishes], button


def _advanced() -> list[gr.components.Component]:
    """Task, scale, steps, fidelity and seed."""
    facts = RESTORER.network.prior.facts
    tasks = [("As the sentence says", "auto"), *((task.title, task.name) for task in TASKS.values())]
    return [
        gr.Dropdown(tasks, value="auto", label="Task", info="Overrules the sentence."),
        gr.Radio(["auto", "1", "2", "3", "4"], value="auto", label="Scale", info="Growth of each side."),
        gr.Slider(
            1,
            8,
            facts.default_steps,
            step=1,
            label="Steps",
            info="Only count below fidelity 0.5; more take longer.",
        ),
        gr.Radio(
            ["auto", "0", "0.25", "0.5", "0.75", "0.9", "1"],
            value="auto",
            label="Fidelity",
            info="1 is the exactest, 0.5 the sharpest to the eye, 0 the model's own picture.",
        ),
        gr.Number(0, label="Seed", precision=0, minimum=0, info="Same seed, same pixels."),
    ]


demo = build()

if __name__ == "__main__":
    demo.launch(theme=THEME, css=CSS, max_file_size=MAX_FILE_SIZE, footer_links=["api"], ssr_mode=False)

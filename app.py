"""The Space: one page and three API endpoints around one `lwr.restore.Restorer`.

Run `python app.py` and open http://127.0.0.1:7860 (another port: GRADIO_SERVER_PORT). It uses the network
that ships with this repository, so the page works without internet, on a CPU as on a GPU.
"""

import html
import os
import tempfile
from collections.abc import Callable
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

SAMPLES = Path(__file__).parent / "samples"
MAX_FILE_SIZE = "50mb"
SHOWN_SIDE = 1600  # pixels; longer pictures are shrunk for the comparison, the download is never
HOUR = 3600  # seconds that a visitor's files stay on the server
MISTAKES = (ImageError, RestoreError, AdapterError)  # each says in one sentence what is wrong

TITLE = "Light-Weight Restoration"
INTRODUCTION = f"""# {TITLE}
Give a photo and say in your own words what is wrong with it: hazy, blurry or too small."""
HINT = "Say what is wrong, or pick a sentence below."
ABOUT = f"""Photos up to {MAX_FILE_SIZE.removesuffix("mb")} MB, results up to {MAX_OUTPUT_PIXELS // 10**6}
megapixels; files are deleted after about an hour.
Detail in a restored photo is partly imagined: do not take it as evidence."""
CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto !important; }
#about { opacity: 0.75; }
"""

RESTORER = Restorer.load()


def run(photo: str, wishes: dict[str, Any], progress: gr.Progress | None = None) -> Restored:
    """One call of the Restorer: all that needs the GPU."""

    def report(done: int, total: int, what: str) -> None:
        if progress is not None:
            progress((done, total), desc=what.capitalize(), unit="parts")

    return RESTORER(photo, **wishes, progress=report)


if spaces is not None:
    run = spaces.GPU(run)  # does nothing off ZeroGPU


def restore(image: Any, wishes: tuple, progress: gr.Progress | None = None) -> tuple[Restored, str, str]:
    """Restore an uploaded photo and write the PNG: what came out, the paths of the photo and of the new file.

    `image` is Gradio's record of the upload; `wishes` are prompt, task, scale, steps, fidelity and seed.
    A visitor's mistake becomes a `gr.Error` of one sentence, safe as HTML because browsers show it as such.
    """
    photo = _uploaded(image)
    try:
        restored = run(photo, _request(*wishes), progress)
        # in Gradio's cache, where `delete_cache` finds it
        folder = Path(tempfile.mkdtemp(prefix="restored-", dir=get_upload_folder()))
        file = images.save(restored.loaded, folder / f"{Path(photo).stem[:80]}.restored.png")
    except MISTAKES as mistake:
        sentence = html.escape(str(mistake).replace(photo, Path(photo).name), quote=False)
        raise gr.Error(sentence, title="Not restored", print_exception=False) from None
    return restored, photo, str(file)


def restore_on_page(
    image: Any,
    *wishes: Any,
    progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio asks for it
) -> tuple[tuple[Image.Image, Image.Image], Any, dict[str, Any]]:
    """(before, after) at one size, the download button holding the file, and the settings."""
    restored, photo, file = restore(image, wishes, progress)
    after = restored.image.copy()
    after.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    source = images.load(photo)
    before = images.to_pil(source.rgb, source.alpha).resize(after.size, Image.Resampling.BICUBIC)
    return (before, after), gr.DownloadButton(value=file, visible=True), _settings(restored)


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

    scale: "auto" or 1 to 4; steps: None = the network's default; fidelity: 0 imagines more, 1 keeps closest
    to the photo, None = the default; seed: same seed, same pixels. Returns the restored PNG and all settings.
    """
    restored, _, file = restore(image, (prompt, task, scale, steps, fidelity, seed))
    return gr.FileData(path=file).model_dump(), _settings(restored)


def route_prompt(prompt: str) -> dict[str, Any]:
    """What a sentence asks for: {"tasks": {name: strength}, "understood": true or false, ...}."""
    return route(str(prompt)).json()


def list_tasks() -> list[dict[str, Any]]:
    """All that can be asked for: name, title, example sentences and default scale."""
    return [
        {"name": task.name, "title": task.title, "examples": task.examples, "scale": task.default_scale}
        for task in TASKS.values()
    ]


def understood(prompt: str, task: str, scale: str) -> str:
    """What would be done, in fixed words: the visitor's own are never shown as Markdown or HTML."""
    if not prompt.strip() and task == "auto":
        return HINT
    try:
        return f"I understood: **{_plan(RESTORER.settle(**_request(prompt, task, scale)))}**"
    except MISTAKES as mistake:
        return html.escape(str(mistake), quote=False)


def _plan(settings: Settings) -> str:
    """Settings in words: "remove haze (slightly), enlarge 2x"."""
    words = []
    for name, strength in settings.tasks.items():
        degree = "" if strength == 1 else " (slightly)" if strength <= 0.5 else " (moderately)"
        size = f" {settings.scale:g}x" if name == "super-resolution" else ""
        words.append(f"{TASKS[name].title.lower()}{size}{degree}")
    if settings.scale != 1 and "super-resolution" not in settings.tasks:
        words.append(f"size {settings.scale:g}x")
    return ", ".join(words)


def _request(
    prompt: Any, task: Any, scale: Any, steps: Any = None, fidelity: Any = None, seed: Any = None
) -> dict[str, Any]:
    """The Restorer's arguments from what a browser or client sent; `Restorer.settle` checks their values."""
    return {
        "prompt": str(prompt or ""),
        "task": str(task or "auto"),
        "scale": None if scale == "auto" else _number("scale", scale, float),
        "steps": _number("number of steps", steps, int),
        "fidelity": _number("fidelity", fidelity, float),
        "seed": _number("seed", seed, int) or 0,
    }


def _number(name: str, value: Any, kind: Callable[[Any], Any]) -> Any:
    try:
        return None if value is None or value == "" else kind(value)
    except (TypeError, ValueError, OverflowError):
        raise RestoreError(f"The {name} is {str(value)[:40]!r}: use a number.") from None


def _uploaded(image: Any) -> str:
    """The path of an upload; nothing outside Gradio's upload cache is ever opened."""
    path = image.get("path") if isinstance(image, dict) else None
    if not isinstance(path, str) or Path(get_upload_folder()).resolve() not in Path(path).resolve().parents:
        raise gr.Error("There is no photo yet: give one first.", title="No photo", print_exception=False)
    return path


def _settings(restored: Restored) -> dict[str, Any]:
    facts = dict(zip(("width", "height"), restored.image.size, strict=True))
    return (
        asdict(restored.settings) | facts | {"seconds": round(restored.seconds, 3), "notes": restored.notes}
    )


def build() -> gr.Blocks:
    """The page and its endpoints."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(HOUR // 2, HOUR)) as page:
        gr.Markdown(INTRODUCTION, elem_id="intro")
        with gr.Row():
            with gr.Column(min_width=320):
                inputs, button = _questions()
            with gr.Column(min_width=320):
                slider = gr.ImageSlider(
                    label="Before and after", format="png", max_height=560, elem_id="result"
                )
                download = gr.DownloadButton("Download the restored photo", visible=False, elem_id="download")
                with gr.Accordion("Settings of this result", open=False):
                    settings = gr.JSON(show_label=False, elem_id="settings")
        gr.Markdown(ABOUT, elem_id="about")
        gr.on(
            [button.click, inputs[1].submit],
            restore_on_page,
            inputs,
            [slider, download, settings],
            concurrency_id="restore",
            show_progress_on=slider,
            preprocess=False,  # see `_questions`
            api_visibility="private",
        )
        gr.api(restore_by_api, api_name="restore", concurrency_id="restore")
        gr.api(route_prompt, api_name="route")
        gr.api(list_tasks, api_name="tasks")
    return page.queue(max_size=20)


def _questions() -> tuple[list[gr.components.Component], gr.Button]:
    """The left half: what a visitor gives, in the order that `restore_on_page` takes it, and the button."""
    # The browser sends the file as it is, but `gr.Image` then turns and re-encodes what is not RGB (EXIF, alpha,
    # 16 bits and CMYK are lost) and fails on damaged or giant files. So the event takes no preprocessing and gets
    # the path of the very file that was sent, for `lwr.image.load` to judge.
    photo = gr.Image(label="Photo", height=320, buttons=["fullscreen"], elem_id="photo")
    sentence = gr.Textbox(
        label="What is wrong with it?",
        placeholder="It is a bit hazy, and please enlarge it 2x",
        max_length=MAX_CHARACTERS,
        max_lines=1,
        elem_id="sentence",
    )
    line = gr.Markdown(HINT, elem_id="understood")
    button = gr.Button("Restore", variant="primary", size="lg", elem_id="restore")
    sentences = [example for task in TASKS.values() for example in task.examples[:2]]
    gr.Examples([[text] for text in sentences], sentence, label="Sentences to try", api_visibility="private")
    samples = sorted(path for path in SAMPLES.glob("*") if path.suffix.lower() in images.SUFFIXES)
    if samples:
        gr.Examples([[str(path)] for path in samples], photo, label="Photos to try", api_visibility="private")
    with gr.Accordion("Advanced", open=False):
        wishes = _advanced()
    task, scale = wishes[:2]
    gr.on(
        [sentence.change, task.change, scale.change],
        understood,
        [sentence, task, scale],
        line,
        queue=False,
        show_progress="hidden",
        trigger_mode="always_last",
        api_visibility="private",
    )
    return [photo, sentence, *wishes], button


def _advanced() -> list[gr.components.Component]:
    """Task, scale, steps, fidelity and seed."""
    facts = RESTORER.network.prior.facts
    tasks = [("As the sentence says", "auto"), *((task.title, task.name) for task in TASKS.values())]
    return [
        gr.Dropdown(tasks, value="auto", label="Task", info="Overrules the sentence."),
        gr.Radio(["auto", "1", "2", "3", "4"], value="auto", label="Scale", info="Growth of each side."),
        gr.Slider(1, 8, facts.default_steps, step=1, label="Steps", info="More take longer."),
        gr.Slider(0, 1, facts.default_fidelity, label="Fidelity", info="0 imagines more, 1 stays closest."),
        gr.Number(0, label="Seed", precision=0, minimum=0, info="Same seed, same pixels."),
    ]


demo = build()

if __name__ == "__main__":
    demo.launch(
        theme=gr.themes.Soft(primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["monospace"]),
        css=CSS,
        max_file_size=MAX_FILE_SIZE,
        footer_links=["api"],
        ssr_mode=False,  # one process, one port
    )

"""Many photos at once: one sentence for all, a zip file out, a line for each photo."""

import html
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from lwr.images import files as images
from lwr.prompt import MAX_CHARACTERS
from lwr.request import Request, RestoreError
from page.errors import VISITOR_ERRORS, errors_for_visitors, sentence
from page.inputs import read_request, uploaded
from page.results import plan
from page.service import Service, new_folder
from page.stops import no_progress

MAX_PHOTOS = 50
PROGRESS = gr.Progress()


def build(service: Service) -> None:
    """Lay out the tab and connect it."""
    with gr.Row():
        with gr.Column(min_width=320):
            files = gr.File(
                label=f"Photos, up to {MAX_PHOTOS}",
                file_count="multiple",
                file_types=["image"],
                elem_id="batch-files",
            )
            prompt = gr.Textbox(
                label="What is wrong with all of them?", max_length=MAX_CHARACTERS, elem_id="batch-sentence"
            )
            with gr.Row():
                button = gr.Button(
                    "Restore all", variant="primary", elem_id="batch-start", scale=3, min_width=120
                )
                cancel = gr.Button("Cancel", elem_id="batch-cancel", scale=1, min_width=90)
        with gr.Column(min_width=320):
            result = gr.File(label="All results in one zip file", interactive=False, elem_id="batch-zip")
            report = gr.Markdown("One line for each photo appears here.", elem_id="batch-report")

    def restore_all(
        records: Any, prompt: str, request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> tuple[str | None, str]:
        paths = [uploaded(record) for record in records or ()]
        with errors_for_visitors():
            wanted = _checked(service, paths, prompt)
        with service.stops.run(request.session_hash, "batch") as stop:
            return _restore_all(service, paths, wanted, stop, progress)

    gr.on(
        [button.click, prompt.submit], restore_all, [files, prompt], [result, report], preprocess=False,
        show_progress_on=report, api_visibility="private", concurrency_id="restore", concurrency_limit=1,
    )  # fmt: skip
    cancel.click(service.stop_batch, None, None, queue=False, api_visibility="private")


def _checked(service: Service, paths: list[str], prompt: str) -> Request:
    """The request for all of them; RestoreError when it is bad or there are none or too many photos."""
    if not paths:
        raise RestoreError("There are no photos yet: choose some first.")
    if len(paths) > MAX_PHOTOS:
        raise RestoreError(f"You chose {len(paths)} photos: the limit is {MAX_PHOTOS}.")
    if not (prompt or "").strip():
        raise RestoreError("Say what is wrong with the photos.")
    request = read_request(prompt=prompt)
    service.restorer.resolve(request)
    return request


def _restore_all(
    service: Service, paths: list[str], request: Request, stop: str, progress: gr.Progress
) -> tuple[str | None, str]:
    """(zip file, report) of the photos; one that fails stops no other."""
    folder, lines, names = new_folder(), [], _free_names(paths)
    archive, good = folder / "restored.zip", 0
    with zipfile.ZipFile(archive, "w") as zipped:  # pictures do not shrink further
        for number, (path, name) in enumerate(zip(paths, names, strict=True)):
            progress((number, len(paths)), desc=f"Photo {number + 1} of {len(paths)}", unit="photos")
            try:
                restored = service.run(path, request, stop, no_progress)
                file = images.save(restored.loaded, folder / name)
                zipped.write(file, name)
                file.unlink()
                lines.append(_line(path, f"{plan(restored.settings)}, {restored.seconds:.1f} s"))
                good += 1
            except gr.Error as error:
                if Path(stop).exists():
                    lines.append(f"- You pressed Cancel: {len(paths) - number} photos were not restored.")
                    break
                lines.append(_line(path, f"**not restored.** {error.message}"))
            except VISITOR_ERRORS as error:
                lines.append(_line(path, f"**not restored.** {sentence(error, path)}"))
        text = "".join(f"{line}\n" for line in lines)
        zipped.writestr("report.txt", html.unescape(text.replace("`", "").replace("**", "")))
    if not good:
        shutil.rmtree(folder)
    head = f"Restored {good} of {len(paths)} photos."
    return (str(archive) if good else None), "\n".join([head, "", *lines])


def _free_names(paths: list[str]) -> Iterator[str]:
    """STEM.restored.png for each photo, with a number where an earlier one has that name."""
    taken = set()
    for path in paths:
        stem = Path(path).stem[:80]
        name, number = f"{stem}.restored.png", 1
        while name.lower() in taken:
            number += 1
            name = f"{stem}-{number}.restored.png"
        taken.add(name.lower())
        yield name


def _line(path: str, text: str) -> str:
    """A line of the report; Markdown and HTML leave the file name alone inside backticks."""
    name = Path(path).name.replace("`", "'").replace("\n", " ")
    return f"- `{name}`: {text}"

"""Many photos at once: one sentence for all, a zip file out, a line for each photo."""

import html
import shutil
import zipfile
from pathlib import Path
from typing import Any

import gradio as gr

from lwr.images import files as images
from lwr.prompt import MAX_CHARACTERS
from page.look import NOTHING_ASKED
from page.service import MISTAKES, Service, mistakes_told, new_folder, plan, sentence, uploaded

MOST = 50  # photos in a batch
PROGRESS = gr.Progress()


def build(service: Service) -> None:
    """Lay the tab out and wire it up."""
    with gr.Row():
        with gr.Column(min_width=320):
            files = gr.File(
                label=f"Photos, at most {MOST}",
                file_count="multiple",
                file_types=["image"],
                elem_id="batch-files",
            )
            words = gr.Textbox(
                label="What is wrong with all of them?", max_length=MAX_CHARACTERS, elem_id="batch-sentence"
            )
            with gr.Row():
                button = gr.Button("Restore all", variant="primary", elem_id="batch-start", scale=3)
                cancel = gr.Button("Cancel", elem_id="batch-cancel", scale=1)
        with gr.Column(min_width=320):
            result = gr.File(label="All results, one zip file", interactive=False, elem_id="batch-zip")
            report = gr.Markdown("Each photo gets a line here.", elem_id="batch-report")

    def restore_all(
        records: Any, prompt: str, request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> tuple[str | None, str]:
        """(zip file, report) of the photos; one that fails stops no other."""
        paths = [uploaded(record) for record in records or ()]
        if not paths:
            raise gr.Error("There are no photos yet: choose some first.", print_exception=False)
        if len(paths) > MOST:
            raise gr.Error(f"These are {len(paths)} photos: give at most {MOST}.", print_exception=False)
        with mistakes_told(""):
            if not (prompt or "").strip():
                raise MISTAKES[1](NOTHING_ASKED)
            wanted = service.request(prompt)
        return _all(service, paths, wanted, request.session_hash, progress)

    gr.on(
        [button.click, words.submit], restore_all, [files, words], [result, report], preprocess=False,
        show_progress_on=report, api_visibility="private", concurrency_id="restore", concurrency_limit=1,
    )  # fmt: skip
    cancel.click(service.stop_batch, None, None, queue=False, api_visibility="private")


def _all(
    service: Service, paths: list[str], wanted: dict[str, Any], visitor: str, progress: Any
) -> tuple[str | None, str]:
    folder, lines, taken = new_folder(), [], set()
    archive, good = folder / "restored.zip", 0
    stop = service.stop_file(visitor, "batch")
    with zipfile.ZipFile(archive, "w") as zipped:  # pictures do not shrink further
        for number, path in enumerate(paths):
            progress((number, len(paths)), desc=f"Photo {number + 1} of {len(paths)}", unit="photos")
            name = Path(path).name
            try:
                restored = service.run(path, wanted, str(stop), lambda *_, **__: None)
                target = _free(f"{Path(path).stem[:80]}.restored.png", taken)
                file = images.save(restored.loaded, folder / target)
                zipped.write(file, target)
                file.unlink()
                lines.append(f"- `{_plain(name)}`: {plan(restored.settings)}, {restored.seconds:.1f} s")
                good += 1
            except gr.Error as error:
                if stop.exists():
                    lines.append(f"- Stopped by you: {len(paths) - number} photos were not restored.")
                    break
                lines.append(f"- `{_plain(name)}`: **not restored.** {error.message}")
            except MISTAKES as mistake:
                lines.append(f"- `{_plain(name)}`: **not restored.** {sentence(mistake, path)}")
        text = "".join(f"{line}\n" for line in lines)
        zipped.writestr("report.txt", html.unescape(text.replace("`", "").replace("**", "")))
    head = f"{good} of {len(paths)} photos are restored."
    if not good:
        shutil.rmtree(folder)
    return (str(archive) if good else None), "\n".join([head, "", *lines])


def _free(name: str, taken: set[str]) -> str:
    """`name`, or with a number when another photo of the batch has it."""
    stem, number = name.removesuffix(".restored.png"), 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}.restored.png"
    taken.add(name.lower())
    return name


def _plain(name: str) -> str:
    """A file name that Markdown and HTML leave alone inside backticks."""
    return name.replace("`", "'").replace("\n", " ")

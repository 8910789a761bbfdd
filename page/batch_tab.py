"""Many photos at once: one sentence for all, a zip file out, a line for each photo."""

import html
import shutil
import zipfile
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from lwr.batch.output_names import numbered
from lwr.images import disk
from lwr.images import files as images
from lwr.prompt import MAX_CHARACTERS
from lwr.request import Request, RestoreError
from page.errors import DISK_FULL, VISITOR_ERRORS, CancelledError, errors_for_visitors, not_done, sentence
from page.inputs import read_request, uploaded
from page.line import State
from page.options import fast_box
from page.results import FORMATS, plan
from page.service import Service, new_folder
from page.status import told, with_bar
from page.stops import Signals
from page.words import phrase, said, t

MAX_PHOTOS = 50
LIVE = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
BATCHES = 8  # at once; they take turns
FILES_HEIGHT = 200  # pixels; more scroll in it, so that buttons and progress stay on the screen
PRESS = "() => { document.querySelector('#batch-start:not([disabled])')?.click(); return []; }"
LAST = 100_000  # bytes of the zip file after the last photo: its table and the report


def build(service: Service) -> None:
    """Lay out the tab and connect it."""
    with gr.Row():
        with gr.Column(min_width=320):
            files = gr.File(
                label=t(f"Photos, up to {MAX_PHOTOS}"),
                file_count="multiple",
                file_types=["image", ".heic", ".heif"],  # browsers do not know these as pictures
                height=FILES_HEIGHT,
                elem_id="batch-files",
            )
            prompt = gr.Textbox(
                label=t("What is wrong with all of them?"),
                info=t("Leave this empty, and each photo gets what it needs."),
                max_length=MAX_CHARACTERS,
                elem_id="batch-sentence",
            )
            kind = gr.Radio(list(FORMATS), value="PNG", label=t("File format"), elem_id="batch-format")
            fast = fast_box(service.offers_fast, "batch-fast")
            with gr.Row():
                button = gr.Button(t("Restore all"), variant="primary", elem_id="batch-start", scale=3)
                cancel = gr.Button(t("Cancel"), elem_id="batch-cancel", interactive=False, scale=1)
            status = gr.Markdown(elem_id="batch-status")
        with gr.Column(min_width=320):
            result = gr.File(label=t("All results in one zip file"), interactive=False, elem_id="batch-zip")
            report = gr.Markdown(t("One line for each photo appears here."), elem_id="batch-report")

    def restore_all(
        records: Any, prompt: str, kind: str, fast: bool, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        try:
            paths = [uploaded(record) for record in records or ()]
            with service.stops.run(request.session_hash, "batch") as signals, errors_for_visitors():
                wanted = _checked(service, paths, prompt, fast)
                names = _names(paths, FORMATS.get(kind, ".png"))
                archive, lines = yield from _restore_all(service, paths, names, wanted, signals)
            yield archive, lines, ""
        except gr.Error as error:
            yield gr.skip(), gr.skip(), not_done(error)

    prompt.submit(None, None, None, js=PRESS, **LIVE)  # which does nothing while the button is disabled
    start = button.click(_buttons(working=True), None, [button, cancel], **LIVE)
    working = start.then(
        restore_all, [files, prompt, kind, fast], [result, report, status],
        preprocess=False, show_progress="hidden", api_visibility="private", concurrency_id="batch",
        concurrency_limit=BATCHES,
    )  # fmt: skip
    working.then(_buttons(working=False), None, [button, cancel], **LIVE)
    cancel.click(service.stop_batch, None, None, **LIVE)


def _buttons(working: bool) -> Callable[[], tuple[gr.Button, gr.Button]]:
    """(Restore all, Cancel): the one can be pressed when the other cannot."""
    return lambda: (gr.Button(interactive=not working), gr.Button(interactive=working))


def _checked(service: Service, paths: list[str], prompt: str, fast: bool) -> Request:
    """The request for all of them; RestoreError when it is bad or there are none or too many photos."""
    if not paths:
        raise RestoreError("There are no photos yet: choose some first.")
    if len(paths) > MAX_PHOTOS:
        raise RestoreError(f"You chose {len(paths)} photos: the limit is {MAX_PHOTOS}.")
    request = read_request(prompt=prompt, fast=fast)
    service.restorer.resolve(request)
    return request


def _restore_all(
    service: Service, paths: list[str], names: list[str], request: Request, signals: Signals
) -> Generator[tuple[Any, ...], None, tuple[str | None, str]]:
    """(zip file, report) of the photos; one that fails stops no other. OSError when even these do not fit.

    Yields (no zip file yet, the report so far, how the photo stands that is being restored).
    """
    folder, lines, good = new_folder(), [], 0
    archive = folder / "restored.zip"
    try:
        with zipfile.ZipFile(archive, "w") as zipped:  # pictures do not shrink further
            for number, (path, name) in enumerate(zip(paths, names, strict=True)):
                try:
                    work = _restore_into(zipped, folder / name, service, path, request, signals)
                    head = said(f"Photo {number + 1} of {len(paths)}.")
                    line, done = yield from told(work, partial(_values, head, lines))
                except (gr.Error, CancelledError) as error:
                    if signals.stopped:
                        left = len(paths) - number
                        lines.append("- " + said(f"You pressed Cancel: {left} photos were not restored."))
                        break
                    line, done = _line(path, _lost(error.message)), False
                lines.append(line)
                good += done
            text = "".join(f"{line}\n" for line in lines)
            zipped.writestr("report.txt", html.unescape(text.replace("`", "").replace("**", "")))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if not good:
        shutil.rmtree(folder)
    head = said(f"Restored {good} of {len(paths)} photos.")
    return (str(archive) if good else None), "\n".join([head, "", *lines])


def _values(head: str, lines: list[str], state: State) -> tuple[Any, ...]:
    """For the zip file, the report and the line that says how it stands."""
    return None, "\n".join(lines) or gr.skip(), with_bar(state, head)


def _restore_into(
    zipped: zipfile.ZipFile, file: Path, service: Service, path: str, request: Request, signals: Signals
) -> Generator[State, None, tuple[str, bool]]:
    """Add one restored photo to the zip file -> (its line in the report, whether it is there).

    `file`: where it lies meanwhile. Raises gr.Error, or CancelledError when the visitor cancels.
    """
    try:
        restored = yield from service.steps(path, request, signals, always=True)
        remarks: list[str] = []
        images.save(restored.loaded, file, notes=remarks)
        try:
            if disk.refusal(file, file.stat().st_size + LAST):  # a zip file cut short is lost
                return _line(path, _lost(DISK_FULL)), False
            zipped.write(file, file.name)
        finally:
            file.unlink()
    except VISITOR_ERRORS as error:
        return _line(path, _lost(sentence(error, path))), False
    made = phrase(f"{plan(restored.settings)}, {restored.seconds:.1f} s")
    also = (said(html.escape(remark, quote=False)) for remark in (*restored.notes, *remarks))
    return _line(path, ". ".join([made, " ".join(also)]).removesuffix(". ")), True


def _lost(why: str) -> str:
    """What the report says of a photo that was not restored."""
    return f"**{said('not restored.')}** {said(why)}"


def _names(paths: list[str], suffix: str) -> list[str]:
    """STEM.restored.png for each photo, numbered where several would have one name."""
    names = [Path(f"{Path(path).stem[:80]}.restored{suffix}") for path in paths]
    return [str(name) for name in numbered(names)]


def _line(path: str, text: str) -> str:
    """A line of the report; Markdown and HTML leave the file name alone inside backticks."""
    name = Path(path).name.replace("`", "'").replace("\n", " ")
    return f"- `{name}`: {text}"

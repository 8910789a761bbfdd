"""What a visitor sees of a finished request: comparison, one line of summary, the file in three formats."""

import html
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from lwr.fit import deed
from lwr.images import files as images
from lwr.request import ENLARGING, MAX_SCALE, Settings
from lwr.tasks import TASKS
from page.errors import errors_for_visitors, not_done
from page.inputs import uploaded
from page.service import Done, new_folder
from page.words import said

SHOWN_PIXELS = 16_000_000  # a larger result is shown as JPEG, since its PNG takes long to arrive
NOTHING = "nothing"  # plan of a photo that stays as it is
GONE = "This result is not there any more: restore the photo again."
FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WebP": ".webp"}


def plan(
    settings: Settings,
    photo_is_known: bool = True,
    strengths: bool = False,
    repairs: Sequence[str] | None = None,
) -> str:
    """Settings in words: "remove haze (strength 0.5), enlarge to 4k"; no photo, no scale for a size yet.

    With `strengths` a strength of 1 is said too. `repairs` are to be done; None: those that were.
    """
    parts = list(_repaired(settings) if repairs is None else repairs)
    parts += ["what the photo needs"] if settings.general else []
    enlarged = _enlarged(settings, photo_is_known)
    for name in (name for name in TASKS if name in settings.tasks):  # in the order of the chips
        strength = settings.tasks[name]
        if strength == 0:  # the photo has that size already, or shows no need of it
            continue
        degree = "" if strength == 1 and not strengths else f" (strength {strength:g})"
        if name == ENLARGING and enlarged:
            enlarged += degree if strengths else ""
            continue
        parts.append(deed(name, settings.scale) + degree)
    return ", ".join(filter(None, [*parts, enlarged])) or NOTHING


def _repaired(settings: Settings) -> Iterator[str]:
    """What was filled and corrected before the tasks."""
    if settings.filled:
        yield f"fill {settings.filled:,} pixel{'s' if settings.filled > 1 else ''}"
    if settings.faded:
        degree = "" if settings.faded == 1 else f" (strength {settings.faded:g})"
        yield f"correct faded colours{degree}"


def _enlarged(settings: Settings, photo_is_known: bool) -> str:
    enlarge = TASKS[ENLARGING].title.lower()
    if settings.size is None:
        return "" if settings.scale == 1 else f"{enlarge} {settings.scale:g}x"
    if photo_is_known and settings.scale == 1:
        return ""
    limited = photo_is_known and settings.scale == MAX_SCALE
    return (
        f"{enlarge} {MAX_SCALE:g}x, towards {settings.size}" if limited else f"{enlarge} to {settings.size}"
    )


def left_out(ignored: Sequence[str]) -> str:
    """What was understood and no task does, as the end of a line."""
    return f"; not done: {', '.join(ignored)}" if ignored else ""


def summary(done: Done) -> str:
    """What was done, the size, the seconds; then a line for each remark."""
    restored = done.restored
    width, height = restored.image.size
    text = f"Done: **{plan(restored.settings)}**, {width}x{height} pixels, {restored.seconds:.1f} s"
    waited = f" after {done.waited:.0f} s of waiting" if done.waited >= 1 else ""
    remarks = (html.escape(note, quote=False) for note in restored.notes)
    return "\n\n".join(map(said, [text + waited, *remarks]))


def comparison(done: Done) -> tuple[str, str]:
    """(before, after) as files that browsers show, both with every pixel of the result."""
    after = done.restored.image
    before = images.to_pil(done.source.pixels, done.source.alpha)
    folder = new_folder()
    return _shown(before.resize(after.size, Image.Resampling.BICUBIC), folder / "before"), (
        done.file if after.width * after.height <= SHOWN_PIXELS else _shown(after, folder / "after")
    )


def _shown(picture: Image.Image, path: Path) -> str:
    """Write a picture for the page alone: JPEG, which is quick and small, unless it is transparent."""
    clear = picture.mode != "RGB"
    path = path.with_suffix(".png" if clear else ".jpg")
    with errors_for_visitors():
        picture.save(path, **({"compress_level": 1} if clear else {"quality": 95, "subsampling": 0}))
    return str(path)


def in_format(png: str, kind: str) -> tuple[str, str, str, str]:
    """(png, kind, file, why there is none): the result in another format, EXIF and colour profile kept."""
    try:
        path = uploaded({"path": png})
        if not Path(path).is_file():
            return png, kind, "", said(GONE)
        if kind == "PNG":
            return png, kind, path, ""
        with errors_for_visitors(path):
            name = Path(path).name.removesuffix(".png") + FORMATS[kind]
            return png, kind, str(images.save(images.load(path), new_folder() / name)), ""
    except gr.Error as error:  # raised on, it would leave the button disabled
        return png, kind, "", not_done(error)


def if_current(made: tuple[str, str, str, str], png: str, kind: str) -> tuple[Any, Any]:
    """(download button, status) for what `in_format` made, unless another result or choice has come since."""
    of, made_kind, file, why = made
    if (of, made_kind) != (png, kind):
        return gr.skip(), gr.skip()
    if not file:
        return gr.DownloadButton(interactive=True), why
    return download_button(file, kind), gr.skip()


def download_button(file: str, kind: str = "PNG") -> gr.DownloadButton:
    """The button that downloads this file."""
    return gr.DownloadButton(said(f"Download {kind}"), value=file, interactive=True)

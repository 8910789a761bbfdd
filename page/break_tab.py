"""Try to break it: a task's own degradation damages a good photo, it is restored, and both are measured."""

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import gradio as gr
import torch

from lwr.images import files as images
from lwr.images.metrics import psnr, ssim
from lwr.request import RestoreError
from lwr.tasks import TASKS
from page.compare import Comparison
from page.errors import errors_for_visitors, not_done
from page.given import ON_UPLOAD, shown
from page.inputs import read_request, uploaded
from page.line import State
from page.service import Done, Service, new_folder
from page.status import told, with_bar
from page.words import known, said, t

MIN_SIDE = 32  # pixels, of the shorter side
MAX_SIDE = 1024  # pixels, of the longer side that is measured
BROKEN = "broken"  # kind of a run that ends once its visitor has chosen another photo, or none
REST = [gr.skip()] * 3  # pictures, score and settings stay
LIVE = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}


def build(service: Service) -> None:
    """Lay out the tab and connect it."""
    gr.Markdown(
        t(
            "Choose a **good** photo. The page damages it in the way the training photos were damaged, "
            "restores it, and compares both with your original. Photos larger than "
            f"{MAX_SIDE} pixels are made smaller first."
        )
    )
    with gr.Row():
        with gr.Column(min_width=320):
            photo = gr.Image(
                label=t("A good photo"), height=320, sources=["upload", "clipboard"], elem_id="good"
            )
            task = gr.Radio(
                [(known(task.title), name) for name, task in TASKS.items()],
                value=next(iter(TASKS)),
                label=t("Task"),
                info=t("Decides the damage: haze for “Remove haze”, and so on."),
            )
            seed = gr.Number(
                1,
                label=t("Seed of the damage"),
                precision=0,
                minimum=0,
                info=t("A different seed gives different damage."),
            )
            button = gr.Button(t("Damage it, then restore it"), variant="primary", elem_id="break")
            status = gr.Markdown(elem_id="break-status")
        with gr.Column(min_width=320):
            pictures = Comparison(elem_id="broken")
            score = gr.Markdown(elem_id="score")
            settings = gr.JSON(label=t("Parameters of the damage"), visible=False)

    def break_it(image: Any, task: str, seed: Any, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        yield from breaking(service, request.session_hash, image, task, seed)

    def let_go(request: gr.Request) -> None:
        service.stops.stop(request.session_hash, BROKEN)

    gr.on([photo.clear, photo.upload], let_go, None, None, **LIVE)
    photo.upload(shown, photo, photo, **ON_UPLOAD)
    button.click(
        break_it, [photo, task, seed], [pictures, score, settings, status], preprocess=False,
        show_progress="hidden", api_visibility="private", concurrency_limit=None,
    )  # fmt: skip


def breaking(service: Service, visitor: str, image: Any, task: str, seed: Any) -> Iterator[tuple[Any, ...]]:
    """(pictures, score, settings, status) for how the photo stands and at its end; one let go leaves none."""
    steps = _told(service, visitor, image, task, seed)
    with service.stops.run(visitor, BROKEN) as chosen, closing(steps):
        for state in steps:
            if chosen.stopped:
                yield *REST, ""
                return
            yield state


def _told(service: Service, visitor: str, image: Any, task: str, seed: Any) -> Generator[tuple[Any, ...]]:
    try:
        steps = _break(service, uploaded(image), task, seed, visitor)
        done = yield from told(steps, lambda state: (*REST, with_bar(state)))
        yield *done, ""
    except gr.Error as error:
        yield *REST, not_done(error)


def _break(
    service: Service, path: str, task: str, seed: Any, visitor: str
) -> Generator[State, None, tuple[Any, ...]]:
    """((damaged, restored), scores, parameters of the damage)."""
    with errors_for_visitors(path):
        seed = service.restorer.resolve(read_request(task=task, seed=seed)).seed
        clean = _small(images.load(path).rgb)
    damaged, params = TASKS[task].degrade(clean, torch.Generator().manual_seed(seed))
    with errors_for_visitors():
        file = images.save(damaged, new_folder() / "damaged.png")
    done = yield from service.restoring(str(file), read_request(task=task, scale=1), visitor)
    return (str(file), done.file), _scores(clean, damaged, done), gr.JSON(value=params[0], visible=True)


def _scores(clean: torch.Tensor, damaged: torch.Tensor, done: Done) -> str:
    """A Markdown table: PSNR and SSIM of the damaged and of the restored photo against the good one."""
    rows = [("damaged", damaged), ("restored", done.restored.loaded.rgb)]
    table = [
        f"| {said(name)} | {psnr(x, clean).item():.2f} dB | {ssim(x, clean).item():.3f} |" for name, x in rows
    ]
    return "\n".join(["| | PSNR | SSIM |", "|---|---|---|", *table])


def _small(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) shrunk to MAX_SIDE pixels at most; RestoreError when it is too small to be measured."""
    height, width = photo.shape[-2:]
    shrink = min(1.0, MAX_SIDE / max(height, width))
    size = (round(height * shrink), round(width * shrink))
    if min(size) < MIN_SIDE:
        raise RestoreError(f"Photos under {MIN_SIDE} pixels a side cannot be measured: use a larger one.")
    return photo if shrink == 1 else images.resize(photo, size)

"""Try to break it: a good photo is damaged by a task's own degradation, restored, and both are measured."""

from typing import Any

import gradio as gr
import torch

from lwr.images import files as images
from lwr.images.metrics import psnr, ssim
from lwr.restore import RestoreError
from lwr.tasks import TASKS
from page.service import Service, mistakes_told, new_folder, uploaded

LEAST = 32  # pixels, of the shorter side
SIDE = 1024  # pixels, of the longer side that is measured
PROGRESS = gr.Progress()


def build(service: Service) -> None:
    """Lay the tab out and wire it up."""
    gr.Markdown(
        "Give a **good** photo. It is damaged as in training, restored, and measured against what you gave. "
        f"Photos are taken at up to {SIDE} pixels."
    )
    with gr.Row():
        with gr.Column(min_width=320):
            photo = gr.Image(
                label="A good photo", height=320, sources=["upload", "clipboard"], elem_id="good"
            )
            task = gr.Radio(
                [(task.title, name) for name, task in TASKS.items()],
                value=next(iter(TASKS)),
                label="Damage that this task mends",
            )
            seed = gr.Number(
                1, label="Seed of the damage", precision=0, minimum=0, info="Another seed, another."
            )
            button = gr.Button("Damage it, then restore it", variant="primary", elem_id="break")
        with gr.Column(min_width=320):
            slider = gr.ImageSlider(
                label="Damaged and restored", format="png", max_height=640, elem_id="broken"
            )
            score = gr.Markdown(elem_id="score")
            settings = gr.JSON(label="What the damage was", visible=False)

    def break_it(
        image: Any, task: str, seed: Any, request: gr.Request, progress: gr.Progress = PROGRESS
    ) -> tuple[Any, ...]:
        """((damaged, restored), scores, parameters of the damage)."""
        path = uploaded(image)
        with mistakes_told(path):
            number = service.request("", task, seed=seed)["seed"]
            clean = _small(images.load(path).rgb)
            if min(clean.shape[-2:]) < LEAST:
                raise RestoreError(f"Photos under {LEAST} pixels a side cannot be measured: use a larger.")
        damaged, params = TASKS[task].degrade(clean, torch.Generator().manual_seed(number))
        file = new_folder() / "damaged.png"
        images.save(damaged, file)
        done = service.restore(str(file), service.request("", task, 1), request.session_hash, progress)
        restored = done.restored.loaded.rgb
        rows = [("damaged", damaged), ("restored", restored)]
        table = "| | PSNR | SSIM |\n|---|---|---|\n" + "\n".join(
            f"| {name} | {psnr(x, clean).item():.2f} dB | {ssim(x, clean).item():.3f} |" for name, x in rows
        )
        pictures = (images.to_pil(damaged), images.to_pil(restored))
        return pictures, table, gr.JSON(value=params[0], visible=True)

    button.click(
        break_it, [photo, task, seed], [slider, score, settings], preprocess=False, show_progress_on=slider,
        api_visibility="private", concurrency_id="restore", concurrency_limit=1,
    )  # fmt: skip


def _small(photo: torch.Tensor) -> torch.Tensor:
    """(1,3,H,W) shrunk to SIDE pixels at most."""
    height, width = photo.shape[-2:]
    shrink = min(1.0, SIDE / max(height, width))
    return photo if shrink == 1 else images.resize(photo, (round(height * shrink), round(width * shrink)))

"""Advanced: scale, quality, fidelity, seed and size, each under its name in `lwr.request.Request`."""

import gradio as gr

from lwr.models.network import RestorationNetwork

OPTIONS = ("scale", "steps", "fidelity", "seed", "size")
QUALITY = [("Fast, 1 step", 1), ("Balanced, 4 steps", 4), ("Best, 12 steps", 12)]
FIDELITIES = ["auto", "0", "0.25", "0.5", "0.75", "0.9", "1"]
MAX_SIZE_TEXT = 60  # characters
SCALES = ["auto", "1", "2", "3", "4"]


def build(network: RestorationNetwork) -> list[gr.components.Component]:
    """A widget for each of OPTIONS, in that order; a network made for a single step hides the steps."""
    default = network.prior.config.default_steps
    listed = default in dict(QUALITY).values()
    quality = QUALITY if listed else [(f"This network's default, {default} steps", default), *QUALITY]
    steps = "Sampling steps"
    if network.refiner is not None and not network.refiner.reads_sampler():
        steps += "; with this network they matter only below fidelity 0.5"
    return [
        gr.Radio(SCALES, value="auto", label="Scale", info="Enlarges each side; auto follows your sentence."),
        gr.Radio(
            quality,
            value=default,
            label="Quality",
            info=f"{steps}.",
            visible=default > 1 or network.prior.config.one_step_noise,
        ),
        gr.Radio(
            FIDELITIES,
            value="auto",
            label="Fidelity",
            info="1 has the least error, 0.5 looks the sharpest, 0 is the diffusion model's picture.",
        ),
        gr.Number(0, label="Seed", precision=0, minimum=0, info="The same seed gives the same pixels."),
        gr.Textbox(
            "",
            label="Size, instead of a scale",
            placeholder="3840x2160, 4k, 4000, A4 at 300 dpi",
            info="Of the result; its aspect is kept, and a number alone is the width.",
            max_length=MAX_SIZE_TEXT,
            elem_id="size",
        ),
    ]

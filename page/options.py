"""Advanced: scale, quality, fidelity, seed, size and network, each under its name in `lwr.request.Request`.

A widget that could change no pixel of any result is not shown; one that changes none at the present settings
is disabled and says why.
"""

from typing import Any

import gradio as gr

from lwr.models.network import RestorationNetwork
from lwr.request import Settings
from page.words import shown_later, t

OPTIONS = ("scale", "steps", "fidelity", "seed", "size", "fast")
QUALITY = [("Fast, 1 step", 1), ("Balanced, 4 steps", 4), ("Best, 12 steps", 12)]
FIDELITIES = ["auto", "0", "0.25", "0.5", "0.75", "0.9", "1"]
MAX_SIZE_TEXT = 60  # characters
SCALES = ["auto", "1", "2", "3", "4"]
INFO = {
    "scale": "Enlarges each side; auto follows your sentence.",
    "steps": "Sampling steps.",
    "fidelity": "1 has the least error, 0.5 looks the sharpest, 0 is the diffusion model's picture.",
    "seed": "The same seed gives the same pixels.",
    "size": "Of the result; its aspect is kept, and a number alone is the width.",
    "fast": "A smaller network: quicker, and a little less exact.",
}
CHANGING = ("scale", "steps", "seed")  # those that have an effect at some settings only
NO_SCALE = "No effect now: the size below decides."
NO_SAMPLER = "No effect now: at this fidelity the sampler has no part in the result."
NO_NOISE = "No effect now: a single step of this network draws no noise."
shown_later(NO_SCALE, NO_SAMPLER, NO_NOISE)


def build(network: RestorationNetwork, fast: bool) -> list[gr.components.Component]:
    """A widget for each of OPTIONS, in that order; `fast`: there is a smaller network to choose."""
    default = network.prior.config.default_steps
    listed = default in dict(QUALITY).values()
    quality = QUALITY if listed else [(f"This network's default, {default} steps", default), *QUALITY]
    sampled = _takes_steps(network)
    return [
        gr.Radio(_worded(SCALES), value="auto", label=t("Scale"), info=t(INFO["scale"]), elem_id="scale"),
        gr.Radio(
            [(t(name), steps) for name, steps in quality],
            value=default,
            label=t("Quality"),
            info=t(INFO["steps"]),
            visible=sampled,
        ),
        gr.Radio(
            _worded(FIDELITIES),
            value="auto",
            label=t("Fidelity"),
            info=t(INFO["fidelity"]),
            visible=network.refiner is not None or network.cfw is not None,
            elem_id="fidelity",
        ),
        gr.Number(0, label=t("Seed"), precision=0, minimum=0, info=t(INFO["seed"]), visible=sampled),
        gr.Textbox(
            "",
            label=t("Size, instead of a scale"),
            placeholder="3840x2160, 4k, 4000, A4 at 300 dpi",
            info=t(INFO["size"]),
            max_length=MAX_SIZE_TEXT,
            elem_id="size",
        ),
        fast_box(fast, "fast"),
    ]


def fast_box(there: bool, elem_id: str) -> gr.Checkbox:
    """The choice of the smaller network, if it is there."""
    return gr.Checkbox(False, label=t("Fast"), info=t(INFO["fast"]), visible=there, elem_id=elem_id)


def effects(network: RestorationNetwork, settings: Settings, sized: bool) -> dict[str, dict[str, Any]]:
    """{option: properties of its widget} for CHANGING: enabled, or disabled with the reason.

    `sized`: a size was given for the result.
    """
    idle = {}
    if sized:
        idle["scale"] = NO_SCALE
    if not network.needs_sampler(settings.fidelity):
        idle["steps"] = idle["seed"] = NO_SAMPLER
    elif settings.steps == 1 and not network.prior.config.one_step_noise:
        idle["seed"] = NO_NOISE
    return {name: {"interactive": name not in idle, "info": idle.get(name, INFO[name])} for name in CHANGING}


def _worded(choices: list[str]) -> list[tuple[str, str]]:
    """The choices, with what is a word in the visitor's language."""
    return [(t(one) if one.isalpha() else one, one) for one in choices]


def _takes_steps(network: RestorationNetwork) -> bool:
    """Whether steps and seed ever matter: a network made for a single step without noise hides both."""
    return network.prior.config.default_steps > 1 or network.prior.config.one_step_noise

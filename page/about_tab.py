"""What makes the output, how well, and where it fails: from cards/ and training/results, nothing typed twice."""

import json
from pathlib import Path

import gradio as gr

from lwr.models.network import RestorationNetwork
from lwr.request import MAX_OUTPUT_PIXELS
from lwr.restore import Restorer
from page.numbers import numbers

ROOT = Path(__file__).parents[1]
LIMITS = ROOT / "cards" / "limits.md"
RESULTS = ROOT / "training" / "results"
WITH_REFINER = """**The default result comes from the VAE encoder and the refiner.** The encoder turns the photo
into features. The refiner, {blocks} residual blocks at full resolution and below, reads these features and the
photo's own pixels and makes the restored photo in one pass. It has two sets of weights: one trained for the
least error (fidelity 1), one for the sharpest picture to the eye (fidelity 0.5). Between them the weights are
mixed.

**Below fidelity 0.5 the diffusion sampler takes part:** a UNet that a time-aware encoder conditions on your
photo, as in StableSR ([Wang et al. 2024](https://arxiv.org/abs/2305.07015)). At 0 the picture is the sampler's
alone.

Each task adds a small LoRA adapter to these weights."""
WITHOUT_REFINER = """**Every part takes part in each result.** The VAE encoder turns the photo into a latent, the
diffusion sampler restores it in {steps} steps unless you choose another number, and the VAE decoder makes the
picture{cfw}. This follows StableSR ([Wang et al. 2024](https://arxiv.org/abs/2305.07015))."""
CFW = ", with the photo's own features added by controllable feature wrapping (CFW) as far as fidelity says"


def build(restorer: Restorer, max_file_size: str) -> None:
    """Lay out the tab."""
    config = restorer.network.prior.config
    millions = sum(p.numel() for p in restorer.network.parameters()) / 1e6
    limits = LIMITS.read_text(encoding="utf-8") if LIMITS.exists() else ""
    gr.Markdown(
        f"""## How it works

{_how(restorer.network)}

The network is {config.id}, version {config.revision}, with {millions:.1f} million parameters. Photos may have up
to {max_file_size}, results up to {MAX_OUTPUT_PIXELS // 10**6} megapixels. Uploads and results are deleted after
about an hour. Programs can use it too, with `gradio_client`, `curl` or MCP: see "Use via API" at the foot of the
page.

## Limits

{limits}
"""
    )
    if (RESULTS / "evaluate.json").exists():
        _results()


def _how(network: RestorationNetwork) -> str:
    if network.refiner is not None:
        return WITH_REFINER.format(blocks=sum(network.config.refiner.blocks))
    steps = network.prior.config.default_steps
    return WITHOUT_REFINER.format(steps=steps, cfw=CFW if network.cfw is not None else "")


def _results() -> None:
    """The table of the evaluation, and its pictures."""
    results = json.loads((RESULTS / "evaluate.json").read_text(encoding="utf-8"))
    with gr.Accordion("Results", open=True):
        how = f"`{results['command']}` on photos never used in training, with {results['prior']}."
        gr.Markdown(f"{how}\n\n{numbers(results)}".replace("@", "&#64;"), elem_id="numbers")
    sheets = sorted(RESULTS.glob("evaluate-*.jpg"))
    if sheets:
        caption = "{}: input, output, target. The last row is the worst result."
        gr.Gallery(
            [(str(path), caption.format(path.stem.removeprefix("evaluate-"))) for path in sheets],
            label="Validation photos, with the worst of each task", elem_id="sheets",
            columns=3, interactive=False, object_fit="contain", buttons=["fullscreen"],
        )  # fmt: skip

"""What this is, how well it does, where it fails: from cards/ and training/results, nothing typed twice."""

import json
from pathlib import Path

import gradio as gr

from lwr.restore import MAX_OUTPUT_PIXELS, Restorer
from page.numbers import numbers

ROOT = Path(__file__).parents[1]
LIMITS = ROOT / "cards" / "limits.md"
RESULTS = ROOT / "training" / "results"
API = '`gradio_client`, `curl` and MCP clients get the same: see "Use via API" at the foot of the page.'


def build(restorer: Restorer, max_file_size: str) -> None:
    """Lay the tab out."""
    facts, config = restorer.network.prior.config, restorer.network.config.wrapping
    millions = sum(p.numel() for p in restorer.network.parameters()) / 1e6
    wrapped = f"whose decoder is wrapped by {sum(config.chain)} blocks that see the photo itself, and a LoRA"
    kind = f"{wrapped} adapter for each task" if config.chain else "and the restoring parts around it"
    gr.Markdown(
        f"""## What runs here

A latent diffusion model ({facts.id}, version {facts.revision}, {millions:.1f} million parameters)
{kind}, after StableSR ([Wang et al. 2024](https://arxiv.org/abs/2305.07015)). Photos up to
{max_file_size}, results up to {MAX_OUTPUT_PIXELS // 10**6} megapixels; uploads and results are deleted after
about an hour. {API}

## What it cannot do

{LIMITS.read_text(encoding="utf-8") if LIMITS.exists() else ""}
"""
    )
    if (RESULTS / "evaluate.json").exists():
        results = json.loads((RESULTS / "evaluate.json").read_text(encoding="utf-8"))
        with gr.Accordion("What was measured", open=True):
            what = f"`{results['command']}` on photos that were never trained on, version {results['prior']}."
            gr.Markdown(f"{what}\n\n{numbers(results)}".replace("@", "&#64;"), elem_id="numbers")
        sheets = sorted(RESULTS.glob("evaluate-*.jpg"))
        named = [(str(path), path.stem.removeprefix("evaluate-")) for path in sheets]
        if sheets:
            gr.Gallery(
                [(path, f"{name}: input, output, target; the last is the worst") for path, name in named],
                label="Validation photos, with the worst of each task", elem_id="sheets",
                columns=3, interactive=False, object_fit="contain", buttons=["fullscreen"],
            )  # fmt: skip

"""What makes the output, how well, and where it fails; the limits and numbers come from their files.

`python -m training.publishing.about_pictures` makes the picture of the numbers and those of the failures.
"""

import json
from pathlib import Path

import gradio as gr

from lwr.models.network import RestorationNetwork
from lwr.restore import Restorer
from page.figures import Figures
from page.words import known, shown_later, t

ROOT = Path(__file__).parents[1]
LIMITS = ROOT / "cards" / "limits.md"
RESULTS = ROOT / "training" / "results"
NUMBERS = RESULTS / "numbers.webp"
STUDY, STUDY_SHORT = RESULTS / "study.webp", RESULTS / "study-short.md"  # of `python -m training.study`
FAILURES = Path(__file__).parent / "failures"
PUBLISHED = Path(__file__).parent / "published.json"  # in a published Space: what else is on the Hub
NOTHING_PUBLISHED = "Neither cards nor the dataset are on the Hugging Face Hub yet."
CAPTIONS = {  # of the failures, by name; each is one of the limits
    "strong-blur": "Strong blur stays: a real photo of a moving clock (left) comes back the same (right).",
    "fur": "Enlarged 4x (middle) from what is on the left, fur is flat; on the right is the true photo.",
    "sharp-text": "Clean text (left) gets ringing edges (right) if you insist that its blur be fixed.",
    "dots": "At fidelity 0.5 fine dots show (right).",
    "small-text": "Small text (left) is made up (middle): on the right is what stood there.",
    "drops": "Drops on the lens (left) stay when rain is removed (right): only falling rain goes.",
}
STABLESR = "[Wang et al. 2024](https://arxiv.org/abs/2305.07015)"
ONE_PASS = f"""**Every part works on each result, in one pass.** The VAE encoder turns the photo into
features at a half, a quarter and an eighth of its resolution, and into a latent. From that latent a UNet,
conditioned on the photo by a time-aware encoder as in StableSR ({STABLESR}), makes the latent of the clean
photo in one step and without noise: the same photo and sentence always give the same result. The refiner,
residual blocks on the three resolutions, reads the features of all of these together with the
photo's own pixels and makes the restored photo. It has two sets of weights: fidelity 1 uses the set trained
for the least error, 0.5 the set trained to look sharp, and values between them mix the two. Below 0.5 the VAE
decoder's picture of the UNet's latent is mixed in; 0 is that picture alone.
A small LoRA adapter for each task is added to these weights."""
WITH_REFINER = f"""**The default result is made by the VAE encoder and the refiner.** The encoder turns the
photo into features at a half, a quarter and an eighth of its resolution. The refiner, residual
blocks on these levels, reads the features together with the photo's own pixels and makes the restored photo
in one pass. It has two sets of weights: fidelity 1 uses the set trained for the least error, 0.5 the set
trained to look sharp, and values between them mix the two.

**Below fidelity 0.5 the diffusion sampler takes part**: a UNet that starts from your photo and is conditioned
on it by a time-aware encoder, as in StableSR ({STABLESR}). At 0 the result is the sampler's alone.

A small LoRA adapter for each task is added to these weights."""
WITHOUT_REFINER = f"""**Every part works on each result.** The VAE encoder turns the photo into a latent, the
diffusion sampler restores it in {{steps}} steps unless you choose another number, and the VAE decoder makes
the picture{{cfw}}. This follows StableSR ({STABLESR})."""
CFW = ", with features of the photo added by controllable feature wrapping (CFW) in proportion to fidelity"


def build(restorer: Restorer) -> None:
    """Lay out the tab."""
    if NUMBERS.exists():
        _numbers()
    if STUDY.exists() and STUDY_SHORT.exists():
        _study()
    gr.Markdown(f"## {t('Where it fails')}")
    if FAILURES.exists():
        shown_later(*CAPTIONS.values())
        Figures(failures(), elem_id="failures")
    with gr.Column(elem_id="limits"):
        for limit in limits():
            gr.Markdown(f"- {known(limit)}")
    gr.Markdown(f"## {t('Cards and dataset')}")
    gr.Markdown(links())
    config = restorer.network.prior.config
    millions = sum(p.numel() for p in restorer.network.parameters()) / 1e6
    gr.Markdown(f"## {t('How it works')}")
    gr.Markdown(_how(restorer.network))
    name = f"{config.id} {config.revision}, {millions:.1f} M"
    gr.Markdown(f"{t('Network, version, parameters:')} {name}")
    gr.Markdown(
        t(
            "Programs can use the page too, with `gradio_client`, `curl` or MCP: see “Use via API or MCP” at "
            "the foot of the page."
        )
    )


def limits() -> list[str]:
    """The sentences of each limit, as the cards list them."""
    text = LIMITS.read_text(encoding="utf-8") if LIMITS.exists() else ""
    return [" ".join(one.split()) for one in f"\n{text}".split("\n- ")[1:]]


def failures() -> list[tuple[str, str]]:
    """(picture, caption) of each failure."""
    shown = json.loads((FAILURES / "failures.json").read_text(encoding="utf-8"))
    return [(str(FAILURES / one["file"]), CAPTIONS[one["name"]]) for one in shown if one["name"] in CAPTIONS]


def links() -> str:
    """Markdown links to what is published: the cards of network and adapters, and the dataset."""
    if not PUBLISHED.exists():
        return t(NOTHING_PUBLISHED)
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return "\n".join(f"- {one['what']}: [{one['repo']}]({one['url']})" for one in published)


def _how(network: RestorationNetwork) -> str:
    if network.refiner is not None:
        text = ONE_PASS if network.refiner.reads_sampler() else WITH_REFINER
        return known(text.replace("\n\n", "\0").replace("\n", " ").replace("\0", "\n\n"))
    steps = network.prior.config.default_steps
    return WITHOUT_REFINER.format(steps=steps, cfw=CFW if network.cfw is not None else "")


def _numbers() -> None:
    """The picture of the evaluation; behind buttons its table and its photos."""
    gr.Markdown(f"## {t('How well it works')}")
    gr.Markdown(t("On photos never used in training, one 512-pixel crop each."))
    caption = "Each task beside its input and other methods; the lines start at the input."
    shown_later(caption)
    Figures([(str(NUMBERS), caption)], elem_id="numbers-picture")
    short = RESULTS / "evaluate-short.md"
    if short.exists():
        with gr.Accordion(t("The numbers as a table"), open=False):
            text = short.read_text(encoding="utf-8").partition("-->")[2].strip()
            gr.Markdown(text.replace("@", "&#64;"), elem_id="numbers")
    sheets = sorted(RESULTS.glob("evaluate-*.jpg"))
    if sheets:
        caption = "{}: input, output, target. The last row is the worst result."
        with gr.Accordion(t("Validation photos, with the worst of each task"), open=False):
            gr.Gallery(
                [(str(path), caption.format(path.stem.removeprefix("evaluate-"))) for path in sheets],
                show_label=False, elem_id="sheets", columns=3, interactive=False, object_fit="contain",
                buttons=["fullscreen"],
            )  # fmt: skip


def _study() -> None:
    """How ways of training compare: three sentences and a picture."""
    gr.Markdown(f"## {t('How ways of training compare')}")
    text = STUDY_SHORT.read_text(encoding="utf-8").partition("-->")[2].strip()
    gr.Markdown(text.replace("@", "&#64;"), elem_id="study")
    caption = "Each way of training beside the one that its heading names."
    shown_later(caption)
    Figures([(str(STUDY), caption)], elem_id="study-picture")

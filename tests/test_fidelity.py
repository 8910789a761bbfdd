"""The fidelity slider with the shipped weights: towards 1 the result has more of the input's structure, and
where the input's structure is what is wrong with it, a blur, more of the true photo's.
"""

from itertools import pairwise
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image

from lwr.images.files import load, to_pil, to_tensor
from lwr.images.metrics import psnr
from lwr.restore import Restorer
from lwr.tasks import TASKS

TIE = 0.002  # of a cosine: what nobody sees
SIDE = 256  # pixels of a photo
FIDELITIES = (0, 0.25, 0.5, 0.75, 1)
SAMPLES = Path(__file__).parents[1] / "lwr" / "samples"


def likeness_to_input(restorer: Restorer, photo: str, task: str) -> list[float]:
    """Cosine of the edges of result and input, for every fidelity."""
    rgb = load(SAMPLES / f"{photo}.jpg").rgb[..., -SIDE:, -SIDE:]
    edges, picture = rgb.diff(dim=-1).flatten(), to_pil(rgb)
    likeness = []
    for fidelity in FIDELITIES:
        output = restorer(picture, task=task, scale=1, fidelity=fidelity).loaded.rgb.diff(dim=-1).flatten()
        likeness.append(torch.nn.functional.cosine_similarity(output, edges, 0).item())
    return likeness


@pytest.mark.parametrize(("photo", "task"), [("hazy-rocket", "dehaze"), ("small-cat", "super-resolution")])
def test_more_fidelity_is_more_of_the_input(restorer: Restorer, photo: str, task: str) -> None:
    likeness = likeness_to_input(restorer, photo, task)
    assert all(after > before - TIE for before, after in pairwise(likeness)), likeness


def test_a_shaken_photo_is_itself_least_at_0(restorer: Restorer) -> None:
    """In between a sharper result is less like the blur, so there the next test asks for the truth."""
    likeness = likeness_to_input(restorer, "shaken-coffee", "deblur")
    assert likeness[0] == min(likeness) and likeness[-1] > max(likeness) - 5 * TIE, likeness


def test_more_fidelity_brings_a_blurred_photo_closer_to_the_truth(restorer: Restorer) -> None:
    """Mean PSNR over six blurred photos rises up to 0.75; 1, best on validation photos, is near it."""
    scores = torch.zeros(len(FIDELITIES))
    for name in ("astronaut", "coffee", "chelsea"):
        clean = to_tensor(Image.fromarray(getattr(skimage.data, name)()))[..., :208, :272]
        for seed in (1, 2):
            blurred = to_pil(TASKS["deblur"].degrade(clean, torch.Generator().manual_seed(seed))[0])
            results = [restorer(blurred, task="deblur", fidelity=f).loaded.rgb for f in FIDELITIES]
            scores += torch.cat([psnr(result, clean) for result in results]) / 6
    assert scores[:4].diff().min() > 0.1 and scores[4] > scores[3] - 0.5, scores.tolist()

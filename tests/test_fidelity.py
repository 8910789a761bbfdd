"""The fidelity slider with the shipped weights: towards 1 the result has more of the input's structure."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from lwr.image import load
from lwr.restore import Restorer

# Of a cosine: neighbours may tie. A sharpened photo is less like a blurred input than a soft one is, so with
# weights 0.6.0 the coffee dips by 0.006 from 0.25 to 0.75; PSNR to the truth rises all the way (evaluate.md).
TIE = 0.01
SAMPLES = Path(__file__).parents[1] / "lwr" / "samples"


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return Restorer.load(device="cpu")


@pytest.mark.parametrize(
    ("photo", "task"),
    [("shaken-coffee", "deblur"), ("hazy-rocket", "dehaze"), ("small-cat", "super-resolution")],
)
def test_more_fidelity_is_more_of_the_input(restorer: Restorer, photo: str, task: str) -> None:
    path = SAMPLES / f"{photo}.jpg"
    edges = load(path).rgb.diff(dim=-1).flatten()
    likeness = []
    for fidelity in (0, 0.25, 0.5, 0.75, 1):
        output = restorer(path, task=task, scale=1, fidelity=fidelity).loaded.rgb.diff(dim=-1).flatten()
        likeness.append(torch.nn.functional.cosine_similarity(output, edges, 0).item())
    assert all(after > before - TIE for before, after in pairwise(likeness)), likeness
    assert likeness[0] == min(likeness) and likeness[-1] > max(likeness) - TIE, likeness
    assert likeness[0] < likeness[1] < likeness[-1] and likeness[2] < likeness[-1] + TIE, likeness

"""Rebuilding the code changes no pixel: outputs equal those that were written down (see pixels.py)."""

import json
from collections.abc import Iterator

import pixels
import pytest
import torch

from lwr.restore import Restorer

KEPT = json.loads(pixels.FILE.read_text())


@pytest.fixture(scope="module")
def restorers() -> Iterator[dict[str, Restorer]]:
    """Whole and in tiles, on one thread, as the digests were made."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield pixels.restorers()
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("tiling", "photo"), dict.fromkeys(case[:2] for case in pixels.cases()))
def test_every_task_and_fidelity_gives_the_same_pixels(
    tiling: str, photo: str, restorers: dict[str, Restorer]
) -> None:
    same_machine = KEPT["machine"] == pixels.machine()
    for case in (case for case in pixels.cases() if case[:2] == (tiling, photo)):
        digest, picture = pixels.measure(*case, restorers[tiling])
        kept_digest, kept_picture = KEPT["cases"][pixels.name(*case)]
        assert max(abs(a - b) for a, b in zip(picture, kept_picture, strict=True)) <= 1, case
        assert not same_machine or digest == kept_digest, case


def test_all_cases_are_written_down_and_differ() -> None:
    assert set(KEPT["cases"]) == {pixels.name(*case) for case in pixels.cases()}
    assert len({digest for digest, _ in KEPT["cases"].values()}) == len(KEPT["cases"])

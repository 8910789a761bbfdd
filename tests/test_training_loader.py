"""Batches that worker processes draw: the same in every run, in 8 bits."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from toy_runs import SAMPLES

from training.config import Config
from training.data import mixture
from training.data.loader import BatchLoader
from training.data.mixture import Batch
from training.data.parts import Part
from training.data.photos import Photo, load_photos

CPU = torch.device("cpu")
CONFIG = Config("refiner", batch=4, crop=32, scene=2, workers=2, tracker="none")


@pytest.fixture(scope="module")
def photos() -> list[Photo]:
    return load_photos(SAMPLES[0].parent, None)


@contextmanager
def loading(config: Config, photos: list[Photo]) -> Iterator[BatchLoader]:
    loader = BatchLoader(config, mixture.draw, [Part(photos)], CPU)
    yield loader
    loader.close()


def drawn(config: Config, photos: list[Photo], places: range) -> list[Batch]:
    with loading(config, photos) as loader:
        return [loader(step)[0] for step in places]


def test_workers_batches_follow_from_the_step_so_a_resumed_run_sees_them_again(photos: list[Photo]) -> None:
    first, resumed = drawn(CONFIG, photos, range(6)), drawn(CONFIG, photos, range(3, 6))
    for one, again in zip(first[3:], resumed, strict=True):
        assert one.kind == again.kind and torch.equal(one.degraded, again.degraded)
    assert not torch.equal(first[0].target, first[1].target)
    for batch in first:
        for photo in (batch.degraded, batch.target):
            steps = photo * 255
            assert photo.min() >= 0 and photo.max() <= 1 and torch.allclose(steps, steps.round(), atol=1e-3)


def test_the_losss_numbers_fit_the_batch_and_are_not_those_that_drew_it(photos: list[Photo]) -> None:
    scenes = replace(CONFIG, tasks=("dehaze",), task_weights=(1.0,))
    with loading(scenes, photos) as loader:
        batch, rng = loader(0)
        assert len(batch.target) == 1 and rng.randn(2).shape == (1, 2)
    with loading(replace(scenes, workers=0), photos) as loader:
        whole, same = loader(0)
        assert whole.target.shape == batch.target.shape
        assert torch.rand(1, generator=same.shared) != torch.rand(1, generator=rng.shared)

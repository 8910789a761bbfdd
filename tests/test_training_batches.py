"""Batches: a step's numbers follow from its place alone, and a batch keeps what its sentence promises."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from toy_runs import SAMPLES

from lwr.images import files as images
from lwr.tasks import TASKS
from lwr.tasks.base import SCENE
from training.checkpoint import TrainingError
from training.config import Config
from training.data import mixture
from training.data.crops import CropSampler
from training.data.mixture import Batch, draw, weights_of
from training.data.photos import Photo
from training.data.rng import RngStreams, rng_streams

CPU = torch.device("cpu")
WHOLE, HALF = Config("none", batch=4), Config("none", batch=2)


def picture(name: str, pixels: torch.Tensor, clear: bool = True) -> Photo:
    return Photo(name, name, pixels, clear)


@pytest.fixture(scope="module")
def sampler() -> CropSampler:
    loaded = [images.load(path).rgb[0].mul(255).byte().permute(1, 2, 0).contiguous() for path in SAMPLES]
    return CropSampler([picture(str(i), pixels) for i, pixels in enumerate(loaded)], 32, CPU)


def numbers(rng: RngStreams) -> list[float]:
    """Some of everything that can be drawn."""
    shared = torch.rand(2, generator=rng.shared)
    own = [rng.randn(2), rng.rand(3), rng.integers(1000)[:, None].float()]
    return [*shared.tolist(), *torch.cat(own, 1).flatten().tolist()]


def batches(sampler: CropSampler, config: Config, steps: Sequence[int]) -> list[Batch]:
    return [draw(config, sampler, rng_streams(config, CPU, step)) for step in steps]


def test_same_place_draws_the_same_and_any_other_place_something_else() -> None:
    places = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)]
    drawn = [numbers(rng_streams(HALF, CPU, *place)) for place in places]
    assert drawn == [numbers(rng_streams(HALF, CPU, *place)) for place in places]
    drawn.append(numbers(rng_streams(replace(HALF, seed=1), CPU, 0)))
    flat = [number for numbers_ in drawn for number in numbers_ if number % 1]  # integers may meet by chance
    assert len(set(flat)) == len(flat)


def test_processes_share_the_choices_and_not_the_crops() -> None:
    first, second = (numbers(rng_streams(HALF, CPU, 5, rank=rank)) for rank in (0, 1))
    assert first[:2] == second[:2]
    assert not set(first[2:]) & set(second[2:])


@pytest.mark.parametrize("group", [None, 2], ids=["group 1", "group 2"])
def test_two_processes_see_the_very_crops_of_one_with_the_whole_batch(
    sampler: CropSampler, group: int | None
) -> None:
    whole, half = replace(WHOLE, group=group), replace(HALF, group=group)
    kinds = set()
    for step in range(30):
        one = draw(whole, sampler, rng_streams(whole, CPU, step))
        parts = [draw(half, sampler, rng_streams(half, CPU, step, rank=rank)) for rank in (0, 1)]
        assert {(part.kind, *part.tasks.items()) for part in parts} == {(one.kind, *one.tasks.items())}
        assert torch.equal(one.degraded, torch.cat([part.degraded for part in parts]))
        assert torch.equal(one.target, torch.cat([part.target for part in parts]))
        kinds.add(one.kind)
    assert len(kinds) >= 5


def test_processes_know_where_in_the_whole_batch_their_crops_are() -> None:
    assert [rng_streams(HALF, CPU, 0, rank=rank).first for rank in range(3)] == [0, 2, 4]


@pytest.mark.parametrize("group", [3, 8])
def test_groups_that_do_not_fit_the_batch_are_refused(group: int) -> None:
    with pytest.raises(TrainingError, match=f"--batch 4 is not a multiple of --group {group}"):
        rng_streams(replace(WHOLE, group=group), CPU, 0)


def test_rewound_draws_repeat_themselves() -> None:
    rng = rng_streams(WHOLE, CPU, 0)
    states = rng.states()
    first = rng.randn(3)
    rng.rewind(states)
    assert torch.equal(first, rng.randn(3))


def test_same_step_same_batch_and_other_steps_others(sampler: CropSampler) -> None:
    first, again = batches(sampler, HALF, range(8)), batches(sampler, HALF, range(8))
    for a, b in zip(first, again, strict=True):
        assert a.kind == b.kind and torch.equal(a.degraded, b.degraded) and torch.equal(a.target, b.target)
    assert len({batch.target.sum().item() for batch in first}) == 8


def test_every_kind_of_batch_appears_and_keeps_what_it_promises(sampler: CropSampler) -> None:
    drawn = batches(sampler, HALF, range(300))
    kinds = {batch.kind for batch in drawn}
    assert kinds == {"wrong", "both", "one-of-two", "good", "plain", "partial", *HALF.tasks}
    for batch in drawn:
        same = torch.equal(batch.degraded, batch.target)
        assert same == (batch.kind in ("wrong", "good", "plain")), batch.kind
        assert len(batch.tasks) == len(batch.instructions) == (2 if batch.kind == "both" else 1)
        strengths = set(batch.tasks.values())
        assert strengths == {1.0} or (batch.kind == "partial" and 0.25 <= min(strengths) <= 0.75)
        for pixels in (batch.degraded, batch.target):
            assert pixels.shape == (2, 3, 32, 32) and pixels.min() >= 0 and pixels.max() <= 1


def test_photo_with_two_damages_and_its_target_have_the_very_same_blur(
    sampler: CropSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, bytes]] = []

    def noted(task: str, clean: torch.Tensor, rng: RngStreams) -> torch.Tensor:
        calls.append((task, b"".join(state.numpy().tobytes() for state in rng.states())))
        return degrade(task, clean, rng)

    degrade = mixture.degrade
    monkeypatch.setattr(mixture, "degrade", noted)
    blurred = 0
    for step in range(300):
        calls.clear()
        if draw(HALF, sampler, rng_streams(HALF, CPU, step)).kind == "one-of-two" and len(calls) == 3:
            assert calls[1] == calls[2] and TASKS[calls[0][0]].distinct
            blurred += 1
    assert blurred


def test_tasks_come_as_often_as_their_weights_say(sampler: CropSampler) -> None:
    config = replace(HALF, batch=1, tasks=("deblur", "super-resolution"), task_weights=(1.0, 3.0))
    drawn = [next(iter(batch.tasks)) for batch in batches(sampler, config, range(200))]
    assert 0.15 < drawn.count("deblur") / 200 < 0.35


def test_crops_are_pieces_of_the_photos_at_full_or_half_size() -> None:
    """In a photo whose pixels are their own coordinates, modulo 256, a crop says where it comes from."""
    rows, columns = torch.meshgrid(torch.arange(100), torch.arange(120), indexing="ij")
    pixels = torch.stack([rows, columns, torch.zeros_like(rows)], 2).byte()
    sampler = CropSampler([picture("a", pixels)], 32, CPU)
    sizes, flips = [], []
    for step in range(60):
        for down, right in sampler.batch(rng_streams(WHOLE, CPU, step))[:, :2].mul(255):
            scale, sign = down.diff(dim=0).mean().round().item(), right.diff(dim=1).sign().mean().item()
            sizes.append(scale)
            flips.append(sign)
            assert torch.allclose(down, down[:, :1].expand_as(down), atol=1e-3)
            assert torch.allclose(right.diff(dim=1), torch.tensor(scale * sign), atol=1e-3)
    assert set(sizes) == {1, 2} and 0.23 < sizes.count(2) / len(sizes) < 0.44
    assert set(flips) == {-1, 1} and 0.38 < flips.count(1) / len(flips) < 0.62


def test_scenes_are_larger_and_fewer_in_the_same_pixels(sampler: CropSampler) -> None:
    config = replace(HALF, batch=8, scene=2)
    scenes = CropSampler([picture(str(i), p) for i, p in enumerate(sampler.pixels)], 32, CPU, scene=2)
    shapes = {"dehaze": (2, 3, 64, 64), "super-resolution": (8, 3, 32, 32)}
    for task, shape in shapes.items():
        one = replace(config, tasks=(task,), task_weights=(1.0,))
        own = [batch for batch in batches(scenes, one, range(6)) if batch.kind == task]
        assert own
        assert {batch.target.shape for batch in own} == {shape}


@pytest.mark.parametrize("group", [1, 2, 4], ids="group {}".format)
def test_two_processes_thin_a_batch_to_the_same_crops_as_one(group: int) -> None:
    whole, half = Config("none", batch=16, group=group), Config("none", batch=8, group=group)
    one, *two = rng_streams(whole, CPU, 3), *(rng_streams(half, CPU, 3, rank=rank) for rank in (0, 1))
    for rng in (one, *two):
        rng.thin(4)
    assert torch.equal(one.rand(2), torch.cat([rng.rand(2) for rng in two])) and len(one.rand(2)) == 4


@pytest.fixture(scope="module")
def weather() -> CropSampler:
    """One clear photo, one that is hazy itself, and one that is too small."""
    sizes = {"clear": 64, "hazy": 64, "small": 31}
    photos = [picture(n, torch.full((s, s, 3), 100).byte(), n != "hazy") for n, s in sizes.items()]
    return CropSampler(photos, 32, CPU)


def test_crops_can_be_of_clear_photos_only_and_small_ones_are_left_out(weather: CropSampler) -> None:
    drawn: dict[bool, set[str]] = {True: set(), False: set()}
    for step in range(20):
        for clear, seen in drawn.items():
            weather.batch(rng_streams(WHOLE, CPU, step), clear)
            seen |= set(weather.drawn)
    assert drawn == {True: {"clear"}, False: {"clear", "hazy"}}
    with pytest.raises(TrainingError, match="No photo has both sides of 32 pixels or more"):
        CropSampler([picture("small", torch.zeros(31, 64, 3).byte())], 32, CPU)


def test_hazy_photos_are_no_targets_of_a_sentence_that_removes_haze(weather: CropSampler) -> None:
    for step in range(300):
        batch = draw(HALF, weather, rng_streams(HALF, CPU, step))
        if any(TASKS[name].arises == SCENE for name in batch.tasks):
            assert set(weather.drawn) == {"clear"}, (step, batch.kind, batch.tasks)


def test_tasks_are_drawn_as_often_as_they_or_the_run_say() -> None:
    config = Config("none", tasks=("dehaze", "deblur"))
    haze, blur = weights_of(config)
    assert (haze, blur) == (TASKS["dehaze"].weight, TASKS["deblur"].weight)
    assert weights_of(replace(config, scene_weight=0.5)) == (haze / 2, blur)
    assert weights_of(replace(config, task_weights=(3.0, 1.0, 5.0), scene_weight=0.5)) == (3.0, 1.0)

"""The sampler: noise is added and split off exactly, and its steps are those of diffusers' DDIM."""

from collections.abc import Callable

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given, settings
from hypothesis import strategies as st
from passes import distance

from lwr.loading.priors import EMBEDDED
from lwr.models import sampling
from lwr.models.sampling import add_noise, levels, sample, split, timesteps

KINDS = ("epsilon", "v_prediction", "sample")


def scheduler(kind: str) -> DDIMScheduler:
    config = DDIMScheduler.from_pretrained(EMBEDDED / "scheduler").config
    return DDIMScheduler.from_config(config, prediction_type=kind)


SCHEDULERS = {kind: scheduler(kind) for kind in KINDS}


def output_for(kind: str, clean: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
    """What a perfect UNet of this kind answers."""
    signal, sigma = levels(SCHEDULERS[kind], timestep)
    return {"epsilon": noise, "v_prediction": signal * noise - sigma * clean, "sample": clean}[kind]


@given(st.sampled_from(KINDS), st.integers(20, 900), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_splitting_undoes_noising(kind: str, timestep: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    clean, noise = torch.randn(2, 1, 4, 3, 5, generator=generator)
    noised = add_noise(SCHEDULERS[kind], clean, noise, timestep)
    output = output_for(kind, clean, noise, timestep)
    found = split(SCHEDULERS[kind], noised, output, timestep)
    assert distance(found[0], clean) < 1e-3 and distance(found[1], noise) < 1e-3
    assert distance(sampling.output_for(SCHEDULERS[kind], noised, clean, timestep), output) < 1e-3


@given(st.sampled_from(KINDS), st.integers(1, 8), st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_steps_are_those_of_diffusers_ddim(kind: str, steps: int, seed: int) -> None:
    start = 40 * steps
    schedule = timesteps(start, steps)
    theirs = DDIMScheduler.from_config(
        SCHEDULERS[kind].config, clip_sample=False, set_alpha_to_one=True, thresholding=False
    )
    # their step goes down by train / inference timesteps: 40 at a time, and from 40 to 0
    theirs.num_inference_steps = theirs.config.num_train_timesteps // 40
    predict: Callable[[torch.Tensor, int], torch.Tensor] = lambda x, t: torch.tanh(x + t / 1000)  # noqa: E731
    lq, noise = torch.randn(2, 1, 4, 3, 5, generator=torch.Generator().manual_seed(seed))
    expected = add_noise(theirs, lq, noise, start)
    for t in schedule[:-1]:
        expected = theirs.step(predict(expected, t), t, expected, eta=0.0).prev_sample
    last = theirs.step(predict(expected, schedule[-1]), schedule[-1], expected, eta=0.0).pred_original_sample
    assert distance(sample(predict, lq, SCHEDULERS[kind], schedule, lambda _: noise), last) < 1e-4


def test_timesteps_fall_evenly_and_refuse_nonsense() -> None:
    assert timesteps(400, 4) == [400, 300, 200, 100] and timesteps(250, 1) == [250]
    for steps in (0, -1, 401):
        with pytest.raises(ValueError, match="steps must be 1 to 400"):
            timesteps(400, steps)

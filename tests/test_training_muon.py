"""Muon: its step is orthogonal, of Adam's size, only for hidden layers, and survives a resume."""

import pytest
import torch
from torch import nn

from training.muon import Muon, hidden_matrices, orthogonalised


@pytest.mark.parametrize("shape", [(24, 40), (64, 24), (30, 30)])
def test_muons_step_is_nearly_orthogonal_whatever_the_gradients_size(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    for size in (1e-4, 1.0, 1e4):
        values = torch.linalg.svdvals(orthogonalised(size * matrix))
        assert values.min() > 0.5 and values.max() < 1.35


def test_muon_takes_the_weights_of_hidden_layers_and_nothing_else() -> None:
    layers = [
        nn.Conv2d(32, 24, 3),
        nn.Linear(64, 32),
        nn.Conv2d(2, 64, 3),
        nn.Linear(64, 8),
        nn.GroupNorm(4, 32),
    ]
    frozen = nn.Linear(64, 64).requires_grad_(False)
    found = hidden_matrices(nn.Sequential(*layers, frozen))
    assert [id(w) for w in found] == [id(layers[0].weight), id(layers[1].weight)]


def test_muon_descends_and_its_state_survives_a_resume() -> None:
    def steps(parameter: nn.Parameter, optimizer: Muon, count: int) -> float:
        for _ in range(count):
            loss = (parameter - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item()

    def fresh() -> tuple[nn.Parameter, Muon]:
        parameter = nn.Parameter(torch.randn(32, 24, 3, 3, generator=torch.Generator().manual_seed(0)))
        return parameter, Muon([parameter], lr=0.3, weight_decay=0.1)

    whole, unbroken = fresh()
    first = steps(whole, unbroken, 1)
    assert steps(whole, unbroken, 19) < first / 2
    half, optimizer = fresh()
    steps(half, optimizer, 10)
    resumed = Muon([half], lr=0.5)
    resumed.load_state_dict(optimizer.state_dict())
    steps(half, resumed, 10)
    assert torch.equal(whole, half)


def test_muons_step_has_the_size_of_adams_and_decay_is_decoupled() -> None:
    parameter = nn.Parameter(torch.ones(48, 48))
    optimizer = Muon([parameter], lr=0.01, weight_decay=0.5)
    parameter.grad = torch.randn(48, 48, generator=torch.Generator().manual_seed(0))
    optimizer.step()
    change = (parameter.detach() - (1 - 0.01 * 0.5)).square().mean().sqrt() / 0.01
    assert 0.1 < change < 0.3  # Adam's is about 0.2 (Liu et al. 2025)

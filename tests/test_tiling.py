"""Tiles cover everything, blend without seams at any scale, and the seam score sees a seam."""

from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lwr.models.tiling import blend, gaussian_weights, seam_lines, seam_score, tile_grid
from lwr.models.tones import match_tones
from training.benchmarks.skies import SCENES, evenness, scene

sizes = st.integers(1, 50)


@st.composite
def tile_and_overlap(draw: st.DrawFn) -> tuple[int, int]:
    tile = draw(st.integers(1, 24))
    return tile, draw(st.integers(0, tile - 1))


@given(sizes, sizes, tile_and_overlap())
def test_grid_covers_exactly_and_overlaps_enough(height: int, width: int, tiles: tuple[int, int]) -> None:
    tile, overlap = tiles
    corners = tile_grid(height, width, tile, overlap)
    assert len(set(corners)) == len(corners)
    covered = torch.zeros(height, width, dtype=torch.bool)
    for top, left in corners:
        assert 0 <= top <= max(height - tile, 0) and 0 <= left <= max(width - tile, 0)
        covered[top : top + tile, left : left + tile] = True
    assert covered.all()
    tops = sorted({top for top, _ in corners})
    assert all(after - before <= tile - overlap for before, after in zip(tops, tops[1:], strict=False))


@pytest.mark.parametrize(("size", "tile", "overlap"), [(0, 8, 2), (9, 0, 0), (9, 8, 8), (9, 8, -1)])
def test_impossible_grids_are_refused(size: int, tile: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="overlap < tile"):
        tile_grid(size, size, tile, overlap)


def test_weights_are_the_gaussian_of_stablesr_but_symmetrical() -> None:
    weights = gaussian_weights(64, 64)
    assert torch.equal(weights, weights.flip(0)) and torch.equal(weights, weights.flip(1))
    assert torch.allclose(weights, weights.T)
    sigma = 6.4
    expected = torch.exp(torch.tensor(-((10 - 31.5) ** 2 + (20 - 31.5) ** 2) / (2 * sigma**2)))
    assert torch.isclose(weights[10, 20], expected, rtol=1e-4)
    assert weights.min() >= 1e-6 * 0.999 and gaussian_weights(64, 64, variance=1.0).min() > 0.7
    assert gaussian_weights(1, 1).item() == 1
    with pytest.raises(ValueError, match="variance is 0"):
        gaussian_weights(4, 4, variance=0)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, tile_and_overlap())
def test_blending_the_identity_changes_nothing(height: int, width: int, tiles: tuple[int, int]) -> None:
    x = torch.rand(2, 3, height, width)
    blended = blend(x, lambda part: part, *tiles)
    assert blended.shape == x.shape and (blended - x).abs().max() < 1e-5


def test_what_fits_in_one_tile_is_done_whole_and_once() -> None:
    seen = []
    x = torch.rand(1, 3, 5, 16)
    assert blend(x, lambda part: seen.append(part.shape) or part * 2, tile=16, overlap=8).equal(x * 2)
    assert seen == [x.shape]


@pytest.mark.parametrize("scale", [8, 1 / 8, Fraction(1, 8), 2.0])
def test_other_scales_and_channels(scale: float | Fraction) -> None:
    x = torch.rand(2, 3, 40, 72)

    def function(part: torch.Tensor) -> torch.Tensor:
        size = [round(side * scale) for side in part.shape[-2:]]
        return F.interpolate(part.mean(1, keepdim=True), size=size, mode="area").repeat(1, 5, 1, 1)

    blended = blend(x, function, tile=24, overlap=8, scale=scale)
    assert blended.shape == (2, 5, round(40 * scale), round(72 * scale))
    assert torch.allclose(blended, function(x), atol=1e-5)


def test_what_lies_beside_is_cut_alike_at_its_own_size() -> None:
    x, large, other = torch.rand(1, 2, 40, 72), torch.rand(1, 3, 160, 288), torch.rand(1, 1, 40, 72)

    def function(part: torch.Tensor, large: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return torch.cat([part, F.avg_pool2d(large, 4), other], 1)

    blended = blend(x, function, tile=24, overlap=8, beside=(large, other))
    assert torch.allclose(blended, function(x, large, other), atol=1e-5)


def test_half_precision_comes_back_as_half_precision() -> None:
    x = torch.rand(1, 3, 40, 40).half()
    blended = blend(x, lambda part: part, 16, 8)
    assert blended.dtype == torch.float16 and (blended - x).abs().max() < 1e-3


def test_scales_and_results_that_do_not_fit_are_named() -> None:
    x = torch.rand(1, 3, 36, 40)
    with pytest.raises(ValueError, match="multiples of 8"):
        blend(x, lambda part: F.avg_pool2d(part, 8), 16, 8, scale=1 / 8)
    with pytest.raises(ValueError, match=r"expected 1 results of 32x32: check scale=2"):
        blend(x, lambda part: part, 16, 8, scale=2)


def test_seam_score_tells_hard_tiles_from_blended_ones() -> None:
    x = torch.rand(2, 3, 96, 80, generator=torch.Generator().manual_seed(0)) * 0.1

    def biased(part: torch.Tensor) -> torch.Tensor:
        """Each tile comes out with a brightness of its own, as restored tiles do."""
        return part + torch.frac(part[:, :1, :1, :1] * 1000) * 0.3

    lines = seam_lines(96, 80, 32, 16)
    smooth = seam_score(blend(x, biased, 32, 16), *lines)
    hard_lines = seam_lines(96, 80, 32, 0)
    hard = seam_score(blend(x, biased, 32, 0), *hard_lines)
    assert smooth.shape == (2,) and (smooth < 1.1).all() and (hard > 1.5).all()


def test_tones_come_from_the_overview_and_detail_from_the_photo() -> None:
    generator = torch.Generator().manual_seed(0)
    detail = torch.rand(1, 3, 240, 320, generator=generator) - 0.5
    detail = detail - F.avg_pool2d(detail, 5, 1, 2)
    blocks = torch.tensor([0.2, 0.6]).repeat_interleave(160).expand(1, 3, 240, 320)  # two tiles, one sky
    overview = torch.full((1, 3, 60, 80), 0.4)
    matched = match_tones(blocks + 0.1 * detail, overview)
    away = torch.ones(320, dtype=torch.bool)
    away[130:190] = False  # the border itself stays where it is, narrower than the overview can show
    assert F.avg_pool2d(matched - 0.4, 40, 40).abs()[..., [0, 1, 2, 5, 6, 7]].max() < 0.02
    assert ((matched - 0.4) - 0.1 * detail)[..., away].abs().mean() < 0.01
    assert torch.allclose(match_tones(detail.clone(), F.interpolate(detail, (60, 80), mode="area")), detail)


def test_the_scenes_that_skies_are_measured_on_are_even() -> None:
    for name in SCENES:
        picture = np.asarray(scene(name, 0.2))
        found, allowed = (
            evenness(picture),
            7 if name == "pale wall" else 0.01,
        )  # which is brightest in its middle
        assert found["step"] < allowed and abs(found["left_to_right"]) < 0.1, name
        picture = np.concatenate([picture[:, :250], np.maximum(picture[:, 250:], 20) - 20], 1)
        assert evenness(picture)["step"] > 19, name


def test_seam_lines_are_the_inner_tile_borders() -> None:
    assert seam_lines(40, 16, 16, 8) == ([8, 16, 24, 32], [])
    assert seam_lines(33, 10, 16, 0) == ([16, 17, 32], [])


def test_seam_score_without_seams_or_without_change_is_one() -> None:
    assert seam_score(torch.rand(1, 3, 8, 8), [], []).item() == 1
    assert seam_score(torch.zeros(1, 3, 8, 8), [4], [4]).item() == 1
    assert seam_score(torch.rand(1, 3, 1, 1), [], []).item() == 1
    with pytest.raises(ValueError, match="between 1 and 7"):
        seam_score(torch.rand(1, 3, 8, 8), [8], [])

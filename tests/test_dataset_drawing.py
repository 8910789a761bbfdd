"""Damage that nobody sees, or that leaves nothing, is drawn again; a photo it does not help stays out."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from small_sets import build, photos, plain_card, rejected, shards

from lwr.degrade.seeds import row_seed
from lwr.tasks import TASKS
from training.build_dataset import main
from training.dataset.degrading import as_photo, degrade_one
from training.dataset.drawing import DRAWS, UselessError, draw, fault
from training.dataset.schema import pixels_of

PHOTO = torch.rand(1, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25


def sometimes(clean, generator):
    """Damage that is not there in a third of the draws, and leaves nothing in another third."""
    kind = int(torch.randint(3, (), generator=generator))
    return (clean, clean * 0 + 0.5, clean * 0.5)[kind].clone(), [{"kind": kind}] * len(clean)


def never(clean, generator):
    """No damage, whatever is drawn; of another photo some."""
    dark = float(clean.mean()) < 0.48
    return (clean * 0.5 if dark else clean.clone()), [{"dark": dark}]


@pytest.fixture
def toy(monkeypatch):
    """Puts a task with this degradation in place of another."""

    def put(degrade):
        task = replace(TASKS["derain"], degrade=degrade, severity=None)
        monkeypatch.setitem(TASKS, "derain", task)
        return task

    return put


def test_a_useless_draw_is_replaced_by_the_next_that_is_none(toy, monkeypatch):
    monkeypatch.setattr("training.dataset.drawing.DRAWS", 20)
    task = toy(sometimes)
    firsts = [draw(task, PHOTO, 0, f"photo {number}") for number in range(40)]
    assert {one.params["kind"] for one in firsts} == {2} and len({one.again for one in firsts}) > 2
    for number, one in enumerate(firsts):
        seeds = [row_seed(0, "derain", f"photo {number}", again) for again in range(20)]
        assert one.seed == seeds[one.again]
        for seed in seeds[: one.again]:
            assert degrade_one(task, PHOTO, seed)[1]["kind"] < 2
        pixels, params = degrade_one(task, PHOTO, one.seed)
        assert torch.equal(pixels, one.pixels) and params == one.params


def test_what_is_hardly_damaged_and_what_leaves_nothing():
    task = TASKS["denoise"]
    noise = torch.randn(PHOTO.shape, generator=torch.Generator().manual_seed(1)) / 255
    assert fault(task, {}, PHOTO + 2 * noise, PHOTO) == "hardly damaged"
    assert fault(task, {}, PHOTO + 5 * noise, PHOTO) == ""  # sigma 5, the least in training
    haze = TASKS["dehaze"]
    assert fault(haze, {"mean_transmission": 0.98}, PHOTO * 0.98, PHOTO) == "hardly damaged"
    for transmission, why in ((0.3, ""), (0.02, "nothing left to restore")):
        hazy = PHOTO * transmission + 0.9 * (1 - transmission)
        assert fault(haze, {"mean_transmission": transmission}, hazy, PHOTO) == why
    flat = torch.full_like(PHOTO, 0.1)
    assert fault(haze, {"mean_transmission": 0.3}, flat * 0.3 + 0.6, flat) == ""


@plain_card
def test_rows_are_those_that_were_kept_and_the_card_counts_the_others(toy, tmp_path, monkeypatch):
    toy(sometimes)
    source = photos(tmp_path / "photos")
    monkeypatch.setattr("training.dataset.drawing.DRAWS", 20)
    monkeypatch.setattr("training.dataset.verify.DRAWS", 20)
    for out in ("set", "again"):
        assert build(source, tmp_path / out, "--tasks", "derain") == 0
    assert shards(tmp_path / "set") == shards(tmp_path / "again")
    manifest = json.loads((tmp_path / "set" / "dataset.json").read_text())
    count = manifest["drawn_again"]["derain"]
    assert (
        count > 3 and f"Drawn again were {count} of derain." in (tmp_path / "set" / "README.md").read_text()
    )
    for name in shards(tmp_path / "set"):
        for row in pq.read_table(tmp_path / "set" / name).to_pylist() if "derain/" in name else ():
            assert json.loads(row["params"]) == {"kind": 2}
            clean, made = as_photo(pixels_of(row["clean"])), pixels_of(row["degraded"])
            assert np.array_equal(degrade_one(TASKS["derain"], clean, row["seed"])[0], made)
    assert main(["--out", str(tmp_path / "set"), "--verify", "--rows", "10"]) == 0


@plain_card
def test_a_photo_that_no_draw_damages_is_left_out_and_counted(toy, tmp_path, capsys):
    task = toy(never)
    bright = as_photo(np.full((8, 8, 3), 200, np.uint8))
    with pytest.raises(UselessError, match=f"hardly damaged: by derain, in each of {DRAWS} draws"):
        draw(task, bright, 0, "bright")
    source = photos(tmp_path / "photos")
    assert build(source, tmp_path / "set", "--tasks", "derain,deblur") == 0  # left out is not failed
    assert "were drawn again" in capsys.readouterr().out
    manifest = json.loads((tmp_path / "set" / "dataset.json").read_text())
    reasons = rejected(tmp_path / "set")
    assert manifest["photos"]["reasons"] == {"hardly damaged": len(reasons)} and 0 < len(reasons) < 10
    assert manifest["photos"]["failed"] == 0 and manifest["photos"]["chosen"] == 10 - len(reasons)
    assert main(["--out", str(tmp_path / "set"), "--verify"]) == 0

"""Pruning: what goes is least, adapters are cut along, the network still loads, and recovers what it lost."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toy_runs import ROOT, SAMPLES, log, sample_photos, toy

from lwr.images.files import to_tensor
from lwr.loading.adapter import load_adapter
from lwr.loading.load import load_network
from lwr.loading.locate import locate
from lwr.models.lora import folded
from lwr.models.skip import Skip
from lwr.restore import Restorer
from lwr.tasks import TASKS
from training import draw_batches
from training.checkpoint import TrainingError
from training.data.kept import KeptBatches
from training.data.loader import BatchLoader
from training.data.parts import load_parts
from training.loop import train
from training.prune import __main__ as prune
from training.prune import compare, join
from training.prune.blocks import choose
from training.prune.widths import ALIGNED, least
from training.stages import STAGES

EMBEDDED = ROOT / "lwr" / "embedded"
TASK = "dehaze"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped network with one adapter of its seven."""
    folder = tmp_path_factory.mktemp("start")
    for path in EMBEDDED.iterdir():
        if path.name != "adapters":
            (folder / path.name).symlink_to(path)
    (folder / "adapters").mkdir()
    shutil.copytree(EMBEDDED / "adapters" / TASK, folder / "adapters" / TASK)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_photos(tmp_path_factory.mktemp("photos") / "photos")


def pruned(out: Path, start: Path, *options: str) -> dict[str, object]:
    """made.json of `python -m training.prune --init START --out OUT OPTIONS`."""
    prune.main(["--init", str(start), "--out", str(out), *options])
    return json.loads((out / prune.MADE).read_text())


def restored(folder: Path) -> torch.Tensor:
    """The hazy sample photo as a network with its adapter restores it."""
    return to_tensor(Restorer.load(folder)(SAMPLES[0], task=TASK).image)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory, start: Path) -> Path:
    """Half of the hidden channels gone, by magnitude."""
    out = tmp_path_factory.mktemp("pruned") / "half"
    made = pruned(out, start, "--how", "magnitude", "--ratio", "0.5")
    before, after = made["parameters"]
    assert 0.6 < after / before < 0.68
    return out


def test_a_pruned_network_restores_with_its_pruned_adapter(half: Path) -> None:
    network, adapter = (
        load_network(locate(str(half))),
        load_adapter(half / "adapters" / TASK, TASK, "embedded"),
    )
    assert network.refiner.levels[1].blocks[0].conv1.out_channels == 32
    assert network.prior.unet.up_blocks[2].resnets[0].conv1.out_channels == 48
    weights = dict(network.named_parameters())
    changed = folded(weights, [(adapter.pairs, 1.0)])  # KeyError where a pair does not fit its layer
    assert len(changed) == len(load_adapter(EMBEDDED / "adapters" / TASK, TASK, "embedded").pairs)
    photo, whole = restored(half), restored(EMBEDDED)
    assert 0.001 < (photo - whole).abs().mean() < 0.15, "another photo, and still a photo"


def test_what_went_once_goes_again_of_any_weights(half: Path, start: Path, tmp_path: Path) -> None:
    pruned(tmp_path / "again", start, "--like", str(half / prune.MADE))
    for path in half.rglob("*.safetensors"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(half)).read_bytes(), path


def test_by_gradient_other_channels_go(half: Path, start: Path, photos: Path, tmp_path: Path) -> None:
    made = pruned(
        tmp_path / "taylor", start, "--how", "taylor", "--photos", str(photos), "--batches", "2",
        "--ratio", "0.25", "--parts", "refiner",
    )  # fmt: skip
    channels = made["channels"]
    assert all(name.startswith("refiner.") for name in channels)
    by_size = json.loads((half / prune.MADE).read_text())["channels"]
    assert any(set(gone) - set(by_size[name]) for name, gone in channels.items())


def test_blocks_go_with_their_adapters_and_sft_layers(start: Path, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "blocks"
    made = pruned(out, start, "--how", "blocks", "--photos", str(photos), "--batches", "1", "--ratio", "0.3")
    assert len(made["harms"]) > 30 and made["harms"].keys() >= set(made["blocks"])
    network = load_network(locate(str(out)))
    gone = {name for name, module in network.named_modules() if isinstance(module, Skip)}
    assert gone >= set(made["blocks"]), "all that went is missing in the files"
    assert 0 < len(made["blocks"]) < 30
    names = load_adapter(out / "adapters" / TASK, TASK, "embedded").pairs
    assert not any(name.startswith(tuple(f"{block}." for block in gone)) for name in names)
    assert restored(out).shape == restored(EMBEDDED).shape


@pytest.fixture(scope="module")
def two_levels(tmp_path_factory: pytest.TempPathFactory, start: Path) -> Path:
    """Without the coarsest of the UNet's three levels."""
    out = tmp_path_factory.mktemp("pruned") / "levels"
    made = pruned(out, start, "--how", "none", "--levels", "2")
    assert made["levels"] == 2 and made["parameters"][1] < 0.75 * made["parameters"][0]
    return out


def test_a_level_of_the_unet_goes_with_all_that_leads_to_it(two_levels: Path) -> None:
    network = load_network(locate(str(two_levels)))
    gone = ("prior.unet.down_blocks.2.", "prior.unet.mid_block.", "prior.unet.up_blocks.0.")
    gone += ("prior.unet.down_blocks.1.downsamplers.",)
    assert not any(name.startswith(gone) for name, _ in network.named_parameters())
    reader = network.prior.unet.up_blocks[1].resnets[0]
    pairs = load_adapter(two_levels / "adapters" / TASK, TASK, "embedded").pairs
    assert not any(name.startswith(gone) for name in pairs)
    a, _ = pairs["prior.unet.up_blocks.1.resnets.0.conv1"]
    assert a.shape[1] == reader.conv1.in_channels == reader.norm1.num_channels == 112
    error = (restored(two_levels) - restored(EMBEDDED)).square().mean()
    assert -10 * error.log10() > 30, "the coarsest level adds little, and nothing else changed"


def test_a_network_without_a_level_is_pruned_again(two_levels: Path, start: Path, tmp_path: Path) -> None:
    made = pruned(tmp_path / "one", two_levels, "--how", "none", "--levels", "1")
    assert made["parameters"][1] < made["parameters"][0]
    assert restored(tmp_path / "one").shape == restored(EMBEDDED).shape
    again = pruned(tmp_path / "again", start, "--like", str(two_levels / prune.MADE))
    assert again["levels"] == 2 and torch.equal(restored(tmp_path / "again"), restored(two_levels))


def test_a_network_without_a_level_recovers(
    two_levels: Path, start: Path, photos: Path, tmp_path: Path
) -> None:
    for init, teacher in ((two_levels, start), (start, two_levels)):
        config = replace(
            toy("recover", tmp_path, init.name), photos=str(photos), init=str(init), teacher=str(teacher),
            tasks=(TASK,), steps=1, perceptual=0.0, scene=1, minutes=None, batch=2, crop=64,
        )  # fmt: skip
        outcome = train(config)
        assert 0 < log(outcome.out, "features")[0]["features"] < 10


def test_odd_sizes_pass_where_a_level_is_gone(two_levels: Path) -> None:
    restorer = Restorer.load(two_levels)
    for size in ((61, 47), (100, 36)):
        assert restorer(Image.new("RGB", size, "grey"), task=TASK).image.size == size


@given(st.integers(1, 8), st.integers(1, 16), st.floats(0.05, 0.95), st.integers(0, 2**30))
def test_the_least_of_every_group_go(groups: int, size: int, ratio: float, seed: int) -> None:
    scores = torch.rand(groups * size, generator=torch.Generator().manual_seed(seed))
    gone = least(scores, ratio, groups)
    assert len(gone) == len(set(gone)) and len(gone) % groups == 0 and len(gone) < len(scores)
    for group in range(groups):
        inside = [scores[k] for k in gone if k // size == group]
        rest = [scores[k] for k in range(group * size, (group + 1) * size) if k not in gone]
        assert len(inside) == len(gone) // groups
        assert not inside or max(inside) <= min(rest)


@given(st.integers(1, 20), st.floats(0.05, 0.95))
def test_widths_without_groups_stay_aligned(eighths: int, ratio: float) -> None:
    width = ALIGNED * eighths
    left = width - len(least(torch.rand(width), ratio, 0))
    assert left % ALIGNED == 0 and ALIGNED <= left <= width


def test_blocks_go_by_harm_for_what_they_cost() -> None:
    harm, cost = {"a": 0.5, "b": 0.1, "c": 0.0, "d": 1.0}, {"a": 10, "b": 1, "c": 2, "d": 87}
    assert choose(harm, cost, 0.02) == ["c"]
    assert choose(harm, cost, 0.025) == ["c", "d"]


def test_fewer_filters_hardly_change_the_photo(start: Path, tmp_path: Path) -> None:
    pruned(tmp_path / "none", start, "--like", str(_nothing(tmp_path)), "--filters", "24")
    assert (restored(tmp_path / "none") - restored(EMBEDDED)).abs().max() < 2 / 255, (
        "all filters, in another mix"
    )
    pruned(tmp_path / "fewer", start, "--like", str(_nothing(tmp_path)), "--filters", "16")
    fewer = load_network(locate(str(tmp_path / "fewer")))
    assert len(fewer.refiner.filters.basis) == 16
    assert (restored(tmp_path / "fewer") - restored(EMBEDDED)).abs().mean() < 4 / 255


def _nothing(folder: Path) -> Path:
    """A made.json by which nothing goes."""
    path = folder / "nothing.json"
    path.write_text(json.dumps({"how": "magnitude", "ratio": 0.5, "blocks": [], "channels": {}}))
    return path


def test_a_refiner_without_the_decoder_never_runs_it(start: Path, tmp_path: Path) -> None:
    pruned(tmp_path / "alone", start, "--like", str(_nothing(tmp_path)), "--decoder", "false")
    network, runs = load_network(locate(str(tmp_path / "alone"))), []
    network.prior.vae.decoder.conv_in.register_forward_hook(lambda *_: runs.append(1))
    photo = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for fidelity, decoded in ((1.0, 0), (0.5, 0), (0.25, 1)):
        runs.clear()
        network.restore(photo, {TASKS[TASK].instruction: 1.0}, torch.zeros, fidelity=fidelity)
        assert len(runs) == decoded, fidelity
    assert (restored(tmp_path / "alone") - restored(EMBEDDED)).abs().max() < 8 / 255


def test_parts_of_two_pruned_networks_fit_each_other(half: Path, start: Path, tmp_path: Path) -> None:
    block = "refiner.levels.2.blocks.3"
    made = pruned(tmp_path / "other", start, "--blocks", block, "--filters", "20")
    assert made["blocks"] == [block] and not made["channels"]
    join.main([str(half), str(tmp_path / "other"), str(tmp_path / "joined"), "--parts", "refiner"])
    network = load_network(locate(str(tmp_path / "joined")))
    assert isinstance(network.refiner.levels[2].blocks[3], Skip)
    assert network.refiner.levels[1].blocks[0].conv1.out_channels == 64, "the refiner is that of the other"
    assert network.prior.unet.up_blocks[2].resnets[0].conv1.out_channels == 48, "all else of the base"
    pairs = load_adapter(tmp_path / "joined" / "adapters" / TASK, TASK, "embedded").pairs
    assert pairs["refiner.filters.shares"][1].shape[0] == 20
    assert restored(tmp_path / "joined").shape == restored(EMBEDDED).shape


REFUSED = {
    "--blocks refiner.levels.9": "--blocks names refiner.levels.9, which cannot go or is not there.",
    "--ratio 1": "--ratio is 1: use a number between 0 and 1.",
    "--parts text --how magnitude": "--parts names text: use encoder, sft, refiner, prior.unet, prior.vae.",
    "--how taylor": "--how taylor measures the loss: give --photos, or lwr/samples to try it.",
    "--how magnitude --filters 99": "--filters is 99, and the refiner has 24: use 1 to 24.",
    "--how magnitude --out .": ". is there already: give another --out.",
    "--how magnitude --levels 4": "--levels is 4, and the UNet has 3: use 1 to 3.",
    "--how sideways": "--how",
    "--like nowhere.json": "nowhere.json",
    f"--like {EMBEDDED / 'prior.json'}": "prior.json does not say what was pruned: give the made.json that",
}


@pytest.mark.parametrize("options", REFUSED)
def test_mistakes_get_one_sentence(
    options: str, tmp_path: Path, start: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = options.split()
    words += [] if "--out" in words else ["--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit) as stop:
        prune.main(["--init", str(start), *words])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith(prune.PROG)]
    assert stop.value.code == 2 and len(lines) == 1 and REFUSED[options] in lines[0], lines
    assert not (tmp_path / "out").exists()


def test_kept_batches_are_those_that_a_run_draws(photos: Path, tmp_path: Path) -> None:
    config = replace(
        toy("recover", tmp_path, "run"),
        photos=str(photos),
        batch=4,
        crop=64,
        scene=2,
        tasks=(TASK, "denoise"),
    )
    folder = tmp_path / "kept"
    words = [
        "--photos",
        str(photos),
        "--batches",
        str(folder),
        "--batch",
        "4",
        "--crop",
        "64",
        "--scene",
        "2",
    ]
    draw_batches.main(["3", "recover", *words, "--tasks", f"{TASK},denoise", "--seed", str(config.seed)])
    drawn = BatchLoader(config, STAGES["recover"].draw, load_parts(config), torch.device("cpu"))
    kept = KeptBatches(replace(config, batches=str(folder)), torch.device("cpu"))
    for step in range(3):
        (own, _), (read, rng), (mirrored, _) = drawn(step), kept(step), kept(step + 3)
        assert (read.kind, read.tasks) == (own.kind, own.tasks)
        assert (read.degraded - own.degraded).abs().max() <= 0.5 / 255 + 1e-6
        assert torch.equal(mirrored.target, read.target.flip(-1))
        assert rng.noise(read.target.shape).shape == read.target.shape
    second = KeptBatches(replace(config, batches=str(folder)), torch.device("cpu"), rank=1, processes=2)
    assert torch.equal(second(0)[0].target, kept(1)[0].target), "two processes share the batches"
    with pytest.raises(TrainingError, match="are of denoise, too: add them to --tasks."):
        KeptBatches(replace(config, batches=str(folder), tasks=(TASK,)), torch.device("cpu"))


def test_recovering_brings_features_back_to_those_of_the_teacher(
    half: Path, start: Path, photos: Path, tmp_path: Path
) -> None:
    kept = ["--photos", str(photos), "--batches", str(tmp_path / "kept"), "--tasks", TASK]
    draw_batches.main(["4", "recover", *kept, "--batch", "2", "--crop", "64", "--scene", "1", "--group", "1"])
    config = replace(
        toy("recover", tmp_path, "run"), photos=None, batches=str(tmp_path / "kept"), init=str(half),
        teacher=str(start), tasks=(TASK,), steps=12, lr=1e-3, warmup=2, exact=1.0, sampled=0.0,
        perceptual=0.0, scene=1, minutes=None, batch=2, crop=64, ema=0.5,
    )  # fmt: skip
    outcome = train(config)
    lines = log(outcome.out, "features")
    assert lines[-1]["features"] < 0.8 * lines[0]["features"], "the parts' features come together"
    network = load_network(locate(str(outcome.out / "network")))
    assert network.prior.config.pruned and network.refiner.levels[1].blocks[0].conv1.out_channels == 32
    pairs, learned = (
        load_adapter(folder / "adapters" / TASK, TASK, "embedded").pairs
        for folder in (half, outcome.out / "network")
    )
    changed = [name for name, (_, b) in pairs.items() if not torch.equal(b, learned[name][1])]
    assert len(changed) > 0.8 * len(pairs), "the LoRAs learn, too"


def test_runs_are_compared_over_the_steps_that_all_took(tmp_path: Path) -> None:
    for name, end, loss in (("a", 40, 1.0), ("b", 30, 0.5)):
        (tmp_path / name).mkdir()
        lines = [{"step": step, "loss": loss + step / 100} for step in range(10, end + 1, 10)]
        (tmp_path / name / "log.jsonl").write_text("\n".join(map(json.dumps, [{"photos": 3}, *lines])) + "\n")
    compare.main([str(tmp_path), "--out", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["steps"] == [0, 30] and found["runs"]["a"] == {"last_step": 40, "loss": 1.2}
    rows = compare.table(found).splitlines()
    assert rows[2].startswith("| b | 0.700") and rows[3].startswith("| a | 1.200")


def test_the_table_of_pruned_networks_is_that_of_the_runs() -> None:
    found = json.loads((ROOT / "training" / "results" / "pruning.json").read_text())
    assert compare.table(found) in (ROOT / "training" / "README.md").read_text()

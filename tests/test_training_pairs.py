"""Training on pairs: what `--data` names, crops of both sides in the same place, batches, and whole runs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from toy_runs import (
    contents,
    held_out_photo,
    log,
    named_for,
    new_root,
    tensors,
    toy,
    train_in_two_processes,
    train_until,
)

from lwr.images import files as images
from lwr.tasks import TASKS
from lwr.tasks.base import WAY
from training import recipe
from training import run as training_run
from training.benchmarks import pairs as benchmark
from training.checkpoint import TrainingError
from training.checks import check, check_machine
from training.config import Config
from training.data import hub
from training.data.identity import difference, identity
from training.data.loader import BatchLoader
from training.data.mixture import Batch
from training.data.pair_mixture import PairSampler
from training.data.parts import Samplers, load_parts, sampler_of
from training.data.photos import load_photos, split_of
from training.data.rng import rng_streams
from training.data.shards import Skipped
from training.data.sources import Source, parse_sources
from training.dataset.schema import pixels_of
from training.loop import train
from training.losses.photo import L1_WEIGHT, PhotoLoss
from training.run import resolve, run
from training.stages.base import Stage
from training.study import __main__ as study
from training.study import batches, plan
from training.study import run as study_run
from training.validation import load_validation

CPU = torch.device("cpu")
CONFIG = Config("adapter", batch=4, crop=32, tracker="none")
MARK = 77  # blue of the inputs


def coordinates(height: int, width: int, blue: int) -> Image.Image:
    """A picture whose red is the row and whose green is the column of a pixel."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return Image.fromarray(np.stack([rows, columns, np.full_like(rows, blue)], 2).astype(np.uint8))


def pairs(
    folder: Path, names: Sequence[str], scale: int = 1, sides: tuple[str, str] = ("blur", "sharp")
) -> Path:
    """Pairs of 80 x 96 pixels whose red and green say where they are; inputs `scale` times smaller."""
    for side in sides:
        (folder / side).mkdir(parents=True)
    for name in names:
        small = coordinates(80, 96, MARK).resize((96 // scale, 80 // scale), Image.Resampling.BOX)
        small.save(folder / sides[0] / name)
        coordinates(80, 96, 0).save(folder / sides[1] / name)
    return folder


def training_names(count: int) -> list[str]:
    return [named_for("train", f"p{i}", ".png") for i in range(count)]


@pytest.fixture(scope="module")
def blurred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pairs(tmp_path_factory.mktemp("blurred") / "GoPro", training_names(3))


def drawn(config: Config, sampler: object, steps: range, rank: int = 0) -> list[Batch]:
    return [Stage.draw(config, sampler, rng_streams(config, CPU, step, rank=rank)) for step in steps]


def only(config: Config) -> PairSampler:
    (part,) = load_parts(config)
    return sampler_of(part, config, CPU)


def test_every_way_to_name_a_source(
    tmp_path: Path, blurred: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for text, source_ in {
        "photos": Source("photos", "photos"),
        "photos:0.5": Source("photos", "photos", "", 0.5),
        f"deblur={blurred}:2": Source(str(blurred), "pairs", "deblur", 2.0),
        f"deblur={blurred}": Source(str(blurred), "pairs", "deblur"),
        f"deblur = {blurred} :2": Source(str(blurred), "pairs", "deblur", 2.0),
        "derain=d/rain/*+d/clear/*.png:3": Source("d/rain/*+d/clear/*.png", "pairs", "derain", 3.0),
        f"{built}/dehaze": Source(str(built), "set", "dehaze"),
        f"dehaze={built}:2": Source(str(built), "set", "dehaze", 2.0),
        f"{built}/all:1": Source(str(built), "set", "all"),
        f"{built}": Source(str(built), "photos"),
        f"{blurred}/sharp": Source(f"{blurred}/sharp", "photos"),
        "we/lwr-multitask@v1.0.0/dehaze:4": Source("we/lwr-multitask@v1.0.0", "set", "dehaze", 4.0),
        "dehaze=we/lwr-multitask@v1.0.0": Source("we/lwr-multitask@v1.0.0", "set", "dehaze"),
        "we/photos@v1.0.0": Source("we/photos@v1.0.0", "photos"),
    }.items():
        assert parse_sources(text) == [source_], text
    assert [one.weight for one in parse_sources(f"deblur={blurred}:2, {built}/dehaze:1,photos")] == [2, 1, 1]


def test_a_mistake_in_data_is_one_sentence(
    tmp_path: Path, blurred: Path, built: Path, subtests: pytest.Subtests
) -> None:
    (tmp_path / "photos").mkdir()
    for text, sentence in {
        " ,": "--data is empty: write sources",
        "colour=photos": "there is no task 'colour'; use deblur, dehaze,",
        f"{blurred}": f"say what is wrong with the inputs of {blurred}: deblur={blurred}",
        f"deblur={blurred}:much": "the weight 'much' is no number",
        f"deblur={blurred}:-1": "the weight '-1' is no number",
        f"deblur={blurred}:0": "no source a weight above 0",
        "deblur=": "--data deblur= names no folder: write such as",
        "deblur=:2": "--data deblur=:2 names no folder",
        "nowhere": "there is no file or folder nowhere; give a folder",
        f"deblur={tmp_path / 'photos'}": "holds no pairs: give a folder with input/",
        f"{built}/colour": "has no config colour; use all, deblur,",
        f"deblur={built}/dehaze": "names two tasks",
        f"{blurred}/blur": f"is the damaged side of pairs: give TASK={blurred}.",
        f"deblur=file://{blurred}": "pairs of files are read from this machine alone",
        "we/multitask@v1.0.0/colour": "use one of the configs deblur, dehaze,",
    }.items():
        with subtests.test(text=text), pytest.raises(TrainingError) as error:
            parse_sources(text)
        assert sentence in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(TrainingError, match="there is no task 'colour'"):  # before what may follow from it
        check(replace(CONFIG, data="colour=photos", scene=2, batch=3))
    with pytest.raises(TrainingError, match="leave out --photos"):
        load_parts(replace(CONFIG, data=f"deblur={blurred}", photos="photos"))
    with pytest.raises(TrainingError, match="has pairs of deblur, which --tasks dehaze leaves out"):
        load_parts(replace(CONFIG, data=f"deblur={blurred}", tasks=("dehaze",)))
    with pytest.raises(TrainingError, match="has both sides of 128 pixels"):
        only(replace(CONFIG, data=f"deblur={blurred}", crop=128))
    data = f"{built}/all"
    for change in ({"stage": "refiner", "data": data}, {"data": None}, {"data": data, "exact": 0.0}):
        with pytest.raises(TrainingError, match="--consistency compares at fidelity 1"):
            check(replace(CONFIG, consistency=0.1, **change))


@pytest.mark.parametrize("memory", [4.0, 0.0], ids=["kept", "read when drawn"])
def test_both_sides_of_a_pair_are_cut_and_mirrored_alike(blurred: Path, memory: float) -> None:
    sampler = only(replace(CONFIG, data=f"deblur={blurred}", data_memory=memory))
    places, flips = set(), set()
    for step in range(20):
        crops = sampler.crops(rng_streams(CONFIG, CPU, step), ("deblur",), False, 0.0)
        clean, degraded = (crops[name].mul(255).round() for name in ("clean", "deblur"))
        assert clean.shape == (4, 3, 32, 32)
        assert torch.equal(clean[:, :2], degraded[:, :2])
        assert (degraded[:, 2] == MARK).all() and (clean[:, 2] == 0).all()
        for down, right in clean[:, :2]:
            assert (down.diff(dim=0) == 1).all() and (right.diff(dim=1).abs() == 1).all()
            places.add((down.min().item(), right.min().item()))
            flips.add(right.diff(dim=1).mean().item())
    assert len(places) > 60 and flips == {-1, 1}


@pytest.mark.parametrize("scale", [2, 4])
def test_small_inputs_are_enlarged_as_a_whole_photo_is(tmp_path: Path, scale: int) -> None:
    folder = pairs(tmp_path / "sr", training_names(1), scale, ("lq", "gt"))
    sampler = only(replace(CONFIG, data=f"super-resolution={folder}"))
    small = images.load(next((folder / "lq").iterdir())).rgb
    whole = images.resize(small, (80, 96)).mul(255).round()[0]
    for step in range(6):
        crops = sampler.crops(rng_streams(CONFIG, CPU, step), ("super-resolution",), False, 0.0)
        clean, degraded = (crops[n].mul(255).round() for n in ("clean", "super-resolution"))
        for target, given in zip(clean, degraded, strict=True):
            rows, columns = target[0].long(), target[1].long()  # where each pixel of the crop is from
            assert torch.equal(given, whole[:, rows, columns])


def test_scenes_come_at_half_size_and_other_damage_as_it_is(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "haze", training_names(1), 1, ("hazy", "gt"))
    steps = {}
    for task in ("dehaze", "denoise"):
        config = replace(CONFIG, data=f"{task}={folder}")
        batch = next(b for b in drawn(config, only(config), range(30)) if b.kind == task)
        steps[task] = (batch.target[:, 0] * 255).diff(dim=1).mean().round().item()
    assert steps == {"dehaze": 2, "denoise": 1}


def test_a_file_that_breaks_is_passed_over_the_same_way_each_time(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "pairs", training_names(3))
    config = replace(CONFIG, data=f"deblur={folder}", data_memory=0.0)
    broken = sorted((folder / "blur").iterdir())[1]
    broken.write_bytes(broken.read_bytes()[:200])  # the header is whole
    seen = set()
    sampler = only(config)
    for step in range(12):
        sampler.batch(rng_streams(config, CPU, step))
        seen |= set(sampler.drawn)
    assert seen == {path.stem for path in (folder / "blur").iterdir()} - {broken.stem}
    lost: list[Skipped] = []
    (part,) = load_parts(replace(config, data_memory=4.0), skipped=lost)
    assert len(part.photos) == 2 and [one.name for one in lost] == [broken.stem]


def test_scenes_that_are_held_out_are_never_trained_on(tmp_path: Path) -> None:
    scenes = {split: named_for(split, "scene", "") for split in ("train", "validation", "test")}
    for scene in scenes.values():
        pairs(tmp_path / scene, ["000047.png", "000048.png"])
    for split, scene in scenes.items():
        (part,) = load_parts(replace(CONFIG, data=f"deblur={tmp_path}"), split)
        assert [view.id for view in part.photos] == [f"{scene}/000047", f"{scene}/000048"]
    pairs(tmp_path / "train" / scenes["train"], ["1.png"])  # a benchmark's own folder for training
    (part,) = load_parts(replace(CONFIG, data=f"deblur={tmp_path}"))
    assert [view.id for view in part.photos] == [f"train/{scenes['train']}/1"]


def test_every_kind_of_batch_of_pairs_keeps_what_it_promises(tmp_path: Path) -> None:
    found = set()
    for task, sides in {"dehaze": ("hazy", "gt"), "denoise": ("input", "target")}.items():
        folder = pairs(tmp_path / task, training_names(2), 1, sides)
        config = replace(CONFIG, data=f"{task}={folder}", batch=1)
        for batch in drawn(config, only(config), range(250)):
            found.add((task, batch.kind))
            marked, clear = (x[:, 2].mul(255).round() for x in (batch.degraded, batch.target))
            first, *others = batch.tasks
            assert first == task and batch.twin is None
            assert torch.equal(batch.degraded, batch.target) == (batch.kind in ("wrong", "good", "plain"))
            if batch.kind == task:
                assert (marked == MARK).all() and (clear == 0).all()
            elif batch.kind == "partial":
                assert (MARK - clear > 0.2 * MARK).all() and (clear > 0.2 * MARK).all()
            elif batch.kind == "both":
                assert (clear == 0).all()
                assert WAY.index(TASKS[others[0]].arises) > WAY.index(TASKS[task].arises)
    kinds = {"wrong", "good", "plain", "partial"}
    assert found == {(t, k) for t in ("dehaze", "denoise") for k in {*kinds, t}} | {
        ("dehaze", "both"),
        ("dehaze", "one-of-two"),
    }


def test_a_damage_on_top_is_the_same_on_the_pairs_target(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "same", training_names(2), 1, ("hazy", "gt"))
    for path in (folder / "hazy").iterdir():  # haze that is not there: both sides are equal
        (folder / "gt" / path.name).write_bytes(path.read_bytes())
    config = replace(CONFIG, data=f"dehaze={folder}", batch=2)
    both = [b for b in drawn(config, only(config), range(250)) if b.kind == "one-of-two"]
    assert both and all(torch.equal(batch.degraded, batch.target) for batch in both)


@pytest.fixture(scope="module")
def several(built: Path, blurred: Path) -> str:
    return f"{built}/all:2,deblur={blurred}:1,{built}/denoise"


def rows(built: Path, config: str) -> list[dict]:
    files = sorted((built / "data" / config).glob("train-*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_a_dataset_gives_its_pictures_of_the_training_split(built: Path) -> None:
    (one,) = load_parts(replace(CONFIG, data=f"{built}/dehaze"))
    (whole,) = load_parts(replace(CONFIG, data=f"{built}/all", tasks=("denoise", "dehaze")))
    assert one.tasks == ("dehaze",) and set(whole.tasks) == {"denoise", "dehaze"}
    for part, config in ((one, "dehaze"), (whole, "all")):
        expected = rows(built, config)
        assert [view.id for view in part.photos] == [row["image_id"] for row in expected]
        assert all(split_of(view.photo) == "train" for view in part.photos)
        for view, row in zip(part.photos, expected, strict=True):
            pixels = view.read()
            column = "degraded" if config == "dehaze" else "degraded_dehaze"
            assert np.array_equal(pixels["clean"].numpy(), pixels_of(row["clean"]))
            assert np.array_equal(pixels["dehaze"].numpy(), pixels_of(row[column]))


def test_a_dataset_on_the_hub_is_streamed_at_its_revision(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    def opened(name: str, config: str, *, split: str, revision: str | None, streaming: bool) -> object:
        if (name, revision, streaming) != ("we/lwr-multitask", "v1.0.0", True):
            raise ConnectionError("no such dataset\nat all")
        files = sorted(map(str, (built / "data" / config).glob(f"{split}-*.parquet")))
        return load("parquet", data_files=files, split="train", streaming=True)

    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", opened)
    monkeypatch.setattr(hub, "check_there", lambda name, revision: None)
    for config in ("denoise", "all"):
        there, here = (
            load_parts(replace(CONFIG, data=f"{place}/{config}", tasks=("denoise", "dejpeg")))[0]
            for place in ("we/lwr-multitask@v1.0.0", built)
        )
        assert [view.id for view in there.photos] == [view.id for view in here.photos]
        for one, other in zip(there.photos, here.photos, strict=True):
            pixels, same = one.read(), other.read()
            assert pixels.keys() == same.keys() and all(torch.equal(pixels[k], same[k]) for k in same)
    with pytest.raises(FileNotFoundError, match=r"no folder we/none here, .* \(no such dataset\): check"):
        load_parts(replace(CONFIG, data="we/none/denoise"))


def test_a_step_of_all_takes_two_damages_of_the_very_same_crops(built: Path) -> None:
    config = replace(CONFIG, data=f"{built}/all", tasks=("dehaze", "denoise", "dejpeg"), batch=2)
    sampler = only(config)
    whole = {view.id: view.read() for view in sampler.views}
    twins = set()
    for step, batch in enumerate(drawn(config, sampler, range(15))):
        assert (batch.twin is not None) == (batch.kind in TASKS)
        if batch.twin is None:
            continue
        (task,), (other,) = batch.tasks, batch.twin.tasks
        twins.add(frozenset((task, other)))
        assert task != other and torch.equal(batch.target, batch.twin.target)
        drawn(config, sampler, range(step, step + 1))
        for crop, name in enumerate(sampler.drawn):
            for one in (batch, batch.twin):
                found = places(whole[name]["clean"], one.target[crop])
                assert found and found <= places(whole[name][next(iter(one.tasks))], one.degraded[crop])
    assert len(twins) > 1
    single = replace(config, stage="refiner")
    assert all(batch.twin is None for batch in drawn(single, sampler, range(20)))


def places(pixels: torch.Tensor, crop: torch.Tensor) -> set[tuple[int, int, bool]]:
    """Where a crop (3,h,w) lies in a picture (H,W,3), and whether it is mirrored."""
    size = crop.shape[-1]
    levels = crop.mul(255).round().byte()
    windows = pixels.permute(2, 0, 1).unfold(1, size, 1).unfold(2, size, 1)  # (3,down,right,h,w)
    return {
        (down, right, mirrored)
        for mirrored, wanted in ((False, levels), (True, levels.flip(-1)))
        for down, right in (windows == wanted[:, None, None]).all(-1).all(-1).all(0).nonzero().tolist()
    }


def equal(one: Batch, other: Batch) -> bool:
    same = torch.equal(one.degraded, other.degraded) and torch.equal(one.target, other.target)
    twins = (one.twin, other.twin)
    return (same and (one.kind, one.tasks) == (other.kind, other.tasks)) and (
        twins == (None, None) or (None not in twins and equal(*twins))
    )


def test_two_processes_see_the_very_crops_of_one_from_every_source(several: str) -> None:
    whole, half = (replace(CONFIG, data=several, batch=batch) for batch in (4, 2))
    parts = load_parts(whole)
    loaders = [BatchLoader(whole, Stage.draw, parts, CPU)]
    loaders += [BatchLoader(half, Stage.draw, parts, CPU, rank) for rank in (0, 1)]
    seen = set()
    for step in range(40):
        one, *two = (loader(step)[0] for loader in loaders)
        joined = Batch(
            torch.cat([b.degraded for b in two]),
            torch.cat([b.target for b in two]),
            two[0].tasks,
            two[1].kind,
        )
        if one.twin:
            first, second = (b.twin for b in two)
            pictures = (torch.cat([getattr(t, s) for t in (first, second)]) for s in ("degraded", "target"))
            joined = replace(joined, twin=Batch(*pictures, first.tasks, second.kind))
        assert equal(one, joined)
        seen |= {(loaders[0]._draws.samplers.newest, one.twin is None)}
    assert len({sampler for sampler, _ in seen}) == 3


def test_workers_draw_what_a_resumed_run_sees_again(several: str) -> None:
    config = replace(CONFIG, data=several, workers=2)
    parts, found = load_parts(config), []
    for steps in (range(8), range(5, 8)):
        loader = BatchLoader(config, Stage.draw, parts, CPU)
        found.append([loader(step)[0] for step in steps])
        loader.close()
    assert all(map(equal, found[0][5:], found[1])) and any(batch.twin for batch in found[0])


def test_sources_come_as_often_as_their_weights_say(blurred: Path, built: Path) -> None:
    config = replace(CONFIG, data=f"deblur={blurred}:3,{built}/denoise:1", batch=1)
    loader = BatchLoader(config, Stage.draw, load_parts(config), CPU)
    tasks = [next(iter(loader(step)[0].tasks)) for step in range(200)]
    assert 0.65 < tasks.count("deblur") / 200 < 0.85


def test_a_run_of_fewer_tasks_takes_the_sources_that_have_them(several: str) -> None:
    parts = load_parts(replace(CONFIG, data=several))
    for task, count in {"deblur": 2, "denoise": 2, "dehaze": 1}.items():
        config = replace(CONFIG, tasks=(task,))
        assert len(Samplers(parts, config, CPU).parts) == count
        loader = BatchLoader(config, Stage.draw, parts, CPU)
        assert all(next(iter(loader(step)[0].tasks)) == task for step in range(12))
    with pytest.raises(TrainingError, match="No source has pictures for dehaze: add one"):
        Samplers(parts[1:], replace(CONFIG, tasks=("dehaze",)), CPU)


def test_a_run_on_pairs_trains_their_tasks(
    blurred: Path, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def tasks(*words: str) -> tuple[str, ...]:
        return resolve(["adapter", "--data", *words])[0].tasks

    assert tasks(f"deblur={blurred}") == ("deblur",)
    assert tasks(f"{built}/denoise,deblur={blurred}") == ("deblur", "denoise")
    assert tasks(f"deblur={blurred},{built}") == tasks(f"{built}/all") == tuple(TASKS)
    assert tasks(f"deblur={blurred}", "--tasks", "deblur,dehaze") == ("deblur", "dehaze")
    with pytest.raises(SystemExit) as error:
        recipe.main(["--data", f"deblurr={blurred}"])
    assert error.value.code == 2 and "there is no task 'deblurr'" in capsys.readouterr().err


def test_consistency_without_two_damages_of_a_photo_is_refused(blurred: Path, built: Path) -> None:
    for change in ({"data": f"deblur={blurred}"}, {"data": f"{built}/all", "tasks": ("deblur",)}):
        with pytest.raises(TrainingError, match="needs a source with several damages"):
            check_machine(replace(CONFIG, stage="adapter", consistency=0.1, **change))


def test_recipe_and_study_train_on_pairs_by_the_same_option(
    tmp_path: Path, several: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert {(config.photos, config.data) for config in recipe.plan(["--data", several])} == {(None, several)}
    with pytest.raises(SystemExit):
        recipe.plan(["--data", several, "--photos", "photos"])
    assert "give one of --photos and --data" in capsys.readouterr().err
    photos = new_root(tmp_path) / "photos"
    held_out_photo(photos, 200)
    trained = []

    def stop(folder: Path, task: str, count: int, config: Config, parts: list) -> None:
        trained.extend(part.tasks for part in parts)
        raise TrainingError("far enough")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study_run, "make_start", lambda work: (work / "start").mkdir())
    monkeypatch.setattr(plan, "make_inputs", lambda held_out, path, device: path.touch())
    monkeypatch.setattr(plan, "make_batches", stop)
    words = ["strategies", "--photos", str(photos), "--out", str(tmp_path), "--validation", "1"]
    assert study.main([*words, "--data", several]) == 2
    assert trained[1:] == [("deblur",), ("denoise",)] and set(trained[0]) == set(TASKS)


def test_the_study_draws_the_damage_that_pairs_bring(blurred: Path) -> None:
    config = replace(CONFIG, data=f"deblur={blurred}", tasks=("deblur",))
    (part,) = load_parts(config)
    sampler = sampler_of(part, config, CPU)
    kinds = {}
    for place in range(40):
        rng = batches.numbers(config, CPU, "deblur", place)
        degraded, clean, kind = batches.draw("deblur", config, sampler, rng)
        kinds.setdefault(kind, []).append((clean[:, 2].max().item(), degraded[:, 2].mean().item()))
    assert {len(kinds["right"]) > 30, len(kinds["wrong"]) > 0} == {True}
    # the pairs' blurred side has blue that their target has not: see `blurred`
    assert all(target == 0 and given > 0 for target, given in kinds["right"])


def test_stages_of_clean_photos_take_the_targets(blurred: Path) -> None:
    config = replace(CONFIG, stage="prior", data=f"deblur={blurred}")
    assert (only(config).batch(rng_streams(config, CPU, 0))[:, 2] == 0).all()


def test_consistency_adds_the_distance_of_the_two_results_at_fidelity_1() -> None:
    config = replace(CONFIG, consistency=0.0)
    pictures = [torch.full((2, 3, 16, 16), level) for level in (0.2, 0.5, 0.6)]
    twin = Batch(pictures[1], pictures[2], {"denoise": 1.0}, "denoise")
    batch = Batch(pictures[0], pictures[2], {"dehaze": 1.0}, "dehaze", twin)
    rng = rng_streams(config, CPU, 0)
    losses = {}
    for fidelity in (1.0, 0.5):
        for weight in (0.0, 0.1):
            loss = PhotoLoss(replace(config, consistency=weight), CPU)
            losses[fidelity, weight], logs = loss.of_stage(
                lambda one: one.degraded, batch, fidelity, rng, 0.0
            )
            assert ("l1_consistency" in logs) == (fidelity == 1)
            alone = [loss(one.degraded, one, fidelity, rng, 0.0)[0] for one in (batch, twin)]
            assert weight or losses[fidelity, weight] == sum(alone) / 2
    assert losses[1.0, 0.1] - losses[1.0, 0.0] == pytest.approx(0.1 * L1_WEIGHT * 0.3, abs=1e-3)
    assert losses[0.5, 0.1] == losses[0.5, 0.0]


@pytest.mark.parametrize("preset", ["adapter", "end-to-end"])
def test_a_run_on_pairs_is_resumed_bit_for_bit_and_validated_on_pairs(
    tmp_path: Path, several: str, preset: str
) -> None:
    root = new_root(tmp_path)
    changes = {"photos": None, "data": several, "consistency": 0.1, "steps": 5}
    changes |= {"lora_parts": ("refiner",), "sampled": 0.0}
    unbroken = train(toy(preset, root, "unbroken", **changes))
    checked = {"validate_minutes": 1e-9, "validate_crop": 64, "save_minutes": 1e-9}
    broken = toy(preset, root, "broken", **changes | checked)
    assert (train_until(2, broken).step, train(broken).step) == (2, 5)
    assert log(unbroken.out) and all(
        torch.equal(a, b)
        for a, b in zip(
            *(
                t.values()
                for t in (tensors(unbroken.out / "checkpoint"), tensors(Path(broken.out) / "checkpoint"))
            ),
            strict=True,
        )
    )
    scores = log(broken.out, "validation")[-1]
    assert "gain_denoise_pairs" in scores and "gain_denoise" not in scores


def test_two_processes_train_on_pairs_as_one_does_with_the_whole_batch(tmp_path: Path, built: Path) -> None:
    root = new_root(tmp_path)
    changes = {"photos": None, "data": f"{built}/all", "consistency": 0.1, "lora_parts": ("refiner",)}
    changes |= {"exact": 1.0, "sampled": 0.0, "perceptual": 0.0, "minutes": 10_000.0}
    train_in_two_processes("adapter", toy("adapter", root, "two", batch=2, **changes))
    one = train(toy("adapter", root, "one", batch=4, **changes))
    assert "l1_consistency" in log(one.out)[0] | log(one.out)[1]
    a, b = (tensors(root / name / "checkpoint") for name in ("one", "two"))
    moments = [name for name in a if name.endswith(("exp_avg", "momentum"))]  # of the gradients
    assert a.keys() == b.keys() and any(a[name].any() for name in moments)
    for name in moments:
        assert (a[name] - b[name]).abs().max() <= 0.01 * a[name].abs().max() + 1e-8, name


def test_the_benchmark_of_pairs_measures_every_way() -> None:
    found = benchmark.rates("dejpeg", benchmark.Options(batch=1, crop=32, side=64, seconds=0.01))
    assert found.keys() == set(benchmark.WAYS) and min(found.values()) > 0
    assert found["kept"] > found["decoded"]


def test_a_run_names_the_pairs_that_do_not_fit(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    names = training_names(3)
    folder = pairs(tmp_path / "GoPro", names)
    coordinates(80, 50, 0).save(folder / "sharp" / names[0])
    train(toy("refiner", root, "run", photos=None, data=f"deblur={folder}", tasks=("deblur",)))
    first, lost, *_ = log(tmp_path / "run", "step")
    assert (first["photos"], first["skipped"]) == (2, 1)
    assert lost["skipped_photo"] == Path(names[0]).stem and "do not fit" in lost["reason"]


def test_data_that_changed_under_a_run_is_refused_and_moved_data_is_not(tmp_path: Path) -> None:
    root = new_root(tmp_path)
    names = training_names(3)
    folder = pairs(tmp_path / "GoPro", names)

    def run(data: str, steps: int, **changes: object) -> int:
        given = {"photos": None, "data": data, "tasks": ("deblur", "dehaze"), "steps": steps}
        return train(toy("refiner", root, "run", **given | changes)).step

    assert run(f"deblur={folder}", 1) == 1
    moved = folder.rename(tmp_path / "moved")
    assert run(f"deblur={moved}:3", 2) == 2  # a single source's weight changes nothing
    before = contents(tmp_path / "run" / "checkpoint")
    other = pairs(tmp_path / "other", training_names(3))
    for path in (other / "blur").iterdir():
        coordinates(80, 96, MARK + 1).save(path)
    renamed = pairs(tmp_path / "renamed", [f"x{name}" for name in training_names(40)])
    for path in (renamed / "sharp").iterdir():  # no photo of the others
        coordinates(80, 96, 1).save(path)
    kept = sorted((renamed / "blur").iterdir())
    for data, sentence in {
        f"deblur={moved},deblur={renamed}": "1 sources there, 2 here",
        f"dehaze={moved}": "tasks of source 1: deblur there, dehaze here",
        f"deblur={other}": "source 1 has other pixels there",
        f"deblur={renamed}": r"photos of source 1: 3 there, \d+ here",
        str(root / "photos"): "tasks of source 1: deblur there, clean photos here",
    }.items():
        with pytest.raises(TrainingError, match=f"trained on other data \\({sentence}\\): give the same"):
            run(data, 3)
    assert kept and contents(tmp_path / "run" / "checkpoint") == before
    assert run(f"deblur={other}", 1, resume=False) == 1


def test_one_replaced_file_of_the_same_name_is_other_data(
    tmp_path: Path, built: Path, subtests: pytest.Subtests
) -> None:
    names = [named_for("train", f"p{i}", ".bmp") for i in range(40)]  # whose size says nothing of the pixels
    folder = pairs(tmp_path / "pairs", names)

    def of(data: str, **changes: object) -> list[dict]:
        return identity(load_parts(replace(CONFIG, data=data, **changes)))

    for data, memory in ((f"deblur={folder}", 4.0), (f"deblur={folder}", 0.0), (f"{folder}/sharp", 4.0)):
        for side in ("blur", "sharp") if "=" in data else ("sharp",):
            before, found = of(data, data_memory=memory), []
            for name in names[1::13]:
                path = folder / side / name
                kept = path.read_bytes()
                changed = Image.open(path)
                changed.putpixel((50, 40), (9, 9, 9)) if "=" not in data else None
                changed = changed.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if "=" in data else changed
                changed.save(path)
                assert len(path.read_bytes()) == len(kept)
                found.append(difference(before, of(data, data_memory=memory)))
                path.write_bytes(kept)
            with subtests.test(data=data, memory=memory, side=side):
                assert all(one and "source 1 has other" in one for one in found), found
                assert "source 1 has other contents there" in found  # not one of those that are looked at
                assert of(data, data_memory=4.0 - memory) == before


def test_a_checkpoint_of_an_earlier_version_is_told_by_what_it_knows(blurred: Path) -> None:
    here = identity(load_parts(replace(CONFIG, data=f"deblur={blurred}")))
    there = [{key: value for key, value in one.items() if key != "contents"} for one in here]
    assert difference(there, here) is None
    assert difference([one | {"pixels": ""} for one in there], here) == "source 1 has other pixels there"


def test_photos_by_other_names_are_other_data(tmp_path: Path) -> None:
    def of(folder: Path, stem: str, **changes: object) -> list[dict]:
        names = [named_for("train", f"{stem}{i}", ".png") for i in range(2)]
        source = pairs(folder / stem, names)
        return identity(load_parts(replace(CONFIG, data=f"deblur={source}:2,deblur={source}:1", **changes)))

    one, same = of(tmp_path, "a"), of(tmp_path / "again", "a")
    assert difference(one, same) is None
    assert of(tmp_path / "read when drawn", "a", data_memory=0.0) == one
    assert difference(one, of(tmp_path, "b")) == "source 1 has other names there"
    assert difference(one, one[::-1]) == "share of source 1: 0.666667 there, 0.333333 here"


def test_a_mistyped_folder_is_not_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    asked = []
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda *words, **_: asked.append(words))
    for place in ("./nowhere/x", "/nowhere/x", "~/nowhere/x", "here/x", "a/b/c/d", "../x/deblur"):
        for data in (place, f"dehaze={place}", f"{place}/dehaze"):
            with subtests.test(data), pytest.raises(TrainingError, match="there is no file or folder"):
                parse_sources(data)
        with subtests.test(place), pytest.raises(FileNotFoundError, match="There is no file or folder"):
            load_photos(place, None)
    assert not asked and parse_sources("dehaze=there/x") == [Source("there/x", "set", "dehaze")]


def test_the_hub_that_is_not_reached_is_one_sentence_about_both(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError) as error:  # tests have no Hub
        load_parts(replace(CONFIG, data="dehaze=nowhere/x"))
    assert "There is no folder nowhere/x here, and no Hub dataset" in str(error.value)
    assert "(the Hub cannot be reached from here)" in str(error.value)


def test_the_task_that_names_tell_of_is_proposed(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for task, sides in {
        "low-light": ("low", "high"),
        "dehaze": ("hazy", "gt"),
        "deblur": ("blur", "sharp"),
        "derain": ("rain", "norain"),
        "denoise": ("noisy", "clean"),
        "super-resolution": ("sr_LR/1_x4", "sr_HR/1_x1"),
        "": ("input", "target"),
    }.items():
        folder = tmp_path / (task or "some")
        for side in sides:
            (folder / side).parent.mkdir(parents=True, exist_ok=True)
            (folder / side).mkdir() if "/" not in side else None
            coordinates(8, 8, 0).save(folder / (f"{side}.png" if "/" in side else f"{side}/1.png"))
        sentence = f"{task}={folder}:2." if task else "write TASK= before it, one of deblur, dehaze,"
        with subtests.test(task), pytest.raises(TrainingError) as error:
            parse_sources(f"{folder}:2")
        assert f"say what is wrong with the inputs of {folder}: {sentence}" in str(error.value)
    with pytest.raises(TrainingError, match=r": derain=d/rainy/\*\+d/clear/\*\.$"):
        parse_sources("d/rainy/*+d/clear/*")


def test_names_of_folders_may_have_what_separates_sources(tmp_path: Path) -> None:
    for name in ("a,b", "c:2", "d e", "é,ü:1", "f=g"):
        folder = pairs(tmp_path / name, training_names(1))
        for weight, text in ((1.0, f"deblur={folder}"), (3.0, f"deblur={folder}:3")):
            one = Source(str(folder), "pairs", "deblur", weight)
            assert parse_sources(text) == [one]
            assert parse_sources(f"{text},deblur={folder}") == [one, replace(one, weight=1.0)]


def test_a_folder_that_was_meant_to_hold_pairs_is_not_read_as_clean_photos(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "half", training_names(1), 1, ("input", "target"))
    next((folder / "target").iterdir()).unlink()
    for text in (f"{folder}", f"deblur={folder}"):
        with pytest.raises(TrainingError, match="target/ has no picture, input/ has 1"):
            parse_sources(text)


def test_what_is_kept_apart_for_tests_does_not_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = training_names(1)
    for part, sides in {"Train_x4": ("lq", "gt"), "Test_x4": ("lq", "gt")}.items():
        pairs(tmp_path / "set" / part, name, 4, sides)
    (part,) = load_parts(replace(CONFIG, data=f"super-resolution={tmp_path / 'set'}"))
    assert [view.id.split("/")[0] for view in part.photos] == ["Train_x4"]
    assert "1 pairs train; 1 of test do not." in capsys.readouterr().out
    (tmp_path / "set" / "Train_x4").rename(tmp_path / "set" / "more")
    (part,) = load_parts(replace(CONFIG, data=f"super-resolution={tmp_path / 'set'}"))
    assert [view.id.split("/")[0] for view in part.photos] == ["more"]


def test_pairs_that_are_all_held_out_are_counted(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "few", [named_for("test", "p", ".png")])
    with pytest.raises(
        FileNotFoundError, match="can be used: its 1 pairs fall in other splits by their names"
    ):
        load_parts(replace(CONFIG, data=f"deblur={folder}"))


def test_a_mistake_in_data_ends_the_program_before_it_prints(
    tmp_path: Path,
    blurred: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    subtests: pytest.Subtests,
) -> None:
    monkeypatch.chdir(tmp_path)
    for words, sentence in (
        (["--data", "nowhere"], "there is no file or folder nowhere"),
        (["--data", f"deblurr={blurred}"], "there is no task 'deblurr'"),
        (["--data", str(blurred)], "say what is wrong with the inputs"),
        (["--data", f"deblur={blurred}:0"], "no source a weight above 0"),
        (["--data", f"deblur={blurred}", "--photos", str(blurred)], "leave out --photos"),
        (["--data", f"deblur={blurred}", "--tasks", "dehaze"], "which --tasks dehaze leaves out"),
    ):
        for more in ([], ["--dry-run"]):
            with subtests.test(words=words, more=more):
                monkeypatch.setattr("sys.argv", ["run", "adapter", *words, *more])
                with pytest.raises(SystemExit) as stop:
                    training_run.main()
                said = capsys.readouterr()
                assert (stop.value.code, said.out, said.err.count("\n")) == (2, "", 1)
                assert said.err.startswith("python -m training.run: ") and sentence in said.err
    assert not any(tmp_path.iterdir())


def test_that_nothing_is_held_out_is_said(
    tmp_path: Path, blurred: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = replace(CONFIG, data=f"deblur={blurred}", validate_crop=64)
    assert load_validation(config, CPU) is None
    said = capsys.readouterr().out
    assert "No validation: 4 of 100 photos are held out" in said and "both sides" not in said
    small = pairs(tmp_path / "small", [named_for("validation", "p", ".png")])
    assert load_validation(replace(config, data=f"deblur={small}", validate_crop=128), CPU) is None
    assert "both sides of 128 pixels" in capsys.readouterr().out


def test_a_dry_run_reads_of_every_source(
    tmp_path: Path, built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.loop.train", lambda *_: pytest.fail("it trains"))
    broken = pairs(tmp_path / "broken", training_names(1))
    next((broken / "sharp").iterdir()).write_bytes(b"no picture")
    good = pairs(tmp_path / "good", training_names(1))
    empty = tmp_path / "empty"
    empty.mkdir()
    for sources, status, sentence in (
        (["--data", f"deblur={good},{built}/denoise"], 0, f"{good} can be read: pairs of deblur."),
        (["--data", f"deblur={good},deblur={broken}"], 1, "None of the 1 pairs"),
        (["--data", f"deblur={good},{empty}"], 1, "No photos of split train"),
        (["--photos", str(tmp_path / "none")], 1, "There is no file or folder"),
        (["--photos", str(empty)], 1, "No photos of split train"),
    ):
        config, dry = resolve(["adapter", *sources, "--dry-run", "--out", str(tmp_path / "run")])
        assert dry
        for start in (lambda config=config: run(config, dry=True), recipe_of(sources, tmp_path)):
            try:
                found: object = start()
            except SystemExit as error:
                found = error.code
            assert (found or 0) == status and sentence in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def recipe_of(sources: list[str], folder: Path) -> Callable[[], None]:
    return lambda: recipe.main([*sources, "--dry-run", "--out", str(folder / "run")])

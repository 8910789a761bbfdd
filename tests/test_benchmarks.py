"""Public benchmarks as their authors pack them, imitated with tiny pictures; what is scored of them."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from small_sets import picture, plain_card
from toy_runs import named_for

from lwr.images import files as images
from lwr.images.metrics import psnr, ssim
from lwr.loading.adapter import load_adapter
from lwr.loading.priors import EMBEDDED
from lwr.models.config import PriorConfig
from lwr.tasks import TASKS
from training.data.shards import Skipped
from training.evaluate import main
from training.evaluation import plan, report
from training.evaluation.benchmarks import BENCHMARKS, table
from training.evaluation.plan import read_arguments
from training.evaluation.protocol import ENLARGED, PLAIN, Protocol
from training.evaluation.scores import Judge
from training.publishing.cards import Measured, adapter_card
from training.publishing.names import Names
from training.publishing.results import FOLDER as RESULTS
from training.publishing.results import Results

ROOT = Path(__file__).parents[1]
PRIOR = PriorConfig(**json.loads((EMBEDDED / "prior.json").read_text()))
ADAPTERS = {task: load_adapter(EMBEDDED / "adapters" / task, task).metadata for task in TASKS}
# {input: target} of the test set, and files of a download that are no part of it
LAYOUTS: dict[str, tuple[dict[str, str], list[str]]] = {
    "gopro": (
        {
            f"GOPRO_Large/test/{scene}/blur/{frame}.png": f"GOPRO_Large/test/{scene}/sharp/{frame}.png"
            for scene, frame in (
                ("GOPR0384_11_00", "000001"),
                ("GOPR0384_11_00", "000002"),
                ("GOPR0868_11_02", "000001"),
            )
        },
        [
            "GOPRO_Large/test/GOPR0384_11_00/blur_gamma/000001.png",
            "GOPRO_Large/train/GOPR0372_07_00/blur/000047.png",
            "GOPRO_Large/train/GOPR0372_07_00/sharp/000047.png",
        ],
    ),
    "realblur": (
        {f"RealBlur-J/scene144/blur/blur_{n}.png": f"RealBlur-J/scene144/gt/gt_{n}.png" for n in (1, 2)},
        ["RealBlur-J/scene001/blur/blur_1.png", "RealBlur-J/scene001/gt/gt_1.png"],
    ),
    "reds": (
        {f"val/val_blur/000/0000000{n}.png": f"val/val_sharp/000/0000000{n}.png" for n in (0, 1)},
        ["train/train_blur/000/00000000.png", "train/train_sharp/000/00000000.png"],
    ),
    "reside": (
        {
            "SOTS/outdoor/hazy/0001_0.8_0.2.jpg": "SOTS/outdoor/gt/0001.png",
            "SOTS/indoor/hazy/1400_1.png": "SOTS/indoor/gt/1400.png",
            "SOTS/indoor/hazy/1400_10.png": "SOTS/indoor/gt/1400.png",
        },
        ["ITS/hazy/1_1_0.90179.png", "ITS/gt/1.png"],
    ),
    "o-haze": ({"hazy/01_outdoor_hazy.jpg": "GT/01_outdoor_GT.jpg"}, []),
    "realsr": (
        {
            f"RealSR(V3)/{camera}/Test/4/{camera}_1_LR4.png": f"RealSR(V3)/{camera}/Test/4/{camera}_1_HR.png"
            for camera in ("Canon", "Nikon")
        },
        ["RealSR(V3)/Canon/Train/4/Canon_002_LR4.png", "RealSR(V3)/Canon/Train/4/Canon_002_HR.png"],
    ),
    "drealsr": (
        {"Test_x4/test_LR/sony_5_x4.png": "Test_x4/test_HR/sony_5_x1.png"},
        ["Test_x2/test_LR/sony_6_x2.png", "Test_x2/test_HR/sony_6_x1.png"],
    ),
    "lol": (
        {"eval15/low/1.png": "eval15/high/1.png", "eval15/low/22.png": "eval15/high/22.png"},
        ["our485/low/2.png", "our485/high/2.png"],
    ),
    "rain100": ({"rain-001.png": "norain-001.png", "rain-002.png": "norain-002.png"}, []),
}  # fmt: skip
# The same after a repository has packed it again, or as the other download has it
REPACKED = {
    "gopro": {"test/GOPR0384_11_00/blur/000001.png": "test/GOPR0384_11_00/sharp/000001.png"},
    "realblur": {"scene144/blur/blur_1.png": "scene144/gt/gt_1.png"},
    "reds": {"val_blur/000/00000000.png": "val_sharp/000/00000000.png"},
    "reside": {"outdoor/hazy/0001_0.8_0.2.jpg": "outdoor/gt/0001.png"},
    "o-haze": {"# O-HAZY NTIRE 2018/hazy/09_outdoor_hazy.jpg": "# O-HAZY NTIRE 2018/GT/09_outdoor_GT.jpg"},
    "realsr": {"Canon/Test/4/Canon_003_LR4.png": "Canon/Test/4/Canon_003_HR.png"},
    "drealsr": {"test_LR/panasonic_1.png": "test_HR/panasonic_1.png"},
    "lol": {"low/1.png": "high/1.png"},
    "rain100": {"Rain100H/rainy/rain-001.png": "Rain100H/norain-001.png"},
}


def save(path: Path, small: bool, dark: bool = False) -> None:
    """A picture of 96x80 pixels, or of a quarter of its side."""
    path.parent.mkdir(parents=True, exist_ok=True)
    photo = picture(0, 96, 80)
    photo = photo.point(lambda level: level // 2) if dark else photo
    (photo.resize((24, 20)) if small else photo).save(path)


def unpack(folder: Path, key: str, files: dict[str, str], others: list[str]) -> Path:
    """A download with these pairs and other files."""
    small = TASKS[BENCHMARKS[key].task].default_scale > 1
    for path in files:
        save(folder / path, small, dark=True)
    for path in (*files.values(), *others):
        save(folder / path, small and "LR" in path)
    return folder


def found(folder: Path, key: str, skipped: list[Skipped], notes: list[str]) -> dict[str, str]:
    pairs = BENCHMARKS[key].pairs(folder, None, skipped, notes)
    assert len({pair.id for pair in pairs}) == len(pairs)
    assert {pair.scale for pair in pairs} == {int(TASKS[BENCHMARKS[key].task].default_scale)}
    names = ((pair.degraded, pair.clean) for pair in pairs)
    return {a.relative_to(folder).as_posix(): b.relative_to(folder).as_posix() for a, b in names}


@pytest.mark.parametrize("key", BENCHMARKS)
def test_the_test_set_is_found_in_a_download(tmp_path: Path, key: str) -> None:
    files, others = LAYOUTS[key]
    unpack(tmp_path / "whole", key, files, others)
    notes: list[str] = []
    if BENCHMARKS[key].listed:
        listed = "".join(f"{target} {name}\n" for name, target in files.items())
        (tmp_path / "whole" / "RealBlur_J_test_list.txt").write_text(listed)
    assert found(tmp_path / "whole", key, [], notes) == files and not notes
    (first, target), *_ = sorted(files.items())
    (pair,) = BENCHMARKS[key].pairs(tmp_path / "whole", 1, [], [])
    assert (pair.degraded, pair.clean) == (tmp_path / "whole" / first, tmp_path / "whole" / target)


@pytest.mark.parametrize("key", BENCHMARKS)
def test_it_is_found_as_repositories_pack_it(tmp_path: Path, key: str) -> None:
    notes: list[str] = []
    unpack(tmp_path, key, REPACKED[key], [])
    assert found(tmp_path, key, [], notes) == REPACKED[key]
    assert bool(notes) == bool(BENCHMARKS[key].listed) and all("all of its pairs" in note for note in notes)


def test_a_folder_of_something_else_is_refused_with_the_layout(tmp_path: Path) -> None:
    save(tmp_path / "wet" / "a.png", False)
    with pytest.raises(
        FileNotFoundError, match=r"holds no pairs of LOL, which has eval15/low/\*\.png \+ eval15/high"
    ):
        BENCHMARKS["lol"].pairs(tmp_path, None, [], [])
    unpack(tmp_path / "real", "realblur", LAYOUTS["realblur"][0], [])
    (tmp_path / "real" / "RealBlur_J_test_list.txt").write_text("gt/gt_9.png scene9/blur/blur_9.png\n")
    with pytest.raises(FileNotFoundError, match="is in the lists RealBlur_"):
        BENCHMARKS["realblur"].pairs(tmp_path / "real", None, [], [])


def y_by_hand(path: Path) -> np.ndarray:
    """Luma of ITU-R BT.601 in studio range, from levels of 8 bits: 16 is black, 235 is white."""
    levels = np.asarray(Image.open(path).convert("RGB")).astype(float) / 255
    return 16 + 219 * (0.299 * levels[..., 0] + 0.587 * levels[..., 1] + 0.114 * levels[..., 2])


def test_super_resolution_is_scored_on_y_without_a_border(tmp_path: Path) -> None:
    """The error is 10 of 255 in blue inside, which Y hardly sees, and large in the border, which is cut."""
    clean = np.full((40, 48, 3), 100, np.uint8)
    other = clean.copy()
    other[..., 2] += 10
    other[:4], other[-4:], other[:, :4], other[:, -4:] = 255, 255, 255, 255
    for name, array in (("clean", clean), ("other", other)):
        Image.fromarray(array).save(tmp_path / f"{name}.png")
    a, b = (images.load(tmp_path / f"{name}.png").rgb for name in ("other", "clean"))
    error = (y_by_hand(tmp_path / "other.png") - y_by_hand(tmp_path / "clean.png"))[4:-4, 4:-4]
    by_hand = 10 * np.log10(255**2 / np.square(error).mean())
    assert by_hand == pytest.approx(10 * np.log10(255**2 / (219 * 0.114 * 10 / 255) ** 2), abs=0.01)
    judge = Judge(ENLARGED)
    scored = judge(a, b, 4)
    assert scored["psnr"] == pytest.approx(by_hand, abs=0.01)  # the standard's weights have five digits
    assert scored["ssim"] > 0.99
    assert judge(a, b, 3)["psnr"] < 25  # a pixel of the border is left
    assert judge(a, b, 1)["psnr"] == scored["psnr"]  # of a set whose small photos come enlarged
    plain = Judge(PLAIN)(a, b, 4)
    rgb = 10 * np.log10(255**2 / np.square(other.astype(float) - clean).mean())
    assert plain["psnr"] == pytest.approx(rgb, abs=1e-3) and plain["psnr"] < 15
    key = judge.distance_key
    assert scored[key] == plain[key]  # perceptual measures see all
    assert "Y of BT.601" in judge.described()["psnr"] and "border" in judge.described()["ssim"]


def test_a_protocol_without_a_border_keeps_every_pixel() -> None:
    image, clean = torch.rand(2, 1, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    y = Protocol("y")
    assert y.view(image, 4).shape == (1, 1, 40, 48) and PLAIN.view(image, 4) is image
    assert ENLARGED.view(image, 2).shape == (1, 1, 36, 44)
    weights = torch.tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1) / 255
    by_hand = [(one * weights).sum(1, keepdim=True) + 16 / 255 for one in (image, clean)]
    assert psnr(y.view(image, 1), y.view(clean, 1)).item() == pytest.approx(psnr(*by_hand).item(), abs=1e-4)
    assert ssim(y.view(image, 1), y.view(clean, 1)).item() == pytest.approx(ssim(*by_hand).item(), abs=1e-5)


def test_pairs_of_another_benchmark_do_not_count(tmp_path: Path, subtests: pytest.Subtests) -> None:
    for key, other in (
        ("lol", "gopro"),
        ("realsr", "gopro"),
        ("realsr", "drealsr"),
        ("gopro", "realsr"),
        ("reside", "rain100"),
    ):
        with subtests.test(key=key, other=other):
            folder = unpack(tmp_path / key, other, *LAYOUTS[other])
            with pytest.raises(
                FileNotFoundError, match=f"holds no pairs of {BENCHMARKS[key].name}, which has"
            ):
                BENCHMARKS[key].pairs(folder, None, [], [])
    for key, files in {
        "realsr": REPACKED["drealsr"],
        "o-haze": {"hazy/01_indoor_hazy.jpg": "GT/01_indoor_GT.jpg"},  # I-HAZE
    }.items():
        with subtests.test(key=key, files=files):
            folder = unpack(tmp_path / f"more-{key}", key, files, [])
            with pytest.raises(FileNotFoundError, match=f"holds no pairs of {BENCHMARKS[key].name}"):
                BENCHMARKS[key].pairs(folder, None, [], [])
    folder = unpack(tmp_path / "same-size", "lol", {"input/a.png": "target/a.png"}, [])
    with pytest.raises(FileNotFoundError, match="holds no pairs of RealSR"):
        BENCHMARKS["realsr"].pairs(folder, None, [], [])


@pytest.mark.parametrize("key", BENCHMARKS)
def test_pairs_that_may_be_of_anything_are_no_benchmark(tmp_path: Path, key: str) -> None:
    """What repositories made of a benchmark, and what users have, look alike."""
    one = BENCHMARKS[key]
    for sides in (("input", "target"), ("lq", "gt"), ("degraded", "clean")):
        for where in ("", "test/GoPro/", "RealBlur_J/"):
            files = {f"{where}{sides[0]}/scene050_1.png": f"{where}{sides[1]}/scene050_1.png"}
            folder = unpack(tmp_path / f"{sides[0]}-{where.strip('/')}", key, files, [])
            with pytest.raises(FileNotFoundError) as error:
                one.pairs(folder, None, [], [])
            said = str(error.value)
            assert said.startswith(f"{folder} holds no pairs of {one.name}, which has {one.shown}: ")
            assert f"leave out --dataset, and --pairs {folder} --task {one.task} measures it as it is" in said


def test_what_a_benchmark_trains_on_is_not_its_test_set(tmp_path: Path) -> None:
    files = {"our485/low/2.png": "our485/high/2.png"}
    unpack(tmp_path, "lol", files, [])
    for folder in (tmp_path, tmp_path / "our485"):
        with pytest.raises(FileNotFoundError, match="holds no pairs of LOL, which has eval15/low"):
            BENCHMARKS["lol"].pairs(folder, None, [], [])
    unpack(tmp_path / "other", "lol", {"Huawei/low/1.png": "Huawei/high/1.png"}, [])
    with pytest.raises(FileNotFoundError, match="holds no pairs of LOL, which has eval15/low"):
        BENCHMARKS["lol"].pairs(tmp_path / "other", None, [], [])


def test_a_scale_of_the_training_set_is_not_the_test_set(tmp_path: Path) -> None:
    for side in (8, 32):
        name = "a_HR.png" if side == 32 else "a_LR4.png"
        (tmp_path / "Canon/Train/4").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (side, side)).save(tmp_path / "Canon/Train/4" / name)
    with pytest.raises(FileNotFoundError, match="holds no pairs of RealSR"):
        BENCHMARKS["realsr"].pairs(tmp_path / "Canon/Train/4", None, [], [])


def test_the_list_of_the_test_set_may_lie_beside_its_folder(tmp_path: Path) -> None:
    for name in ("s1/blur/blur_1", "s1/gt/gt_1", "s2/blur/blur_1", "s2/gt/gt_1"):
        (tmp_path / "J" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "J" / f"{name}.png")
    (tmp_path / "RealBlur_J_test_list.txt").write_text("J/s2/gt/gt_1.png J/s2/blur/blur_1.png\n")
    (tmp_path / "RealBlur_R_test_list.txt").write_text("R/s1/gt/gt_1.png R/s1/blur/blur_1.png\n")
    notes: list[str] = []
    found = BENCHMARKS["realblur"].pairs(tmp_path / "J", None, [], notes)
    assert ([pair.id for pair in found], notes) == (["s2/1"], [])


def test_what_is_skipped_is_of_the_test_set_alone(tmp_path: Path) -> None:
    folder = unpack(tmp_path, "realblur", *LAYOUTS["realblur"])
    (folder / "RealBlur_J_test_list.txt").write_text(
        "".join(f"{target} {name}\n" for name, target in LAYOUTS["realblur"][0].items())
    )
    lost: list[Skipped] = []
    for scene in ("scene001", "scene144"):
        (folder / "RealBlur-J" / scene / "gt" / "gt_1.png").unlink()
    assert [pair.id for pair in BENCHMARKS["realblur"].pairs(folder, None, lost, [])] == [
        "RealBlur-J/scene144/2"
    ]
    assert [one.name for one in lost] == ["RealBlur-J/scene144/blur/blur_1.png"]


def test_rain_in_two_folders_is_found(tmp_path: Path) -> None:
    folder = unpack(tmp_path, "rain100", {"rain/rain-001.png": "norain/norain-001.png"}, [])
    (pair,) = BENCHMARKS["rain100"].pairs(folder, None, [], [])
    assert (pair.degraded.name, pair.clean.name) == ("rain-001.png", "norain-001.png")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., dict]:
    def run(*words: object, out: str = "scores.json") -> dict:
        fast = ("--fidelity", "1", "--no-baselines", "--out", str(tmp_path / out))
        assert main([*map(str, words), *fast]) == 0
        return json.loads((tmp_path / out).read_text())

    return run


def test_a_benchmark_is_measured_by_its_task_and_protocol(tmp_path: Path, run: Callable[..., dict]) -> None:
    for key, task in (("realsr", "super-resolution"), ("lol", "low-light"), ("rain100", "derain")):
        folder = unpack(tmp_path / key, key, *LAYOUTS[key])
        results = run("--dataset", key, "--pairs", folder)
        one = BENCHMARKS[key]
        assert list(results["scores"]) == [f"{one.name}|{task}|fidelity 1"]
        assert results["dataset"] == {
            "name": one.name, "task": task, "licence": one.licence, "from": one.page,
            "scored": one.protocol.text,
        }  # fmt: skip
        shown = (tmp_path / "scores.md").read_text()
        assert f"# Evaluation: {one.name}\n" in shown and f"scored {one.protocol.text}" in shown
        assert ("| PSNR of Y in -> out |" in shown) == (key == "rain100")
        assert f"| {one.name} | this, fidelity 1 | 2 | " in (tmp_path / "scores-short.md").read_text()
    (pair,) = BENCHMARKS["realsr"].pairs(tmp_path / "realsr", 1, [], [])
    rows = run("--dataset", "realsr", "--pairs", tmp_path / "realsr")["photos"]
    row = rows["RealSR|super-resolution|fidelity 1"][pair.id]
    large = images.to_pil(images.resize(images.load(pair.degraded).rgb, (80, 96)))
    large.save(tmp_path / "large.png")
    error = (y_by_hand(tmp_path / "large.png") - y_by_hand(pair.clean))[4:-4, 4:-4]
    assert row["psnr_input"] == pytest.approx(10 * np.log10(255**2 / np.square(error).mean()), abs=0.02)
    in_rgb = run("--dataset", "realsr", "--pairs", tmp_path / "realsr", "--channel", "rgb")["dataset"]
    assert in_rgb["scored"].startswith("RGB, without a border")


@plain_card
def test_a_dataset_in_our_format_is_measured_task_by_task(
    built: Path,
    tmp_path: Path,
    run: Callable[..., dict],
) -> None:
    results = run("--pairs", built, "--split", "test", "--limit", 1, "--swap")
    assert results["split"] == "test" and results["dataset"]["name"] == built.name
    assert {case.split("|")[0] for case in results["scores"]} == set(TASKS)
    assert results["swap"].keys() == set(TASKS)
    alone = run("--pairs", built, "--task", "dehaze", "--split", "test", "--limit", 1, out="alone.json")
    row = {"seconds", "peak_gb"}
    (case,) = alone["photos"]
    for photo, scored in alone["photos"][case].items():
        of_all = results["photos"][case][photo]
        assert {k: v for k, v in scored.items() if k not in row} == {
            k: v for k, v in of_all.items() if k not in row
        }
    other = ("--pairs", f"{built}/dehaze", "--task", "deblur", "--split", "test", "--limit", 1)
    assert list(run(*other, out="other.json")["scores"]) == ["dehaze|deblur|fidelity 1"]
    again = ("--pairs", built, "--task", "dehaze", "--split", "test", "--limit", 1)
    same = run(*again, "--against", tmp_path / "alone.json", out="same.json")
    assert same["against"]["differences"][case]["psnr"]["mean"] == 0


@plain_card
def test_the_scores_of_a_row_are_of_its_two_pictures(
    built: Path,
    run: Callable[..., dict],
    load: Callable[..., object],
) -> None:
    results = run("--pairs", built, "--task", "denoise", "--split", "all")
    rows = {row["image_id"]: row for row in load(built, "denoise", split="train")}
    photos = results["photos"]["denoise|denoise|fidelity 1"]
    assert rows.keys() < photos.keys()  # the other splits too
    for image_id, row in rows.items():
        error = np.asarray(row["degraded"], float) - np.asarray(row["clean"], float)
        by_hand = 10 * np.log10(255**2 / np.square(error).mean())
        assert photos[image_id]["psnr_input"] == pytest.approx(by_hand, abs=1e-3)


@plain_card
def test_a_dataset_on_the_hub_is_streamed(
    built: Path, tmp_path: Path, run: Callable[..., dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    load, asked = datasets.load_dataset, []

    def load_dataset(name: str, config: str, **options: object) -> object:
        asked.append((name, config, options))
        files = [str(path) for path in (built / "data" / config).glob(f"{options['split']}-*.parquet")]
        return load("parquet", data_files={"test": files}, split="test", streaming=True)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr("training.data.hub.check_there", lambda name, revision: None)
    words = ("--split", "test", "--limit", 1)
    results = run("--pairs", "we/lwr-multitask@v1.0.0/denoise", *words)
    wanted = {"split": "test", "revision": "v1.0.0", "streaming": True}
    assert asked == [("we/lwr-multitask", "denoise", wanted)]
    assert results["dataset"]["name"] == "we/lwr-multitask@v1.0.0"
    here = run("--pairs", built / "denoise", *words, out="here.json")["photos"]
    assert {
        case: {photo: row["psnr_output"] for photo, row in rows.items()} for case, rows in here.items()
    } == {
        case: {photo: row["psnr_output"] for photo, row in rows.items()}
        for case, rows in results["photos"].items()
    }


def test_mistakes_are_one_sentence(
    built: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    subtests: pytest.Subtests,
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    save(tmp_path / "input" / "a.png", False)
    for words, sentence in (
        (("--dataset", "gopro"), "--dataset gopro goes with --pairs"),
        (("--dataset", "gopro", "--clean", tmp_path), "give the folder of your download"),
        (("--dataset", "kodak", "--pairs", tmp_path), "There is no benchmark 'kodak': use gopro, realblur"),
        (("--dataset", "lol", "--pairs", f"{tmp_path}/a*+{tmp_path}/b*"), "knows its layout"),
        (("--dataset", "gopro", "--pairs", tmp_path / "none"), "There is no folder"),
        (("--dataset", "gopro", "--pairs", tmp_path), "holds no pairs of GoPro, which has test/SCENE/blur"),
        (("--pairs", tmp_path), "needs --task NAME or --prompt"),
        (("--pairs", "./none/deblur"), "There is no folder ./none/deblur: give the folder of pairs."),
        (("--pairs", tmp_path / "none", "--task", "deblur"), "There is no folder"),
        (("--photos", tmp_path / "none", "--task", "deblur"), "There is no folder"),
        (("--pairs", tmp_path, "--task", "deblur"), "it has input/, but no target/ beside it"),
        (("--pairs", tmp_path, "--dataset", "lol", "--split", "test"), "measures its test set: leave out"),
        (("--photos", tmp_path, "--task", "deblur", "--split", "test"), "leave out --split"),
        (("--pairs", "", "--task", "deblur"), "--pairs is empty: give a folder"),
        (("--pairs", "nowhere/x", "--task", "deblur"), "(the Hub cannot be reached from here)"),
        (("--pairs", built, "--channel", "lab"), "lab"),
        (("--pairs", "we/lwr-multitask@v9", "--task", "dehaze"), "we/lwr-multitask@v9"),
    ):
        with subtests.test(words=words):
            try:
                status: object = main([*map(str, words), "--out", str(tmp_path / "out.json")])
            except SystemExit as error:
                status = error.code
            said = capsys.readouterr().err.strip().splitlines()[-1]
            assert status == 2 and sentence in said and "Traceback" not in said


def test_what_a_set_lacks_and_what_it_has_is_said(
    mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], subtests: pytest.Subtests
) -> None:
    for path in (mine / "data" / "deblur").glob("test-*"):
        path.unlink()
    shutil.rmtree(mine / "data" / "dehaze")
    for words, sentence in (
        ((f"{mine}/deblur", "--split", "test"), "has no shards of split test in config deblur; it has all ("),
        ((f"{mine}/deblur", "--split", "test"), "deblur (train, validation)"),
        (
            (f"{mine}/dehaze", "--split", "all"),
            "in config dehaze; it has all (train, validation, test), deblur",
        ),
        ((f"{mine}", "--task", "dehaze", "--split", "all"), "in config dehaze; it has all ("),
        ((f"{mine}/colour", "--task", "dehaze"), "set has no config colour; it has all ("),
    ):
        with subtests.test(words=words):
            assert main(["--pairs", *words, "--out", str(tmp_path / "out.json")]) == 2
            assert sentence in capsys.readouterr().err.strip().splitlines()[-1]


def test_of_a_folder_with_splits_the_held_out_part_is_measured(
    tmp_path: Path, run: Callable[..., dict], capsys: pytest.CaptureFixture[str]
) -> None:
    for part, count in (("train", 3), ("test", 1)):
        for number in range(count):
            save(tmp_path / "pairs" / part / "blur" / f"{part}{number}.png", False, dark=True)
            save(tmp_path / "pairs" / part / "sharp" / f"{part}{number}.png", False)
    words = ("--pairs", tmp_path / "pairs", "--task", "deblur")
    for more, count in (((), 1), (("--split", "train"), 3), (("--split", "all"), 4)):
        results = run(*words, *more)
        (rows,) = results["photos"].values()
        note = f"{count} of the 4 pairs in {tmp_path / 'pairs'} are measured: those in its"
        assert len(rows) == count and (note in capsys.readouterr().out) == (count < 4)
        assert any(note in one for one in results["notes"]) == (count < 4)
    assert {name.split("/")[0] for name in run(*words)["photos"]["pairs|deblur|fidelity 1"]} == {"test"}


def test_only_pairs_of_the_measured_split_are_listed_as_skipped(
    tmp_path: Path, run: Callable[..., dict], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [named_for("train", "p", ".png"), named_for("validation", "p", ".png")]
    for part in ("train", "test"):
        for side in ("input", "target"):
            for name in ("good.png", *names):
                save(tmp_path / "pairs" / part / side / name, False, dark=side == "input")
        save(tmp_path / "pairs" / part / "input" / "alone.png", False)
        save(tmp_path / "pairs" / part / "target" / "alone-too.png", False)
        for name in names:
            (tmp_path / "pairs" / part / "input" / name).write_bytes(b"no picture")
    words = ("--pairs", tmp_path / "pairs", "--task", "low-light")
    alone = {"{}/input/alone.png", "{}/target/alone-too.png"}
    broken = {f"{{}}/{Path(name).stem}" for name in names}
    for split, parts in (("test", ["test"]), ("train", ["train"]), ("all", ["train", "test"])):
        skipped = {one["name"] for one in run(*words, "--split", split)["skipped"]}
        assert skipped == {name.format(part) for part in parts for name in alone | broken}
        said = capsys.readouterr().out
        assert all((f"skipped {part}/" in said) == (part in parts) for part in ("train", "test"))
    shutil.rmtree(tmp_path / "pairs" / "test")  # by name, of the folder that trains
    save(tmp_path / "pairs" / "train" / "input" / names[1], False)
    found = run(*words, "--split", "validation")
    trains, held_out = (f"train/{Path(name).stem}" for name in names)
    assert list(found["photos"]["pairs|low-light|fidelity 1"]) == [held_out]
    assert trains not in {one["name"] for one in found["skipped"]}


@plain_card
def test_all_splits_are_those_that_a_set_has(
    mine: Path, run: Callable[..., dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    load = datasets.load_dataset
    expected = {}
    for split in ("train", "validation", "test"):
        (case,) = run("--pairs", f"{mine}/denoise", "--split", split)["photos"].values()
        expected[split] = set(case)

    def load_dataset(name: str, config: str, revision: str, streaming: bool, **split: str) -> object:
        files = {}
        for path in sorted((mine / "data" / config).glob("*.parquet")):
            files.setdefault(path.name.partition("-")[0], []).append(str(path))
        return load("parquet", data_files=files, streaming=True, **split)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr("training.data.hub.check_there", lambda name, revision: None)
    for lacking in ("validation", "train"):
        for path in (mine / "data" / "denoise").glob(f"{lacking}-*"):
            path.unlink()
        del expected[lacking]
        for place in (f"{mine}/denoise", "we/lwr-multitask@v1.0.0/denoise"):
            (case,) = run("--pairs", place, "--split", "all")["photos"].values()
            assert set(case) == set().union(*expected.values()), (place, lacking)


def test_results_of_datasets_do_not_replace_one_another() -> None:
    files = {
        read_arguments(words, "").file.name
        for words in (
            ["--pairs", "FOLDER", "--task", "deblur"],
            *(["--dataset", key, "--pairs", "FOLDER"] for key in BENCHMARKS),
            ["--pairs", "NS/lwr-multitask@v1.0.0"],
        )
    }
    assert len(files) == len(BENCHMARKS) + 2 and "pairs-o-haze.json" in files
    assert "pairs-ns-lwr-multitask-v1-0-0.json" in files


def test_results_of_other_pairs_of_the_same_name_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(plan, "RESULTS", tmp_path / "results")
    places = [unpack(tmp_path / name, "lol", *LAYOUTS["lol"]) for name in ("indoor", "outdoor")]
    words = ["--dataset", "lol", "--fidelity", "1", "--no-baselines", "--pairs"]
    assert main([*words, str(places[0])]) == 0
    (file,) = (tmp_path / "results").glob("*.json")
    before = file.read_bytes()
    assert main([*words, str(places[1])]) == 2 and file.read_bytes() == before
    assert "give --out FILE.json, or delete it." in capsys.readouterr().err
    assert main([*words, str(places[0])]) == 0, "the same command again replaces its own"


def test_the_readmes_show_what_was_measured_on_pairs() -> None:
    results = Results()
    (one,) = results.on_pairs(list(TASKS))
    assert (one.dataset, one.split) == ("lwr-multitask", "test") and len(one.rows) == len(TASKS)
    assert results.pair_table(one) in (ROOT / "training" / "README.md").read_text(encoding="utf-8")
    file = results.file(one.file)
    assert (RESULTS / f"{one.file}.md").read_text() == report.markdown(file)
    gains = [f"{case.split('|')[0]} {row['psnr_gain']:+.2f}" for case, row in one.rows.items()]
    assert all(gain in (ROOT / "README.md").read_text(encoding="utf-8") for gain in gains)


def results_with(folder: Path, **changes: object) -> Results:
    """The measurements, and one of a benchmark beside them."""
    shutil.copytree(RESULTS, folder)
    like = json.loads((folder / "pairs-lwr-multitask.json").read_text())
    scores = {f"LOL|low-light|{fidelity}": {"psnr_output": 17.5, "photos": 15, "seconds": 1.0}
              for fidelity in ("fidelity 1", "fidelity 0.6")}  # fmt: skip
    scores["LOL|deblur|fidelity 0.6"] = {"psnr_output": 7.5, "photos": 15, "seconds": 1.0}
    benchmark = (
        like
        | {"dataset": {"name": "LOL", "task": "low-light", "scored": "RGB"}, "split": None, "scores": scores}
        | changes
    )
    (folder / "pairs-lol.json").write_text(json.dumps(benchmark))
    return Results(folder)


def test_cards_and_model_index_have_a_benchmark_by_its_own_name(tmp_path: Path) -> None:
    def card(results: Results, task: str) -> str:
        measured = Measured.of(results, PRIOR, ADAPTERS)
        return adapter_card(Names("somebody", "v1.2.3"), TASKS[task], ADAPTERS[task], 10**6, measured)

    results = results_with(tmp_path / "results")
    text = card(results, "low-light")
    assert "On pairs of LOL (test split" in text and "On pairs of lwr-multitask (test split" in text
    assert "never been run" not in text  # LOL is the only benchmark of this task
    found = [(e.dataset_name, e.metric_type, e.metric_value) for e in ModelCard(text).data.eval_results]
    assert ("LOL", "psnr", 17.5) in found and 7.5 not in [value for _, _, value in found]
    mine = json.loads((RESULTS / "pairs-lwr-multitask.json").read_text())["scores"]
    own = mine["low-light|low-light|fidelity 1"]["psnr_output"]
    assert ("lwr-multitask, low-light", "psnr", own) in found
    assert "never been run: GoPro, RealBlur, REDS." in card(results, "deblur")
    assert "LOL" not in card(results, "deblur")
    other = card(results_with(tmp_path / "old", prior="embedded@0.1"), "low-light")
    assert "On pairs of LOL" not in other and "never been run: LOL." in other


def test_the_readme_shows_the_table_and_says_what_was_never_run() -> None:
    text = (ROOT / "training" / "README.md").read_text(encoding="utf-8")
    assert table() in text
    measured = {path.stem for path in (ROOT / "training" / "results").glob("pairs-*.json")}
    never = [one.name for one in BENCHMARKS.values() if f"pairs-{one.name.lower()}" not in measured]
    for file in (ROOT / "README.md", ROOT / "training" / "README.md"):
        sentence = re.search(
            r"([^.:]*) have never been run", file.read_text(encoding="utf-8").replace("\n", " ")
        )
        assert sentence and all(name in sentence[1] for name in never), file

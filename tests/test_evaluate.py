"""The evaluation on crops of the sample photos: its three modes, its measures, and what it refuses."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image, ImageFilter

from lwr.degrade.jpeg import jpeg
from lwr.images import files as images
from lwr.images.metrics import psnr
from lwr.loading.priors import EMBEDDED
from lwr.tasks import TASKS
from training.benchmarks.swap import against
from training.data.pairs import find_pairs
from training.data.photos import Photo
from training.evaluate import main
from training.evaluation.baselines import BASELINES, apply, baselines_for
from training.evaluation.samples import SIZE, damaged, one_crop_each
from training.evaluation.scores import Difference, compare, half_width, summary
from training.losses import niqe as niqe_module

SAMPLES = Path(__file__).parents[1] / "lwr" / "samples"
PRISTINE = niqe_module.load_pristine()
needs_niqe = pytest.mark.skipif(PRISTINE is None, reason=niqe_module.INSTALL_HINT)

Run = Callable[..., dict]  # arguments -> results
Refused = Callable[..., str]  # arguments -> the sentence


def picture(name: str = "shaken-coffee", side: int = 256) -> Image.Image:
    return Image.open(SAMPLES / f"{name}.jpg").crop((40, 20, 40 + side, 20 + side))


def tensor(picture: Image.Image) -> torch.Tensor:
    return images.to_tensor(picture)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Two blurred photos with their targets, under other suffixes."""
    folder = tmp_path / "pairs"
    for name in ("input", "target"):
        (folder / name).mkdir(parents=True)
    for name in ("shaken-coffee", "hazy-rocket"):
        sharp = picture(name)
        sharp.save(folder / "target" / f"{name}.png")
        sharp.filter(ImageFilter.GaussianBlur(1)).save(folder / "input" / f"{name}.jpg", quality=95)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run the command line and read its results file; `--out` is given."""

    def run(*arguments: object, out: str = "scores.json") -> dict:
        words = [*map(str, arguments), "--out", str(tmp_path / out)]
        assert main(words) == 0
        results = json.loads((tmp_path / out).read_text())
        assert shlex.split(results["command"]) == ["python", "-m", "training.evaluate", *words]
        assert (tmp_path / out).with_suffix(".md").read_text().startswith("<!-- Written by")
        return results

    return run


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run the command line, which must end with status 2 and one sentence; returns that sentence."""

    def refused(*arguments: object, out: str = "refused.json") -> str:
        words = list(map(str, arguments))
        words += [] if "--out" in words else ["--out", str(tmp_path / out)]
        capsys.readouterr()
        try:
            status: object = main(words)
        except SystemExit as error:  # of argparse
            status = error.code
        said = capsys.readouterr().err.strip().splitlines()[-1]
        assert status == 2 and "Traceback" not in said
        return said

    return refused


def joins_a_task_that_was_measured_alone(file: Path, words: tuple[object, ...], results: dict) -> None:
    """`--into` gives back the rows that were taken out of a results file, and leaves all others alone."""
    rest = {case: row for case, row in results["photos"].items() if "deblur" not in case.split("|")[:2]}
    assert 0 < len(rest) < len(results["photos"])
    file.write_text(json.dumps(results | {"photos": rest, "scores": {}, "swap": {}}))
    assert main([*map(str, words), "--task", "deblur", "--no-baselines", "--into", str(file)]) == 0
    joined = json.loads(file.read_text())
    assert joined["scores"].keys() == {c for c in results["scores"] if not c.startswith("deblur|baseline")}
    assert {damage: dict(sorted(gains.items())) for damage, gains in joined["swap"].items()} == {
        damage: dict(sorted(gains.items())) for damage, gains in results["swap"].items()
    }
    assert all(joined["photos"][case] == row for case, row in rest.items())
    assert joined["command"] == results["command"] and "deblur: measured by" in joined["notes"][-1]
    file.write_text(json.dumps(results))


def test_clean_photos_every_task_and_the_swap(tmp_path: Path, run: Run) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    picture(side=160).save(photos / "a.png")
    (photos / "broken.png").write_bytes(b"no picture")
    sheet, curve = tmp_path / "sheet.jpg", tmp_path / "curve.png"
    words = ("--clean", photos, "--split", "all", "--fidelity", "0.75,1", "--sheet", sheet, "--curve", curve)
    words += ("--limit", "none", "--steps", "none")
    results = run(*words)
    for task in TASKS:
        for fidelity in ("0.75", "1"):
            scored = results["scores"][f"{task}|{task}|fidelity {fidelity}"]
            gain = scored["psnr_output"] - scored["psnr_input"]
            assert scored["photos"] == 1 and gain == pytest.approx(scored["psnr_gain"], abs=1e-3)
            assert {"ssim_output", "lpips_output", "lpips_lower_by", "seconds", "peak_gb"} <= scored.keys()
    assert results["swap"].keys() == set(TASKS) and results["swap"]["dehaze"].keys() == set(TASKS)
    assert (
        results["swap"]["dehaze"]["dehaze"] == results["scores"]["dehaze|dehaze|fidelity 0.75"]["psnr_gain"]
    )
    assert results["photos"]["deblur|deblur|fidelity 1"].keys() == {"a.png"}
    assert results["scores"]["super-resolution|baseline bicubic|-"]["psnr_gain"] == 0
    assert [lost["name"] for lost in results["skipped"]] == ["broken.png"]
    assert Image.open(sheet).width == 3 * 256 and Image.open(curve).width > 500
    worst = results["sheets"]["sheet-deblur.jpg"][-1]
    scored = results["photos"][worst["case"]]["a.png"]
    assert worst["psnr_gain"] == pytest.approx(scored["psnr_output"] - scored["psnr_input"], abs=1e-3)
    assert (tmp_path / "sheet-deblur.jpg").exists()
    joins_a_task_that_was_measured_alone(tmp_path / "scores.json", words, results)
    run(*words, "--limit", 1, "--task", "deblur", "--no-swap", "--no-baselines")  # all are its own files


def test_pairs_and_a_comparison(tmp_path: Path, pairs: Path, run: Run, refused: Refused) -> None:
    first = run("--pairs", pairs, "--task", "deblur", "--fidelity", "1,0")
    assert first["scores"]["pairs|deblur|fidelity 1"]["photos"] == 2
    assert {"pairs|baseline input|-", "pairs|baseline wiener|-"} <= first["scores"].keys()
    other = tmp_path / "scores.json"
    again = run("--pairs", pairs, "--prompt", "fix the blur", "--fidelity", "1", out="again.json")
    assert again["photos"]["pairs|fix the blur|fidelity 1"]["hazy-rocket"]["psnr_output"] == pytest.approx(
        first["photos"]["pairs|deblur|fidelity 1"]["hazy-rocket"]["psnr_output"], abs=1e-3
    )
    same = run("--pairs", pairs, "--task", "deblur", "--fidelity", "1", "--against", other, out="same.json")
    found = same["against"]["differences"]["pairs|deblur|fidelity 1"]
    assert found["psnr"] == {"mean": 0.0, "ci95": 0.0, "photos": 2, "verdict": "no clear difference"}
    assert "lpips" in found or "perceptual" in found
    assert "share no case" in refused("--pairs", pairs, "--task", "dehaze", "--against", other)
    for path in (pairs / "input").iterdir():
        picture().filter(ImageFilter.GaussianBlur(3)).save(path)
    assert "other pixels" in refused(
        "--pairs", pairs, "--task", "deblur", "--fidelity", 1, "--against", other, "--no-baselines"
    )
    assert (tmp_path / "refused.json").exists()  # the scores are not lost
    (pairs / "input").rename(pairs / "lq")
    (pairs / "target").rename(pairs / "gt")
    for path in (pairs / "lq").iterdir():
        path.with_stem("other-" + path.stem).write_bytes(path.read_bytes())
        (pairs / "gt" / path.with_suffix(".png").name).rename(pairs / "gt" / f"other-{path.stem}.png")
        path.unlink()
    assert "other photos" in refused("--pairs", pairs, "--task", "deblur", "--against", other)


def test_a_photo_equal_to_its_target_has_no_gain(tmp_path: Path, run: Run) -> None:
    for side in ("input", "target"):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        picture().save(tmp_path / "pairs" / side / "good.png")
    found = run("--pairs", tmp_path / "pairs", "--task", "deblur", "--fidelity", "1", "--no-baselines")
    row = found["photos"]["pairs|deblur|fidelity 1"]["good"]
    assert "psnr_gain" not in row and row["psnr_output"] > 20


def test_larger_targets_ask_for_their_scale(tmp_path: Path, run: Run) -> None:
    for name, side in (("lq", 96), ("gt", 192)):
        (tmp_path / "small" / name).mkdir(parents=True)
        picture(side=192).resize((side, side)).save(tmp_path / "small" / name / "a.png")
    results = run("--pairs", tmp_path / "small", "--task", "super-resolution")
    assert {"pairs|baseline bicubic|-", "pairs|baseline unsharp|-"} <= results["scores"].keys()
    assert find_pairs(tmp_path / "small", None, [])[0].scale == 2


def test_photos_without_targets(tmp_path: Path, run: Run) -> None:
    photos = tmp_path / "real" / "deep"
    photos.mkdir(parents=True)
    picture("hazy-rocket").save(photos / "a.jpg")
    (photos / "broken.jpg").write_bytes((photos / "a.jpg").read_bytes()[:500])
    results = run("--photos", tmp_path / "real", "--prompt", "remove the haze | please")
    scored = results["scores"]["photos|remove the haze / please|fidelity default"]
    assert "psnr_output" not in scored and scored["seconds"] > 0 and scored["peak_gb"] > 0
    assert ("niqe_output" in scored) == (PRISTINE is not None)
    assert [lost["name"] for lost in results["skipped"]] == ["deep/broken.jpg"]


def test_an_adapter_from_any_folder(tmp_path: Path, pairs: Path, run: Run, refused: Refused) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(EMBEDDED / "adapters" / "deblur", folder)
    metadata = json.loads((folder / "adapter.json").read_text())
    (folder / "adapter.json").write_text(json.dumps(metadata | {"version": "9.9"}))
    words = ("--pairs", pairs, "--task", "deblur", "--limit", 1, "--no-baselines")
    assert run(*words, "--adapter", folder)["adapters"] == {"deblur": "embedded/deblur@9.9"}
    (folder / "adapter.json").write_text(json.dumps(metadata | {"prior": "another"}))
    assert "prior 'another'" in refused(*words, "--adapter", folder)
    assert "is no adapter" in refused(*words, "--adapter", pairs)


def test_a_bad_request_is_one_sentence(pairs: Path, refused: Refused, subtests: pytest.Subtests) -> None:
    for arguments, sentence in (
        ((), "needs --task NAME or --prompt"),
        (("--task", "colour"), "There is no task 'colour'"),
        (("--prompt", "hello"), "enlarge"),
        (("--task", "deblur", "--prior", "nowhere"), "There is no model 'nowhere'"),
        (("--task", "deblur", "--fidelity", "0,1.5"), "The fidelity is 1.5"),
        (("--task", "deblur", "--fidelity", "high"), "no list of numbers"),
        (("--task", "deblur", "--steps", "0"), "The number of steps is 0"),
        (("--task", "deblur", "--limit", "0"), "no number of photos"),
        (("--task", "deblur", "--clean", "here"), "not allowed with"),
        (("--task", "deblur", "--against", "nothing.json"), "There is no file nothing.json"),
        (("--task", "deblur", "--sheet", "sheet.gif"), "does not end with .jpg"),
    ):
        with subtests.test(arguments=arguments, sentence=sentence):
            assert sentence in refused("--pairs", pairs, *arguments)


def test_bad_folders_are_one_sentence(tmp_path: Path, pairs: Path, run: Run, refused: Refused) -> None:
    deblur = ("--task", "deblur")
    assert "say which photos: --clean PHOTOS" in refused()
    assert "There is no folder" in refused("--photos", tmp_path / "none", *deblur)
    (tmp_path / "empty").mkdir()
    assert "holds no photos" in refused("--photos", tmp_path / "empty", *deblur)
    assert "holds no pairs" in refused("--pairs", tmp_path / "empty", *deblur)
    assert (
        "--split all" not in (said := refused("--clean", tmp_path / "none")) and "no file or folder" in said
    )
    assert "--split all" in (said := refused("--clean", tmp_path / "empty")) and "No photos of split" in said
    Image.new("RGB", (100, 300)).save(pairs / "target" / "hazy-rocket.png")
    found = run("--pairs", pairs, *deblur, "--fidelity", "1", "--no-baselines")
    assert [lost["name"] for lost in found["skipped"]] == ["hazy-rocket"]
    assert "256x256 and 100x300 pixels do not fit" in found["skipped"][0]["reason"]
    for path in (pairs / "target").iterdir():
        path.rename(path.with_stem("x" + path.stem))
    assert "holds no pairs" in refused("--pairs", pairs, *deblur)


def test_foreign_files_stay(tmp_path: Path, pairs: Path, refused: Refused) -> None:
    words = ("--pairs", pairs, "--task", "deblur")
    notes = {"list.json": "[1]", "text.json": "words", "readme.md": "# python -m training.evaluate"}
    for name, text in notes.items():
        (tmp_path / name).write_text(text)
        assert "not of this program" in refused(*words, out=Path(name).with_suffix(".json").name)
        assert (tmp_path / name).read_text() == text
    photo = pairs / "input" / "hazy-rocket.jpg"
    before = photo.read_bytes()
    assert "not of this program" in refused(*words, "--sheet", photo) and photo.read_bytes() == before
    assert "is no results file" in refused(*words, "--against", tmp_path / "list.json")
    old = {"command": "python -m training.evaluate", "scores": {}}
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert "no scores by photo" in refused(*words, "--against", tmp_path / "old.json")


@needs_niqe
def test_niqe_prefers_the_photo_to_its_blur_and_noise() -> None:
    for name in ("shaken-coffee", "hazy-rocket"):
        photo = Image.open(SAMPLES / f"{name}.jpg")
        sharp = tensor(photo)
        blurred = tensor(photo.filter(ImageFilter.GaussianBlur(3)))
        noise = torch.randn(sharp.shape, generator=torch.Generator().manual_seed(0))
        score = niqe_module.niqe(sharp, PRISTINE)
        assert score < niqe_module.niqe(blurred, PRISTINE)
        assert score < niqe_module.niqe((sharp + 0.1 * noise).clamp(0, 1), PRISTINE)
    assert np.isnan(niqe_module.niqe(torch.rand(1, 3, 96, 150), PRISTINE))
    assert np.isnan(niqe_module.niqe(torch.full((1, 3, 256, 256), 0.5), PRISTINE))


def test_baselines_run_and_help() -> None:
    photo = Image.fromarray(skimage.data.astronaut()).crop((128, 0, 384, 256))
    sharp = tensor(photo)
    soft = tensor(photo.filter(ImageFilter.GaussianBlur(1)))
    enlarged = images.resize(images.resize(sharp[..., :128, :128], (32, 32)), (128, 128))
    noisy = (sharp + 0.1 * torch.randn(sharp.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    damage = {"deblur": soft, "dehaze": 0.5 * sharp + 0.5, "super-resolution": soft}
    streaks = sharp.clone()
    streaks[..., 40:200, 5::23] = 0.9
    damage |= {"denoise": noisy, "dejpeg": jpeg(sharp, [15]), "low-light": sharp**3, "derain": streaks}
    for baseline in baselines_for(TASKS)[0]:
        given, good = damage[baseline.task], sharp
        if baseline.learned:  # it is slow, needs an enlarged photo, and invents detail
            given, good = enlarged, sharp[..., :128, :128]
        output = apply(baseline, given)
        assert output.shape == good.shape and output.min() >= 0 and output.max() <= 1
        assert psnr(output, good) > psnr(given, good) - (4 if baseline.learned else 0), baseline.name


def test_a_missing_package_leaves_its_baseline_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    there, notes = baselines_for(["deblur", "dehaze"])
    assert not there and len(notes) == 2 and "pip install" in notes[0]
    assert niqe_module.load_pristine() is None
    assert "NIQE is left out" in capsys.readouterr().out


def test_one_crop_of_every_photograph(capsys: pytest.CaptureFixture[str]) -> None:
    def photo(name: str, height: int, width: int) -> Photo:
        return Photo(name, name.split("-")[0], torch.zeros(height, width, 3, dtype=torch.uint8), True)

    skipped: list = []
    photos = [photo("b-1", 600, 700), photo("b-0", 512, 512), photo("a-0", 100, 700), photo("c-0", 40, 90)]
    crops = one_crop_each(photos, skipped)
    assert [crop.id for crop in crops] == ["a-0", "b-0"]
    assert crops[0].pixels.shape == (96, SIZE, 3) and crops[1].pixels.shape == (SIZE, SIZE, 3)
    assert [lost.name for lost in skipped] == ["c-0"]
    assert "2 photos are smaller than 512" in capsys.readouterr().out


def test_damage_depends_on_photo_and_task_alone() -> None:
    clean = tensor(picture(side=96))
    one, again, other = (damaged(name, clean, "deblur") for name in ("a", "a", "b"))
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_means_and_paired_differences() -> None:
    rows = [{"psnr_gain": gain, "lpips_input": 0.4, "lpips_output": 0.3, "peak_gb": gain} for gain in (1, 3)]
    found = summary(rows)
    assert found["psnr_gain"] == 2 and found["lpips_lower_by"] == 0.25 and found["peak_gb"] == 3
    assert found["psnr_gain_ci95"] == pytest.approx(12.706, abs=1e-2)  # Student's t at one degree of freedom
    assert half_width([1.0]) is None
    theirs = {str(i): {"psnr_output": 20.0 + i, "lpips_output": 0.3} for i in range(9)}
    ours = {
        i: {"psnr_output": scored["psnr_output"] + 1 + 0.1 * int(i), "lpips_output": 0.31}
        for i, scored in theirs.items()
    }
    verdicts = compare({"a|a|-": ours}, {"a|a|-": theirs})["a|a|-"]
    assert verdicts["psnr"].verdict == "better" and verdicts["psnr"].mean == pytest.approx(1.4)
    assert verdicts["lpips"] == Difference(0.01, verdicts["lpips"].ci95, 9, "worse")


def test_every_baseline_belongs_to_a_task() -> None:
    assert {baseline.task for baseline in BASELINES} <= TASKS.keys()


def test_wrong_prompts_that_gain_or_harm_too_much_are_named() -> None:
    matrix = {
        "dehaze": {"dehaze": 4.0, "deblur": 0.99, "denoise": 1.0},
        "deblur": {"dehaze": -0.5, "deblur": 1},
    }
    assert against(matrix) == [
        "denoise on dehaze: +1.00 dB, 25% of dehaze's +4.00",
        "dehaze on deblur: -0.50 dB",
    ]

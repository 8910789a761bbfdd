"""Table, pictures and README's paragraph of the light benchmark, made from its results file."""

import random
from pathlib import Path

import pytest
from PIL import Image

from training.benchmarks.light import report
from training.benchmarks.light.fronts import front, lpips_gain
from training.benchmarks.light.results import Results, read, write
from training.benchmarks.record import RESULTS

PUBLISHED = RESULTS / "light.json"


def row(lpips: float, second: float, size: float, tasks: tuple[str, ...] = ("deblur", "dehaze")) -> dict:
    scores = {
        "psnr_input": 20.0,
        "psnr_output": 25.0,
        "lpips_input": 0.5,
        "lpips_output": lpips,
        "photos": 48,
    }
    return {
        "parameters": {
            "network": 16_200_000,
            "adapter": 950_000,
            "parts": {"UNet": 9_000_000, "SFT": 7_200_000},
        },
        "gmacs": 28.8,
        "megabytes": {"network": size, "adapters": 3.0},
        "seconds": {
            "1": {"median": 2 * second, "least": second},
            "2": {"median": second, "least": second / 2},
        },
        "peak_gb": 0.8,
        "quality": dict.fromkeys(tasks, scores),
    }


@pytest.fixture
def results() -> Results:
    made = {
        "machine": "2 cores, Some CPU", "versions": {"torch": "2"}, "date": "2026-11-27", "load": 0.25,
        "pixels": 512, "task": "deblur", "rounds": 5,
    }  # fmt: skip
    about = {"date": "2026-11-27", "limit": 48, "side": 512, "measures": {"lpips": "lpips-alexnet"}}
    large = {
        "parameters": {"network": 1_452_000_000, "adapter": 0},
        "gmacs": 3541.0,
        "megabytes": {"network": 5809.8, "adapters": 0.0},
        "seconds": {"1": {"median": 60.0, "least": 59.0}, "2": {"median": 31.0, "least": 30.0}},
        "peak_gb": 6.2,
        "multiplied": False,
        "random_weights": True,
    }
    variants = {"embedded": row(0.2, 0.9, 33), "thin": row(0.3, 0.4, 15), "worse": row(0.4, 1.0, 16)}
    alone = row(0.3, 12, 90, ("deblur",)) | {"ours": {"deblur": row(0.2, 1, 1)["quality"]["deblur"]}}
    peers = {
        "SPAN": row(0.4, 0.06, 0.85, ("dehaze",)),
        "MAXIM deblurring": alone,
        "gone": {"left_out": "not installed"},
    }
    return Results({
        "variants": {"costs": made, "quality": about, "rows": variants},
        "peers": {"costs": made | {"beside": {"embedded": row(0, 0.7, 0)["seconds"]}}, "rows": peers},
        "stable-diffusion": {"costs": made, "rows": {"Stable Diffusion 2.1 + StableSR, 1 step": large}},
    })  # fmt: skip


def test_the_table_says_what_the_file_holds(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path / "light.json")
    text = report.markdown(read(tmp_path / "light.json"))
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("| ")}
    columns = {line.count("|") for line in rows.values()}
    assert len(columns) == 1, columns
    assert (
        "| 16.20 + 0.95 M | 28.8 | 33.0 + 3.0 | 1.80 (0.90) | 0.90 (0.45) | 0.80 | 60% |" in rows["embedded"]
    )
    assert rows["embedded"].endswith("| 25.00 / 0.200 | 25.00 / 0.200 |")
    assert rows["(the damaged photo)"].endswith("| 20.00 / 0.500 | 20.00 / 0.500 |")
    assert "left out: not installed" in rows["gone"]
    assert "(48 photos; ours there 25.00 / 0.200)" in rows["MAXIM deblurring"]
    assert "(random weights)" in text and "5,809.8" in text and "in the same turns as peers: embedded" in text
    assert "Some CPU at load 0.25" in text and "48 validation photos, middle 512x512" in text


def test_the_pictures_are_written(results: Results, tmp_path: Path) -> None:
    report.write_all(results, tmp_path / "light.json")
    assert (tmp_path / "light.md").read_text() == report.markdown(results)
    for name, wide in (("light.png", True), ("light.webp", False)):
        with Image.open(tmp_path / name) as picture:
            assert (picture.width > picture.height) == wide and len(
                picture.convert("RGB").getcolors(1 << 22)
            ) > 8
    assert (tmp_path / "light.webp").stat().st_size < 120_000
    assert not list(tmp_path.glob("*.drawn.png"))


def test_pictures_are_drawn_of_costs_alone(results: Results, tmp_path: Path) -> None:
    for name in results.rows("variants"):
        results.rows("variants")[name].pop("quality")
    report.write_all(Results({"variants": results.groups["variants"]}), tmp_path / "light.json")
    assert (tmp_path / "light.png").exists()


def test_a_front_holds_whatever_nothing_beats() -> None:
    draw = random.Random(0)
    for _ in range(200):
        points = {n: (draw.randint(1, 6), draw.randint(1, 6)) for n in range(draw.randint(0, 9))}
        best = front(points)

        def beats(a: int, b: int, points: dict = points) -> bool:
            (cost, gain), (other, less) = points[a], points[b]
            return cost <= other and gain >= less and points[a] != points[b]

        assert not any(beats(a, b) for a in points for b in best)
        assert all(any(beats(a, b) for a in best) for b in points if b not in best)
        along = [points[name] for name in best]
        assert along == sorted(along) and [gain for _, gain in along] == sorted(gain for _, gain in along)


def test_the_gain_is_a_mean_over_the_tasks() -> None:
    one = row(0.2, 1, 1)
    one["quality"]["dehaze"] = one["quality"]["dehaze"] | {"lpips_output": 0.5}
    assert lpips_gain(one) == pytest.approx(0.3) and lpips_gain(one, ["deblur"]) == pytest.approx(0.6)
    assert lpips_gain(one, ["derain"]) is None and lpips_gain({}) is None


def test_the_paragraph_has_the_numbers_of_the_file(results: Results) -> None:
    text = report.paragraph(results)
    for part in (
        "2 cores, Some CPU, load 0.25",
        "`embedded`: 16.2 M parameters (UNet 9.00, SFT 7.20), 0.95 M an adapter",
        "33.0 MB on disk, 3.0 MB all adapters; 57.6 GFLOPs, 1.80 s with 1 thread, 0.90 s with 2 threads",
        "and 0.80 GB a pass.",
        "1.45 B parameters, 5.81 GB; 7.1 TFLOPs and 31 s in 1 step",
    ):
        assert part in text, part
    assert "thin" not in text and "\n" not in text
    results.rows("variants")["embedded-lite"] = row(0.2, 0.5, 15)
    assert "`embedded-lite`: 16.2 M" in report.paragraph(results)


def test_the_paragraph_has_one_place_in_the_readme() -> None:
    bare = f"# Title\n\nText.\n\n{report.BEFORE}\n\nMore.\n"
    once = report.placed(bare, f"{report.START}: one.")
    assert once == f"# Title\n\nText.\n\n{report.START}: one.\n\n{report.BEFORE}\n\nMore.\n"
    assert report.placed(once, f"{report.START}: two.") == once.replace("one", "two")


def test_the_readme_shows_what_was_measured() -> None:
    text = report.README.read_text(encoding="utf-8")
    assert (report.START in text) == PUBLISHED.exists()
    if PUBLISHED.exists():
        found = read(PUBLISHED)
        assert report.paragraph(found) in text.splitlines()
        assert PUBLISHED.with_suffix(".md").read_text(encoding="utf-8") == report.markdown(found)

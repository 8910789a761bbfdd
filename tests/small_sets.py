"""Small folders of photos and the datasets built from them, for several test files."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
SMALL = ["--size", "64", "--workers", "1", "--shard-photos", "4"]
COLUMNS = ["file_name", "photo_id", "author", "license", "source"]  # of a table beside pictures
plain_card = pytest.mark.usefixtures("no_histograms")


def picture(number: int, width: int = 80, height: int = 72) -> Image.Image:
    """A sharp photo-like picture that resembles no other: blocks of colour with texture."""
    random = np.random.default_rng(number)
    blocks = Image.fromarray(random.integers(0, 200, (5, 5, 3), np.uint8)).resize((width, height), 0)
    return Image.fromarray((np.asarray(blocks) + random.integers(0, 55, (height, width, 1))).astype(np.uint8))


def table(folder: Path, rows: list[dict[str, str]]) -> None:
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def photos(folder: Path, count: int = 10) -> Path:
    """A folder of pictures and whose they are; two pictures a photograph, all three splits."""
    from training.data.photos import split_of

    folder.mkdir(parents=True)
    wanted = ["train"] * max(count // 2 - 2, 1) + ["validation", "test"]
    rows = []
    for number in range(count):
        split = wanted[number // 2 % len(wanted)]
        photo = next(p for k in range(999) if split_of(p := f"photo-{number // 2}-{k}") == split)
        picture(number).save(folder / f"{number:02}.png")
        values = (f"{number:02}.png", photo, "Ann Example", "CC-BY-4.0", f"https://example.org/{number}")
        rows.append(dict(zip(COLUMNS, values, strict=True)))
    table(folder, rows)
    return folder


def build(source: Path | str, out: Path | str, *options: str) -> int:
    """Exit status of training.build_dataset, at 64 pixels."""
    from training.build_dataset import main

    return main(["--photos", str(source), "--out", str(out), *SMALL, *options])


def shards(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted((out / "data").rglob("*.parquet"))}


def rejected(out: Path) -> dict[str, str]:
    with (out / "rejected.csv").open(newline="") as file:
        return {row["name"]: row["reason"] for row in csv.DictReader(file)}


def leftovers(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.name.endswith(".part")]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten photos."""
    return photos(tmp_path_factory.mktemp("source") / "photos")


@pytest.fixture(scope="session")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set of these photos."""
    out = tmp_path_factory.mktemp("built") / "set"
    assert build(source, out) == 0
    return out


@pytest.fixture
def mine(built: Path, tmp_path: Path) -> Path:
    """A copy of the built set, to spoil."""
    return shutil.copytree(built, tmp_path / "set")


@pytest.fixture
def no_histograms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards without the histograms, which take most of a small build and are tested with the card."""
    monkeypatch.setattr("training.dataset.card._histograms", lambda title, params: Image.new("RGB", (8, 8)))


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., object]:
    """Read a set as its users do."""
    import datasets

    def load_dataset(out: Path, *arguments: str, **options: object) -> object:
        return datasets.load_dataset(str(out), *arguments, cache_dir=str(tmp_path / "cache"), **options)

    return load_dataset

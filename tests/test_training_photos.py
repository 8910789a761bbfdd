"""Every form in which photos may come gives the same photos and splits; damage costs only what is damaged."""

import csv
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from training.data.photos import Photo, Skipped, decode, load_photos, split_of

ROOT = Path(__file__).parents[1]
SAMPLES = sorted((ROOT / "lwr" / "samples").glob("*.jpg"))
# Crops of 30 photographs, two each; every third photograph is hazy.
ROWS = [
    {"id": f"{i:02}", "photo": f"photo-{i // 2}", "dark_channel": 0.6 if i // 2 % 3 == 0 else 0.1}
    for i in range(60)
]


def png(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


PICTURES = [png(Image.new("RGB", (8, 6), (i, 200 - i, 90))) for i in range(60)]


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def write_manifest(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["id", "photo", "dark_channel"])
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(path: Path, image: str, values: list[object], rows: list[dict[str, object]]) -> Path:
    table = pa.table({image: values} | {key: [row[key] for row in rows] for key in rows[0]})
    pq.write_table(table, path, row_group_size=25)
    return path


def tar_with_manifest(folder: Path) -> str:
    for half in (0, 30):
        members = [(f"{i:02}.png", PICTURES[i]) for i in range(half, half + 30)]
        write_tar(folder / f"shard-{half:02}.tar", members)
    write_manifest(folder / "manifest.csv", ROWS)
    return str(folder)


def one_tar_of_a_folder_with_manifest(folder: Path) -> str:
    write_manifest(folder / "manifest.csv", ROWS)
    members = [(f"./{i:02}.png", PICTURES[i]) for i in range(60)]
    return str(write_tar(folder / "all.tar", [*members, ("not-in-the-manifest.png", PICTURES[0])]))


def tar_with_json(folder: Path) -> str:
    members = []
    for i, row in enumerate(ROWS):
        row_of = {"photo_id": row["photo"], "dark_channel": row["dark_channel"]}
        members += [(f"{i:02}.png", PICTURES[i]), (f"{i:02}.json", json.dumps(row_of).encode())]
    return str(write_tar(folder / "all.tar", members))


def parquet_of_bytes(folder: Path) -> str:
    write_parquet(folder / "a.parquet", "image", PICTURES[:40], ROWS[:40])
    write_parquet(folder / "b.parquet", "image", PICTURES[40:], ROWS[40:])
    return str(folder)


def one_parquet_of_structs(folder: Path) -> str:
    """Beside the clean picture another that must not be taken, and the other names of the columns."""
    names = {"id": "image_id", "photo": "photo_id"}
    rows = [{names.get(key, key): value for key, value in row.items()} for row in ROWS]
    rows = [row | {"image": b"damaged"} for row in rows]
    values = [{"bytes": data, "path": "0.png"} for data in PICTURES]
    return str(write_parquet(folder / "all.parquet", "clean", values, rows))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """hub(train="a.parquet", ...): from then on the Hub has one dataset, which consists of these files."""
    datasets = pytest.importorskip("datasets")
    load = datasets.load_dataset

    def provide(**files: str) -> str:
        def load_dataset(name: str, config: str | None, revision: str | None, streaming: bool) -> object:
            assert (name, config, revision, streaming) == ("we/photos", "small", "refs/pr/1", True)
            return load("parquet", data_files=files, streaming=True)

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        monkeypatch.setattr("training.data.hub.check_there", lambda name, revision: None)
        return "we/photos:small@refs/pr/1"

    return provide


def same(a: list[Photo], b: list[Photo]) -> bool:
    return len(a) == len(b) and all(
        (x.id, x.photo, x.clear) == (y.id, y.photo, y.clear) and torch.equal(x.pixels, y.pixels)
        for x, y in zip(a, b, strict=True)
    )


FORMS = [
    tar_with_manifest,
    one_tar_of_a_folder_with_manifest,
    tar_with_json,
    parquet_of_bytes,
    one_parquet_of_structs,
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_photos_in_the_same_splits(form: Callable, tmp_path: Path) -> None:
    assert checked_photos_and_splits(form(tmp_path)) == len(ROWS)


def test_hub_dataset_of_one_split_is_divided_as_files_are(hub: Callable[..., str], tmp_path: Path) -> None:
    assert checked_photos_and_splits(hub(train=one_parquet_of_structs(tmp_path))) == len(ROWS)


def checked_photos_and_splits(source: str) -> int:
    """How many photos `source` has, all of them compared."""
    skipped: list[Skipped] = []
    photos = load_photos(source, None, skipped=skipped)
    assert not skipped
    assert [(p.id, p.photo, p.clear) for p in photos] == [
        (row["id"], row["photo"], row["dark_channel"] < 0.45) for row in ROWS
    ]
    assert all(torch.equal(p.pixels, decode(data)) for p, data in zip(photos, PICTURES, strict=True))
    for split in ("train", "validation", "test"):
        expected = [p for p in photos if split_of(p.photo) == split]
        assert expected and same(load_photos(source, split), expected)
    assert same(load_photos(source, None, 7), photos[:7])
    return len(photos)


def test_hub_dataset_of_several_splits_gives_the_one_named(hub: Callable[..., str], tmp_path: Path) -> None:
    def part(name: str, rows: slice) -> str:
        return str(write_parquet(tmp_path / name, "image", PICTURES[rows], ROWS[rows]))

    source = hub(train=part("a.parquet", slice(0, 40)), test=part("b.parquet", slice(40, 60)))
    assert [p.id for p in load_photos(source, "train")] == [row["id"] for row in ROWS[:40]]
    assert [p.id for p in load_photos(source, "test")] == [row["id"] for row in ROWS[40:]]
    assert len(load_photos(source, None)) == 60
    with pytest.raises(FileNotFoundError, match="has the splits train, test but not validation"):
        load_photos(source, "validation")


def test_hub_dataset_keeps_what_came_before_the_connection_broke(
    hub: Callable[..., str], tmp_path: Path
) -> None:
    write_parquet(tmp_path / "a.parquet", "image", PICTURES[:20], ROWS[:20])
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(data[: len(data) // 2])
    skipped: list[Skipped] = []
    source = hub(train=[str(tmp_path / name) for name in ("a.parquet", "b.parquet")])
    assert len(load_photos(source, None, skipped=skipped)) == 20
    assert [s.name for s in skipped] == [f"{source}/train"] and "the rest is lost" in skipped[0].reason


def test_datasets_is_imported_only_for_the_hub_and_an_unreachable_hub_is_one_sentence(tmp_path: Path) -> None:
    parquet_of_bytes(tmp_path)
    code = f"import sys\nfrom training.data.photos import load_photos\nload_photos({str(tmp_path)!r}, None)\n"
    code += "assert 'datasets' not in sys.modules\ntry: load_photos('we/photos', 'train')\n"
    code += "except FileNotFoundError as error: print(error)"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert "no such Hub dataset could be opened (the Hub cannot be reached from here)" in done.stdout, (
        done.stderr
    )
    assert done.stdout.endswith("a Hub dataset NAMESPACE/NAME.\n") and not done.stderr


def test_existing_folder_wins_over_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "we" / "photos"
    folder.mkdir(parents=True)
    (folder / "cat.png").write_bytes(PICTURES[3])
    monkeypatch.chdir(tmp_path)
    assert [p.id for p in load_photos("we/photos", None)] == ["cat.png"]


def test_folder_is_read_recursively_by_name_and_without_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "b" / ".cache").mkdir(parents=True)
    names = ["a.JPG", "b/a.jpg", "c.jpg"]
    for name, sample in zip([*names, "b/.cache/x.jpg", "._c.jpg"], [*SAMPLES, SAMPLES[0]], strict=True):
        (tmp_path / name).write_bytes(sample.read_bytes())
    (tmp_path / "readme.txt").write_text("no picture")
    write_tar(tmp_path / "z.tar", [("a/b.c.png", PICTURES[5])])
    photos = load_photos(tmp_path, None)
    assert [p.id for p in photos] == [p.photo for p in photos] == [*names, "a/b.c"]
    for photo, sample in zip(photos[:3], SAMPLES, strict=False):
        expected = np.array(Image.open(sample).convert("RGB"))
        assert photo.pixels.dtype == torch.uint8 and photo.clear
        assert np.array_equal(photo.pixels.numpy(), expected)


def test_file_name_that_is_no_unicode_has_a_split(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.png")).write_bytes(PICTURES[0])
    [photo] = load_photos(tmp_path, None)
    assert load_photos(tmp_path, split_of(photo.photo))[0].id == photo.id


def test_rows_without_a_name_are_named_by_content(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image": PICTURES[:3]}), tmp_path / "a.parquet")
    photos = load_photos(tmp_path, None)
    names = [hashlib.sha256(data).hexdigest()[:12] for data in PICTURES[:3]]
    assert [p.id for p in photos] == [p.photo for p in photos] == names


def test_rows_with_a_path_only_are_fetched(hub: Callable[..., str], tmp_path: Path) -> None:
    """As the Hub gives datasets of loose files; in columns of the Hub's own type, of which one is damaged."""
    datasets = pytest.importorskip("datasets")
    (tmp_path / "cat.png").write_bytes(PICTURES[7])
    rows = {"image": [{"bytes": b"damaged", "path": None}]}
    rows["clean"] = [{"bytes": None, "path": str(tmp_path / "cat.png")}]
    features = datasets.Features({name: datasets.Image() for name in rows}).arrow_schema
    pq.write_table(pa.table(rows).cast(features), tmp_path / "a.parquet")
    for source in (str(tmp_path / "a.parquet"), hub(train=str(tmp_path / "a.parquet"))):
        [photo] = load_photos(source, None)
        assert photo.photo == str(tmp_path / "cat.png") and torch.equal(photo.pixels, decode(PICTURES[7]))


def test_name_zero_is_a_name(tmp_path: Path) -> None:
    write_parquet(tmp_path / "a.parquet", "image", PICTURES[:2], [{"id": 0}, {"id": 1}])
    assert [p.photo for p in load_photos(tmp_path, None)] == ["0", "1"]


def test_truncated_tar_gives_what_is_whole(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [(path.name, path.read_bytes()) for path in SAMPLES])
    whole = [Image.open(sample).size for sample in SAMPLES]
    path.write_bytes(path.read_bytes()[: 512 * 3 + sum(s.stat().st_size + 512 for s in SAMPLES[:2])])
    write_tar(tmp_path / "b.tar", [("later.png", PICTURES[0])])
    (tmp_path / "c.tar").write_bytes(b"not a tar")
    skipped: list[Skipped] = []
    photos = load_photos(tmp_path, None, skipped=skipped)
    assert [p.id for p in photos] == [*(s.stem for s in SAMPLES[:2]), "later"]
    assert tuple(photos[0].pixels.shape[:2]) == whole[0][::-1]
    assert [s.name for s in skipped] == [f"a.tar:{SAMPLES[2].name}", "a.tar", "c.tar"]


def test_broken_parquet_gives_what_can_be_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    pictures = [png(Image.fromarray(noise.integers(0, 256, (32, 32, 3), dtype=np.uint8))) for _ in range(60)]
    path = write_parquet(tmp_path / "a.parquet", "image", [*pictures[:59], None], ROWS)
    chunk = pq.ParquetFile(path).metadata.row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    data[start : start + chunk.total_compressed_size] = bytes(chunk.total_compressed_size)
    path.write_bytes(data)
    (tmp_path / "b.parquet").write_bytes(data[: len(data) // 2])
    pq.write_table(pa.table({"caption": ["a cat"]}), tmp_path / "c.parquet")
    skipped: list[Skipped] = []
    photos = load_photos(tmp_path, None, skipped=skipped)
    assert [p.id for p in photos] == [f"{i:02}" for i in (*range(25), *range(50, 59))]
    assert [s.name for s in skipped][:1] == ["a.parquet, row group 1"]
    assert [s.name for s in skipped][2:] == ["b.parquet", "c.parquet"]
    assert skipped[1].reason == "no picture in column image"
    assert skipped[3].reason == "no column clean or image among caption"


def test_corrupt_pictures_are_skipped_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = SAMPLES[0].read_bytes()
    members = [
        ("empty.jpg", b""),
        ("half.jpg", data[: len(data) // 2]),
        ("note.jpg", b"not a photo"),
        ("bomb.png", png(Image.new("1", (14000, 14000)))),
        ("sidecar.jpg", data),
        ("sidecar.json", b"{"),
        ("whole.jpg", data),
    ]
    source = write_tar(tmp_path / "a.tar", members)
    skipped: list[Skipped] = []
    assert [p.id for p in load_photos(source, None, skipped=skipped)] == ["whole"]
    reasons = {s.name.removeprefix("a.tar:"): s.reason for s in skipped}
    assert list(reasons) == ["empty.jpg", "half.jpg", "note.jpg", "bomb.png", "sidecar.jpg"]
    assert reasons["note.jpg"] == "not a picture of a known kind"
    assert "decompression bomb" in reasons["bomb.png"]
    assert not capsys.readouterr().out
    load_photos(source, None)
    assert "skipped a.tar:note.jpg: not a picture of a known kind\n" in capsys.readouterr().out


def test_unusual_pictures_become_8_bit_rgb() -> None:
    photo = Image.open(SAMPLES[0]).convert("RGB").resize((64, 48))
    levels = np.array(photo)

    def pixels(image: Image.Image, file_format: str, **options: object) -> np.ndarray:
        buffer = io.BytesIO()
        image.save(buffer, file_format, **options)
        decoded = decode(buffer.getvalue())
        assert decoded.dtype == torch.uint8 and decoded.is_contiguous() and decoded.shape[2] == 3
        return decoded.numpy().astype(int)

    assert abs(pixels(photo.convert("CMYK"), "JPEG", quality=98) - levels).mean() < 3
    assert np.array_equal(
        pixels(photo.quantize(64), "PNG"), np.array(photo.quantize(64).convert("RGB")).astype(int)
    )

    grey = np.array(photo.convert("L")).astype(np.uint16)
    deep = pixels(Image.fromarray(grey * 257), "PNG")  # 16 bits: scaled, not clipped
    assert np.array_equal(deep, np.repeat(grey[..., None], 3, 2))

    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: upright is a quarter turn clockwise
    turned = pixels(photo, "JPEG", quality=98, exif=exif)
    assert turned.shape == (64, 48, 3) and abs(turned - np.rot90(levels, -1).astype(int)).mean() < 3

    clear = photo.copy()
    clear.putalpha(Image.fromarray(np.where(np.arange(64) < 32, 0, 255).astype(np.uint8)[None].repeat(48, 0)))
    laid = pixels(clear, "PNG")
    assert (laid[:, :32] == 255).all() and np.array_equal(laid[:, 32:], levels[:, 32:].astype(int))


def test_nothing_found_says_why(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"No photos of split any in .*: it holds none \(0 skipped\); give"
    ):
        load_photos(tmp_path, None)
    names = [name for name in (f"{i}.png" for i in range(200)) if split_of(name) == "train"][:10]
    for name in names:
        (tmp_path / name).write_bytes(PICTURES[0])
    with pytest.raises(FileNotFoundError, match="split test .*: its 10 photos all fall in other splits"):
        load_photos(tmp_path, "test")
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=rf"\(10 skipped, the first is {min(names)}: not a picture"):
        load_photos(tmp_path, "train", skipped=[])


def test_missing_path_is_one_sentence_and_asks_no_hub() -> None:
    for source in ("nowhere", "no/such/folder", "../photos", "./photos"):
        sentence = f"There is no file or folder {re.escape(source)}.*: give a folder of pictures"
        with pytest.raises(FileNotFoundError, match=sentence):
            load_photos(source, "train")


def test_a_hub_that_does_not_answer_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    from httpx2 import ReadTimeout

    def silent(self: object, name: str, revision: str | None, timeout: float) -> None:
        assert timeout <= 10
        raise ReadTimeout("no answer")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", silent)
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: pytest.fail("it tries on"))
    with pytest.raises(
        FileNotFoundError, match=r"opened \(the Hub cannot be reached from here\): give a folder"
    ):
        load_photos("we/photos", None)

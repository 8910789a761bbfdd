"""Large photos: restored in bands within little memory, with the pixels that the whole would have."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from lwr import large
from lwr.images.canvas import Canvas
from lwr.images.color import WAVELET_REACH, wavelet_color_fix
from lwr.images.pixels import pad_to_multiple, resize, to_unit
from lwr.images.reading import load
from lwr.loading import limits
from lwr.loading.load import load_network
from lwr.loading.priors import EMBEDDED
from lwr.models import bands as in_bands
from lwr.models import tones
from lwr.models.tiling import blend
from lwr.restore import Restorer
from training.benchmarks.memory import large_photo

ROOT = Path(__file__).resolve().parents[1]
CLOSE = 1e-4  # a fortieth of an 8-bit level


def levels(*size: int) -> torch.Tensor:
    """(1,3,H,W) of a plain sky over noise."""
    made = torch.randint(0, 256, (1, 3, *size), generator=torch.Generator().manual_seed(0))
    made[..., : size[0] // 3, :] = 180
    return made.to(torch.uint8)


def rows(image: torch.Tensor, count: int = 37) -> Iterator[torch.Tensor]:
    yield from (part.clone() for part in image.split(count, -2))


def joined(parts: Iterator[torch.Tensor]) -> torch.Tensor:
    return torch.cat(list(parts), -2)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and float((a - b).abs().max()) < CLOSE


SIZES = [((100, 70), (100, 70)), ((333, 217), (500, 217)), ((150, 90), (391, 333)), ((57, 31), (228, 124))]


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_any_part_is_what_the_whole_enlarged_and_padded_photo_shows(
    old: tuple[int, int], new: tuple[int, int]
) -> None:
    photo = levels(*old)
    whole, _ = pad_to_multiple(resize(to_unit(photo), new), 64)
    canvas = Canvas(photo, new, 64)
    assert close(canvas.cut(0, 0, *canvas.padded), whole)
    assert close(canvas.turned().cut(5, 7, 50, 41).mT, whole[..., 7:48, 5:55])
    assert close(in_bands.reduced(canvas, (13, 11)), F.interpolate(whole, (13, 11), mode="area"))


def test_tones_and_tiles_in_bands_are_those_of_the_whole() -> None:
    size, photo = (400, 333), levels(400, 333)
    canvas, whole = Canvas(photo, size), to_unit(photo)
    image = (0.6 * whole + 0.1 * torch.rand(whole.shape, generator=torch.Generator().manual_seed(1))).float()
    overview = F.interpolate(whole, (37, 23), mode="area")
    pairs = {
        "match": (
            tones.match_tones(image.clone(), overview),
            in_bands.match_tones_in_bands(rows(image), size, overview),
        ),
        "plain": (
            tones.keep_plain_tones(image.clone(), whole),
            in_bands.keep_plain_tones_in_bands(rows(image), rows(whole, 64), size),
        ),
        "wavelet": (
            wavelet_color_fix(image, whole),
            in_bands.fixed(rows(image), canvas, wavelet_color_fix, WAVELET_REACH),
        ),
        "tiles": (
            blend(whole, lambda tile: tile * tile.mean(), 160, 32),
            in_bands.blended_bands(canvas, lambda tiles: (tile * tile.mean() for tile in tiles), 160, 32),
        ),
    }
    for name, (expected, found) in pairs.items():
        assert close(expected, joined(found)), name
    assert not close(pairs["plain"][0], image), "the sky was given its tones"


def test_photos_of_8_bits_stay_8_bits(tmp_path: Path) -> None:
    large_photo(900, 600).save(tmp_path / "photo.jpg")
    loaded = load(tmp_path / "photo.jpg")
    assert loaded.pixels.dtype == torch.uint8 and loaded.rgb.dtype == torch.float32
    upright = loaded.pixels[0].permute(1, 2, 0)
    assert upright.is_contiguous() and np.array_equal(upright, Image.open(tmp_path / "photo.jpg"))


PEAKS = """
import resource, sys
import lwr.models.network as network
network.RestorationNetwork.restore = lambda self, photo, *_, **__: (photo, None)  # what takes the time
from lwr.cli import app
for photo in sys.argv[1:]:
    words = ["restore", photo, "--task", "deblur", "--memory", "1", "--overwrite"]
    app(words, standalone_mode=False)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_a_large_photo_takes_few_bytes_a_pixel(tmp_path: Path) -> None:
    """Pillow's 4, levels 3, and strips, which grow with the shorter side alone; without the network."""
    small, large = tmp_path / "small.jpg", tmp_path / "large.jpg"
    large_photo(700, 700).save(small)
    large_photo(3000, 2000).save(large)
    command = [sys.executable, "-c", PEAKS, str(small), str(large)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = (int(line) * 1024 for line in done.stdout.splitlines() if line.isdigit())
    assert after - before < 8 * 6e6 + 170e6, f"{(after - before) / 1e6:.0f} MB"


def limited(megabytes: int, *photos: Path) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes * 1_000_000,) * 2)

    command = [sys.executable, "-m", "lwr", "restore", *map(str, photos), "--task", "deblur", "--overwrite"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, preexec_fn=limit)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit address space")
def test_a_small_ulimit_is_refused_in_a_sentence(tmp_path: Path) -> None:
    small, large = tmp_path / "small.png", tmp_path / "large.png"
    Image.new("RGB", (64, 48), "white").save(small)
    Image.new("RGB", (8000, 8000), "white").save(large)
    none = limited(500, small, large)
    assert none.returncode == 2 and none.stderr.count("\n") == 1
    assert "ulimit -v), and the program needs at least" in none.stderr
    one = limited(1900, small, large)
    assert one.returncode == 1 and "small.restored.png" in one.stdout, one.stderr
    assert "8000x8000 pixels take" in one.stderr and "ulimit -v" in one.stderr
    assert "Traceback" not in one.stderr


def test_the_container_limit_is_the_narrowest_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, most, used, cached in (("", 900, 500, 100), ("a", 2000, 300, 0), ("a/b", "max", 100, 0)):
        place = tmp_path / "groups" / folder
        place.mkdir(parents=True)
        (place / "memory.max").write_text(f"{most}\n")
        (place / "memory.current").write_text(f"{used}\n")
        (place / "memory.stat").write_text(f"anon 5\ninactive_file {cached}\n")
    (tmp_path / "cgroup").write_text("0::/a/b\n")
    monkeypatch.setattr(limits, "PROC", tmp_path)
    monkeypatch.setattr(limits, "CGROUPS", tmp_path / "groups")
    assert limits.limited_room() == limits.Room(500, 900, "the container's limit")
    assert "the container's limit" in limits.too_little_to_start()
    assert "8x8 pixels take 1 MB of memory, and 0 MB are left" in limits.too_little_for("8x8 pixels", 1000)
    assert limits.too_little_for("8x8 pixels", 400) is None


@pytest.mark.parametrize(
    "task", ["dehaze", "deblur"]
)  # with and without a reduced photo that shows the tones
def test_tiles_that_pass_together_are_those_that_pass_alone(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large_photo(900, 600).save(tmp_path / "photo.png")
    restorer = Restorer(load_network(), EMBEDDED, torch.device("cpu"), tile=192)
    found, steps = {}, {}
    for at_once in (1, 3):
        monkeypatch.setattr(large, "tiles_at_once", lambda *_, count=at_once: count)
        done: list[tuple[int, int]] = []
        restored = restorer(
            tmp_path / "photo.png", task=task, progress=lambda *one, done=done: done.append(one[:2])
        )
        found[at_once], steps[at_once] = restored.loaded.pixels.int(), done
    assert (found[1] - found[3]).abs().max() <= 1  # a level: of floats, only the last bits differ
    assert (found[1] != found[3]).float().mean() < 1e-3
    assert steps[1] == steps[3] and steps[1][-1][0] == steps[1][-1][1] > 20


def test_a_stop_leaves_no_tile_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large_photo(900, 600).save(tmp_path / "photo.png")
    restorer = Restorer(load_network(), EMBEDDED, torch.device("cpu"), tile=192)
    monkeypatch.setattr(large, "tiles_at_once", lambda *_: 2)
    running: list[int] = []
    restore = restorer.network.restore

    def counted(*arguments: object, **options: object) -> object:
        running.append(1)
        try:
            return restore(*arguments, **options)
        finally:
            running.pop()

    def stop(done: int, *_: object) -> None:
        if done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(restorer.network, "restore", counted)
    with pytest.raises(KeyboardInterrupt):
        restorer(tmp_path / "photo.png", task="deblur", progress=stop)
    assert not running and not restorer.network.prior.unet.conv_out._forward_pre_hooks


def test_tiles_wait_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    network, cpu = load_network(), torch.device("cpu")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    for left, count in ((10**12, 4), (1_200_000_000, 2), (10**8, 1)):
        monkeypatch.setattr(large, "room", lambda left=left: limits.Room(left, 10**12, limits.FREE))
        assert large.tiles_at_once(network, 512, cpu) == count
    assert large.tiles_at_once(network, 512, torch.device("meta")) == 1


def test_with_a_budget_of_memory_tiles_pass_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large_photo(500, 400).save(tmp_path / "photo.png")
    asked: list[int] = []
    monkeypatch.setattr(large, "tiles_at_once", lambda *_: asked.append(1) or 1)
    for sparing in (True, False):
        restorer = Restorer(load_network(), EMBEDDED, torch.device("cpu"), tile=192, sparing=sparing)
        restorer(tmp_path / "photo.png", task="deblur")
        assert bool(asked) is not sparing
    assert Restorer.load("embedded", device="cpu", memory_gb=1).sparing
    assert not Restorer.load("embedded", device="cpu").sparing

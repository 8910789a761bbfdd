"""Whatever a file holds: a photo or one sentence, never a traceback, never more memory than the photo needs.

Each of the two properties is tried on as many files as LWR_FUZZ_CASES says (1000), the same ones each time;
with another LWR_FUZZ_SEED on others. Files that once failed are kept in `tests/corpus`.
"""

import os
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from lwr.images.files import ImageError, Loaded, load, save
from tests.awkward_files import XMP, damaged, exif, picture, profile, seeds, written

CASES = int(os.environ.get("LWR_FUZZ_CASES", "1000"))
SEED = int(os.environ.get("LWR_FUZZ_SEED", "17"))
CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())
MOST_PIXELS = 1_000_000  # of a photo that is read here; a larger one is refused before it is decoded
MOST_MEMORY = 150e6  # bytes beyond what the process has before
many = settings(
    max_examples=CASES,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


def peak_memory(reset: bool = False) -> float:
    """The most bytes that this process has held since the last reset; 0 where the system does not tell."""
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) * 1000 for line in lines if line.startswith("VmHWM")), 0.0)


def read(path: Path) -> Loaded | None:
    """The photo, or None for one sentence; all else fails the test."""
    before = peak_memory(reset=True)
    try:
        photo = load(path, max_pixels=MOST_PIXELS)
    except ImageError as error:
        text = str(error)
        assert (
            text.isprintable()
            and text.endswith(".")
            and str(path) in text
            and len(text) < 500 + len(str(path))
        )
        return None
    finally:
        assert peak_memory() - before < MOST_MEMORY
    assert photo.rgb.isfinite().all() and photo.rgb.min() >= 0 and photo.rgb.max() <= 1
    assert photo.rgb.shape[:2] == (1, 3) and (
        photo.alpha is None or photo.alpha.shape[2:] == photo.rgb.shape[2:]
    )
    assert all(note.isprintable() and len(note) < 500 for note in photo.notes)
    return photo


@many
@seed(SEED)
@given(st.sampled_from(sorted(seeds())), st.integers(0, 2**32), st.sampled_from((1, 1, 2, 3, 8)))
def test_damaged_files_are_read_or_named(
    tmp_path_factory: pytest.TempPathFactory, name: str, number: int, times: int
) -> None:
    path = tmp_path_factory.getbasetemp() / f"damaged{Path(name).suffix}"
    path.write_bytes(damaged(seeds()[name], random.Random(number), times))
    read(path)


MODES = {
    "JPEG": ("RGB", "L", "CMYK", "1"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "WEBP": ("RGB", "RGBA", "L"),
    "TIFF": ("RGB", "RGBA", "L", "LA", "P", "CMYK", "1", "I;16", "I", "F", "LAB"),
    "GIF": ("RGB", "RGBA", "L", "P", "1"),
    "BMP": ("RGB", "L", "P", "1"),
    "PPM": ("RGB", "L", "1", "I;16"),
    "JPEG2000": ("RGB", "RGBA", "L", "LA", "I;16"),
    "AVIF": ("RGB", "RGBA", "L"),
    "HEIF": ("RGB", "RGBA", "L", "I;16"),
}
SUFFIXES = (".png", ".jpg", ".webp", ".tif")
EXIF_BLOCKS = (b"", exif(1), exif(6), exif(9), exif(3)[:60], b"Exif\0\0junk")
WITH_EXIF = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
PROFILES = ("", "RGB", "GRAY", "CMYK", "Lab", "junk")


@st.composite
def files(draw: st.DrawFn) -> tuple[str, str, bytes, tuple[int, int]]:
    """(format, mode, bytes, size) of a good file, with metadata that may be none."""
    file_format = draw(st.sampled_from(sorted(MODES)))
    mode = draw(st.sampled_from(MODES[file_format]))
    size = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    image = picture("RGB" if mode == "LAB" else mode, *size)
    if mode == "LAB":
        image = Image.frombytes("LAB", size, image.tobytes())
    options: dict[str, object] = {}
    block, space = draw(st.sampled_from(EXIF_BLOCKS)), draw(st.sampled_from(PROFILES))
    if block and file_format in (("JPEG", "PNG", "WEBP", "HEIF") if b"junk" in block else WITH_EXIF):
        options["exif"] = block
    if space and file_format in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"):
        options["icc_profile"] = b"junk" if space == "junk" else profile(space)
    if draw(st.booleans()) and file_format in ("JPEG", "WEBP", "AVIF", "HEIF"):
        options["xmp"] = XMP
    if draw(st.booleans()) and file_format in ("JPEG", "PNG", "TIFF"):
        options["dpi"] = (300, 300)
    options |= {"AVIF": {"speed": 10}, "HEIF": {"enc_params": {"preset": "ultrafast"}}}.get(file_format, {})
    return file_format, mode, written(image, file_format, **options), size


@pytest.mark.filterwarnings("ignore:Truncated File Read")  # Pillow, of a block that the test has cut short
@many
@seed(SEED)
@given(files(), st.sampled_from((*SUFFIXES, "", "", "")))  # each write waits for the disk
def test_good_files_of_every_mode_depth_profile_and_size_are_read_and_written(
    tmp_path_factory: pytest.TempPathFactory, file: tuple[str, str, bytes, tuple[int, int]], suffix: str
) -> None:
    file_format, mode, data, size = file
    path = tmp_path_factory.getbasetemp() / f"good.{file_format.lower()}"
    path.write_bytes(data)
    photo = read(path)
    assert photo is not None and sorted(photo.rgb.shape[2:]) == sorted(size)
    if mode in ("L", "LA", "1", "I;16", "I", "F") and file_format not in ("JPEG2000", "AVIF", "HEIF", "WEBP"):
        assert not photo.rgb.diff(dim=1).any()  # gray stays gray
    if suffix:
        again = read(save(photo, path.with_name(f"again{suffix}"), overwrite=True))
        assert again is not None and again.rgb.shape == photo.rgb.shape


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_files_that_once_failed(tmp_path: Path, path: Path) -> None:
    photo = read(path)
    assert photo is not None  # of each the pixels are whole
    for suffix in SUFFIXES:
        again = read(save(photo, tmp_path / f"again{suffix}"))
        assert again is not None and again.rgb.shape == photo.rgb.shape

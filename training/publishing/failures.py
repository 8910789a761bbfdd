"""Where the shipped weights fail, for the page's About tab: a picture for each limit, made by restoring."""

import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from lwr.degrade.rain import rain_photos, sample_rain
from lwr.images import files as images
from lwr.restore import Restorer

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "lwr" / "samples"
INDEX = "failures.json"
CELL, GAP = (300, 200), 6  # pixels


@dataclass(frozen=True)
class Shown:
    """One failure as `page.about_tab` reads it: its caption there has the same name."""

    name: str
    file: str
    sentence: str  # what was asked for
    prior: str  # with which weights


Pictures = tuple[Image.Image, ...]  # what was given, what came back, and the truth where it is known
Make = Callable[[Restorer, str], Pictures]


def write(restorer: Restorer, folder: Path) -> None:
    """Write NAME.webp for each of FAILURES, and INDEX."""
    folder.mkdir(exist_ok=True)
    shown = []
    for name, (sentence, make) in FAILURES.items():
        file = f"{name}.webp"
        side_by_side(make(restorer, sentence)).save(folder / file, quality=80, method=6)
        prior = restorer.resolve(sentence).prior
        shown.append(asdict(Shown(name, file, sentence, prior)))
    (folder / INDEX).write_text(json.dumps(shown, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def strong_blur(restorer: Restorer, sentence: str) -> Pictures:
    """A real photo, taken with a moving camera."""
    photo = _sample("moving-clock.jpg")
    given = photo.crop((20, 40, photo.width - 20, photo.height - 20))
    return given, _restored(restorer, given, sentence)


def fur(restorer: Restorer, sentence: str) -> Pictures:
    """A cat at a quarter of the side."""
    photo = _sample("small-cat.jpg")
    whole = photo.crop((0, 0, photo.width // 4 * 4, photo.height // 4 * 4))
    return _enlarged(restorer, whole, sentence)


def sharp_text(restorer: Restorer, sentence: str) -> Pictures:
    """Clean text, insistently deblurred."""
    given = _page().crop((0, 60, 150, 160))
    return given, _restored(restorer, _page(), sentence).crop((0, 60, 150, 160))


def dots(restorer: Restorer, sentence: str) -> Pictures:
    """A detail at the sharpest fidelity."""
    photo = _sample("small-cat.jpg")
    result = restorer(photo, sentence, fidelity=0.5).image.convert("RGB")
    part = (200, 40, 320, 120)
    return photo.resize(result.size, Image.Resampling.BICUBIC).crop(part), result.crop(part)


def small_text(restorer: Restorer, sentence: str) -> Pictures:
    """Text too small to read."""
    return tuple(picture.crop((0, 0, 300, 200)) for picture in _enlarged(restorer, _page(), sentence))


def drops(restorer: Restorer, sentence: str) -> Pictures:
    """A photo with drops on its lens, made as in training."""
    rain = asdict(sample_rain(random.Random(1), "drops"))
    photo = images.load(SAMPLES / "shaken-coffee.jpg").rgb
    given = images.to_pil(rain_photos(photo, torch.Generator(), [rain])[0])
    return given, _restored(restorer, given, sentence)


FAILURES: dict[str, tuple[str, Make]] = {
    "strong-blur": ("strongly fix the blur", strong_blur),
    "fur": ("enlarge it 4x", fur),
    "sharp-text": ("strongly fix the blur", sharp_text),
    "dots": ("enlarge it 3x", dots),
    "small-text": ("enlarge it 4x", small_text),
    "drops": ("strongly remove the rain", drops),
}


def side_by_side(pictures: Pictures) -> Image.Image:
    """Pictures of one shape in a row, on nothing."""
    width, height = CELL
    canvas = Image.new("RGBA", (len(pictures) * (width + GAP) - GAP, height), (0, 0, 0, 0))
    for column, picture in enumerate(pictures):
        shown = picture.convert("RGB").resize(CELL, Image.Resampling.BICUBIC)
        canvas.paste(shown, (column * (width + GAP), 0))
    return canvas


def _sample(name: str) -> Image.Image:
    with Image.open(SAMPLES / name) as photo:
        return photo.convert("RGB")


def _restored(restorer: Restorer, photo: Image.Image, sentence: str) -> Image.Image:
    return restorer(photo, sentence).image.convert("RGB")


def _enlarged(restorer: Restorer, whole: Image.Image, sentence: str) -> Pictures:
    small = whole.resize((whole.width // 4, whole.height // 4), Image.Resampling.BICUBIC)
    result = _restored(restorer, small, sentence)
    return small.resize(whole.size, Image.Resampling.BICUBIC), result, whole


def _page() -> Image.Image:
    """Black text on white, of growing size."""
    page = Image.new("RGB", (360, 240), "white")
    draw, top = ImageDraw.Draw(page), 8
    for size in range(11, 25, 2):
        font = ImageFont.load_default(size)
        draw.text((10, top), "The quick brown fox 0123456789", "black", font)
        top += size + 8
    return page

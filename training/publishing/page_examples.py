"""Make the page's examples and README's strip: what the shipped weights make of the photos to try.

python -m training.publishing.page_examples      # writes page/examples; run it again after new weights

The photos themselves lie in lwr/samples and page/examples, each with a CREDITS.md.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from lwr.images import files as images
from lwr.restore import Restored, Restorer
from training.command_line import parse_nothing

COMMAND = "python -m training.publishing.page_examples"
ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "lwr" / "samples"
OUT = ROOT / "page" / "examples"
# In the order of the page, whose first view shows the first.
SENTENCES = {
    "hazy-street.jpg": "remove the haze",
    "blurred-bar.jpg": "it is blurry, make the writing sharp",
    "small-actor.jpg": "make it four times larger",
    "dark-fabrics.jpg": "it is far too dark",
    "rainy-seller.jpg": "take away the rain",
    "blocky-boat.jpg": "full of JPEG blocks",
    "noisy-astronaut.jpg": "remove the noise",
    "hazy-harbour.jpg": "lift the haze from this harbour",
    "moving-motorbike.jpg": "fix the motion blur",
    "hazy-dancer.jpg": "remove the haze and enlarge it 2x",
    "misty-canyon.jpg": "the cliffs vanish behind a white veil",
    "small-cat.jpg": "enlarge it 3x",
    "hazy-rocket.jpg": "remove the haze",
    "shaken-coffee.jpg": "fix the camera shake",
}
# The strip: a column for each photo, (left, top, right, bottom) of the part shown as shares of its sides.
STRIP = {
    "hazy-rocket.jpg": (0.0, 0.0, 1.0, 1.0),
    "shaken-coffee.jpg": (0.22, 0.28, 0.78, 0.84),
    "small-cat.jpg": (0.15, 0.16, 0.85, 0.86),
}
CELL, GAP, CORNER = (420, 280), 8, 10  # pixels
THUMBNAIL = (192, 144)  # pixels


def main(arguments: Sequence[str] | None = None) -> None:
    """Restore each photo; write result, thumbnail and a record of it, then the strip."""
    parse_nothing(arguments, COMMAND, __doc__)
    for old in OUT.glob("*.webp"):
        old.unlink()
    restorer = Restorer.load(device="cpu")
    rows, pairs = [], {}
    for photo, sentence in SENTENCES.items():
        path = source(photo)
        restored = restorer(path, sentence)
        for note in restored.notes:
            print(f"{photo}: {note}")
        after = restored.image.convert("RGB")
        before = images.to_pil(images.load(path).rgb).resize(after.size, Image.Resampling.BICUBIC)
        pairs[photo] = before, after
        rows.append(record(photo, restored))
        for side, picture in (("after", after), ("thumbnail", thumbnail(before, after))):
            picture.save(OUT / rows[-1][side], quality=90, method=6)
    index = json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    (OUT / "examples.json").write_text(index, encoding="utf-8")
    strip(pairs).save(OUT / "strip.webp", quality=90, method=6)
    print(f"{len(rows)} examples and a strip in {OUT}")


def source(photo: str) -> Path:
    """Where a photo lies."""
    return next(folder / photo for folder in (SAMPLES, OUT) if (folder / photo).exists())


def record(photo: str, restored: Restored) -> dict[str, Any]:
    """What `page.examples` needs to know of one example."""
    stem, settings = Path(photo).stem, restored.settings
    return {
        "name": stem.rpartition("-")[2].capitalize(),
        "photo": source(photo).relative_to(ROOT).as_posix(),
        "after": f"{stem}.after.webp",
        "thumbnail": f"{stem}.thumbnail.webp",
        "sentence": SENTENCES[photo],
        "done": f"Made in advance at fidelity {settings.fidelity:g}.",
        "tasks": settings.tasks,
        "credit": credit(source(photo)),
        "prior": settings.prior,
    }


def credit(photo: Path) -> str:
    """Author, licence and what was done to a photo, from the CREDITS.md beside it."""
    credits = photo.parent / "CREDITS.md"
    for line in credits.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == photo.name:
            done = cells[3].removeprefix("nothing: ").partition(": `")[0]
            return f"{cells[1].partition(': ')[2]} ({cells[2]}); {done}"
    raise SystemExit(f"{credits} does not say whose {photo.name} is: add it.")


def thumbnail(before: Image.Image, after: Image.Image) -> Image.Image:
    """A small picture, its left half before and its right half after."""
    small = [ImageOps.fit(picture, THUMBNAIL, Image.Resampling.LANCZOS) for picture in (before, after)]
    width, height = THUMBNAIL
    small[1].paste(small[0].crop((0, 0, width // 2, height)))
    ImageDraw.Draw(small[1]).line((width // 2, 0, width // 2, height), "white", 2)
    return small[1]


def strip(pairs: dict[str, tuple[Image.Image, Image.Image]]) -> Image.Image:
    """Before above after, a column for each photo of STRIP; transparent between the pictures."""
    width, height = CELL
    size = (len(STRIP) * (width + GAP) - GAP, 2 * height + GAP)
    canvas = Image.new("RGBA", size, (0, 0, 0, 0))
    for column, (photo, part) in enumerate(STRIP.items()):
        before, after = pairs[photo]
        labels = ((before, "before"), (after, f"after: “{SENTENCES[photo]}”"))
        for row, (picture, label) in enumerate(labels):
            canvas.paste(cell(picture, part, label), (column * (width + GAP), row * (height + GAP)))
    return canvas


def cell(picture: Image.Image, part: tuple[float, float, float, float], label: str) -> Image.Image:
    """A part of a picture at the size of CELL, with round corners and a small label."""
    box = [round(share * side) for share, side in zip(part, 2 * picture.size, strict=True)]
    shown = ImageOps.fit(picture.crop(box), CELL, Image.Resampling.LANCZOS)
    mask = Image.new("L", CELL, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, CELL[0] - 1, CELL[1] - 1), CORNER, 255)
    font = ImageFont.load_default(17)
    left, top, right, bottom = font.getbbox(label)
    pill = Image.new("RGBA", (right - left + 20, 29), (0, 0, 0, 0))
    draw = ImageDraw.Draw(pill)
    draw.rounded_rectangle((0, 0, pill.width - 1, pill.height - 1), 14, (0, 0, 0, 165))
    draw.text((10 - left, pill.height / 2), label, (255, 255, 255, 255), font, anchor="lm")
    shown.paste(pill, (10, CELL[1] - pill.height - 10), pill)
    shown.putalpha(mask)
    return shown


if __name__ == "__main__":
    main()

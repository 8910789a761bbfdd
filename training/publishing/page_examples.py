"""Make the page's examples: what the shipped weights make of the sample photos, as small files.

python -m training.publishing.page_examples      # writes page/examples; again after new weights
"""

import json
from pathlib import Path

from PIL import Image

from lwr.images import files as images
from lwr.restore import Restorer

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "lwr" / "samples"
OUT = ROOT / "page" / "examples"
SENTENCES = {
    "hazy-rocket.jpg": "remove the haze",
    "shaken-coffee.jpg": "fix the camera shake",
    "moving-clock.jpg": "the clock moved, make it sharp",
    "small-cat.jpg": "enlarge it 3x",
}


def main() -> None:
    """Restore each sample, and write before, after and their facts."""
    OUT.mkdir(exist_ok=True)
    restorer = Restorer.load(device="cpu")
    rows = []
    for name, sentence in SENTENCES.items():
        restored = restorer(SAMPLES / name, sentence)
        after = restored.image.convert("RGB")
        before = images.to_pil(images.load(SAMPLES / name).rgb).resize(after.size, Image.Resampling.BICUBIC)
        stem = Path(name).stem
        files = {side: f"{stem}.{side}.webp" for side in ("before", "after")}
        for side, picture in (("before", before), ("after", after)):
            picture.save(OUT / files[side], quality=90, method=6)
        settings = restored.settings
        rows.append(
            {
                "name": stem.replace("-", " "),
                "photo": name,
                **files,
                "sentence": sentence,
                "done": f"Made beforehand with {settings.prior}, fidelity {settings.fidelity:g}.",
                "tasks": settings.tasks,
                "credit": credit(name),
                "prior": settings.prior,
            }
        )
    (OUT / "examples.json").write_text(
        json.dumps(rows, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(f"{len(rows)} examples in {OUT}")


def credit(name: str) -> str:
    """Whose photo it is, from the samples' credits."""
    for line in (SAMPLES / "CREDITS.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] == name:
            return f"{cells[1].replace('`', '')}, {cells[2]}"
    raise SystemExit(f"{SAMPLES / 'CREDITS.md'} does not say whose {name} is: add it.")


if __name__ == "__main__":
    main()

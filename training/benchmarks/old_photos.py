"""What is found and repaired of old photos, and what is left alone on clean ones:
`python -m training.benchmarks.old_photos --photos PHOTOS` writes training/results/old-photos.json.

Validation photos are scratched and faded by `lwr.degrade.worn`, each by a seed of its own. Scratches count
where they changed a pixel by more than a tenth. A fill is timed on a square of 1000 pixels.
"""

import statistics
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from lwr.degrade.light import round_to_8_bit
from lwr.degrade.worn import fade, scratch
from lwr.images import metrics
from lwr.repair.fading import find_fading
from lwr.repair.fill import fill
from lwr.repair.scratches import find_scratches
from training.benchmarks.fixed_damage import middle
from training.benchmarks.record import RESULTS, made_with, write
from training.command_line import parse
from training.evaluation.samples import clean_photos

COMMAND = "python -m training.benchmarks.old_photos"
VISIBLE = 0.1  # change of a pixel, of 1
NEAR = 2  # pixels from a scratch within which a find is right
SPOILED = 0.0005  # share of a clean photo that is filled by mistake, from which on it counts as harmed
TIMED = 1000  # pixels a side


@dataclass(frozen=True)
class Options:
    """What is measured."""

    photos: str  # folder of pictures, tar or parquet shards, or a Hub dataset NAMESPACE/NAME
    limit: int = 24  # photos
    side: int = 512  # pixels, of the middle
    out: Path = RESULTS / "old-photos.json"


def main() -> None:
    """Entry point."""
    options = parse(Options, None, COMMAND, __doc__)
    torch.set_num_threads(1)
    rows, photo = [], None
    for photo in clean_photos(options.photos, "validation", options.limit, []):
        clean, seed = middle(photo.pixels, options.side), zlib.crc32(photo.id.encode())
        rows.append(scratches(clean, seed) | fading(clean, seed))
    if photo is None:
        raise SystemExit(f"{options.photos} holds no validation photos.")
    results = made_with(COMMAND, ("torch",)) | {"photos": len(rows), "side": options.side}
    write(results | summary(rows) | {"fill": seconds_of_a_fill(clean)}, options.out)


def scratches(clean: torch.Tensor, seed: int) -> dict[str, float]:
    """Figures of one photo (1,3,H,W): counts of pixels, and PSNR in dB within the scratches."""
    worn, where = scratch(clean, torch.Generator().manual_seed(seed))
    worn = round_to_8_bit(worn)
    found = find_scratches(worn)
    visible = where & ((worn - clean).abs().mean(1)[0] > VISIBLE)
    near = F.max_pool2d(where[None, None].float(), 2 * NEAR + 1, 1, NEAR)[0, 0] > 0
    before, painted = psnr(worn, clean), psnr(fill(worn, where), clean)
    return {
        "visible": int(visible.sum()),
        "recalled": int((visible & found).sum()),
        "found": int(found.sum()),
        "right": int((found & near).sum()),
        "touched": float(find_scratches(clean).float().mean()),
        "gain": psnr(fill(worn, found), clean) - before,
        "painted_gain": painted - before,
        "inside": inside(fill(worn, where), clean, where) - inside(worn, clean, where),
    }


def inside(photo: torch.Tensor, clean: torch.Tensor, where: torch.Tensor) -> float:
    """PSNR in dB within `where` (H,W)."""
    return psnr(photo[..., where, None], clean[..., where, None])


def psnr(photo: torch.Tensor, clean: torch.Tensor) -> float:
    """In dB, peak 1."""
    return float(metrics.psnr(photo, clean).mean())


def fading(clean: torch.Tensor, seed: int) -> dict[str, float]:
    """Strengths that are found, and PSNR in dB of a faded photo corrected."""
    faded = round_to_8_bit(fade(clean, torch.Generator().manual_seed(seed)))
    found = find_fading(faded)
    return {
        "faded_strength": found.strength,
        "clean_strength": find_fading(clean).strength,
        "fading_gain": psnr(found.undone(faded), clean) - psnr(faded, clean),
    }


def summary(rows: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Over all photos; `touched` and `harmed` are of clean ones, all gains in dB of PSNR."""
    total = {name: sum(row[name] for row in rows) for name in rows[0]}
    mean = {name: statistics.mean(row[name] for row in rows) for name in rows[0]}
    return {
        "scratches": {
            "recall": round(total["recalled"] / max(1, total["visible"]), 3),
            "precision": round(total["right"] / max(1, total["found"]), 3),
            "touched_percent": round(100 * mean["touched"], 4),
            "harmed": sum(row["touched"] > SPOILED for row in rows),
            "gain": round(mean["gain"], 2),
            "gain_if_painted": round(mean["painted_gain"], 2),
            "gain_if_painted_within": round(mean["inside"], 2),
        },
        "fading": {
            "found": sum(row["faded_strength"] > 0 for row in rows),
            "gain": round(mean["fading_gain"], 2),
            "worst_gain": round(min(row["fading_gain"] for row in rows), 2),
            "clean_touched": sum(row["clean_strength"] > 0 for row in rows),
        },
    }


def seconds_of_a_fill(clean: torch.Tensor) -> dict[str, float]:
    """CPU seconds of one thread for a photo with scratches painted on it; the quicker of two."""
    photo = F.interpolate(clean, size=(TIMED, TIMED), mode="bilinear")
    worn, where = scratch(photo, torch.Generator().manual_seed(0))
    seconds = []
    for _ in range(2):
        start = time.process_time()
        fill(worn, where)
        seconds.append(time.process_time() - start)
    return {
        "side": TIMED,
        "percent": round(100 * float(where.float().mean()), 2),
        "cpu_seconds": round(min(seconds), 2),
    }


if __name__ == "__main__":
    main()

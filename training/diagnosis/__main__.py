"""Train the diagnosis: `python -m training.run diagnose --photos PHOTOS --out runs/diagnosis`.

Writes diagnosis.safetensors, which belongs into lwr/, and scores.json on photos of the validation
split. The examples are kept beside them: the same command again only fits.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lwr.loading.diagnosis import save_head
from lwr.models.diagnosis import Evidence
from training.benchmarks.record import made_with
from training.command_line import parse
from training.data.photos import load_photos
from training.diagnosis.examples import WHITE, Example, make_examples
from training.diagnosis.fit import fit
from training.diagnosis.scores import confusion, scores

PROG = "python -m training.run diagnose"


@dataclass(frozen=True)
class Options:
    """What to train on, and where to."""

    photos: Path  # a folder with photos or shards
    out: Path
    count: int = 12_000  # training examples; a sixth as many for validation
    seed: int = 0
    workers: int = 2  # processes


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the examples, fit, score."""
    options = parse(Options, arguments, PROG, __doc__)
    options.out.mkdir(parents=True, exist_ok=True)
    head = fit(_examples(options, "train", options.count), options.seed)
    save_head(head, options.out)
    held_out = _examples(options, "validation", options.count // 6)
    found, mixed = scores(head, held_out), confusion(head, held_out)
    measured = {name: asdict(score) for name, score in found.items()}
    made = {"examples": options.count, "held_out": len(held_out), "seed": options.seed}
    command = f"{PROG} --photos PHOTOS --out {options.out} --count {options.count}"
    report = made_with(command) | made | {"scores": measured, "confusion": mixed}
    (options.out / "scores.json").write_text(json.dumps(report, indent=2) + "\n")
    for name, score in found.items():
        auc = "not measured" if score.auc is None else f"{score.auc:.3f}"
        print(f"{name}: AUC {auc}, calibration error {score.calibration:.3f}")


def _examples(options: Options, split: str, count: int) -> list[Example]:
    """Read or made."""
    kept = options.out / f"{split}-{count}-{options.seed}.pt"
    if kept.exists():
        with torch.serialization.safe_globals([Example, Evidence]):
            return torch.load(kept, weights_only=True)
    photos, white = load_photos(options.photos, split), WHITE if split == "train" else 0.0
    examples = make_examples(photos, count, options.seed, options.workers, white)
    torch.save(examples, kept)
    return examples


if __name__ == "__main__":
    main()

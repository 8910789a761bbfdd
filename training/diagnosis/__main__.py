"""Train the diagnosis: `python -m training.diagnosis --photos PHOTOS --out runs/diagnosis`.

Writes diagnosis.safetensors, which belongs into lwr/, and scores.json on photos of the validation
split. The examples are kept beside them: the same command again only fits.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lwr.diagnose import save_diagnosis
from training.command_line import parse
from training.data.photos import load_photos
from training.diagnosis.examples import Examples, make_examples
from training.diagnosis.fit import fit, scores


@dataclass(frozen=True)
class Options:
    """What to train on, and where to."""

    photos: Path  # a folder with photos or shards
    out: Path
    count: int = 12_000  # training examples; a sixth as many for validation
    seed: int = 0
    workers: int = 2  # processes


def main(options: Options) -> None:
    """Make the examples, fit, score."""
    options.out.mkdir(parents=True, exist_ok=True)
    model = fit(_examples(options, "train", options.count), options.seed)
    found = scores(model, _examples(options, "validation", options.count // 6))
    save_diagnosis(model, options.out)
    measured = {task: asdict(score) for task, score in found.items()}
    report = {"examples": options.count, "seed": options.seed, "scores": measured}
    (options.out / "scores.json").write_text(json.dumps(report, indent=2) + "\n")
    for task, score in found.items():
        print(f"{task}: AUC {score.auc:.3f}, calibration error {score.calibration:.3f}")


def _examples(options: Options, split: str, count: int) -> Examples:
    """Read or made."""
    kept = options.out / f"{split}-{count}-{options.seed}.pt"
    if kept.exists():
        return Examples(**torch.load(kept, weights_only=True))
    examples = make_examples(load_photos(options.photos, split), count, options.seed, options.workers)
    torch.save(vars(examples), kept)
    return examples


if __name__ == "__main__":
    main(parse(Options, None, "python -m training.diagnosis", __doc__))

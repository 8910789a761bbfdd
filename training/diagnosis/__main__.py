"""Train the diagnosis: `python -m training.run diagnose --photos PHOTOS --out runs/diagnosis`.

Writes diagnosis.safetensors, which belongs into lwr/, and scores.json on photos of the validation
split. Processes make the examples; then a GPU fits, where there is one. The examples are kept beside the
results (300 kB each), so the same command again only fits.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lwr.loading.diagnosis import load_head, save_head
from lwr.models.diagnosis import Evidence
from training.benchmarks.record import made_with
from training.command_line import parse
from training.data.photos import load_photos
from training.diagnosis.examples import Example, make_examples
from training.diagnosis.fit import EPOCHS, fit
from training.diagnosis.scores import confusion, scores

PROG = "python -m training.run diagnose"


@dataclass(frozen=True)
class Options:
    """What to train on, and where to."""

    photos: Path  # a folder with photos or shards
    out: Path
    count: int = 12_000  # training examples
    held_out: int | None = None  # examples to score on; None: a sixth of `count`
    seed: int = 0
    epochs: int = EPOCHS
    init: Path | None = None  # a folder with a head to train on; None: a new one
    workers: int = 2  # processes
    device: str = "auto"  # that fits: "cpu", "cuda"; "auto" takes a GPU where there is one
    keep: bool = True  # the examples


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the examples, fit, score."""
    options = parse(Options, arguments, PROG, __doc__)
    options.out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    # Both before the GPU is used, as processes that are forked after that could not use it
    examples = _examples(options, "train", options.count)
    held_out = _examples(options, "validation", options.held_out or options.count // 6)
    made_at = time.perf_counter()
    print(f"{len(examples)} + {len(held_out)} examples: {made_at - start:.0f} s", flush=True)
    device = options.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.allow_tf32 = False  # as exact as a CPU
    init = None if options.init is None else load_head(options.init)
    head = fit(examples, options.seed, options.epochs, device=device, init=init)
    fitted_at = time.perf_counter()
    print(f"fitted on {device}: {fitted_at - made_at:.0f} s", flush=True)
    save_head(head, options.out)
    head = load_head(options.out)  # in the precision that it is used in
    found, mixed = scores(head, held_out), confusion(head, held_out)
    measured = {name: asdict(score) for name, score in found.items()}
    made = {"examples": options.count, "held_out": len(held_out), "seed": options.seed}
    made |= {"epochs": options.epochs, "init": options.init and str(options.init)}
    made |= {"seconds": {"examples": round(made_at - start, 1), "fit": round(fitted_at - made_at, 1)}}
    made |= {"device": device, "workers": options.workers}
    command = f"{PROG} --photos PHOTOS --out {options.out} --count {options.count} --held-out {len(held_out)}"
    command += f" --epochs {options.epochs}" + (f" --init {options.init}" if options.init else "")
    report = made_with(command) | made | {"scores": measured, "confusion": mixed}
    (options.out / "scores.json").write_text(json.dumps(report, indent=2) + "\n")
    for name, score in found.items():
        auc, alone = (
            "not measured" if each is None else f"{each:.3f}" for each in (score.auc, score.auc_alone)
        )
        print(f"{name}: AUC {auc} ({alone} with one defect), calibration error {score.calibration:.3f}")


def _examples(options: Options, split: str, count: int) -> list[Example]:
    """Read or made."""
    kept = options.out / f"{split}-{count}-{options.seed}.pt"
    if kept.exists():
        with torch.serialization.safe_globals([Example, Evidence]):
            return torch.load(kept, weights_only=True)
    photos = load_photos(options.photos, split)
    examples = make_examples(photos, count, options.seed, options.workers, hard=split == "train")
    if options.keep:
        torch.save(examples, kept)
    return examples


if __name__ == "__main__":
    main()

"""Seconds, bytes and quality of the default pass in torch, ONNX Runtime and OpenVINO, in 32, 16 and 8 bits.

    pip install -e ".[light]"
    python -m training.benchmarks.runtimes --photos PHOTOS   # writes training/results/runtimes.json

Time is of one pass over 512x512 pixels; the runtimes take turns, because CPUs change their speed. Quality is
that of the middle of validation photos, damaged as in training. What is not installed is left out, and said.
Graphs and calibrated weights stay in --folder and are used again; `--only`, `--kinds` and `--tasks` measure a
part and keep the quality of the rest.
"""

import json
import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from lwr.images.metrics import psnr
from training.benchmarks.fixed_damage import middle
from training.benchmarks.record import RESULTS, made_with, write
from training.benchmarks.runtime_kinds import KINDS, Kind, Pass, Work, size_of
from training.command_line import parse
from training.data.photos import load_photos
from training.evaluation.samples import clean_photos, damaged
from training.machine import processor_flags

COMMAND = "python -m training.benchmarks.runtimes"
PACKAGES = ("torch", "onnx", "onnxruntime", "openvino", "nncf")
REFERENCE = "torch float32"  # what the others are compared with
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


@dataclass(frozen=True)
class Options:
    """What is measured."""

    photos: str  # folder of pictures, tar or parquet shards, or a Hub dataset NAMESPACE/NAME
    only: Literal["seconds", "quality"] | None = None  # measure one half, keep the other
    tasks: tuple[str, ...] = ("dehaze", "deblur", "denoise")  # of the quality; seconds are of the first
    kinds: tuple[str, ...] = ()  # runtimes, by the start of their names; none = all
    threads: tuple[int, ...] = (1, 2)
    side: int = 512  # pixels, of the photo whose pass is timed
    rounds: int = 5  # timed passes of each; the median counts
    limit: int = 6  # validation photos
    quality_side: int = 256  # pixels, of their middles
    calibration: int = 24  # training photos, of whose middles 8 bits learn their ranges
    prior: str = "embedded"  # embedded, a folder, or a Hub repository
    folder: Path = Path("runs") / "runtimes"  # of graphs
    out: Path = RESULTS / "runtimes.json"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    options = parse(Options, arguments, COMMAND, __doc__)
    kept = json.loads(options.out.read_text()) if options.out.exists() else {}
    left_out = {name: why for name in KINDS if (why := reason(KINDS[name]))}
    kinds = [name for name in KINDS if name not in left_out and name.startswith(options.kinds or "")]
    results = made_with(COMMAND, PACKAGES) | {
        "instructions": [flag for flag in INSTRUCTIONS if flag in processor_flags()],
        "side": options.side,
        "left_out": left_out,
        "seconds": kept.get("seconds", {}),
        "quality": kept.get("quality", {}),
    }
    if options.only != "quality":
        work = work_of(options, options.tasks[0])
        for threads in options.threads:
            results["seconds"][f"{threads} threads"] = seconds(work, kinds, threads, options)
    if options.only != "seconds":
        for task in options.tasks:
            made = quality(work_of(options, task), kinds, options)
            before = results["quality"].get(task, {})
            same = all(before.get(key) == made[key] for key in ("photos", "quality_side"))
            rows = before["rows"] | made["rows"] if same else made["rows"]
            results["quality"][task] = made | {"rows": rows}
            write(results, options.out)
    write(results, options.out)


def reason(kind: Kind) -> str | None:
    """Why a runtime is left out; None: it is measured."""
    missing = [package for package in kind.packages if find_spec(package) is None]
    return f"not installed: {', '.join(missing)}" if missing else None


def work_of(options: Options, task: str) -> Work:
    """A task with photos to calibrate on, which are read where they are needed."""
    return Work(task, options.folder, options.prior, cache(partial(calibration, options, task)))


def calibration(options: Options, task: str) -> list[np.ndarray]:
    """Middles of training photos as the task damages them, (1,3,H,W) in [0,1]."""
    photos = load_photos(options.photos, "train", options.calibration)
    clean = ((photo.id, middle(photo.pixels, options.quality_side)) for photo in photos)
    return [damaged(name, one, task).numpy() for name, one in clean if one.shape[-1] == one.shape[-2]]


def seconds(work: Work, kinds: Sequence[str], threads: int, options: Options) -> dict[str, Any]:
    """Median and least seconds of a pass in each runtime, taking turns, and how busy the machine was."""
    photo = np.random.default_rng(0).random((1, 3, options.side, options.side), dtype=np.float32)
    passes = {name: KINDS[name].start(work, options.side, threads) for name in kinds}
    for run in passes.values():
        run(photo)  # the first is slower
    load, taken = os.getloadavg()[0], {name: [] for name in kinds}
    print(f"{threads} threads: {len(kinds)} runtimes take turns.", flush=True)
    for _ in range(options.rounds):
        for name, run in passes.items():
            start = time.perf_counter()
            run(photo)
            taken[name].append(time.perf_counter() - start)
    found = {
        name: {"median": round(statistics.median(times), 3), "least": round(min(times), 3)}
        for name, times in taken.items()
    }
    return {"load": round(load, 2), "rounds": options.rounds, "passes": found}


def quality(work: Work, kinds: Sequence[str], options: Options) -> dict[str, Any]:
    """What each runtime makes of validation photos, beside float32 torch and beside the clean photos."""
    photos = clean_photos(options.photos, "validation", options.limit, [])
    pairs = [(photo.id, middle(photo.pixels, options.quality_side)) for photo in photos]
    pairs = [(damaged(name, clean, work.task), clean) for name, clean in pairs]
    threads = max(options.threads)
    expected = outputs(KINDS[REFERENCE].start(work, options.quality_side, threads), pairs)
    before = [psnr(photo, clean).item() for photo, clean in pairs]
    rows = {}
    for name in kinds:
        made = outputs(KINDS[name].start(work, options.quality_side, threads), pairs)
        after = [psnr(one, clean).item() for one, (_, clean) in zip(made, pairs, strict=True)]
        rows[name] = {
            "megabytes": round(size_of(KINDS[name], work), 1),
            "most_different": max((a - b).abs().max().item() for a, b in zip(made, expected, strict=True)),
            "db_to_float32": likeness(made, expected),
            "gain_db": round(statistics.mean(after) - statistics.mean(before), 3),
        }
    return {"photos": len(pairs), "quality_side": options.quality_side, "rows": rows}


def outputs(run: Pass, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> list[torch.Tensor]:
    """The photos of pairs (damaged, clean), restored."""
    return [torch.from_numpy(np.array(run(photo.numpy()))) for photo, _ in pairs]


def likeness(made: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float | None:
    """Mean PSNR in dB to what was expected; None where all are equal."""
    finite = [
        value for a, b in zip(made, expected, strict=True) if (value := psnr(a, b).item()) < float("inf")
    ]
    return round(statistics.mean(finite), 2) if finite else None


if __name__ == "__main__":
    main()

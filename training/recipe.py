"""Every stage of the embedded network, each from the one before, as far as some minutes of one GPU go:
`python -m training.recipe --photos PHOTOS --minutes 25 [-- options of training.run for all stages]`.

One process, so that photos are read once. The same command again continues where it was
stopped; `--dry-run` checks options and sources. What comes out lies in OUT/adapter/network, in half
precision, no file over 10 MB.
"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from training.command_line import fail, parse
from training.config import Config
from training.run import resolve, run

PROG = "python -m training.recipe"
PHOTOS = "--scene 1 --group 1"  # of stages on single photos, of which few are degraded
# In their order: folder, preset, share of the minutes, options of training.run. Batches are large enough to
# keep a GPU busy: below about 400 crops of 128 pixels, a step waits for the calls of its many kernels.
STAGES = (
    ("vae", "autoencoder", 0.11, f"{PHOTOS} --batch 128 --lr 1.5e-3"),
    ("vae-perceptual", "autoencoder", 0.10, f"{PHOTOS} --batch 64 --perceptual 0.15 --gan 0.05"),
    ("prior", "prior", 0.07, f"{PHOTOS} --batch 64 --crop 256"),
    ("encoder", "encoder", 0.06, "--batch 256"),
    ("end-to-end", "end-to-end", 0.28, "--batch 512"),
    ("large", "end-to-end", 0.12, "--batch 128 --crop 256 --lr 5e-4"),
    ("perceptual", "perceptual", 0.12, "--batch 256"),
    ("adapter", "adapter", 0.14, "--batch 128 --crop 192"),
)


@dataclasses.dataclass(frozen=True)
class Options:
    """Of the command line."""

    photos: str | None = None  # as training.run takes them
    data: str | None = None  # or these, as training.run takes them: photos and pairs
    out: str = "runs/recipe"  # a folder for every stage
    start: str = "lwr/embedded"  # network to start from
    minutes: float = 25.0  # of training, all stages together; reading and writing come on top, about a minute
    # to run, each from the newest before it in `out`, the first from `start` where there is none
    stages: tuple[str, ...] = tuple(name for name, *_ in STAGES)


def plan(arguments: Sequence[str]) -> list[Config]:
    """The stages' configs, in their order."""
    words = list(arguments)
    cut = words.index("--") if "--" in words else len(words)
    options, more = parse(Options, words[:cut], PROG, __doc__), words[cut + 1 :]
    known = [name for name, *_ in STAGES]
    if unknown := [name for name in options.stages if name not in known]:
        fail(PROG, f"there is no stage {unknown[0]!r}: use {', '.join(known)}.")
    on_gpu = ["--group", "4", "--workers", str(max(1, (os.cpu_count() or 2) - 1)), "--precision", "bf16"]
    if (options.photos is None) == (options.data is None):
        fail(PROG, "give one of --photos and --data.")
    data = ["--data", options.data] if options.data else ["--photos", str(options.photos)]
    every = [*data, "--crop", "128", "--scene", "2", "--warmup", "50", *on_gpu]
    every += ["--save-minutes", "2", "--validate-minutes", "0", "--tracker", "none"]
    configs, start = [], options.start
    whole = sum(share for name, _, share, _ in STAGES if name in options.stages)
    for number, (name, preset, share, own) in enumerate(STAGES):
        out = str(Path(options.out) / name)
        if name in options.stages:
            place = ["--init", start, "--out", out, "--minutes", str(options.minutes * share / whole)]
            place += ["--seed", str(number)]  # other crops than the stage before saw
            configs.append(resolve([preset, *every, *own.split(), *place, *more])[0])
        if name in options.stages or Path(out).exists():
            start = out
    return configs


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    dry = "--dry-run" in words
    configs = plan([word for word in words if word != "--dry-run"])
    from training.checkpoint import TrainingError
    from training.checks import check
    from training.data.parts import load_parts

    try:
        for config in configs:
            check(config)
    except TrainingError as error:
        fail(PROG, str(error))
    if dry:
        for config in configs:
            print(f"{config.out}: {config.stage}, {config.minutes:.1f} minutes, from {config.init}")
        return run(configs[0], dry=True)
    try:
        parts = load_parts(configs[0], "train", configs[0].photos_limit)
    except (TrainingError, OSError) as error:
        fail(PROG, str(error))
    for config in configs:
        run(config, parts)


if __name__ == "__main__":
    main()

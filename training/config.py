"""One dataclass says everything about a run; presets.py has rows of it, the command line edits it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """A training run. Times are wall-clock minutes; `None` means without limit."""

    stage: str  # a name in training.stages.STAGES
    init: str | None = None  # network folder to start from; None = a new random one
    out: str = "runs/out"  # network folder to write (EMA weights, half precision), state.pt beside it
    photos: str = "../shared/photos"  # folder of pictures, or of tar shards with manifest.csv
    tasks: tuple[str, ...] = ("dehaze", "deblur", "super-resolution")
    task_weights: tuple[float, ...] = (1.0, 2.0, 1.5)  # how often each task is drawn
    steps: int = 1_000_000  # optimiser steps; the learning rate's cosine ends at whichever limit comes first
    minutes: float | None = None  # time budget of the whole run, resumed parts included
    batch: int = 8  # crops a step
    crop: int = 128  # pixels, a multiple of 32
    lr: float = 5e-4
    muon: bool = True  # Muon's step for the weights of hidden layers, AdamW's for all else; False = AdamW
    warmup: int = 100  # steps of linear warm-up
    weight_decay: float = 0.0
    clip: float = (
        1.0  # gradient norm; far below the usual one, every batch counts alike in the optimiser's averages
    )
    ema: float = 0.999  # decay of the exponential moving average
    precision: str = "no"  # no, bf16 or fp16; on a CPU without AVX-512, bf16 is 15 times slower
    seed: int = 0
    save_minutes: float = 5.0
    log_steps: int = 50
    rank: int = 4  # of each LoRA
    wrapping_rank: int = 16  # of the LoRA pairs in CFW, where the tasks differ most
    parts: tuple[str, ...] = (
        "prior.unet",
        "encoder",
        "modulation",
        "wrapping",
    )  # whose LoRA pairs the adapter rung trains
    exact: float = 0.5  # share of the batches at fidelity 1, for the least error; below it, for the look
    perceptual: float = 0.0  # weight of LPIPS-VGG in image losses; 0 = not loaded
    perceptual_exact: float = 0.0  # the same at fidelity 1, beside the logarithmic error
    gan: float = 0.0  # weight of the PatchGAN, times the adaptive weight; 0 = none
    resume: bool = True  # go on from state.pt in `out` when it is there
    photos_limit: int | None = None  # read only so many photos; for a quick try

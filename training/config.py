"""One dataclass says everything about a run; presets.py has rows of it, the command line edits it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Config:
    """A training run. Times are wall-clock minutes; `None` means without limit."""

    stage: str  # a name in training.stages.STAGES
    init: str | None = None  # run folder whose `network` to start from; None = a new random network
    out: str = "runs/out"  # run folder: network, checkpoint, config.json, log.jsonl, samples
    # -- data
    photos: str = "../shared/photos"  # folder, tar or parquet shards, or a Hub dataset, see photos.py
    photos_limit: int | None = None  # read only so many photos; for a quick try
    tasks: tuple[str, ...] = ("dehaze", "deblur", "super-resolution")
    task_weights: tuple[float, ...] = (1.0, 2.0, 1.5)  # how often each task is drawn
    crop: int = 128  # pixels, a multiple of 32
    batch: int = 8  # crops a process and micro-step
    accumulate: int = 1  # micro-steps an optimiser step
    group: int | None = None  # crops drawn and degraded together; None = 1 on a CPU, the batch elsewhere
    # -- length and optimiser
    steps: int = 1_000_000  # optimiser steps; the schedule ends at whichever limit comes first
    minutes: float | None = None  # time budget of the whole run, resumed parts included
    lr: float = 5e-4
    schedule: str = "cosine"  # cosine (down to a fiftieth) or constant, after the warm-up
    warmup: int = 100  # steps of linear warm-up
    muon: bool = True  # Muon's step for the weights of hidden layers, AdamW's for all else; False = AdamW
    weight_decay: float = 0.0
    clip: float = 1.0  # gradient norm; far below the usual one, every batch counts alike in Muon's averages
    ema: float = 0.999  # decay of the exponential moving average
    # -- machine
    device: str = "auto"  # auto, cpu or cuda
    precision: str = "no"  # no, bf16 or fp16; on a CPU without AVX-512, bf16 is 15 times slower
    channels_last: bool = True
    checkpointing: bool = False  # compute again in the backward pass: by block in autoencoder and prior, by
    # pass (encoding, a sampler's step, decoding) in stages from photo to photo; slower, smaller
    seed: int = 0
    # -- what trains
    prior: str | None = None  # a prior to put new parts around: sd-2.1-base, a folder, a repository; frozen
    public_sft: bool = (
        False  # new SFT layers by StableSR's published formula, not the one that starts from zero
    )
    prediction: str = "v_prediction"  # of a new network's UNet: epsilon, v_prediction or sample
    parts: tuple[str, ...] = ()  # parts of the network that train whole, where the stage leaves the choice
    lora_parts: tuple[str, ...] = ()  # parts whose LoRA pairs train, where the stage leaves the choice
    rank: int = 4  # of each LoRA
    wrapping_rank: int = 16  # of the LoRA pairs in CFW, where the tasks differ most
    look_rank: int = 24  # of CFW's second set of weights, once the decoder rung has made it
    new_look: bool = False  # the decoder rung begins that set anew, though the network has one
    teacher_steps: int = 4  # of the sampler whose result the distill rung learns in one step
    latent_steps: int = 4  # of the sampler whose latents the fusion rung learns to decode
    # -- losses
    chain_only: bool = False  # CFW's chain without sampler and decoder: half the cost, for fidelity 0.5 to 1
    exact: float = 0.5  # share of the batches at fidelity 1, for the least error; below it, for the look
    distance: str = "auto"  # perceptual distance: lpips, dists, gradient; auto = lpips if it is installed
    perceptual: float = 0.0  # weight of that distance in image losses below fidelity 1; 0 = not loaded
    perceptual_exact: float = 0.0  # the same at fidelity 1, beside the logarithmic error
    gan: float = 0.0  # weight of the PatchGAN, times the adaptive weight; 0 = none
    # -- watching and keeping
    resume: bool = True  # go on from the checkpoint in `out` when it is there
    save_minutes: float = 5.0
    log_steps: int = 50
    tracker: str = "trackio"  # trackio, tensorboard or none; trackio keeps its files beside `out`
    validate_minutes: float = 10.0  # between looks at held-out photos; 0 = never
    validate_photos: int = 8
    validate_crop: int = 256  # pixels, a multiple of 32

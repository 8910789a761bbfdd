"""One dataclass holds everything about a run; presets.py has rows of it, the command line edits it."""

from dataclasses import dataclass

from lwr.tasks import TASKS


@dataclass(frozen=True)
class Config:
    """A training run. Times are wall-clock minutes; None means without limit unless the field says else."""

    stage: str  # a name in training.stages.STAGES
    init: str | None = None  # run folder (or network) to start from; None = a new random network
    out: str = "runs/out"  # run folder: network, checkpoint, config.json, log.jsonl, samples
    # -- data
    photos: str | None = None  # folder of pictures, tar or parquet shards, or a Hub dataset NAMESPACE/NAME
    # instead: SOURCE,... each [TASK=]PLACE[/CONFIG][:WEIGHT]: photos, folders of pairs, datasets, see README
    data: str | None = None
    data_memory: float = (
        4.0  # GB that decoded pairs may take; files beyond it are decoded when they are drawn
    )
    photos_limit: int | None = None  # read only this many photos of a source, for a quick try
    tasks: tuple[str, ...] = tuple(TASKS)  # to train on
    task_weights: tuple[float, ...] = ()  # how often each is drawn; none = by the tasks' own weights
    scene_weight: float = 1.0  # times the own weights of tasks whose damage lies in the scene
    crop: int = 128  # pixels, a multiple of 32
    # crops with haze have this many times the side, and a batch holds as many fewer as makes the same pixels
    scene: int = 1
    batch: int = 8  # crops a process and micro-step
    accumulate: int = 1  # micro-steps an optimiser step
    batches: str | None = None  # folder of batches that training.draw_batches drew, in place of photos
    workers: int = 0  # processes that draw batches ahead of time; 0 = the training draws them itself
    group: int | None = None  # crops drawn and degraded together; None = 1 on a CPU, the batch elsewhere
    # -- length and optimiser
    steps: int = 1_000_000  # optimiser steps; the schedule ends at whichever limit comes first
    minutes: float | None = None  # time budget of the whole run, resumed parts included
    lr: float = 5e-4  # peak learning rate
    schedule: str = "cosine"  # cosine (down to a fiftieth) or constant, after the warm-up
    warmup: int = 100  # steps of linear warm-up
    muon: bool = True  # Muon's step for the weights of hidden layers, AdamW's for all else; False = AdamW
    weight_decay: float = 0.0  # decoupled, as in AdamW
    clip: float = 1.0  # gradient norm; at 0.02 every batch counts alike in Muon's averages
    ema: float = 0.999  # decay of the exponential moving average of the weights
    # -- machine
    device: str = "auto"  # auto, cpu or cuda
    precision: str = "no"  # no, bf16 or fp16; on a CPU without AVX-512, bf16 is 15 times slower
    channels_last: bool = True  # memory format of weights and photos
    # compute again in the backward pass, slower and smaller: by block in autoencoder and prior, by pass
    # (encoding, a sampler's step, decoding) in stages from photo to photo
    checkpointing: bool = False
    seed: int = 0  # of new weights, crops and degradations
    # -- what trains
    prior: str | None = None  # a frozen prior to put new parts around: sd-2.1-base, a folder, a repository
    public_sft: bool = False  # new SFT layers by StableSR's formula, not the one that starts from zero
    prediction: str = "v_prediction"  # of a new network's UNet: epsilon, v_prediction or sample
    new_unet: bool = False  # the UNet starts again at random, to see what its training as a prior is worth
    parts: tuple[str, ...] = ()  # parts of the network that train whole, where the stage leaves the choice
    lora_parts: tuple[str, ...] = ()  # parts whose LoRA pairs train, where the stage leaves the choice
    rank: int | None = None  # of the LoRA pairs; None = as in the adapter to go on from, 4 of new ones
    # the same in refiner or CFW, where the tasks differ most; 16 of new ones
    refiner_rank: int | None = None
    perceptual_rank: int = 24  # of the refiner's perceptual weights, a low-rank difference
    new_perceptual: bool = False  # stage perceptual starts those weights again, though the network has them
    teacher: str | None = None  # stage recover: the network, with its adapters, that a pruned one learns from
    distill: float = (
        0.5  # stage recover: weight of what the teacher makes of a photo, against the photo's own
    )
    teacher_steps: int = 4  # of the sampler whose result stage distill learns in one step
    latent_steps: int = 4  # of the sampler whose latents stage cfw learns to decode
    # -- losses
    refiner_only: bool = False  # without sampler and decoder: half the cost, for fidelity 0.5 to 1
    exact: float = 0.5  # share of the batches at fidelity 1, the distortion weights
    sampled: float = 0.0  # share of the batches at fidelity 0, the VAE decoder's photo of the sampled latent
    distance: str = "auto"  # perceptual distance: lpips, dists, gradient; auto = lpips if it is installed
    perceptual: float = 0.0  # weight of that distance in image losses below fidelity 1; 0 = not loaded
    perceptual_exact: float = 0.0  # the same at fidelity 1, beside the logarithmic error
    # weight of the distance at fidelity 1 between a photo's results, restored from two damages of it
    consistency: float = 0.0
    gan: float = 0.0  # weight of the PatchGAN, times the adaptive weight; 0 = none
    # -- logging and saving
    resume: bool = True  # go on from the checkpoint in `out` when there is one
    save_minutes: float = 5.0  # between checkpoints
    log_steps: int = 50  # steps a line of log.jsonl
    tracker: str = "trackio"  # trackio, tensorboard or none; trackio keeps its files beside `out`
    validate_minutes: float = 10.0  # between validations on held-out photos; 0 = never
    validate_photos: int = 8  # held-out photographs
    validate_crop: int = 256  # pixels, a multiple of 32

"""Studies with made-up scores of a known answer."""

from typing import Any

import numpy as np

TASKS = ["deblur", "dehaze", "super-resolution", "denoise", "dejpeg", "low-light", "derain"]
MEASURES = ("psnr", "ssim", "lpips", "dists")
INPUTS = {"psnr": 22.0, "ssim": 0.7, "lpips": 0.35, "dists": 0.2}
FRACTIONS = ("0.25", "0.5", "0.75", "1.0")
# arm: (question, what, trained parameters, MB a task, starts from)
ARMS = {
    "separate": ("sharing", "one network a task", 12_300_000, 7.1, None),
    "no-prompt": ("sharing", "one network, no prompt", 1_760_000, 0.0, None),
    "shared": ("sharing", "one network with a prompt, UNet frozen", 1_760_000, 0.0, None),
    "embedding": ("sharing", "one network, a trained embedding a task", 1_765_000, 0.003, None),
    "lora-2": ("sharing", "shared, frozen, a LoRA of rank 2 a task", 350_000, 0.2, "shared at 50 %"),
    "lora-4": ("sharing", "shared, frozen, a LoRA of rank 4 a task", 700_000, 0.4, "shared at 50 %"),
    "lora-8": ("sharing", "shared, frozen, a LoRA of rank 8 a task", 1_400_000, 0.8, "shared at 50 %"),
    "lora-16": ("sharing", "shared, frozen, a LoRA of rank 16 a task", 2_800_000, 1.6, "shared at 50 %"),
    "lora-32": ("sharing", "shared, frozen, a LoRA of rank 32 a task", 5_600_000, 3.2, "shared at 50 %"),
    "full": ("sharing", "one network a task from shared", 12_300_000, 7.1, "shared at 50 %"),
    "trained-on": ("prior", "UNet pretrained and trained on", 2_900_000, 0.0, None),
    "random-unet": ("prior", "UNet random and trained", 2_900_000, 0.0, None),
    "no-unet": ("prior", "latent passed through", 1_200_000, 0.0, None),
    "no-unet-separate": ("prior", "latent passed through, one network a task", 8_400_000, 4.8, None),
    "pair-best": ("pairs", "two tasks in one network", 1_760_000, 0.0, None),
    "pair-worst": ("pairs", "two tasks in one network", 1_760_000, 0.0, None),
}
PAIRS = {"pair-best": ["deblur", "super-resolution"], "pair-worst": ["dehaze", "dejpeg"]}


def study(
    effects: dict[str, float],
    seeds: dict[str, int] | int = 1,
    photos: int = 12,
    noise: float = 0.05,
    seed: int = 0,
) -> dict[str, Any]:
    """Arms that gain 2 dB + their effect, with the same ease of a photo in all; LPIPS falls by a twentieth of
    the effect, the other measures alike."""
    rng = np.random.default_rng(seed)
    inputs = {
        task: {m: (INPUTS[m] + rng.normal(0, 0.01, photos)).tolist() for m in MEASURES} for task in TASKS
    }
    ease = {task: rng.normal(0, 2, photos) for task in TASKS}
    arms = {}
    for arm, effect in effects.items():
        question, what, trainable, stored, start = ARMS[arm]
        tasks = PAIRS.get(arm, TASKS)
        count = seeds if isinstance(seeds, int) else seeds.get(arm, 1)
        runs = {}
        for run in range(count):
            scores = {
                at: {task: _scores(rng, inputs[task], ease[task], effect, float(at), noise) for task in tasks}
                for at in FRACTIONS
                if start is None or float(at) > 0.5
            }
            runs[str(run)] = {"scores": scores}
            if run == 0 and question != "pairs":
                runs["0"]["swap"] = _swap(rng, inputs, scores["1.0"], tasks)
        arms[arm] = {
            "question": question, "what": what, "tasks": tasks, "trainable": trainable, "starts_from": start,
            "stored_mb_per_task": stored, "seconds_per_step": 0.4, "runs": runs,
        }  # fmt: skip
    return {
        "study": "strategies", "command": "python -m training.study strategies --photos PHOTOS",
        "date": "2026-11-27T16:00:00", "versions": {"torch": "2"}, "device": "2 cores", "minutes": 500.0,
        "config": {"crop": 96, "batch": 16, "lr": 1e-3, "samples_per_task": 4000, "prior_samples": 20000,
                   "tasks": TASKS, "training_photos": 600, "validation_crop": 192},
        "photos": [f"photo-{n}" for n in range(photos)], "inputs": inputs, "arms": arms,
        "cosines": _cosines(rng), "grouping": {"best": PAIRS["pair-best"], "worst": PAIRS["pair-worst"]},
    }  # fmt: skip


def _scores(
    rng: np.random.Generator, given: dict, ease: np.ndarray, effect: float, at: float, noise: float
) -> dict[str, list[float]]:
    gain = (2 + effect) * at**0.4 + ease + rng.normal(0, noise, len(ease)) if noise else 2 + effect + ease
    scale = {"psnr": 1.0, "ssim": 0.02, "lpips": -0.05, "dists": -0.03}
    return {m: (np.array(given[m]) + scale[m] * gain).tolist() for m in MEASURES}


def _swap(rng: np.random.Generator, inputs: dict, scores: dict, tasks: list[str]) -> dict:
    found: dict[str, dict] = {}
    for damage in tasks:
        for asked in tasks:
            right = damage == asked
            psnr = (
                scores[damage]["psnr"]
                if right
                else (np.array(inputs[damage]["psnr"]) - rng.normal(1, 1)).tolist()
            )
            moved = rng.uniform(0.05, 0.07, len(psnr)) if right else rng.uniform(0, 0.04, len(psnr))
            found.setdefault(damage, {})[asked] = {"psnr": psnr, "moved": moved.tolist()}
    return found


def _cosines(rng: np.random.Generator) -> dict:
    def matrix(mean: float) -> list[list[float]]:
        half = np.triu(np.clip(rng.normal(mean, 0.2, (len(TASKS), len(TASKS))), -1, 1), 1)
        return (half + half.T + np.eye(len(TASKS))).tolist()

    parts = {"encoder": 0.3, "unet": 0.1, "decoder": -0.1}
    return {"0": {at: {part: matrix(mean) for part, mean in parts.items()} for at in FRACTIONS}}

"""The recipe as a table: each row is a run; what really ran is in training/README.md."""

from typing import Any

from training.config import Config

RUNS = [f"runs/{name}" for name in ("autoencoder", "prior", "encoder", "end-to-end", "perceptual", "adapter")]
VAE, PRIOR, ENCODER, WHOLE, PERCEPTUAL, ADAPTER = RUNS
# What lies in the scene, such as haze, is learned first, detail last.
DETAIL: dict[str, Any] = {"scene_weight": 0.5, "clip": 0.02}
EVEN: dict[str, Any] = {"scene_weight": 1.5, "clip": 0.02, "scene": 2}
LPIPS: dict[str, Any] = {"perceptual": 1.0}
SMALL = {"batch": 32, "crop": 64}  # many different damages a step
CONDITION = {"minutes": 8, "lr": 1e-3, "batch": 16, "scene": 2, "clip": 0.02, "parts": ("prior.unet",)}
RECOVERED = {"parts": ("encoder", "sft", "refiner", "prior.unet", "prior.vae")}
AROUND = {"parts": ("encoder", "sft", "text", "refiner")}  # all that is not the prior
ALL = {"parts": (*AROUND["parts"], "prior.unet")}  # the UNet goes on learning: it does half of the work
LORAS = {"lora_parts": ("prior.unet", "encoder", "sft", "refiner")}
SAMPLER_LORAS = {"lora_parts": LORAS["lora_parts"][:3]}

# Around a frozen Stable Diffusion: bf16, AdamW at a constant rate, as StableSR was trained. Checkpointing saves
# memory in cfw and distill, which go through several passes; the other two keep their single pass whole.
SD: dict[str, Any] = {
    "crop": 512,
    "precision": "bf16",
    "checkpointing": True,
    "muon": False,
    "schedule": "constant",
    "warmup": 0,
}
SD_LORAS: dict[str, Any] = {"lora_parts": ("unet-attention", "sft"), "rank": 8}  # about 6 MB a task

# fmt: off
PRESETS: dict[str, Config] = {
    # preset               stage          starts from  writes                          see Config
    "autoencoder": Config("autoencoder", None,        VAE,               minutes=25, lr=1e-3, batch=16, crop=96),
    "prior":       Config("prior",       VAE,         PRIOR,             minutes=6,  lr=1e-3, batch=24),
    "encoder":     Config("encoder",     PRIOR,       ENCODER,           **CONDITION),
    "end-to-end":  Config("end_to_end",  ENCODER,     WHOLE,             minutes=60, lr=1e-3, batch=16, crop=96, exact=0.9, sampled=0.1, **EVEN, **LPIPS, **ALL, **SAMPLER_LORAS),
    "perceptual":  Config("perceptual",  WHOLE,       PERCEPTUAL,        minutes=25, lr=1e-3, batch=16, crop=96, exact=0, gan=0.1, scene=2, **DETAIL, **LPIPS),
    "adapter":     Config("adapter",     PERCEPTUAL,  ADAPTER,           minutes=5,  lr=5e-4, exact=0.7, sampled=0.1, **EVEN, **LPIPS, **LORAS),
    # beside the recipe: the refiner of a network without a sampler; LoRAs of the sampler alone
    "refiner":     Config("refiner",     VAE,         "runs/refiner",    minutes=50, lr=1e-3, refiner_only=True, **DETAIL, **SMALL),
    "distill":     Config("distill",     ADAPTER,     "runs/distill",    minutes=10, lr=2e-4, **DETAIL, **SAMPLER_LORAS),
    # a pruned network learns from the one that it was pruned from
    "recover":     Config("recover",     "runs/pruned", "runs/recovered", minutes=30, lr=1e-3, exact=0.5, sampled=0.05, teacher="lwr/embedded", **EVEN, **LPIPS, **RECOVERED, **LORAS),
    # "encoder" without what stage prior taught the UNet, then the other stages from there: what the prior is worth
    "random-unet": Config("encoder",     VAE,         "runs/random-unet", new_unet=True, **CONDITION),
    # around Stable Diffusion, for users with its weights and a GPU; --prior takes any other, such as sd-turbo or a folder
    "sd-encoder":  Config("encoder",     None,        "runs/sd-encoder", steps=16_500, lr=5e-5, batch=6, accumulate=32, prior="sd-2.1-base", **SD),  # StableSR's stage 1: 192 crops a step
    "sd-adapter":  Config("sampler_adapter", "runs/sd-encoder", "runs/sd-adapter", steps=10_000, lr=1e-4, batch=4, accumulate=4, **SD, **SD_LORAS),
    "sd-cfw":      Config("cfw",         "runs/sd-adapter", "runs/sd-cfw", steps=50_000, lr=5e-5, batch=1, accumulate=8, exact=0.0, perceptual=1.0, gan=0.025, **SD, **SD_LORAS),
    "sd-distill":  Config("distill",     "runs/sd-cfw", "runs/sd-distill", steps=10_000, lr=1e-4, batch=2, accumulate=4, teacher_steps=20, **SD, **SD_LORAS),
}
# fmt: on

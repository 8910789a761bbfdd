"""Priors of the Stable Diffusion kind, tiny and random, of the real classes in the real folder format."""

import json
import shutil
from pathlib import Path

import numpy as np
import skimage.data
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    PNDMScheduler,
    SchedulerMixin,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lwr.restore import Restored
from lwr.stablesr.convert import convert
from training.benchmarks.random_stablesr import TINY, write

PHOTO = Image.fromarray(skimage.data.astronaut()).crop((180, 60, 270, 130))  # 90x70
ASK = {"task": "super-resolution", "scale": 1.0}
TEXT_WIDTH = 64
SCHEDULE = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "skip_prk_steps": True,
}


def tiny_sd(
    folder: Path, prediction: str = "epsilon", turbo: bool = False, pruned: bool = False, seed: int = 0
) -> Path:
    """Write a Stable Diffusion with 64-pixel native size: `turbo` has SD-Turbo's scheduler, `pruned` the UNet
    of BK-SDM-tiny (three levels, a block each, no middle).
    """
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 64, 64) if pruned else (32, 64, 64, 64),
        layers_per_block=1 if pruned else 2,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=(1, 2, 2) if pruned else (1, 2, 2, 2),
        use_linear_projection=True,
        mid_block_type=None if pruned else "UNetMidBlock2DCrossAttn",
        down_block_types=("CrossAttnDownBlock2D",) * 3 + (() if pruned else ("DownBlock2D",)),
        up_block_types=(() if pruned else ("UpBlock2D",)) + ("CrossAttnUpBlock2D",) * 3,
    )
    vae = AutoencoderKL(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        sample_size=64,
    )
    scheduler: SchedulerMixin
    if turbo:
        scheduler = EulerDiscreteScheduler(
            **{k: v for k, v in SCHEDULE.items() if k != "skip_prk_steps"},
            prediction_type=prediction,
            timestep_spacing="trailing",
        )
    else:
        scheduler = PNDMScheduler(**SCHEDULE, prediction_type=prediction, steps_offset=1)
    tokenizer = _tokenizer()
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=2 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=77,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    pipeline = StableDiffusionPipeline(
        vae, text_encoder, tokenizer, unet, scheduler, None, None, requires_safety_checker=False
    )
    pipeline.save_pretrained(folder)
    return folder


def every_kind(folder: Path) -> Path:
    """Write the priors "sd", "v", "turbo", "pruned" and a converted StableSR, "stablesr", into `folder`."""
    tiny_sd(folder / "sd")
    tiny_sd(folder / "v", "v_prediction")
    tiny_sd(folder / "turbo", turbo=True)
    tiny_sd(folder / "pruned", pruned=True)
    convert(write(folder / "tiny.ckpt", TINY), folder / "stablesr", head_channels=32)
    config = json.loads((folder / "stablesr" / "prior.json").read_text())
    assert config["least_side"] == 512  # which takes a tiny network long
    (folder / "stablesr" / "prior.json").write_text(json.dumps(config | {"least_side": 64}))
    return folder


def as_on_the_hub(folder: Path, out: Path) -> Path:
    """The folder as the repositories of 2022 look: vocab.json and merges.txt, pickled and half-precision
    copies of every weight beside the ones that count, names of old attention layers.
    """
    shutil.copytree(folder, out)
    tokenizer = json.loads((out / "tokenizer" / "tokenizer.json").read_text())["model"]
    (out / "tokenizer" / "vocab.json").write_text(json.dumps(tokenizer["vocab"]))
    merges = "\n".join(pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["merges"])
    (out / "tokenizer" / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    (out / "tokenizer" / "tokenizer.json").unlink()
    for weights in out.rglob("*.safetensors"):
        (weights.parent / f"{weights.stem}.fp16.safetensors").write_bytes(b"not to be fetched")
        (weights.parent / f"{weights.stem}.bin").write_bytes(b"not to be fetched")
    (out / "v2-1.ckpt").write_bytes(b"not to be fetched")
    return out


def pixels(restored: Restored) -> np.ndarray:
    return np.asarray(restored.image).astype(int)


def same(a: Restored, b: Restored) -> bool:
    return np.array_equal(pixels(a), pixels(b))


def near(a: Restored, b: Restored) -> bool:
    """The same but for rounding: kernels differ with where in memory a weight lies."""
    return np.abs(pixels(a) - pixels(b)).max() <= 1


def _tokenizer() -> CLIPTokenizer:
    letters = [chr(code) for code in range(ord("!"), ord("~") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters), "ph"]
    vocab = {word: index for index, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[("p", "h")], model_max_length=77)

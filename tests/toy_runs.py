"""What the tests of training share: real photos under names of a split, and runs that a test can afford: few
steps of a network like the shipped one with fewer channels, on the CPU, where equal numbers are equal bits.
"""

import dataclasses
import functools
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from lwr.loading.save import save_network
from training import create
from training.config import Config
from training.data.photos import split_of
from training.logger import Logger
from training.loop import Outcome, train
from training.presets import PRESETS

ROOT = Path(__file__).parents[1]
SAMPLES = sorted((ROOT / "lwr" / "samples").glob("*.jpg"))
# Values of a `toy`, for every preset.
TOY: dict[str, Any] = {
    "steps": 2,
    "minutes": None,
    "batch": 2,
    "crop": 32,
    "scene": 1,
    "warmup": 1,
    "log_steps": 1,
}
TOY |= {"distance": "gradient", "tracker": "none", "validate_minutes": 0.0, "device": "cpu"}
# An end-to-end run with all that may go wrong in one: Muon, AdamW, perceptual distance, discriminator.
ADVERSARIAL: dict[str, Any] = {
    "parts": ("sft",),
    "lora_parts": ("refiner",),
    "exact": 0.0,
    "gan": 0.5,
    "perceptual": 1.0,
}


def small_networks(patch: pytest.MonkeyPatch) -> None:
    """From then on new networks have every part of the shipped one with fewer channels."""
    parts = create.NETWORK
    sizes = {"channels": (16, 24, 32), "blocks": (1, 1, 1), "filters": (4, 5), "unet_channels": 32}
    refiner = dataclasses.replace(parts.refiner, **sizes)
    encoder = dataclasses.replace(parts.encoder, width=32, out_channels=32)
    sft = dataclasses.replace(parts.sft, feature_channels=32, hidden=32)
    sizes = dataclasses.replace(parts, encoder=encoder, sft=sft, refiner=refiner)
    patch.setattr(create, "VAE_CHANNELS", refiner.channels)
    patch.setattr(create, "UNET_CHANNELS", (32, 48, 64))
    patch.setattr(create, "NETWORK", sizes)


def new_root(folder: Path) -> Path:
    """`folder` with photos and a small network, without adapters, to start from."""
    sample_photos(folder / "photos")
    (folder / "start").mkdir()
    (folder / "start" / "network").symlink_to(small_network(), target_is_directory=True)
    return folder


def small_network() -> Path:
    """The folder of an untrained small network; nobody changes it."""
    return Path(_small().name)


@functools.cache
def _small() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory()
    with pytest.MonkeyPatch.context() as patch:
        small_networks(patch)
        save_network(create.create_network(Config("none")).eval(), Path(folder.name))
    return folder


def finished(root: Path) -> Path:
    """`root`, a `new_root`, after toy("refiner", root, "run") has run to its end; it runs only once."""
    shutil.copytree(Path(_finished().name) / "run", root / "run")
    return root


@functools.cache
def _finished() -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory()
    train(toy("refiner", new_root(Path(folder.name)), "run"))
    return folder


def named_for(split: str, stem: str, ending: str = ".jpg") -> str:
    """A file name that puts a photo into `split`."""
    return next(n for n in (f"{stem}-{k}{ending}" for k in range(10_000)) if split_of(n) == split)


def sample_photos(folder: Path) -> Path:
    """The sample photos under names that all fall into the training split."""
    folder.mkdir(parents=True)
    for index, path in enumerate(SAMPLES):
        (folder / named_for("train", str(index))).write_bytes(path.read_bytes())
    return folder


def held_out_photo(folder: Path, side: int) -> None:
    """Add a photo of the validation split, `side` pixels either way."""
    name = named_for("validation", "held-out", ".png")
    Image.open(SAMPLES[0]).resize((side, side)).save(folder / name)


def shipped_start(folder: Path, adapters: bool = True) -> Path:
    """A run folder whose network is the shipped one, with or without its adapters."""
    (folder / "network").mkdir(parents=True)
    for path in (ROOT / "lwr" / "embedded").iterdir():
        if adapters or path.name != "adapters":
            (folder / "network" / path.name).symlink_to(path)
    return folder


def toy(preset: str, root: Path, out: str, **changes: Any) -> Config:
    """A preset at toy length in `root`/`out`, on `root`/photos and from `root`/start, which must be there."""
    places = {"photos": str(root / "photos"), "init": str(root / "start"), "out": str(root / out)}
    return dataclasses.replace(PRESETS[preset], **TOY | places | changes)


def options(config: Config) -> list[str]:
    """The command line that gives `config` from a preset."""
    words = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        words += [f"--{field.name.replace('_', '-')}", "none" if value is None else text]
    return words


def log(out: str | Path, key: str = "loss") -> list[dict[str, Any]]:
    """The lines of log.jsonl that have `key`."""
    lines = [json.loads(line) for line in (Path(out) / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if key in line]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in `folder`, byte by byte."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    """All tensors in the files of `folder`: weights, and what optimisers and averages keep."""
    found: dict[str, torch.Tensor] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.suffix == ".safetensors":
            found |= {f"{name}:{key}": value for key, value in load_file(path).items()}
        elif path.suffix in (".bin", ".pkl") and not name.startswith("random_states"):
            found |= dict(_tensors(name, torch.load(path, weights_only=True)))
    return found


def _tensors(name: str, value: object) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict | list | tuple):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _tensors(f"{name}:{key}", part)


def differing(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> list[str]:
    """Names of tensors that only one has or that are not equal bit for bit."""
    return [
        name for name in a.keys() | b.keys() if name not in a or name not in b or not a[name].equal(b[name])
    ]


def train_until(step: int, config: Config) -> Outcome:
    """Train, and get a real SIGTERM during the work after that step."""

    def asked(self: Logger, at: int, *rest: Any) -> None:
        log_step(self, at, *rest)
        if at == step:
            signal.raise_signal(signal.SIGTERM)

    log_step: Callable[..., None] = Logger.step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Logger, "step", asked)
        return train(config)


def train_in_two_processes(preset: str, config: Config) -> None:
    """Run a `toy` of a preset under accelerate's launcher, on the CPU."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", "2", "--cpu"]
    command = [*launch, "--main_process_port", port, "-m", "training.run", preset, *options(config)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]

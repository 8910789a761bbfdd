"""What a run records: a progress bar, log.jsonl, and metrics to trackio or tensorboard."""

import dataclasses
import json
import math
import os
import platform
import shlex
import sys
import time
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import Accelerator
from tqdm import tqdm

from training import machine
from training.checkpoint import TrainingError
from training.config import Config

PROJECT = "lwr"
PACKAGES = ("torch", "diffusers", "accelerate", "transformers", "safetensors", "numpy")


class Logger:
    """The run folder's records. Only the main process writes."""

    def __init__(self, config: Config, accelerator: Accelerator, step: int) -> None:
        self.config, self.accelerator, self.out = config, accelerator, Path(config.out)
        self.main = accelerator.is_main_process
        self.totals: dict[str, float] = {}
        self.since, self.logged = step, time.monotonic()
        self.bar = tqdm(
            total=100,
            desc=self.out.name,
            disable=None if self.main else True,  # None: a bar on a terminal only, lines of JSON elsewhere
            bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining} {postfix}",
        )
        self.lines = self.main and self.bar.disable
        if self.main:
            _drop_after(self.out / "log.jsonl", step)
            write_metadata(self.out, config)
        if config.tracker != "none":
            accelerator.init_trackers(PROJECT, _plain(config), {"trackio": {"name": self.out.name}})

    def step(self, step: int, loss: float, logs: dict[str, float], progress: float, minutes: float) -> None:
        """One optimiser step is done; every `log_steps` its averages are written."""
        for name, value in (logs | {"loss": loss}).items():
            self.totals[name] = self.totals.get(name, 0.0) + value
        count = step - self.since
        crops = self.config.batch * self.config.accumulate * self.accelerator.num_processes
        rate = count * crops / max(time.monotonic() - self.logged, 1e-9)
        self.bar.set_postfix_str(f"step {step}, loss {loss:.4f}, {rate:.1f} samples/s", refresh=False)
        self.bar.update(100 * progress - self.bar.n)
        if step % self.config.log_steps == 0:
            means = _means(self.totals, count)
            self.write({"step": step, "minutes": round(minutes, 2), "samples_per_s": round(rate, 1)} | means)
            self.totals, self.since, self.logged = {}, step, time.monotonic()

    def write(self, line: dict[str, object]) -> None:
        """One line of log.jsonl, and its numbers to the tracker."""
        if self.main:
            with (self.out / "log.jsonl").open("a") as file:
                file.write(json.dumps(line) + "\n")
        if self.lines:
            print(json.dumps(line), flush=True)
        if self.config.tracker != "none":
            numbers = {k: v for k, v in line.items() if isinstance(v, int | float) and k != "step"}
            self.accelerator.log(numbers, step=line.get("step"))

    def pause(self, step: int) -> None:
        """Time spent on anything but steps does not count in samples/s."""
        self.totals, self.since, self.logged = {}, step, time.monotonic()

    def close(self) -> None:
        """End bar and tracker."""
        self.bar.close()
        if self.config.tracker != "none":
            self.accelerator.end_training()


def prepare_tracker(config: Config) -> str | None:
    """The tracker for accelerate; trackio keeps its files beside the run folder, offline."""
    if config.tracker == "none":
        return None
    try:
        version(config.tracker)
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"{config.tracker} is not installed: pip install {config.tracker}, or use --tracker none."
        ) from error
    os.environ.setdefault("TRACKIO_DIR", str(Path(config.out).resolve().parent / "trackio"))
    return config.tracker


def write_metadata(out: Path, config: Config) -> None:
    """config.json, and versions.json with all that the numbers may depend on."""
    (out / "config.json").write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")
    (out / "versions.json").write_text(json.dumps(versions(), indent=2) + "\n")


def versions() -> dict[str, object]:
    """Packages, commit and machine."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    found = {"python": platform.python_version(), "commit": machine.commit(), **machine.versions(PACKAGES)}
    return found | {"device": device, "threads": torch.get_num_threads(), "command": _command()}


def _command() -> str:
    """The command line as a reader would type it, without the paths of this machine."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.stem == "__main__" else program.stem
    return shlex.join(["python", "-m", f"training.{name}", *sys.argv[1:]])


def _means(totals: dict[str, float], steps: int) -> dict[str, float]:
    """Averages; "n_KIND" counts the steps that logged KIND or MEASURE_KIND, without it all steps did."""
    names = [name for name in totals if not name.startswith("n_")]
    return {name: round(totals[name] / totals.get(f"n_{name.split('_', 1)[-1]}", steps), 5) for name in names}


def _drop_after(path: Path, step: int) -> None:
    """Drop the lines of steps that a resumed run takes again; all of them when it starts again."""
    if not step:
        path.unlink(missing_ok=True)
    elif path.exists():
        lines = [line for line in path.read_text().splitlines() if _step(line) <= step]
        path.write_text("".join(f"{line}\n" for line in lines))


def _step(line: str) -> float:
    """The step that a line of the log is about; never, for one that a kill cut short."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return math.inf


def _plain(config: Config) -> dict[str, object]:
    return {k: str(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(config).items()}

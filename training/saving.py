"""A run's network and checkpoint: written whole, and the checkpoint read back when the same run continues."""

import hashlib
import json
import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError

from lwr.loading.adapter import AdapterError
from lwr.loading.priors import PriorError
from training.checkpoint import TrainingError, recover, write_folder
from training.config import Config
from training.data.identity import difference
from training.optimise import Optimisation
from training.stages import STAGES
from training.stages.base import Stage

METADATA = "checkpoint.json"
DAMAGE = (OSError, RuntimeError, ValueError, KeyError, SafetensorError, pickle.UnpicklingError)


def load_stage(config: Config, device: torch.device) -> Stage:
    """The stage of a config; TrainingError when the network to start from cannot be read."""
    try:
        return STAGES[config.stage](config, device).to(device)
    except (TrainingError, AdapterError, PriorError):
        raise
    except (*DAMAGE, TypeError) as error:
        if config.init is None:
            raise
        raise TrainingError(
            f"The network in {config.init} is damaged or of another version ({_reason(error)}): give another "
            "--init."
        ) from error


def save(run: Optimisation) -> None:
    """The network with averaged weights, then the checkpoint, each replaced whole.

    In this order: a run that is killed in between takes the last steps again and misses nothing.
    """
    accelerator, out, step = run.accelerator, Path(run.config.out), run.progress.step
    if not all(torch.isfinite(p).all() for p in run.trainable):
        raise TrainingError(
            f"The weights of step {step} are not numbers any more, so they are not saved; what is in {out} "
            "is from before. Try a smaller --lr."
        )
    with run.averaged():
        stage = run.stage
        if run.sharded:  # gather, on every process, and write from a whole copy
            state = accelerator.get_state_dict(run.module)
            if accelerator.is_main_process:
                stage = load_stage(run.config, torch.device("cpu"))
                stage.load_state_dict(state)
        if accelerator.is_main_process:
            write_folder(out / "network", stage.save)
    accelerator.wait_for_everyone()

    def write(folder: Path) -> None:
        accelerator.save_state(str(folder))
        if accelerator.is_main_process:
            metadata = {"step": step, "architecture": _architecture(run), "data": run.data}
            (folder / METADATA).write_text(json.dumps(metadata) + "\n")

    write_folder(out / "checkpoint", write, accelerator.is_main_process, accelerator.wait_for_everyone)
    accelerator.wait_for_everyone()


def resume(run: Optimisation) -> None:
    """Go on from the checkpoint in the run's folder, if there is one and the config allows it."""
    folder = Path(run.config.out) / "checkpoint"
    if run.accelerator.is_main_process:
        recover(folder)
        recover(folder.with_name("network"))
    run.accelerator.wait_for_everyone()
    if not run.config.resume or not folder.exists():
        return
    remedy = "give another --out, or --resume false to start again."
    try:
        metadata = json.loads((folder / METADATA).read_text())
        if metadata["architecture"] == _architecture(run):
            run.accelerator.load_state(str(folder))
            return
    except DAMAGE as error:
        raise TrainingError(f"The checkpoint in {folder} is damaged ({_reason(error)}): {remedy}") from error
    raise TrainingError(
        f"The checkpoint in {folder} is of another architecture or stage than {run.config.stage!r} with this "
        f"start and these ranks: {remedy}"
    )


def check_data(run: Optimisation) -> None:
    """TrainingError when the run's checkpoint was trained on other data than `run.data`.

    Batches follow from their place in the run, so it would go on with others than it would have had.
    """
    file = Path(run.config.out) / "checkpoint" / METADATA
    if not run.config.resume or not run.progress.step or not file.exists():
        return
    there = json.loads(file.read_text()).get("data")  # None: of an earlier version, which did not say
    if there is not None and (differing := difference(there, run.data)) is not None:
        raise TrainingError(
            f"The checkpoint in {file.parent} was trained on other data ({differing}): give the same "
            f"sources; or --init {run.config.out} and another --out, to go on from its network; or "
            "--resume false, to start again."
        )


def _architecture(run: Optimisation) -> str:
    """A name for the stage, the shapes of its network and LoRAs, and what of them trains."""
    config = run.config
    shapes = [(name, *p.shape, p.requires_grad) for name, p in run.stage.named_parameters()]
    shapes += [(config.prior,)] if config.prior else []
    return f"{config.stage}-{hashlib.sha256(repr(shapes).encode()).hexdigest()[:16]}"


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0]

"""Reading a checkpoint file without running anything that it may hold."""

import os
import pickle
import pickletools
import re
import warnings
import zipfile
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

Tensors = dict[str, torch.Tensor]


class StableSRError(ValueError):
    """A checkpoint that cannot be read or converted; one sentence: what is wrong, and what would work."""


class _ModelCheckpoint:
    """Stands in for the class that PyTorch Lightning writes beside the weights to name its settings."""


LIGHTNING = (_ModelCheckpoint, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint")


def read_checkpoint(path: Path) -> Tensors:
    """Every tensor of a .safetensors or PyTorch file by its key, mapped from disk where the format allows it.

    Raises StableSRError with one sentence for anything that is no file of tensors.
    """
    if not os.path.isfile(path):  # unlike Path.is_file, never an error, however long the name
        raise StableSRError(f"There is no file {path}: give a StableSR checkpoint (.ckpt or .safetensors).")
    try:
        loaded = _load(path)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        raise _unreadable(path, found[1] if found else _named_code(path)) from error
    except (SafetensorError, RuntimeError, OSError, EOFError, ValueError, LookupError, TypeError) as error:
        raise _unreadable(path, _named_code(path)) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(key, str) for key in state):
        raise StableSRError(
            f"{path} holds no named tensors: give a StableSR checkpoint (.ckpt or .safetensors)."
        )
    return {key: value for key, value in state.items() if isinstance(value, torch.Tensor)}


def _load(path: Path) -> object:
    with path.open("rb") as file:
        start = file.read(9)
    if path.suffix.lower() == ".safetensors" or start[8:] == b"{":  # whatever it is called
        return load_file(path)
    with torch.serialization.safe_globals([LIGHTNING]), warnings.catch_warnings(action="ignore"):
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def _named_code(path: Path) -> str | None:
    """The function that a bare pickle would call, found without running it; None when there is none."""
    said: list[str] = []
    try:
        with path.open("rb") as file:
            for operation, argument, _ in pickletools.genops(file):
                if isinstance(argument, str):
                    said.append(argument.replace(" ", "."))
                found = operation.name == "GLOBAL", operation.name == "STACK_GLOBAL"
                name = said[-1] if found[0] else ".".join(said[-2:]) if found[1] else ""
                if name and not name.startswith(("torch.", "collections.")):
                    return name
    except (OSError, ValueError, IndexError):  # no pickle
        pass
    return None


def _unreadable(path: Path, code: str | None) -> StableSRError:
    if code is not None:
        return StableSRError(
            f"{path} holds code ({code}) beside its tensors and was not opened, since code in a file can do "
            "anything: use a .safetensors version of it."
        )
    return StableSRError(
        f"{path} cannot be read as a checkpoint: it is damaged, incomplete or of another kind."
    )

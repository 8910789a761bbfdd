"""What several test files do with a Hub: publish to it, forget what was fetched from it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants
from PIL import Image

from lwr.loading.adapter import Adapter, load_adapter, remembered, save_adapter
from lwr.loading.priors import EMBEDDED
from training.publish import main

TOKEN = "hf_alice"
OWNER = "alice"


def publish(*words: str, version: str = "v1.0.0", namespace: str = OWNER) -> int:
    """Exit status of training.publish."""
    return main([*words, "--namespace", namespace, "--version", version])


def other_network(folder: Path, task: str = "dehaze", factor: float = 0.5) -> Path:
    """A copy of the shipped network, one of whose adapters does `factor` of what it did."""
    shutil.copytree(EMBEDDED, folder)
    adapter = load_adapter(folder / "adapters" / task, task)
    pairs = {name: (a, b * factor) for name, (a, b) in adapter.pairs.items()}
    save_adapter(Adapter(replace(adapter.metadata, version="9.9.9"), pairs), folder / "adapters" / task)
    return folder


def forget(patch: pytest.MonkeyPatch, cache: Path) -> None:
    """Start with an empty cache, in memory and on disk."""
    cache.mkdir(parents=True, exist_ok=True)
    patch.setattr(constants, "HF_HUB_CACHE", str(cache))
    remembered.cache_clear()


def photo(path: Path, side: int = 96) -> Path:
    """A small photo with haze."""
    Image.open(EMBEDDED.parent / "samples" / "hazy-rocket.jpg").resize((side, side)).save(path)
    return path


def tags(repo: str, kind: str = "model") -> set[str]:
    """The versions of a repository."""
    return {ref.name for ref in HfApi().list_repo_refs(repo, repo_type=kind, token=TOKEN).tags}

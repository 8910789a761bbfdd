"""A network into its folder: what `load` reads."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file

from lwr.loading.eight_bits import in_eight_bits
from lwr.loading.load import PARTS
from lwr.loading.locate import PARTS_CONFIG
from lwr.loading.priors import COMPONENTS, PRIOR_CONFIG
from lwr.loading.texts import save_texts, without_transformers_bars
from lwr.models.config import PriorConfig
from lwr.models.network import RestorationNetwork
from lwr.models.prior import Prior

MAX_FILE = 9_000_000  # bytes; a Space takes no plain file over 10 MB
WEIGHTS = "diffusion_pytorch_model{suffix}.safetensors"


def save_network(
    network: RestorationNetwork,
    folder: Path,
    half: bool = True,
    bits: Literal[8, 16] = 16,
    keep: Sequence[str] = (),
) -> None:
    """Write a safetensors file for each added part and restoration.json, and the prior if it has no base.

    In half precision and files that a Space takes, or with `half` False as it is. With 8 `bits` all but the
    text encoder takes half of that, see eight_bits.py; of PARTS those in `keep` stay as they would be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if network.config.base is None:
        save_prior(network.prior, folder, half, bits)
    else:  # for people who read the folder; loading asks the base
        save_prior_config(network.prior.config, folder)
    for part in PARTS:
        module = getattr(network, part)
        if module is not None:
            state = module.state_dict()
            if bits == 8 and part not in keep:
                state = in_eight_bits(state)
            else:
                state = {k: (v.half() if half else v).contiguous() for k, v in state.items()}
            save_file(state, folder / f"{part}.safetensors")
    (folder / PARTS_CONFIG).write_text(json.dumps(asdict(network.config), indent=2) + "\n")


def save_prior(prior: Prior, folder: Path, half: bool = True, bits: Literal[8, 16] = 16) -> None:
    """Write diffusers' folder format, prior.json, and the texts where the network reads those of tasks."""
    with without_transformers_bars():
        for name in COMPONENTS:
            component = getattr(prior, name)
            if bits == 8 and name != "text_encoder":
                component.save_config(folder / name)
                _save_in_eight_bits(component.state_dict(), folder / name)
            elif half:
                component.half().save_pretrained(folder / name, max_shard_size=MAX_FILE)
                component.float()
            else:
                component.save_pretrained(folder / name)
    prior.scheduler.save_pretrained(folder / "scheduler")
    prior.tokenizer.save_pretrained(folder / "tokenizer")
    save_prior_config(prior.config, folder)
    if prior.config.text.positive is None and prior.reads_text:
        save_texts(folder)


def _save_in_eight_bits(state: dict[str, torch.Tensor], folder: Path) -> None:
    """Write a component's files; each holds the scales of its own weights."""
    half = {name: tensor.half() for name, tensor in state.items()}
    shards = split_torch_state_dict_into_shards(half, filename_pattern=WEIGHTS, max_shard_size=2 * MAX_FILE)
    for file, names in shards.filename_to_tensors.items():
        stored = in_eight_bits({name: state[name] for name in names})
        save_file(stored, folder / file, metadata={"format": "pt"})


def save_prior_config(config: PriorConfig, folder: Path) -> None:
    """Write prior.json."""
    (folder / PRIOR_CONFIG).write_text(json.dumps(asdict(config), indent=2) + "\n")

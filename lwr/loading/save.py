"""A network into its folder: what `load` reads."""

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from lwr.loading.load import PARTS
from lwr.loading.locate import PARTS_CONFIG
from lwr.loading.priors import COMPONENTS, PRIOR_CONFIG
from lwr.models.config import PriorConfig
from lwr.models.network import RestorationNetwork
from lwr.models.prior import Prior

MAX_FILE = "9MB"  # a Space takes no plain file over 10 MB


def save_network(network: RestorationNetwork, folder: Path, half: bool = True) -> None:
    """Write a safetensors file for each added part and restoration.json, and the prior if it has no base.

    In half precision and files that a Space takes, or with `half` False as it is.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if network.config.base is None:
        save_prior(network.prior, folder, half)
    else:  # for people who read the folder; loading asks the base
        save_prior_config(network.prior.config, folder)
    for part in PARTS:
        module = getattr(network, part)
        if module is not None:
            state = {k: (v.half() if half else v).contiguous() for k, v in module.state_dict().items()}
            save_file(state, folder / f"{part}.safetensors")
    (folder / PARTS_CONFIG).write_text(json.dumps(asdict(network.config), indent=2) + "\n")


def save_prior(prior: Prior, folder: Path, half: bool = True) -> None:
    """Write diffusers' folder format and prior.json."""
    for name in COMPONENTS:
        component = getattr(prior, name)
        if half:
            component.half().save_pretrained(folder / name, max_shard_size=MAX_FILE)
            component.float()
        else:
            component.save_pretrained(folder / name)
    prior.scheduler.save_pretrained(folder / "scheduler")
    prior.tokenizer.save_pretrained(folder / "tokenizer")
    save_prior_config(prior.config, folder)


def save_prior_config(config: PriorConfig, folder: Path) -> None:
    """Write prior.json."""
    (folder / PRIOR_CONFIG).write_text(json.dumps(asdict(config), indent=2) + "\n")

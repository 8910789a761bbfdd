"""A network in fewer bytes: `python -m training.compress lwr/embedded OUT` writes it with weights in 8 bits.

OUT loads as any network does; lwr/loading/eight_bits.py says what its files hold. Other programs read neither
the weights nor the adapters in it; with `--adapter-bits 16` they read the adapters.
"""

import os
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from tyro.conf import Positional

from lwr.loading.adapter import Adapter, AdapterError, load_adapter, save_adapter
from lwr.loading.load import load_network, without_bars
from lwr.loading.priors import PriorError
from lwr.loading.save import save_network
from training.checkpoint import TrainingError, write_folder
from training.command_line import parse

MADE = "made.json"  # beside a network: how it was made, for its card
DAMAGE = (OSError, RuntimeError, TypeError, KeyError, ValueError, SafetensorError)


@dataclass(frozen=True)
class Options:
    """What is written smaller."""

    network: Positional[Path]  # folder of a network, its adapters in it
    out: Positional[Path]  # new folder
    bits: Literal["8", "16"] = "8"  # of weights
    adapter_bits: Literal["8", "16"] = "8"  # of the adapters' weights
    # its new name, such as embedded-lite, in which its adapters agree; none: the same. Records tell
    # networks apart by name and revision alone.
    id: str | None = None


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = parse(Options, arguments, "python -m training.compress", __doc__)
    without_bars()
    try:
        compress(options)
    except (TrainingError, PriorError, AdapterError) as error:
        print(error, file=sys.stderr)
        return 2
    before, after = (size(folder) / 1e6 for folder in (options.network, options.out))
    print(f"{options.network}: {before:.2f} MB; {options.out}: {after:.2f} MB ({after / before:.0%})")
    return 0


def compress(options: Options) -> None:
    """Write the network and its adapters; TrainingError, PriorError or AdapterError says why not."""
    if os.path.lexists(options.out):
        raise TrainingError(f"{options.out} exists already: give a new folder.")
    try:
        network = load_network(options.network)
    except PriorError:
        raise
    except DAMAGE as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"The network in {options.network} cannot be read ({reason}).") from error
    prior = network.prior
    prior.config = replace(prior.config, id=options.id or prior.config.id)
    found = [load_adapter(folder) for folder in sorted((options.network / "adapters").glob("*"))]

    def write(folder: Path) -> None:
        save_network(network, folder, bits=int(options.bits))
        for adapter in found:
            metadata = replace(adapter.metadata, prior=prior.config.id)
            place = folder / "adapters" / metadata.task
            save_adapter(Adapter(metadata, adapter.pairs), place, bits=int(options.adapter_bits))
        if (options.network / MADE).exists():
            shutil.copy(options.network / MADE, folder / MADE)

    write_folder(options.out, write)


def size(folder: Path) -> int:
    """Bytes of all its files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())

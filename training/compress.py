"""A network in fewer bytes: `python -m training.compress lwr/embedded OUT` writes it with weights in 8 bits.

OUT loads as any network does; lwr/loading/eight_bits.py says what its files hold. Other programs read neither
the weights nor the adapters in it; with `--adapter-bits 16` they read the adapters.
"""

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from tyro.conf import Positional

from lwr.loading.adapter import Adapter, AdapterError, load_adapter, save_adapter
from lwr.loading.load import PARTS, load_network, without_bars
from lwr.loading.priors import PriorError
from lwr.loading.save import save_network
from training.checkpoint import TrainingError, write_folder
from training.command_line import parse
from training.publishing.light import MADE

DAMAGE = (OSError, RuntimeError, TypeError, KeyError, ValueError, SafetensorError)


@dataclass(frozen=True)
class Options:
    """What is written smaller."""

    network: Positional[Path]  # folder of a network, its adapters in it
    out: Positional[Path]  # new folder
    bits: Literal["8", "16"] = "8"  # of weights
    adapter_bits: Literal["8", "16"] = "8"  # of the adapters' weights
    # parts that stay in 16 bits: encoder, sft, refiner; filters that few numbers make lose most by rounding
    keep: tuple[str, ...] = ()
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
    if unknown := set(options.keep) - set(PARTS):
        raise TrainingError(f"--keep names {', '.join(sorted(unknown))}: use {', '.join(PARTS)}.")
    if os.path.lexists(options.out):
        raise TrainingError(f"{options.out} exists already: give a new folder.")
    try:
        network = load_network(options.network)
    except PriorError:
        raise
    except DAMAGE as error:
        reason = str(error).partition("\n")[0]
        raise TrainingError(f"The network in {options.network} cannot be read ({reason}).") from error
    made = _made(options.network)
    prior = network.prior
    prior.config = replace(prior.config, id=options.id or prior.config.id)
    found = [load_adapter(folder) for folder in sorted((options.network / "adapters").glob("*"))]

    bits = {"bits": int(options.bits)} | ({"kept": options.keep} if options.keep else {})

    def write(folder: Path) -> None:
        save_network(network, folder, bits=int(options.bits), keep=options.keep)
        for adapter in found:
            metadata = replace(adapter.metadata, prior=prior.config.id)
            place = folder / "adapters" / metadata.task
            save_adapter(Adapter(metadata, adapter.pairs), place, bits=int(options.adapter_bits))
        (folder / MADE).write_text(json.dumps(made | bits, indent=2) + "\n")

    write_folder(options.out, write)


def _made(network: Path) -> dict[str, Any]:
    """How the network was made so far, without the long lists of what was pruned."""
    if not (network / MADE).exists():
        return {}
    try:
        made = json.loads((network / MADE).read_text(encoding="utf-8"))
        return {name: value for name, value in made.items() if name not in ("blocks", "channels", "harms")}
    except (ValueError, AttributeError) as error:
        raise TrainingError(f"{network / MADE} is damaged ({error}): make the network again.") from error


def size(folder: Path) -> int:
    """Bytes of all its files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())

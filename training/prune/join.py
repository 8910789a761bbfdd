"""A network of parts of two: `python -m training.prune.join BASE OTHER OUT --parts refiner`.

Pruning leaves alone what passes between the parts, so parts of networks that were pruned from one network fit
each other: one that lost too much is taken from the other. Adapters are joined the same way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tyro.conf import Positional

from lwr.loading.adapter import Adapter, AdapterError, load_adapter, save_adapter
from lwr.loading.load import load_network
from lwr.loading.priors import PriorError
from lwr.loading.save import save_network
from lwr.models.network import RestorationNetwork
from training.checkpoint import write_folder
from training.command_line import fail, parse

PROG = "python -m training.prune.join"
PARTS = ("encoder", "sft", "refiner", "prior.unet", "prior.vae")


@dataclass(frozen=True)
class Options:
    """Which parts come from where."""

    base: Positional[Path]  # folder of a network with adapters, which gives the name and all other parts
    other: Positional[Path]  # folder of a network with adapters
    out: Positional[Path]  # new folder
    parts: tuple[str, ...] = ("refiner",)  # taken from the other


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; a mistake ends it with status 2 and a sentence."""
    options = parse(Options, arguments, PROG, __doc__)
    if unknown := set(options.parts) - set(PARTS):
        fail(PROG, f"--parts names {', '.join(sorted(unknown))}: use {', '.join(PARTS)}.")
    if options.out.exists():
        fail(PROG, f"{options.out} is there already: give another folder.")
    try:
        network, other = load_network(options.base), load_network(options.other)
        take(network, other, options.parts)
        adapters = [_joined(place, options) for place in sorted((options.base / "adapters").iterdir())]
    except (PriorError, AdapterError, OSError) as error:
        fail(PROG, str(error))

    def save(folder: Path) -> None:
        save_network(network, folder)
        for adapter in adapters:
            save_adapter(adapter, folder / "adapters" / adapter.metadata.task)

    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_folder(options.out, save)


def take(network: RestorationNetwork, other: RestorationNetwork, parts: Sequence[str]) -> None:
    """Give `network` these parts of another that was pruned from the same one, in place."""
    for part in parts:
        owner, _, name = part.rpartition(".")
        setattr(network.get_submodule(owner), name, other.get_submodule(part))
        if hasattr(network.config, part):
            network.config = replace(network.config, **{part: getattr(other.config, part)})
    network.prior.config = replace(network.prior.config, pruned=True)


def _joined(place: Path, options: Options) -> Adapter:
    """A task's adapter, its pairs from where their parts come from."""
    base = load_adapter(place)
    other = load_adapter(options.other / "adapters" / place.name)
    starts = tuple(f"{part}." for part in options.parts)
    pairs = {name: pair for name, pair in base.pairs.items() if not name.startswith(starts)}
    scale = other.metadata.scaling / base.metadata.scaling
    pairs |= {name: (a, scale * b) for name, (a, b) in other.pairs.items() if name.startswith(starts)}
    return Adapter(base.metadata, pairs)


if __name__ == "__main__":
    main()

"""Prune a network and its adapters: `python -m training.prune --photos PHOTOS --ratio 0.5 --out OUT`.

What comes out has lost quality; the preset `recover` of training.run gives most of it back:

    python -m training.run recover --photos PHOTOS --init OUT --teacher lwr/embedded --out runs/recovered
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from tyro.conf import FlagConversionOff

from lwr.loading.adapter import AdapterError
from lwr.loading.priors import PriorError
from lwr.tasks import TASKS
from training.checkpoint import TrainingError, write_folder
from training.command_line import fail, parse
from training.config import Config
from training.data.loader import LOSS, BatchLoader
from training.data.mixture import Batch
from training.data.parts import load_parts
from training.data.rng import RngStreams, rng_streams
from training.presets import PRESETS
from training.prune import blocks, filters, importance, levels, widths
from training.stages.base import TRAINED_PARTS
from training.stages.end_to_end import EndToEnd

PROG = "python -m training.prune"
MEASURING = ("taylor", "blocks")  # need photos
MADE = "made.json"  # beside the network: how it was pruned


@dataclass(frozen=True)
class Options:
    """What is pruned, and how much of it."""

    photos: str | None = None  # what the loss is measured on, as for training.run; magnitude needs none
    init: str = "lwr/embedded"  # the network, with its adapters
    out: Path = Path("runs/pruned")
    # hidden channels by the size of their weights or by the loss's first-order change; whole blocks; or only
    # what the other options name
    how: Literal["magnitude", "taylor", "blocks", "none"] = "taylor"
    ratio: float = 0.5  # of the hidden channels, or of the operations of the blocks that can go
    parts: tuple[str, ...] = ("prior.unet", "prior.vae", "encoder", "sft", "refiner")
    filters: int | None = None  # that the refiner keeps of its adaptive filters, nearly as good; None = all
    levels: int | None = None  # that the UNet keeps, the finest; None = all
    # whether the refiner still reads the VAE decoder; without, the decoder runs only at fidelities below 0.5
    decoder: bool = True
    blocks: tuple[str, ...] = ()  # these go, by name, such as refiner.levels.2.blocks.3; and nothing by `how`
    like: Path | None = None  # made.json of an earlier pruning: what went then goes again, of newer weights
    batches: int = 56  # of 4 crops, on which the loss is measured
    id: str = "embedded"  # of the pruned network, which its adapters name
    revision: str = ""  # of the pruned network; "" = that of the network it was
    seed: int = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; a mistake ends it with status 2 and a sentence."""
    options = parse(FlagConversionOff[Options], arguments, PROG, __doc__)
    if not 0 < options.ratio < 1:
        fail(PROG, f"--ratio is {options.ratio:g}: use a number between 0 and 1.")
    if unknown := set(options.parts) - set(TRAINED_PARTS) | {"text"} & set(options.parts):
        fail(
            PROG,
            f"--parts names {', '.join(sorted(unknown))}: use encoder, sft, refiner, prior.unet, prior.vae.",
        )
    known = options.blocks or options.like is not None
    if options.photos is None and options.how in MEASURING and not known:
        fail(PROG, f"--how {options.how} measures the loss: give --photos, or lwr/samples to try it.")
    if options.out.exists():
        fail(PROG, f"{options.out} is there already: give another --out.")
    try:
        prune(options)
    except (TrainingError, PriorError, AdapterError, OSError) as error:
        fail(PROG, str(error))


def prune(options: Options) -> None:
    """Prune, and write network, adapters and MADE."""
    like, options = _known(options)
    measured = like is None and options.how in MEASURING
    tasks = tuple(task for task in TASKS if (Path(options.init) / "adapters" / task).is_dir())
    if not tasks:
        raise TrainingError(
            f"{options.init} has no adapters, so nothing says what it should do: give another --init."
        )
    config = replace(
        PRESETS["end-to-end"], init=options.init, tasks=tasks, photos=options.photos, seed=options.seed,
        batch=4, scene=1, lora_parts=(), parts=(), exact=0.5, sampled=0.05, perceptual=float(measured),
        channels_last=False, device="cpu",
    )  # fmt: skip
    stage = EndToEnd(config)
    before = sum(p.numel() for p in stage.network.parameters())
    unknown = set(options.blocks) - set(blocks.candidates(stage.network, options.parts))
    if unknown:
        raise TrainingError(f"--blocks names {', '.join(sorted(unknown))}, which cannot go or is not there.")
    levels.check(stage.network, options.levels)
    gone = {name: like[name] for name in ("blocks", "channels")} if like else _least(stage, config, options)
    blocks.remove(stage.network, stage.loras, gone["blocks"])
    if gone["channels"]:
        widths.cut_loras(stage.loras, widths.narrow(stage.network, gone["channels"]))
    if options.levels is not None:
        levels.keep_levels(stage.network, stage.loras, options.levels)
    if options.filters is not None:
        lost = filters.reduce_filters(stage.network, stage.loras, options.filters)
        print(f"{options.filters} filters: {lost:.2%} of their energy is lost")
    _name(stage, options)
    made = {"from": options.init, "how": like["how"] if like else options.how}
    made |= {
        "ratio": like["ratio"] if like else options.ratio,
        "decoder": options.decoder,
        "filters": options.filters,
        "levels": options.levels,
    }
    made |= {"parameters": [before, sum(p.numel() for p in stage.network.parameters())]} | gone

    def save(folder: Path) -> None:
        stage.save(folder)
        (folder / MADE).write_text(json.dumps(made) + "\n")

    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_folder(options.out, save)
    print("{}: {:.2f} M -> {:.2f} M parameters".format(options.out, *(n / 1e6 for n in made["parameters"])))


def _known(options: Options) -> tuple[dict[str, Any] | None, Options]:
    """What goes, where no loss has to say so; and the options, with what an earlier pruning chose."""
    like = None if options.like is None else _read(options.like)
    if options.blocks:
        like = {"how": "blocks", "ratio": None, "blocks": list(options.blocks), "channels": {}}
    elif like is None and options.how == "none":
        like = {"how": "none", "ratio": None, "blocks": [], "channels": {}}
    if like is None:
        return None, options
    chosen = {n: like.get(n) for n in ("filters", "levels") if getattr(options, n) is None}
    return like, replace(options, decoder=options.decoder and like.get("decoder", True), **chosen)


def _read(file: Path) -> dict[str, Any]:
    """What an earlier pruning removed."""
    try:
        made = json.loads(file.read_text(encoding="utf-8"))
        chosen = {name: made[name] for name in ("filters", "levels", "decoder") if name in made}
        return {name: made[name] for name in ("how", "ratio", "blocks", "channels")} | chosen
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(
            f"{file} does not say what was pruned: give the {MADE} that {PROG} wrote."
        ) from error


def _least(stage: EndToEnd, config: Config, options: Options) -> dict[str, Any]:
    """The blocks or channels that matter least."""
    network = stage.network
    if options.how == "magnitude":
        score = importance.magnitude()
        return {
            "blocks": [],
            "channels": widths.least_important(network, options.ratio, score, options.parts),
        }
    drawn = _drawn(config, options)
    if options.how == "taylor":
        importance.add_gradients(stage, [(batch, rng()) for batch, rng in drawn])
        found = widths.least_important(network, options.ratio, importance.taylor(), options.parts)
        importance.drop_gradients(network)
        return {"blocks": [], "channels": found}

    @torch.no_grad()
    def loss() -> float:
        return float(torch.stack([stage(batch, rng(), 0.0)[0] for batch, rng in drawn]).mean())

    names = blocks.candidates(network, options.parts)
    batch, rng = drawn[0]
    cost = blocks.costs(network, names, lambda: stage.restore(batch, rng(), 1, 1.0))
    harm = blocks.harms(network, list(cost), loss)
    harms = {name: round(value, 5) for name, value in harm.items()}
    return {"blocks": blocks.choose(harm, cost, options.ratio), "channels": {}, "harms": harms}


def _name(stage: EndToEnd, options: Options) -> None:
    """Name the network, and say what its files hold and what its refiner reads."""
    network, prior = stage.network, stage.network.prior
    if not options.decoder and network.refiner is not None:
        network.refiner.config = replace(network.refiner.config, decoder_levels=0)
        network.config = replace(network.config, refiner=network.refiner.config)
    revision = options.revision or prior.config.revision
    prior.config = replace(prior.config, pruned=True, id=options.id, revision=revision)
    stage.loras.prior_config = prior.config


Drawn = list[tuple[Batch, Callable[[], RngStreams]]]


def _drawn(config: Config, options: Options) -> Drawn:
    """Batches, each with what gives the same random numbers for its loss every time."""
    cpu = torch.device("cpu")
    loader = BatchLoader(config, EndToEnd.draw, load_parts(config), cpu)
    steps = range(options.batches)
    return [(loader(step)[0], partial(rng_streams, config, cpu, step, 0, 0, LOSS)) for step in steps]


if __name__ == "__main__":
    main()

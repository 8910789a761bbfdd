"""The smaller network's card: how it was made, and the light benchmark's rows of it and of the larger one."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lwr.loading.priors import LITE
from training.benchmarks.light.networks import weights_of
from training.publishing.errors import PublishError

FULL = "embedded"
MADE = "made.json"
METHODS = {
    "taylor": "Pruned: the hidden channels went whose removal changes the training loss least, to first "
    "order (Molchanov et al. 2019).",
    "magnitude": "Pruned: the hidden channels with the smallest weights went.",
    "blocks": "Pruned: the residual blocks went whose removal changes the training loss least.",
}


def facts(network: Path) -> list[str]:
    """Sentences on how a network was made, from its made.json; [] where it has none.

    PublishError when that is damaged.
    """
    try:
        made = json.loads((network / MADE).read_text(encoding="utf-8"))
        return list(_facts(made))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise PublishError(f"{network / MADE} is damaged ({error}): make the network again.") from error


def _facts(made: Mapping[str, Any]) -> Iterator[str]:
    method = str(made.get("method") or made.get("how") or "")
    if method:
        yield METHODS.get(method, f"Made by {method}.")
    if made.get("ratio") is not None:  # blocks that were named have none
        yield f"Share of them that went: {float(made['ratio']):.0%}."
    if "parameters" in made:
        before, after = (count / 1e6 for count in made["parameters"])
        yield f"Parameters without adapters: {before:.2f} million before, {after:.2f} million after."
    if made.get("decoder") is False:
        yield "The refiner reads the VAE decoder no more, so that this runs only at fidelities below 0.5."
    if made.get("teacher"):
        yield f"Then it was trained to do what a larger network does: {made['teacher']}."
    if made.get("recovery"):
        recovery = made["recovery"]
        if isinstance(recovery, Mapping):
            recovery = ", ".join(f"{name} {value}" for name, value in recovery.items())
        yield f"That training: {recovery}."
    if made.get("bits") == 8:
        kept = f" but those of {', '.join(made['kept'])}" if made.get("kept") else ""
        yield f"Weights of two dimensions or more{kept} are stored in 8 bits, all others in 16."


def of_network(light: Mapping[str, Any], network: Path) -> bool:
    """Whether the benchmark measured this very network, and the larger one beside it."""
    rows = light.get("variants", {}).get("rows", {})
    return {FULL, LITE} <= rows.keys() and rows[LITE].get("weights") == weights_of(network)


def costs(light: Mapping[str, Any]) -> str:
    """Table of what both networks cost."""
    lines = ["| network | parameters | GMACs | MB, with adapters | seconds, by threads | peak GB |"]
    lines.append("|---|---|---|---|---|---|")
    for name in (FULL, LITE):
        row = light["variants"]["rows"][name]
        seconds = (f"{one['median']:.2f} ({threads})" for threads, one in row["seconds"].items())
        cells = (
            name,
            f"{row['parameters']['network'] / 1e6:.2f} M",
            f"{row['gmacs']:.1f}",
            f"{row['megabytes']['network'] + row['megabytes']['adapters']:.1f}",
            ", ".join(seconds),
            f"{row['peak_gb']:.2f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def quality(light: Mapping[str, Any]) -> str:
    """Table of PSNR and LPIPS of both networks, task by task."""
    rows = {name: light["variants"]["rows"][name].get("quality", {}) for name in (FULL, LITE)}
    heads = [f"{measure}, {name}" for measure in ("PSNR", "LPIPS") for name in rows]
    lines = [f"| damage | photographs | {' | '.join(heads)} |", "|---" * (2 + len(heads)) + "|"]
    for task in (task for task in rows[FULL] if task in rows[LITE]):
        scores = [rows[name][task] for name in rows]
        cells = [task, str(scores[-1]["photos"])]
        cells += [f"{one['psnr_output']:.2f}" for one in scores]
        cells += [f"{one['lpips_output']:.3f}" for one in scores]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)

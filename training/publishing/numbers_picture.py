"""The picture of numbers in the page's About tab: ours beside the input and the peers, for each task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from lwr.tasks import TASKS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, INPUT, PEER, TIME = "#0f766e", "#475569", "#94a3b8", "seconds"  # teal, as the page is; grays
BETTER = {"psnr": "PSNR in dB, more is better", "lpips": "LPIPS, less is better"}
WIDTH, ROW, HEAD = 5.2, 0.24, 0.75  # inches: narrow, so that a phone shows it readably
DPI = 200


@dataclass(frozen=True)
class Method:
    """One row of a task's part."""

    name: str
    color: str
    values: Mapping[str, float]  # psnr and lpips, or seconds


def methods_of(task: str, results: Mapping[str, Any]) -> list[Method]:
    """The input, the peers, and ours at the default fidelity and at 1, on this task's damage."""
    usual = TASKS[task].default_fidelity
    usual = results["default_fidelity"] if usual is None else usual
    found: list[Method] = []
    for case, scored in results["scores"].items():
        damage, asked, fidelity = case.split("|")
        if damage != task or not all(f"{name}_output" in scored for name in BETTER):
            continue
        values = {name: scored[f"{name}_output"] for name in BETTER}
        peer = asked.removeprefix("baseline ")
        if peer != asked:
            input_color = INPUT if peer in ("input", "bicubic") else PEER
            found.append(Method("bicubic" if peer == "bicubic" else peer, input_color, values))
        elif asked == task and fidelity == f"fidelity {usual:g}":
            found.append(Method(f"LWR, fidelity {usual:g} (default)", OURS, values))
        elif asked == task and fidelity == "fidelity 1":
            found.append(Method("LWR, fidelity 1", OURS, values))
    order = {INPUT: 0, PEER: 1, OURS: 2}
    return sorted(found, key=lambda method: order[method.color])


def times(peers: Mapping[str, Any]) -> list[Method]:
    """Seconds of enlarging, as `training.benchmarks.peers` measured them; [] when it has not."""
    return [
        Method(name, OURS if name == "LWR" else PEER, {TIME: scene["seconds"]})
        for name, scene in reversed(peers.get("scenes", {}).items())
    ]


def draw(results: Mapping[str, Any], peers: Mapping[str, Any], path: Path) -> None:
    """Write the picture, a WebP; ValueError when no task has been measured."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    parts = {TASKS[task].title: methods_of(task, results) for task in TASKS}
    parts = {title: methods for title, methods in parts.items() if methods}
    if not parts:
        raise ValueError("No task has been measured: run python -m training.evaluate.")
    compared = times(peers)
    heights = [HEAD + ROW * len(methods) for methods in (*parts.values(), *([compared] if compared else []))]
    figure = pyplot.figure(figsize=(WIDTH, sum(heights)), layout="constrained")
    rows = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for row, (title, methods) in zip(rows, parts.items(), strict=False):
        row.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
        axes = row.subplots(1, len(BETTER), sharey=True)
        for one, (measure, says) in zip(axes, BETTER.items(), strict=True):
            _panel(one, methods, measure, says)
    if compared:
        rows[-1].suptitle(f"Enlarging {peers['enlarging']}", x=0.01, ha="left", fontsize=10, weight="bold")
        _panel(rows[-1].subplots(), compared, TIME, f"seconds on {peers['machine']}, less is better")
    with path.with_suffix(".png").open("wb") as file:
        figure.savefig(file, dpi=DPI)
    pyplot.close(figure)
    with Image.open(path.with_suffix(".png")) as picture:
        picture.convert("RGB").save(path, quality=85, method=6)
    path.with_suffix(".png").unlink()


def _panel(axes: "Axes", methods: Sequence[Method], measure: str, says: str) -> None:
    """A dot for each method with its number, and a line to it from the input, which comes first."""
    values = [method.values[measure] for method in methods]
    start = 0.0 if measure == TIME else values[0]
    room = 0.55 * (max(*values, start) - min(*values, start))
    for row, (method, value) in enumerate(zip(methods, values, strict=True)):
        axes.plot([start, value], [row, row], color=method.color, linewidth=4, solid_capstyle="butt")
        axes.plot(value, row, "o", color=method.color, markersize=7)
        right = value >= start
        text, side = f"{value:.3f}" if measure == "lpips" else f"{value:.2f}", "left" if right else "right"
        offset = (6 if right else -6, 0)
        axes.annotate(
            text, (value, row), offset, textcoords="offset points", ha=side, va="center", fontsize=8
        )
    axes.axvline(start, color=INPUT, linewidth=0.8, linestyle=":")
    axes.set_xlim(min(*values, start) - (0 if measure == TIME else room), max(*values, start) + room)
    axes.set_ylim(-0.6, len(methods) - 0.4)
    axes.set_yticks(range(len(methods)), [method.name for method in methods], fontsize=8)
    axes.set_xlabel(says, fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)

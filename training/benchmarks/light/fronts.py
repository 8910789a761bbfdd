"""Pareto fronts: LPIPS gained against seconds and against MB, as a picture."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from training.benchmarks.light.costs import Row
from training.benchmarks.light.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

OURS, PEER, LARGE = "#0f766e", "#D55E00", "#475569"  # the page's teal; Okabe & Ito's orange; gray
ALL, OTHER = "o", "v"
SHAPES = {"super-resolution": "^", "deblur": "s", "dehaze": "D"}
KINDS = {
    ALL: "all tasks (filled: on the front)",
    "^": "enlarging alone",
    "s": "deblurring alone",
    "D": "dehazing alone",
}
Point = tuple[float, float]  # (cost, what is gained)
Cost = Callable[[Row], float | None]
Name = TypeVar("Name", bound=Hashable)


def front(points: Mapping[Name, Point]) -> list[Name]:
    """The names that no other one beats, cheapest first: none costs as little or less and gains as much or
    more, with one of them truly better."""
    kept = [
        name
        for name, (cost, gain) in points.items()
        if not any(c <= cost and g >= gain and (c, g) != (cost, gain) for c, g in points.values())
    ]
    return sorted(kept, key=lambda name: points[name])


def lpips_gain(row: Row, tasks: list[str] | None = None) -> float | None:
    """By what share LPIPS is lower than the damaged photo's, mean over tasks; None where one is missing."""
    quality = row.get("quality", {})
    tasks = list(quality) if tasks is None else tasks
    if not tasks or any("lpips_output" not in quality.get(task, {}) for task in tasks):
        return None
    return sum(1 - quality[t]["lpips_output"] / quality[t]["lpips_input"] for t in tasks) / len(tasks)


def seconds(row: Row) -> float | None:
    """Median of a pass with the most threads."""
    by_threads = row.get("seconds", {})
    return by_threads[max(by_threads, key=int)]["median"] if by_threads else None


def megabytes(row: Row) -> float | None:
    """On disk, with adapters."""
    return sum(row["megabytes"].values()) if "megabytes" in row else None


COSTS = {"seconds of a pass": seconds, "MB on disk, with adapters": megabytes}


@dataclass(frozen=True, eq=False)
class Mark:
    """A point of both panels."""

    number: int  # as the legend has it
    name: str  # "" = not in the legend
    row: Row
    shape: str
    color: str


def marks(results: Results) -> list[Mark]:
    """Networks of ours over their tasks; peers, which do one; and the shipped network on each such task."""
    ours, peers = results.rows("variants"), results.rows("peers")
    found = [Mark(n, name, row, ALL, OURS) for n, (name, row) in enumerate(ours.items(), 1)]
    shipped, tasks = next(iter(ours.values()), {}), {}
    for name, row in peers.items():
        if (
            row.get("quality") and (megabytes(row) or 0) > 0
        ):  # nothing is as cheap as bicubic, or gains as little
            (task,) = row["quality"]
            tasks[task] = row.get("ours") or {task: shipped.get("quality", {}).get(task, {})}
            found.append(Mark(len(found) + 1, name, row, SHAPES.get(task, OTHER), PEER))
    alone = [Mark(1, "", shipped | {"quality": own}, SHAPES.get(t, OTHER), OURS) for t, own in tasks.items()]
    return found + alone


def draw(results: Results, path: Path, beside: bool) -> None:
    """Both fronts, `beside` each other as a PNG, or one above the other as a narrow WebP."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shape, size = ((1, 2), (11, 5.6)) if beside else ((2, 1), (5.2, 8.6))
    figure, axes = pyplot.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
    shown = marks(results)
    for one, (label, cost) in zip(axes.flat, COSTS.items(), strict=True):
        _panel(one, shown, results.rows("stable-diffusion"), cost)
        one.set_xlabel(label, fontsize=9)
    _legend(figure, shown, columns=4 if beside else 2)
    drawn = path.with_suffix(".drawn.png")
    with drawn.open("wb") as file:
        figure.savefig(file, format="png", dpi=110 if beside else 150)
    pyplot.close(figure)
    with Image.open(drawn) as picture:
        if beside:
            picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)
        else:
            picture.convert("RGB").save(path, format="WEBP", lossless=True, method=6)
    drawn.unlink()


def _panel(axes: "Axes", shown: Sequence[Mark], large: Mapping[str, Row], cost: Cost) -> None:
    """Numbered points, the front of those that do all tasks, and lines where the large ones are."""
    placed = {one: at for one in shown if (at := point(one.row, cost)) is not None}
    best = front({one: at for one, at in placed.items() if one.shape == ALL})
    axes.plot([placed[one][0] for one in best], [placed[one][1] for one in best], "-", color=OURS)
    for one, at in placed.items():
        axes.plot(*at, one.shape, color=one.color, markersize=7, mfc=one.color if one in best else "white")
        side, ha = ((-5, 4), "right") if one in best else ((5, 4), "left")
        axes.annotate(
            str(one.number), at, side, textcoords="offset points", fontsize=9, color=one.color, ha=ha
        )
    for name, row in large.items():
        if (across := cost(row)) is not None:
            text = f"StableSR, {name.rpartition(', ')[2]}" if cost is seconds else "StableSR"
            axes.axvline(across, color=LARGE, linestyle=":", linewidth=1)
            axes.annotate(text, (across, 0.02), (-2, 0), ("data", "axes fraction"), "offset points",
                          rotation=90, fontsize=7.5, color=LARGE, ha="right", va="bottom")  # fmt: skip
            if cost is megabytes:
                break  # as large in any number of steps
    axes.set_xscale("log")
    axes.set_ylabel("LPIPS lower than the damaged photo's by (%)", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _legend(figure: "Figure", shown: Sequence[Mark], columns: int) -> None:
    """What the numbers and the shapes are."""
    from matplotlib.lines import Line2D

    def handle(shape: str, color: str, text: str) -> Line2D:
        return Line2D([], [], marker=shape, color=color, mfc="white", linestyle="", label=text)

    named = [handle(one.shape, one.color, f"{one.number} {one.name}") for one in shown if one.name]
    used = {one.shape for one in shown}
    kinds = [handle(shape, LARGE, text) for shape, text in KINDS.items() if shape in used]
    figure.legend(
        handles=[*named, *kinds], loc="outside lower center", ncols=columns, fontsize=8, frameon=False
    )


def point(row: Row, cost: Cost) -> Point | None:
    """(cost, % of LPIPS gained), where both are known."""
    across, gain = cost(row), lpips_gain(row)
    return None if across is None or gain is None else (across, 100 * gain)

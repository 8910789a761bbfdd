"""Pareto fronts: LPIPS gained against seconds and against MB, as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from training.benchmarks.light.costs import Row
from training.benchmarks.light.results import Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

OURS, PEER, LARGE = "#0f766e", "#D55E00", "#475569"  # the page's teal; Okabe & Ito's orange; gray
SHORT = {"super-resolution": "enlarging", "deblur": "deblurring", "dehaze": "dehazing"}
Point = tuple[float, float]  # (cost, what is gained)


def front(points: Mapping[str, Point]) -> list[str]:
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


def draw(results: Results, path: Path, beside: bool) -> None:
    """Both fronts, `beside` each other as a PNG, or one above the other as a narrow WebP."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shape, size = ((1, 2), (13, 5.2)) if beside else ((2, 1), (5.2, 8))
    figure, axes = pyplot.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
    for one, (label, cost) in zip(axes.flat, COSTS.items(), strict=True):
        _panel(one, results, cost)
        one.set_xlabel(label, fontsize=9)
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


def _panel(axes: "Axes", results: Results, cost: object) -> None:
    """Ours with their front; peers of one task beside ours on that task; the large ones as lines."""
    ours = {name: p for name, row in results.rows("variants").items() if (p := point(row, cost))}
    best = front(ours)
    axes.plot(*zip(*(ours[name] for name in best), strict=True) if best else ((), ()), "-", color=OURS)
    for name, at in ours.items():
        _mark(axes, at, name, OURS, "o", filled=name in best)
    shipped = next(iter(results.rows("variants").values()), {})
    tasks = {}
    for name, row in results.rows("peers").items():
        if (at := point(row, cost)) is not None and at[0] > 0:
            (task,) = row["quality"]
            tasks[task] = row.get("ours")
            _mark(axes, at, f"{name} ({SHORT.get(task, task)} only)", PEER, "D")
    for task, measured in tasks.items():
        own = shipped | {"quality": measured or {task: shipped.get("quality", {}).get(task, {})}}
        if (at := point(own, cost)) is not None:
            _mark(axes, at, f"ours, {SHORT.get(task, task)} only", OURS, "D")
    for name, row in results.rows("stable-diffusion").items():
        if (across := cost(row)) is not None:
            axes.axvline(across, color=LARGE, linestyle=":", linewidth=1)
            text = name.rpartition("+ ")[2] if cost is seconds else "StableSR"
            axes.text(across, 0.02, text, rotation=90, fontsize=7.5, color=LARGE, ha="right",
                      transform=axes.get_xaxis_transform())  # fmt: skip
    axes.set_xscale("log")
    axes.set_ylabel("LPIPS lower than the damaged photo's by (%)", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def point(row: Row, cost: object) -> Point | None:
    """(cost, % of LPIPS gained), where both are known."""
    across, gain = cost(row), lpips_gain(row)
    return None if across is None or gain is None else (across, 100 * gain)


def _mark(axes: "Axes", at: Point, text: str, color: str, kind: str, filled: bool = False) -> None:
    axes.plot(*at, kind, color=color, markersize=6, mfc=color if filled else "white")
    axes.annotate(text, at, (5, 4), textcoords="offset points", fontsize=7.5, color=color)

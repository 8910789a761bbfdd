"""A study as pictures: one page of plots, and the main figure of the About tab and the card."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from training.study.sentences import SHIPPED_RANK
from training.study.statistics import (
    BASE,
    BETTER,
    FRACTIONS,
    PARTS,
    UNCLEAR,
    WORSE,
    Estimate,
    Result,
    base_of,
    conflict,
    cosines,
    estimate,
    fractions_of_cosines,
    lora_ranks,
    obedience,
    of_question,
    paired,
    swap,
    tasks_of,
)
from training.study.tables import signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

# Okabe & Ito's colours, which the colour-blind tell apart, and the page's teal; verdicts show by sign too.
CURVES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000", "#777777")
DASHES = ("-", "--", ":", "-.")
VERDICTS = {BETTER: "#0f766e", WORSE: "#D55E00", UNCLEAR: "#94a3b8"}
NEUTRAL, PLAIN = "#475569", "#56B4E9"
DIVERGING = "PuOr"  # orange to violet: safe for the colour-blind
SWAPPED = 4  # matrices on the page, of these first
ASKED = (BASE, "embedding", f"lora-{SHIPPED_RANK}", "trained-on", "separate", "no-prompt")
WIDTH, ROW = 5.2, 0.27  # inches of the main figure: narrow, so that a phone shows it readably
NAMES = {  # of rows in the main figure, in its order
    "separate": "one network a task",
    "no-prompt": "shared, no prompt",
    "embedding": "shared, task embedding",
    "full": "separate from half-way",
    "trained-on": "UNet trained on",
    "random-unet": "random UNet, trained",
    "no-unet": "no UNet (hears no prompt)",
    "no-unet-separate": "no UNet, a network a task",
}
GROUPS = {
    "sharing": "Separate or together, against one shared network",
    "rank": "LoRA a task on the frozen shared network, against training it on",
    "prior": "The UNet, against the pretrained and frozen one",
    "alone": "No UNet, against one with it; one network a task both",
}


def page(result: Result, path: Path) -> None:
    """One page: curves; bars with intervals; swap matrices; gradient cosines."""
    pyplot = _pyplot()
    parts = {_curves: 3.4, _bars: 3.4}
    parts |= ({_swaps: 3.5} if _swapped(result) else {}) | (
        {_cosines: 3.5} if fractions_of_cosines(result) else {}
    )
    figure = pyplot.figure(figsize=(14, sum(parts.values())), layout="constrained")
    rows = figure.subfigures(len(parts), 1, height_ratios=list(parts.values()), squeeze=False)[:, 0]
    for row, draw in zip(rows, parts, strict=True):
        draw(row, result)
    with path.open("wb") as file:
        figure.savefig(file, format="png", dpi=110)
    pyplot.close(figure)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
            path, optimize=True
        )


def main_figure(result: Result, path: Path) -> None:
    """Paired differences with intervals of the arms that the answers rest on, a WebP."""
    pyplot = _pyplot()
    groups = {title: rows for key, title in GROUPS.items() if (rows := _rows(result, key))}
    heights = [len(rows) + 0.2 for rows in groups.values()] or [3]  # of rows, so that all are as high
    size = (WIDTH, ROW * sum(heights) + 0.5 * len(heights) + 0.3)
    figure = pyplot.figure(figsize=size, layout="constrained")
    shared = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (title, rows) in zip(shared, groups.items(), strict=False):
        _forest(axes, result, rows)
        axes.set_title(" ", fontsize=8.5)  # room for the words, which begin at the left edge of the picture
        at, above = ("figure fraction", "axes fraction"), "offset points"
        words = axes.annotate(title, (0.01, 1), (0, 5), at, above, fontsize=8.5, fontweight="bold")
        words.set_in_layout(False)
    if not groups:
        shared[0].text(0.5, 0.5, "nothing was compared", ha="center", va="center")
        shared[0].axis("off")
    shared[-1].set_xlabel(
        "difference of PSNR in dB, with 95 % intervals\n(green: better, orange: worse, gray: not clear)",
        fontsize=8.5,
    )
    between = path.with_suffix(".figure.png")
    with between.open("wb") as file:
        figure.savefig(file, format="png", dpi=200)
    pyplot.close(figure)
    with Image.open(between) as picture:
        picture.convert("RGB").save(path, format="WEBP", lossless=True, method=6)
    between.unlink()


def _rows(result: Result, key: str) -> dict[str, str]:
    """{arm: its name} of one group of the main figure; arms without a difference are left out."""
    arms = [arm for arm in NAMES if arm in result["arms"]]
    if key == "rank":
        named = {arm: f"rank {rank}" for rank, arm in lora_ranks(result).items()}
    elif key == "alone":
        named = {arm: NAMES[arm] for arm in arms if base_of(result, arm) not in (None, BASE)}
    else:
        of = of_question(result, key)
        named = {arm: NAMES[arm] for arm in arms if arm in of and base_of(result, arm) == BASE}
    return {
        arm: name
        for arm, name in named.items()
        if (base := base_of(result, arm)) and paired(result, arm, base) is not None
    }


def _forest(axes: "Axes", result: Result, rows: dict[str, str]) -> None:
    """A bar with its interval and its number for each arm."""
    found = [paired(result, arm, base_of(result, arm)) for arm in rows]
    for place, one in enumerate(found):
        axes.barh(place, one.mean, color=VERDICTS[one.verdict], height=0.62)
        if not np.isnan(one.low):
            axes.plot([one.low, one.high], [place, place], color="black", linewidth=1.3)
        remarks = ["1 seed"] * (one.seeds == 1) + [one.early.strip()] * bool(one.early)
        text = f"{signed(one.mean)}" + (f" ({', '.join(remarks)})" if remarks else "")
        axes.text(1.02, place, text, transform=axes.get_yaxis_transform(), fontsize=8, va="center")
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), list(rows.values()), fontsize=8.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _curves(row: "SubFigure", result: Result) -> None:
    """Mean PSNR gain over the samples, an arm a line; one that branches off goes on from where it starts."""
    panels = {question: _first(result, question) for question in ("sharing", "prior", "pairs")}
    panels = {question: arms for question, arms in panels.items() if arms}
    axes, order = row.subplots(1, max(1, len(panels)), squeeze=False)[0], list(result["arms"])
    for one, (question, arms) in zip(axes, panels.items(), strict=False):
        for arm in sorted(arms, key=lambda arm: -estimate(result, arm).mean):  # as the lines end
            points = _points(result, arm)
            number = order.index(arm)
            color, dash = CURVES[number % len(CURVES)], DASHES[number // len(CURVES) % len(DASHES)]
            one.plot(*zip(*points, strict=True), dash, marker="o", markersize=3, color=color, label=arm)
        one.set_title(f"{question}: while training", fontsize=11)
        one.set_xlabel("samples, % of the budget")
        one.set_ylabel("mean PSNR gain (dB)")
        one.set_xticks([100 * float(at) for at in FRACTIONS])
        one.grid(alpha=0.3)
        one.legend(fontsize=7.5, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)


def _points(result: Result, arm: str) -> list[tuple[float, float]]:
    """(% of the samples, mean gain in dB), ascending."""
    found = {at: estimate(result, arm, fraction=at) for at in FRACTIONS}
    points = {100 * float(at): one.mean for at, one in found.items() if one is not None}
    start, _, share = (result["arms"][arm].get("starts_from") or "").partition(" at ")
    percent = share.removesuffix("%").strip()
    if percent.isdigit() and start in result["arms"]:
        begin = estimate(result, start, fraction=str(int(percent) / 100), tasks=tasks_of(result, arm))
        if begin is not None:
            points.setdefault(float(percent), begin.mean)
    return sorted(points.items())


def _bars(row: "SubFigure", result: Result) -> None:
    """Mean gains with intervals of both questions, and over the LoRA rank."""
    loras = lora_ranks(result)
    panels = {question: _first(result, question) for question in ("sharing", "prior")}
    panels = {q: [arm for arm in arms if arm not in loras.values()] for q, arms in panels.items()}
    panels = {question: arms for question, arms in panels.items() if arms}
    compared = {r: one for r, arm in loras.items() if (one := paired(result, arm, BASE)) is not None}
    every = row.subplots(1, max(1, len(panels) + bool(compared)), squeeze=False)[0]
    for axes, (question, arms) in zip(every, panels.items(), strict=False):
        for place, arm in enumerate(arms):
            one = estimate(result, arm)
            axes.barh(place, one.mean, color=NEUTRAL if arm == BASE else PLAIN, height=0.65)
            if not np.isnan(one.low):
                axes.plot([one.low, one.high], [place, place], color="black", linewidth=1.3)
        axes.set_yticks(range(len(arms)), arms, fontsize=9)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_xlabel("mean PSNR gain (dB), 95 %")
        axes.set_title(f"{question}: after all samples", fontsize=11)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
    if compared:
        _by_rank(every[-1], compared)


def _by_rank(axes: "Axes", compared: dict[int, Estimate]) -> None:
    """Differences from the base over the LoRA rank, an axis of powers of two."""
    axes.axhline(0, color="black", linewidth=0.8)
    for rank, one in compared.items():
        axes.plot([rank, rank], [one.low, one.high], color="black", linewidth=1.3, zorder=1)
        axes.scatter(rank, one.mean, color=VERDICTS[one.verdict], s=40, zorder=2)
    ended = {rank: one.mean for rank, one in compared.items() if not one.early}
    axes.plot(list(ended), list(ended.values()), color=NEUTRAL, linewidth=0.8, zorder=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(compared), [f"{rank}\n{one.early.strip()}" for rank, one in compared.items()])
    axes.set_title(f"LoRA rank: difference from {BASE}", fontsize=11)
    axes.set_xlabel("rank")
    axes.set_ylabel("PSNR (dB), paired, 95 %")
    axes.grid(alpha=0.3)


def _swaps(row: "SubFigure", result: Result) -> None:
    """PSNR gain of each damage under each prompt."""
    arms = _swapped(result)
    for number, (axes, arm) in enumerate(
        zip(row.subplots(1, SWAPPED), [*arms, *[""] * SWAPPED], strict=False)
    ):
        if not arm:
            axes.axis("off")
            continue
        matrix = swap(result, arm)
        asked = [task for task in result["config"]["tasks"] if task in matrix]
        cells = np.array([[matrix[d].get(a, (np.nan,))[0] for a in asked] for d in asked])
        title = f"{arm}: obedience {obedience(result, arm):.2f}"
        _heat(axes, cells, asked, title, 3.0, show_rows=number == 0)
        axes.set_xlabel("prompt", fontsize=9)
    row.axes[0].set_ylabel("damage", fontsize=9)
    row.suptitle("Prompts swapped: PSNR gain in dB (colours end at 3 dB)", fontsize=11)


def _swapped(result: Result) -> list[str]:
    arms = [arm for arm in _first(result, "sharing", "prior") if swap(result, arm)]
    wanted = [arm for arm in ASKED if arm in arms]
    return [*wanted, *(arm for arm in arms if arm not in wanted)][:SWAPPED]


def _cosines(row: "SubFigure", result: Result) -> None:
    """Cosines of the tasks' gradients in each part at the end, and their mean over training."""
    last, tasks = fractions_of_cosines(result)[-1], list(result["config"]["tasks"])
    *heats, means = row.subplots(1, len(PARTS) + 1)
    for number, (axes, part) in enumerate(zip(heats, PARTS, strict=True)):
        matrix = cosines(result, part, last)
        if matrix is None:
            axes.axis("off")
            continue
        _heat(axes, matrix, tasks, f"{part}, at {float(last):.0%}", 1.0, show_rows=number == 0)
    for number, part in enumerate(PARTS):
        found = {at: conflict(result, part, at) for at in fractions_of_cosines(result)}
        points = [(100 * float(at), one.mean) for at, one in found.items() if one is not None]
        if points:
            means.plot(*zip(*points, strict=True), marker="o", color=CURVES[number], label=part)
    means.axhline(0, color="black", linewidth=0.8)
    means.set_title("mean of different tasks", fontsize=10)
    means.set_xlabel("samples, % of the budget")
    means.set_xticks([100 * float(at) for at in FRACTIONS])
    means.grid(alpha=0.3)
    means.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)
    row.suptitle("Cosines of two tasks' gradients", fontsize=11)


def _heat(
    axes: "Axes", cells: np.ndarray, names: Sequence[str], title: str, most: float, show_rows: bool
) -> None:
    """A matrix with its numbers; colours from -most to most."""
    axes.imshow(cells, cmap=DIVERGING, vmin=-most, vmax=most)
    for (y, x), value in np.ndenumerate(cells):
        if not np.isnan(value):
            digits = 1 if most > 1 else 2
            color = "white" if abs(value) > 0.7 * most else "black"
            axes.text(
                x, y, signed(value, digits).lstrip("+"), ha="center", va="center", fontsize=7.5, color=color
            )
    short = [_short(name) for name in names]
    axes.set_xticks(range(len(names)), short, fontsize=8, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), short if show_rows else [""] * len(names), fontsize=8)
    axes.set_title(title, fontsize=10)


def _first(result: Result, *questions: str) -> list[str]:
    """The arms of these questions, the base before the others, also of the prior's."""
    arms = of_question(result, *questions)
    rest = [arm for arm in arms if arm != BASE]
    base = [BASE] if rest and questions != ("pairs",) and BASE in of_question(result, "sharing") else []
    return (base or [arm for arm in arms if arm == BASE]) + rest


def _short(task: str) -> str:
    return {"super-resolution": "enlarge", "low-light": "brighten"}.get(task, task)


def _pyplot():  # noqa: ANN202 - a module
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot

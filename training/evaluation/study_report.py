"""A study's table as Markdown and its Pareto plot."""

import statistics
from pathlib import Path

from lwr.tasks import TASKS
from training.evaluation.report import number


def table(result: dict) -> str:
    """The study as Markdown: one row a strategy, then the prompt-swap matrices of seed 0."""
    names = list(TASKS)
    lines = [
        f"# Study {result['study']}: {result['minutes']:g} minutes a row and seed, {result['seeds']} seeds, "
        f"{result['validation_photos']} validation photos",
        "",
        "| strategy | trained parameters | steps | PSNR gain, mean of tasks (dB, ± sd of seeds) "
        f"| {' | '.join(names)} | over `shared` (95 %, paired by image) |",
        "|---|---|---|---|" + "---|" * (len(names) + 1),
    ]
    for name, row in result["rows"].items():
        tasks = " | ".join(f"{row['gain_by_task'][t]:+.2f}" for t in names)
        over, sd = row["over_shared"], number(row["gain_sd_of_seeds"], ".2f")
        lines.append(
            f"| {name} | {row['trainable']:,} | {statistics.fmean(row['steps']):.0f} "
            f"| {row['gain']:+.2f} ± {sd} | {tasks} | {over['mean']:+.2f} ± {number(over['ci95'], '.2f')} |"
        )
    lines += [
        "",
        "PSNR gain by damage of the photo (rows) and task of the prompt (columns), fidelity 1, seed 0:",
        "",
    ]
    for name, row in result["rows"].items():
        lines += [f"| {name} | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
        for damage in names:
            gains = " | ".join(f"{row['prompt_swap'][damage][asked]:+.2f}" for asked in names)
            lines.append(f"| {damage} | {gains} |")
        lines.append("")
    return "\n".join(lines)


def plot(result: dict, path: Path) -> None:
    """Gain against trained parameters and against seconds a step; the line is the Pareto front."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True)
    for axis, key, label in zip(
        axes,
        ("trainable", "seconds_per_step"),
        ("trained parameters", "seconds a training step"),
        strict=True,
    ):
        points = sorted((row[key], row["gain"], name) for name, row in result["rows"].items())
        for x, y, name in points:
            axis.errorbar(x, y, result["rows"][name]["gain_sd_of_seeds"], fmt="o", color="C0", capsize=3)
            axis.annotate(name, (x, y), xytext=(5, 5), textcoords="offset points")
        front = [p for i, p in enumerate(points) if all(p[1] > q[1] for q in points[:i])]
        axis.step([p[0] for p in front], [p[1] for p in front], where="post", color="C1")
        axis.set_xlabel(label)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("PSNR gain, mean of tasks (dB)")
    axes[0].set_xscale("log")
    figure.suptitle(
        f"{result['study']}: {result['minutes']:g} minutes a run, bars: sd of {result['seeds']} seeds"
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)

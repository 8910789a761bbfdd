"""A study's tables as Markdown; what was not measured has no row, or an empty cell."""

from collections.abc import Iterable, Sequence

import numpy as np

from lwr.tasks import TASKS
from training.study.statistics import (
    BASE,
    FRACTIONS,
    MEASURES,
    PARTS,
    Estimate,
    Result,
    base_of,
    conflict,
    cosines,
    estimate,
    fractions_of_cosines,
    obedience,
    of_question,
    paired,
    swap,
    tasks_of,
)

DIGITS = {"psnr": 2, "ssim": 4, "lpips": 4, "dists": 4}
HEADER = "<!-- Written by python -m training.study -->"
QUESTIONS = {
    "sharing": "Sharing: separate or together",
    "prior": "Prior: does the diffusion UNet help",
    "pairs": "Pairs: two tasks in one network",
}


def markdown(result: Result) -> str:
    """All tables of a study, under headings."""
    parts = [
        HEADER,
        f"# Study {result['study']}",
        f"`{result['command']}`: {result['date']}, {_about(result)}.",
    ]
    parts.append(
        "Scores are gains: the output's minus the degraded photo's, a mean over the tasks. PSNR is in dB; of "
        "LPIPS and DISTS less is better. In brackets: 95 % intervals by bootstrap over seeds and photos. "
        "Differences are paired by seed, task and photo."
    )
    for question, title in QUESTIONS.items():
        arms = _arms(result, question)
        if arms:
            parts += [f"## {title}", main_table(result, arms), difference_table(result, arms)]
    everything = [arm for question in QUESTIONS for arm in of_question(result, question)]
    for measure, name in MEASURES.items():
        unit = " (dB)" if measure == "psnr" else ""
        parts.append(f"## Task by task: {name}{unit}")
        parts.append("Gain; after the semicolon the difference from the base, paired.")
        parts.append(task_table(result, everything, measure))
    parts += ["## While training: PSNR gain (dB)", curve_table(result, everything)]
    if pairs := pair_table(result):
        parts += ["## Pairs against one network a task: PSNR (dB)", pairs]
    swapped = [arm for arm in everything if swap(result, arm)]
    if swapped:
        parts += [
            "## Prompts swapped",
            "Rows: the damage; columns: what was asked for. PSNR gain (dB) and, in brackets, the mean "
            "absolute change of the photo in % of the range. Obedience is 1 when a prompt for another damage "
            "changes nothing, and 0 when it changes as much as the right one.",
            *(swap_table(result, arm) for arm in swapped),
        ]
    if result.get("cosines"):
        parts += ["## Gradients of two tasks: their cosine", conflict_table(result)]
        parts.append(
            "Each gradient is estimated twice, on other batches. A task with itself (the diagonal) would "
            "have 1 if the estimates were exact: what is less is chance. The pairs were chosen on seed 0."
        )
        parts += cosine_tables(result)
    return "\n\n".join(parts) + "\n"


def main_table(result: Result, arms: Sequence[str]) -> str:
    """Each arm with its cost, its mean gains, and how far its PSNR is from the base."""
    rows = [["arm", "what", "trained parameters", "MB a task", "s a step", "seeds"]]
    rows[0] += [f"{MEASURES[measure]} gain" for measure in MEASURES] + ["PSNR against", "difference, verdict"]
    for arm in arms:
        about, base = result["arms"][arm], base_of(result, arm)
        gained = [estimate(result, arm, measure) for measure in MEASURES]
        row = [
            f"`{arm}`{gained[0].early}",
            about["what"],
            f"{about['trainable']:,}",
            f"{about['stored_mb_per_task']:.2f}",
        ]
        row += [f"{about['seconds_per_step']:.3f}", str(gained[0].seeds)]
        row += [with_interval(one) for one in gained]
        apart = paired(result, arm, base) if base else None
        rows.append([*row, f"`{base}`" if apart else "", judged(apart)])
    return _table(rows)


def difference_table(result: Result, arms: Sequence[str]) -> str:
    """Each arm against its base, by all measures, with verdicts."""
    rows = [["difference", "seeds", *MEASURES.values()]]
    for arm in arms:
        base = base_of(result, arm)
        apart = [paired(result, arm, base, measure) for measure in MEASURES] if base else []
        if any(apart):
            seeds = next(one.seeds for one in apart if one)
            early = next(one.early for one in apart if one)
            rows.append([f"`{arm}` - `{base}`{early}", str(seeds), *map(judged, apart)])
    return _table(rows)


def short_table(result: Result, arms: Sequence[str]) -> str:
    """For a text: cost, PSNR and LPIPS, and the difference from the base."""
    rows = [["arm", "trained", "MB a task", "seeds", "PSNR gain", "LPIPS gain", "PSNR against the base"]]
    for arm in arms:
        about, base = result["arms"][arm], base_of(result, arm)
        psnr, lpips = estimate(result, arm), estimate(result, arm, "lpips")
        apart = paired(result, arm, base) if base else None
        row = [
            f"`{arm}`{psnr.early}",
            f"{about['trainable'] / 1e6:.2f} M",
            f"{about['stored_mb_per_task']:.2f}",
        ]
        row += [str(psnr.seeds), with_interval(psnr), signed(lpips.mean, 3) if lpips else ""]
        note = "" if base in (None, BASE) or apart is None else f" (base `{base}`)"
        rows.append([*row, judged(apart) + note])
    return _table(rows)


def task_table(result: Result, arms: Sequence[str], measure: str) -> str:
    """Mean gains of each task, and how far they are from the base's."""
    tasks = result["config"]["tasks"]
    rows = [["arm", *(TASKS[task].title.lower() if task in TASKS else task for task in tasks)]]
    for arm in arms:
        there = tasks_of(result, arm)
        cells = [_of_task(result, arm, task, measure) if task in there else "" for task in tasks]
        rows.append([f"`{arm}`{estimate(result, arm).early}", *cells])
    return _table(rows)


def curve_table(result: Result, arms: Sequence[str]) -> str:
    """Mean PSNR gain after each share of the samples."""
    rows = [["arm", "starts from", *(f"{float(at):.0%}" for at in FRACTIONS)]]
    for arm in arms:
        start = result["arms"][arm].get("starts_from") or ""
        rows.append(
            [f"`{arm}`", start, *(with_interval(estimate(result, arm, fraction=at)) for at in FRACTIONS)]
        )
    return _table(rows)


def pair_table(result: Result) -> str:
    """Two tasks in one network against each in its own, by task; "" without such arms."""
    rows = [["arm", "task", "seeds", "PSNR gain", "alone", "difference, verdict"]]
    for arm in of_question(result, "pairs"):
        base = base_of(result, arm)
        for task in tasks_of(result, arm) if base else ():
            apart = paired(result, arm, base, tasks=[task])
            if apart:
                both = [estimate(result, name, "psnr", apart.fraction, [task]) for name in (arm, base)]
                rows.append(
                    [
                        f"`{arm}`{apart.early}",
                        task,
                        str(apart.seeds),
                        *map(with_interval, both),
                        judged(apart),
                    ]
                )
    return _table(rows) if len(rows) > 1 else ""


def swap_table(result: Result, arm: str) -> str:
    """What each prompt does to each damage."""
    matrix = swap(result, arm)
    asked = [task for task in result["config"]["tasks"] if any(task in row for row in matrix.values())]
    rows = [[f"`{arm}`, obedience {obedience(result, arm):.2f}", *asked]]
    for damage, row in matrix.items():
        cells = [f"{signed(row[a][0])} ({100 * row[a][1]:.1f} %)" if a in row else "" for a in asked]
        rows.append([damage, *cells])
    return _table(rows)


def conflict_table(result: Result) -> str:
    """The cosines in short: how many are negative, and their mean."""
    rows = [["share of the samples", *(f"{part}: negative, mean" for part in PARTS)]]
    for at in fractions_of_cosines(result):
        found = [conflict(result, part, at) for part in PARTS]
        rows.append(
            [f"{float(at):.0%}", *(f"{c.negative:.0%}, {signed(c.mean)}" if c else "" for c in found)]
        )
    return _table(rows)


def cosine_tables(result: Result) -> list[str]:
    """The cosines of all pairs of tasks, a table for each part, means over training and seeds."""
    tasks, found = result["config"]["tasks"], []
    for part in PARTS:
        matrix = cosines(result, part)
        if matrix is not None:
            rows = [[f"{part}, mean over training", *tasks]]
            rows += [[task, *map(_cosine, row)] for task, row in zip(tasks, matrix, strict=True)]
            found.append(_table(rows))
    return found


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, and none on a zero."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def with_interval(one: Estimate | None) -> str:
    """A mean with its interval: "+0.50 [+0.40, +0.60]"."""
    if one is None:
        return ""
    digits = DIGITS[one.measure]
    if np.isnan(one.low):
        return f"{signed(one.mean, digits)} [one photo]"
    return f"{signed(one.mean, digits)} [{signed(one.low, digits)}, {signed(one.high, digits)}]"


def judged(one: Estimate | None) -> str:
    """A difference with its interval and verdict."""
    return "" if one is None else f"{with_interval(one)} {one.verdict}"


def _about(result: Result) -> str:
    return f"{result['minutes']:.0f} minutes on {result['device']}, {len(result['photos'])} validation photos"


def _arms(result: Result, question: str) -> list[str]:
    """The arms of a question; those of the prior begin with the one that they are compared with."""
    arms = of_question(result, question)
    first = [BASE] if question == "prior" and arms and BASE in of_question(result, "sharing") else []
    return first + arms


def _of_task(result: Result, arm: str, task: str, measure: str) -> str:
    gain, base = estimate(result, arm, measure, tasks=[task]), base_of(result, arm)
    against = paired(result, arm, base, measure, tasks=[task]) if base else None
    shown = "" if gain is None else signed(gain.mean, DIGITS[measure])
    return shown if against is None else f"{shown}; {with_interval(against)}"


def _cosine(value: float) -> str:
    return "" if np.isnan(value) else signed(value)


def _table(rows: Iterable[Sequence[str]]) -> str:
    lines = []
    for number, row in enumerate(rows):
        lines.append(f"| {' | '.join(row)} |")
        if number == 0:
            lines.append("|---" * len(row) + "|")
    return "\n".join(lines)

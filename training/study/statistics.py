"""What a study's scores say: gains, paired differences, 95 % intervals, prompts obeyed, gradient conflict.

A gain is a score of the output minus that of the degraded photo itself. Intervals are percentiles of a
hierarchical bootstrap (Efron & Tibshirani 1993, chapters 8 and 13): seeds are drawn with replacement, then
photos. The photos are the same under every seed and task, so one draw of photos serves all of them; drawn
apart for each seed, what makes a photo easy would average out and the interval would be too narrow.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

MEASURES = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS", "dists": "DISTS"}
LOWER_IS_BETTER = ("lpips", "dists")
FRACTIONS = ("0.25", "0.5", "0.75", "1.0")  # of the samples
LAST = "1.0"
BASE = "shared"  # what an arm is compared with, unless it stands here
BASES = dict.fromkeys(("no-unet-separate", "pair-best", "pair-worst"), "separate")
PARTS = ("encoder", "unet", "decoder")
DRAWS = 10_000
BETTER, WORSE, UNCLEAR = "better", "worse", "no clear difference"

Result = Mapping[str, Any]  # a study's JSON


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, tasks and photos with its 95 % interval; NaN limits: one photo has no interval."""

    measure: str
    mean: float
    low: float
    high: float
    seeds: int
    photos: int
    fraction: str = LAST  # of the samples

    @property
    def early(self) -> str:
        """Where it was measured before the end: " at 75 %"; else ""."""
        return "" if self.fraction == LAST else f" at {float(self.fraction):.0%}"

    @property
    def verdict(self) -> str:
        """Whether more than chance: the interval leaves out 0."""
        if not (self.low > 0 or self.high < 0):
            return UNCLEAR
        return BETTER if (self.mean > 0) != (self.measure in LOWER_IS_BETTER) else WORSE


def is_study(result: Result) -> bool:
    """Whether this is the JSON of a study with arms; {} and older formats are not."""
    return bool(result.get("arms")) and "inputs" in result


def tasks_of(result: Result, arm: str) -> list[str]:
    """The tasks that an arm was trained for, in the study's order."""
    return [task for task in result["config"]["tasks"] if task in result["arms"][arm]["tasks"]]


def base_of(result: Result, arm: str) -> str | None:
    """The arm that this one is compared with, if the study has it."""
    base = BASES.get(arm, BASE)
    return base if base in result["arms"] and base != arm else None


def of_question(result: Result, *questions: str) -> list[str]:
    """The arms of these questions that have been measured to the end."""
    arms = result["arms"]
    return [arm for arm in arms if arms[arm]["question"] in questions and gains(result, arm)]


def last_of(result: Result, *arms: str) -> str:
    """The last fraction that all of these arms were measured at; below 1 where one was stopped."""
    there = (
        {at for run in result["arms"].get(arm, {}).get("runs", {}).values() for at in run.get("scores", {})}
        for arm in arms
    )
    return max(set.intersection(*there), key=float, default=LAST)


def outputs(
    result: Result, arm: str, measure: str, fraction: str, tasks: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """{seed: (task, photo)} of the outputs' scores; without seeds that were not measured at this fraction."""
    tasks = tasks_of(result, arm) if tasks is None else tasks
    runs = result["arms"].get(arm, {}).get("runs", {})
    found = {seed: run.get("scores", {}).get(fraction, {}) for seed, run in runs.items()}
    return {
        seed: np.array([scores[task][measure] for task in tasks], dtype=float)
        for seed, scores in found.items()
        if tasks and all(measure in scores.get(task, {}) for task in tasks)
    }


def gains(
    result: Result,
    arm: str,
    measure: str = "psnr",
    fraction: str | None = None,
    tasks: Sequence[str] | None = None,
) -> dict[str, np.ndarray]:
    """{seed: (task, photo)}, output minus the degraded photo; fraction None = `last_of`, like all below."""
    fraction = fraction or last_of(result, arm)
    tasks = tasks_of(result, arm) if tasks is None else tasks
    scores = outputs(result, arm, measure, fraction, tasks)
    given = np.array([result["inputs"][task][measure] for task in tasks], dtype=float)
    return {seed: values - given for seed, values in scores.items()}


def estimate(
    result: Result,
    arm: str,
    measure: str = "psnr",
    fraction: str | None = None,
    tasks: Sequence[str] | None = None,
) -> Estimate | None:
    """An arm's mean gain; tasks weigh the same. None: not measured."""
    fraction = fraction or last_of(result, arm)
    return _estimate(measure, list(gains(result, arm, measure, fraction, tasks).values()), fraction)


def paired(
    result: Result,
    arm: str,
    base: str,
    measure: str = "psnr",
    fraction: str | None = None,
    tasks: Sequence[str] | None = None,
) -> Estimate | None:
    """The mean of arm - base over the seeds, tasks and photos that both have. None: they share none."""
    fraction = fraction or last_of(result, arm, base)
    return _estimate(
        measure, list(differences(result, arm, base, measure, fraction, tasks).values()), fraction
    )


def differences(
    result: Result,
    arm: str,
    base: str,
    measure: str = "psnr",
    fraction: str | None = None,
    tasks: Sequence[str] | None = None,
) -> dict[str, np.ndarray]:
    """{seed: (task, photo)}, arm - base, of the seeds and tasks that both have."""
    if arm not in result["arms"] or base not in result["arms"]:
        return {}
    fraction = fraction or last_of(result, arm, base)
    both = [task for task in tasks_of(result, arm) if task in result["arms"][base]["tasks"]]
    tasks = both if tasks is None else [task for task in tasks if task in both]
    ours, theirs = (outputs(result, name, measure, fraction, tasks) for name in (arm, base))
    return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}


def interval(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of `values` (seed, photo), by hierarchical bootstrap."""
    seeds, photos = values.shape
    if photos < 2:
        return float("nan"), float("nan")
    of_seeds, of_photos = _weights(seeds, photos)
    means = np.einsum("ds,sp,dp->d", of_seeds, values, of_photos, optimize=True)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def spread_of_seeds(result: Result) -> float | None:
    """How much chance in training moves a row: the widest range over seeds of a difference from the base in
    dB; None when no arm has two seeds."""
    ranges = []
    for arm in result["arms"]:
        base = base_of(result, arm)
        means = [values.mean() for values in differences(result, arm, base).values()] if base else []
        if len(means) > 1:
            ranges.append(max(means) - min(means))
    return float(max(ranges)) if ranges else None


def order_kept(result: Result, before: str = "0.5", after: str = LAST) -> tuple[float, int] | None:
    """(Kendall's tau, arms) of the mean gains at two fractions: 1 = the order of the arms is the same, -1 =
    reversed. Arms of some tasks alone are left out. None: fewer than three arms, or all equal."""
    from scipy.stats import kendalltau

    pairs = []
    for arm in of_question(result, "sharing", "prior"):
        both = [estimate(result, arm, fraction=fraction) for fraction in (before, after)]
        if None not in both:
            pairs.append([one.mean for one in both])
    if len(pairs) < 3:
        return None
    tau = float(kendalltau(*np.array(pairs).T).statistic)
    return None if np.isnan(tau) else (tau, len(pairs))


def swap(result: Result, arm: str) -> dict[str, dict[str, tuple[float, float]]]:
    """{damage: {asked: (PSNR gain in dB, mean absolute change of the photo, 0 to 1)}}, means over photos and
    over the seeds that have the prompts swapped; {} when none has."""
    matrices = [run["swap"] for run in result["arms"][arm]["runs"].values() if run.get("swap")]
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for damage, row in matrices[0].items() if matrices else ():
        for asked in row:
            given = np.mean(result["inputs"][damage]["psnr"][: len(row[asked]["psnr"])])  # the first ones
            cells = [matrix[damage][asked] for matrix in matrices]
            psnr, moved = (float(np.mean([cell[name] for cell in cells])) for name in ("psnr", "moved"))
            found.setdefault(damage, {})[asked] = (psnr - float(given), moved)
    return found


def obedience(result: Result, arm: str) -> float | None:
    """How well prompts are obeyed: 1 = a photo stays as it is under a prompt for another damage, 0 = it
    changes as much as under the right one. For each damage 1 - (mean change under wrong prompts) / (change
    under the right one), clipped to 0..1; the mean over damages. None: prompts were not swapped."""
    scores = []
    for damage, row in swap(result, arm).items():
        wrong = [moved for asked, (_, moved) in row.items() if asked != damage]
        right = row[damage][1] if damage in row else 0.0
        if wrong:  # a right prompt that changes nothing is not obeyed either
            scores.append(float(np.clip(1 - np.mean(wrong) / right, 0, 1)) if right > 0 else 0.0)
    return float(np.mean(scores)) if scores else None


@dataclass(frozen=True)
class Conflict:
    """Cosines between the gradients of two tasks, in one part of the network."""

    negative: float  # share below 0
    mean: float


def cosines(result: Result, part: str, fraction: str | None = None) -> np.ndarray | None:
    """(task, task) of a part, the mean over seeds, and over the fractions too when none is given."""
    found = _matrices(result, part, fraction)
    return np.mean(found, axis=0) if found else None


def conflict(result: Result, part: str, fraction: str | None = None) -> Conflict | None:
    """The cosines of different tasks in short; None when there are none. NaN (no gradient) is left out."""
    found = _matrices(result, part, fraction)
    apart = np.concatenate([m[np.triu_indices(len(m), 1)] for m in found]) if found else np.empty(0)
    apart = apart[~np.isnan(apart)]
    return Conflict(float(np.mean(apart < 0)), float(np.mean(apart))) if len(apart) else None


def fractions_of_cosines(result: Result) -> list[str]:
    """At which fractions gradients were compared, ascending."""
    there = {at for by_fraction in (result.get("cosines") or {}).values() for at in by_fraction}
    return sorted(there, key=float)


def finished(result: Result, arms: Sequence[str]) -> list[str]:
    """Those of the arms that saw all of their samples; all if none did."""
    return [arm for arm in arms if last_of(result, arm) == LAST] or list(arms)


def lora_ranks(result: Result) -> dict[int, str]:
    """{rank: arm} of the LoRA arms that have been measured, ascending."""
    arms = [arm for arm in of_question(result, "sharing") if arm.startswith("lora-")]
    return dict(sorted((int(arm.removeprefix("lora-")), arm) for arm in arms))


def best_of(result: Result, arms: Sequence[str]) -> str:
    """The arm that gains most PSNR; by the differences from the base (means over other seeds do not compare),
    or by the means when an arm has no difference."""
    apart = {arm: paired(result, arm, BASE) for arm in arms}
    if None in apart.values():
        apart = {arm: estimate(result, arm) for arm in arms}
    return max(arms, key=lambda arm: apart[arm].mean)


def _matrices(result: Result, part: str, fraction: str | None) -> list[np.ndarray]:
    return [
        np.array(parts[part], dtype=float)
        for by_fraction in (result.get("cosines") or {}).values()
        for at, parts in by_fraction.items()
        if fraction in (None, at) and part in parts
    ]


def _estimate(measure: str, values: list[np.ndarray], fraction: str) -> Estimate | None:
    if not values:
        return None
    by_photo = np.stack(values).mean(axis=1)  # (seed, photo): the mean over tasks
    return Estimate(measure, float(by_photo.mean()), *interval(by_photo), *by_photo.shape, fraction)


@cache
def _weights(seeds: int, photos: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each draw has each seed and each photo, as shares: (draw, seed), (draw, photo). All
    comparisons have the same draws, from a generator with a seed of its own, so a study's numbers repeat."""
    rng = np.random.default_rng(0)
    drawn = [rng.multinomial(count, [1 / count] * count, size=DRAWS) / count for count in (seeds, photos)]
    return drawn[0], drawn[1]

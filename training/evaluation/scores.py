"""Measures of one photo, their means over many, and the comparison of two evaluations photo by photo."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scipy.special import stdtrit

from training.evaluation.protocol import PLAIN, Protocol
from training.losses.niqe import INSTALL_HINT, load_pristine, niqe
from training.losses.perceptual import distance
from training.machine import peak_gb

COMMAND = "python -m training.evaluate"
NAMES = {
    "psnr": "PSNR",
    "psnr_y": "PSNR of Y",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "perceptual": "distance",
    "niqe": "NIQE",
}
HIGHER_IS_BETTER = {
    "psnr": True,
    "psnr_y": True,
    "ssim": True,
    "lpips": False,
    "perceptual": False,
    "niqe": False,
}
COMPARED = ("psnr", "lpips", "perceptual", "niqe")
SAME = 0.01  # two evaluations saw the same damaged photo if its measures differ by less

Row = dict[str, float]  # measures of one photo
Rows = dict[str, dict[str, Row]]  # case -> photo id -> measures
Summary = dict[str, float | None]  # None: no photo gave this number


class ResultsError(ValueError):
    """A results file that cannot be used; one sentence: what is wrong, and what would work."""


class Judge:
    """All measures of a photo; what a missing package leaves out is printed once, when the judge is made."""

    def __init__(self, protocol: Protocol = PLAIN) -> None:
        self.protocol = protocol
        self.distance, self.distance_name = distance("alexnet")
        self.distance_key = "lpips" if "lpips" in self.distance_name.lower() else "perceptual"
        self.pristine = load_pristine()

    def described(self) -> dict[str, str]:
        """{measure: where it comes from}, for the report."""
        known = {
            "psnr": f"lwr.images.metrics, {self.protocol.text}",
            "ssim": f"lwr.images.metrics, {self.protocol.text}",
            self.distance_key: self.distance_name,
        }
        missing = f"not measured, its model comes with: {INSTALL_HINT}"
        return known | {"niqe": missing if self.pristine is None else "the authors' model, of basicsr 1.4.2"}

    @torch.inference_mode()
    def __call__(self, image: torch.Tensor, clean: torch.Tensor | None, scale: float = 1) -> Row:
        """(1,3,H,W) in [0,1], and its target if known -> {measure: value}; it was enlarged by `scale`."""
        found = {} if self.pristine is None else {"niqe": niqe(image, self.pristine)}
        if clean is not None:
            found |= self.protocol.scores(image, clean, scale)
            found[self.distance_key] = self.distance(image, clean).item()
        return found


def row(before: Row, after: Row, seconds: float) -> Row:
    """One photo's line in the results; `peak_gb` is the whole process's so far, the measures included."""
    found = {f"{name}_input": value for name, value in before.items()}
    found |= {f"{name}_output": value for name, value in after.items()}
    if "psnr" in after:
        found["psnr_gain"] = after["psnr"] - before["psnr"]
    found |= {"seconds": seconds, "peak_gb": peak_gb()}
    return {name: round(value, 5) for name, value in found.items() if math.isfinite(value)}


def summary(rows: Sequence[Row]) -> Summary:
    """Means over the photos, the gain's 95 % half-width, and by how much distances fell; not empty."""
    names = dict.fromkeys(name for r in rows for name in r)
    found: Summary = {}
    for name in names:
        values = [r[name] for r in rows if name in r]
        found[name] = round(max(values) if name == "peak_gb" else statistics.fmean(values), 4)
    if "psnr_gain" in names:
        found["psnr_gain_ci95"] = half_width([r["psnr_gain"] for r in rows if "psnr_gain" in r])
    for name in (key for key, higher in HIGHER_IS_BETTER.items() if not higher):
        if f"{name}_output" in found:
            before, after = found.get(f"{name}_input"), found[f"{name}_output"]
            found[f"{name}_lower_by"] = round(1 - after / before, 4) if before else None
    return found | {"photos": len(rows)}


def summaries(rows: Rows) -> dict[str, Summary]:
    """The summary of every case that has photos, cases of one damage together."""
    damages = list(dict.fromkeys(case.split("|")[0] for case in rows))
    ordered = sorted(rows, key=lambda case: damages.index(case.split("|")[0]))
    return {case: summary(list(rows[case].values())) for case in ordered if rows[case]}


def half_width(values: Sequence[float]) -> float | None:
    """Half of the mean's 95 % confidence interval, by Student's t; None for a single value."""
    if len(values) < 2:
        return None
    quantile = float(stdtrit(len(values) - 1, 0.975))
    return round(quantile * statistics.stdev(values) / len(values) ** 0.5, 4)


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs in one measure of the restored photo, over the same photos."""

    mean: float
    ci95: float | None  # half-width; None: one photo
    photos: int
    verdict: str  # "better", "worse" (we are) or "no clear difference"


def read_results(path: Path, ids: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """The results file of an earlier evaluation; `ids` {damage: photo ids} is what it must have in common.

    Raises ResultsError when it is no results file, holds no scores by photo, or only other photos.
    """
    results = read_json(path)
    if not is_results(results):
        raise ResultsError(f"{path} is no results file: give the .json that {COMMAND} wrote.")
    if not results.get("photos"):
        raise ResultsError(f"{path} has no scores by photo: evaluate again with this version.")
    theirs = {case.split("|")[0]: set(photos) for case, photos in results["photos"].items()}
    if not any(theirs.get(damage, set()) & set(ours) for damage, ours in ids.items()):
        raise ResultsError(f"{path} is about other photos: give results of the same photos and mode.")
    return results


def joined(earlier: Mapping[str, Any], results: Mapping[str, Any], rows: Rows, task: str) -> dict[str, Any]:
    """Earlier results with those of one `task` in them, its damage and its prompt on the others' damages.

    Raises ResultsError when they are of another network, or of other photos.
    """
    for name in ("prior", "split"):
        if earlier[name] != results[name]:
            raise ResultsError(f"The earlier results are of {name} {earlier[name]}, not {results[name]}.")

    def own(case: str) -> bool:
        return task in case.split("|")[:2]

    kept = {case: photos for case, photos in earlier["photos"].items() if not own(case)}
    new = {case: photos for case, photos in rows.items() if own(case)}
    if set().union(*kept.values()) != set().union(*new.values()):
        raise ResultsError("The earlier results are of other photos: give the same --clean and --limit.")
    photos = kept | new
    scores = summaries(photos)
    swap: dict[str, dict[str, float | None]] = {}
    cases = {case: case.split("|") for case in scores if "|baseline" not in case}
    swapped = {fidelity for damage, asked, fidelity in cases.values() if damage != asked}
    for case, (damage, asked, fidelity) in cases.items():
        if fidelity in swapped:
            swap.setdefault(damage, {})[asked] = scores[case].get("psnr_gain")
    swap = {damage: {name: gains[name] for name in swap if name in gains} for damage, gains in swap.items()}
    note = f"{task}: measured by `{results['command']}`, {results['date']}"
    notes = [one for one in earlier["notes"] if not one.startswith(f"{task}: ")]
    return {
        **earlier,
        "adapters": earlier["adapters"] | results["adapters"],
        "baselines": earlier["baselines"] | results["baselines"],
        "notes": [*notes, note, *results["notes"]],
        "scores": scores,
        "swap": swap,
        "skipped": [*earlier["skipped"], *results["skipped"]],
        "photos": photos,
    }


def read_json(path: Path) -> object:
    """What a JSON file holds; ResultsError when there is none or it is something else."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ResultsError(f"There is no file {path}: give the .json that {COMMAND} wrote.") from error
    except (OSError, ValueError) as error:
        raise ResultsError(f"{path} cannot be read as JSON ({error}): give the one of {COMMAND}.") from error


def is_results(results: object) -> bool:
    """Did this program write these results?"""
    return (
        isinstance(results, dict)
        and isinstance(results.get("scores"), dict)
        and str(results.get("command")).startswith(COMMAND)
    )


def compare(ours: Rows, theirs: Rows) -> dict[str, dict[str, Difference]]:
    """{case: {measure: difference}} over the photos that both have.

    Raises ResultsError when a photo of one id was damaged in another way, or no case is shared.
    """
    found: dict[str, dict[str, Difference]] = {}
    for case in (case for case in ours if case in theirs and "|baseline" not in case):
        common = [i for i in ours[case] if i in theirs[case]]
        for name in COMPARED:
            before, after = f"{name}_input", f"{name}_output"
            pairs = [(ours[case][i], theirs[case][i]) for i in common]
            pairs = [(a, b) for a, b in pairs if after in a and after in b]
            if any(abs(a.get(before, 0) - b.get(before, 0)) > SAME for a, b in pairs):
                raise ResultsError(
                    f"The photos of {case!r} have the same names but other pixels or another damage: "
                    "evaluate both on the same photos with the same version."
                )
            if pairs:
                differences = [a[after] - b[after] for a, b in pairs]
                found.setdefault(case, {})[name] = _difference(differences, HIGHER_IS_BETTER[name])
    if not found:
        raise ResultsError("The two evaluations share no case: ask both for the same tasks and fidelities.")
    return found


def _difference(values: Sequence[float], higher_is_better: bool) -> Difference:
    mean, width = statistics.fmean(values), half_width(values)
    clear = width is not None and abs(mean) > width
    verdict = "no clear difference"
    if clear:
        verdict = "better" if (mean > 0) == higher_is_better else "worse"
    return Difference(round(mean, 4), width, len(values), verdict)

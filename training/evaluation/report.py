"""The results of an evaluation as Markdown: the whole report, and the short table of page and cards."""

from collections.abc import Mapping
from pathlib import Path

from lwr.tasks import TASKS
from training.evaluation.scores import COMMAND, NAMES, ResultsError, Summary, is_results, read_json

HEADER = f"<!-- Written by {COMMAND} -->"


def markdown(results: Mapping[str, object]) -> str:
    """Everything but the scores by photo."""
    measures, baselines = results["measures"], results["baselines"]
    dataset = results.get("dataset")
    parts = [HEADER, f"# Evaluation: {dataset['name'] if dataset else results['config']['source']}"]
    parts.append(f"`{results['command']}`")
    notes = [
        f"{results['date']}, {results['minutes']} minutes on {results['device']}",
        f"prior {results['prior']}, adapters " + (", ".join(results["adapters"].values()) or "none"),
        "measures: " + ", ".join(f"{name}: {what}" for name, what in measures.items()),
        "± is half of a 95 % confidence interval over photos; GB is the most that the whole process had held",
    ]
    notes += [f"baseline {name}: {what}" for name, what in baselines.items()]
    if dataset:
        notes.append("dataset: " + ", ".join(f"{key} {what}" for key, what in dataset.items() if what))
    notes += results["notes"]
    parts.append("\n".join(f"- {note}" for note in notes))
    parts.append(table(results["scores"]))
    if results["swap"] and results["config"]["mode"] != "photos":
        parts += ["## Prompt swap", swap_table(results["swap"])]
    if results.get("against"):
        parts += [
            f"## Against {results['against']['file']}",
            difference_table(results["against"]["differences"]),
        ]
    if results["skipped"]:
        lost = "\n".join(f"- {s['name']}: {s['reason']}" for s in results["skipped"])
        parts += [f"## Skipped: {len(results['skipped'])}", lost]
    return "\n\n".join(parts) + "\n"


def short(results: Mapping[str, object]) -> str:
    """The short table, with what it is of."""
    split = f", {results['split']} split" if results["split"] else ""
    return (
        f"{HEADER}\n\n`{results['command']}`: weights {results['prior']}{split}.\n\n{short_table(results)}\n"
    )


def short_table(results: Mapping[str, object]) -> str:
    """Each task at the default fidelity and at 1, and what else was tried on its damage."""
    distance = "lpips" if "lpips" in results["measures"] else "perceptual"
    lines = [_line("damage", "method", "photos", "PSNR", "gain", f"{NAMES[distance]} lower by")]
    lines.append("|---" * 6 + "|")
    for case, s in results["scores"].items():
        damage, asked, fidelity = case.split("|")
        usual = fidelity in ("fidelity 1", "fidelity default", f"fidelity {results['default_fidelity']:g}")
        baseline = asked.removeprefix("baseline ") if asked.startswith("baseline ") else None
        ours = baseline is None and usual and (damage == asked or damage not in TASKS)
        if "psnr_gain" in s and (ours or baseline not in (None, "input", "bicubic")):
            gain = f"{s['psnr_gain']:+.2f} ± {number(s['psnr_gain_ci95'], '.2f')} dB"
            lower = number(s.get(f"{distance}_lower_by"), ".0%")
            method = baseline or f"this, {fidelity}"
            lines.append(_line(damage, method, s["photos"], f"{s['psnr_output']:.2f} dB", gain, lower))
    return "\n".join(lines)


def table(scores: Mapping[str, Summary]) -> str:
    """The scores, a case a row and a measure a column."""
    there = [name for name in NAMES if any(f"{name}_output" in s for s in scores.values())]
    heads = {"psnr": " (gain, 95 %)"} | dict.fromkeys(("lpips", "perceptual", "niqe"), " (lower by)")
    columns = [f"{NAMES[name]} in -> out{heads.get(name, '')}" for name in there]
    lines = [_line("damage", "asked for", "fidelity", "photos", *columns, "seconds", "peak GB")]
    lines.append("|---" * (6 + len(columns)) + "|")
    for case, s in scores.items():
        damage, asked, fidelity = case.split("|")
        cells = [_cell(name, s) for name in there]
        cells += [f"{s['seconds']:.2f}", f"{s['peak_gb']:.2f}" if "peak_gb" in s else ""]
        lines.append(_line(damage, asked, fidelity.removeprefix("fidelity "), s["photos"], *cells))
    return "\n".join(lines)


def swap_table(swap: Mapping[str, Mapping[str, float | None]]) -> str:
    """PSNR gain in dB by damage (rows) and by the task asked for (columns)."""
    asked = list(dict.fromkeys(name for gains in swap.values() for name in gains))
    lines = [_line("PSNR gain: damage \\ asked for", *asked), "|---" * (len(asked) + 1) + "|"]
    for damage, gains in swap.items():
        lines.append(_line(damage, *(number(gains.get(name), "+.2f") for name in asked)))
    return "\n".join(lines)


def difference_table(differences: Mapping[str, Mapping[str, Mapping[str, object]]]) -> str:
    """This evaluation minus the other, on the same photos."""
    there = [name for name in NAMES if any(name in d for d in differences.values())]
    lines = [_line("case", "photos", *(NAMES[name] for name in there)), "|---" * (len(there) + 2) + "|"]
    for case, found in differences.items():
        photos = max(difference["photos"] for difference in found.values())
        cells = [
            f"{found[n]['mean']:+.3f} ± {number(found[n]['ci95'], '.3f')}, {found[n]['verdict']}"
            if n in found
            else ""
            for n in there
        ]
        lines.append(_line(case.replace("|", ", "), photos, *cells))
    return "\n".join(lines)


def check_ours(path: Path) -> None:
    """ResultsError when there is a file at `path` that this program did not write."""
    if not path.exists():
        return
    try:
        if path.suffix == ".json":
            ours = is_results(read_json(path))
        else:
            mark = HEADER if path.suffix == ".md" else COMMAND
            ours = mark.encode() in path.read_bytes()[:4096]
    except (OSError, ResultsError):  # a folder, not readable, no JSON
        ours = False
    if not ours:
        raise ResultsError(f"{path} is there and not of this program, so it stays: choose another name.")


def _cell(name: str, s: Summary) -> str:
    before, after = s.get(f"{name}_input"), s.get(f"{name}_output")
    if after is None:
        return ""
    digits = ".2f" if name in ("psnr", "psnr_y", "niqe") else ".3f"
    text = f"{number(before, digits)} -> {number(after, digits)}"
    if name == "psnr":
        gain, width = s.get("psnr_gain"), s.get("psnr_gain_ci95")
        return f"{text} ({number(gain, '+.2f')} ± {number(width, '.2f')})"
    if name not in ("ssim", "psnr_y"):
        return f"{text} ({number(s.get(f'{name}_lower_by'), '.0%')})"
    return text


def number(value: float | None, digits: str) -> str:
    """In the given format, or n/a where there is none."""
    return "n/a" if value is None else format(value, digits)


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"

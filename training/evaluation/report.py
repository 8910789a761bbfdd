"""What people look at: tables in Markdown, a sheet of pictures, a plot of what fidelity trades."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageOps

from lwr.images import files as images
from training.evaluation.scores import COMMAND, ResultsError, Summary, is_results, read_json

HEADER = f"<!-- Written by {COMMAND} -->"
CELL = 256  # pixels, of one picture in the sheet
SHEET_ROWS = 12
EXAMPLES = 3  # photos in the sheet of one damage, before its worst
NAMES = {"psnr": "PSNR", "ssim": "SSIM", "lpips": "LPIPS", "perceptual": "distance", "niqe": "NIQE"}


@dataclass(frozen=True)
class SheetFacts:
    """What a row of the sheet shows."""

    photo: str
    case: str  # as in the table: damage|asked for|fidelity
    damage: str
    psnr_gain: float | None  # in dB
    credit: str  # whose photo it is, as far as its collection says

    @property
    def title(self) -> str:
        """What stands above the pictures."""
        gain = "" if self.psnr_gain is None else f", {self.psnr_gain:+.2f} dB"
        return f"{self.photo}, {self.case.replace('|', ', ')}{gain}"


@dataclass(frozen=True)
class SheetRow:
    """One photo in the sheet: input, output, and the target if there is one, at most CELL pixels wide."""

    facts: SheetFacts
    pictures: tuple[Image.Image, ...]


def sheet_row(facts: SheetFacts, pictures: Sequence[torch.Tensor | None]) -> SheetRow:
    """Images (1,3,H,W) in [0,1], made small at once so that many large photos fit."""
    small = (ImageOps.contain(images.to_pil(p), (CELL, CELL)) for p in pictures if p is not None)
    return SheetRow(facts, tuple(small))


def write_sheets(rows: Sequence[SheetRow], worst: Mapping[str, SheetRow], path: Path) -> dict[str, object]:
    """The sheet of all rows, and one for each damage that ends with its worst photo; what they show.

    Returns {file name: facts of its rows}.
    """
    sheets = {path: list(rows)}
    for damage, last in worst.items():
        best = [row for row in rows if row.facts.damage == damage and row.facts.photo != last.facts.photo]
        sheets[sheet_of(path, damage)] = [*best[:EXAMPLES], last]
    for file, shown in sheets.items():
        write_sheet(shown, file)
    return {file.name: [asdict(row.facts) for row in shown] for file, shown in sheets.items()}


def sheet_of(path: Path, damage: str) -> Path:
    """The sheet of one damage beside that of all."""
    return path.with_name(f"{path.stem}-{damage}{path.suffix}")


def write_sheet(rows: Sequence[SheetRow], path: Path) -> None:
    """A JPEG with one photo a row: input | output | target."""
    bar = 16
    width = max(len(row.pictures) for row in rows) * CELL
    sheet = Image.new("RGB", (width, len(rows) * (CELL + bar)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, row in enumerate(rows):
        top = index * (CELL + bar)
        names = " | ".join(("input", "output", "target")[: len(row.pictures)])
        draw.text(
            (4, top + 2), f"{names}: {row.facts.title}".encode("ascii", "replace").decode(), fill="black"
        )
        for column, picture in enumerate(row.pictures):
            sheet.paste(picture, (column * CELL, top + bar))
    sheet.save(path, quality=88, comment=COMMAND.encode())


def write_curve(scores: Mapping[str, Summary], default: float, distance_key: str, path: Path) -> None:
    """PSNR against the perceptual distance, one line a task over its fidelities; a ring is the input."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    lines: dict[str, list[tuple[float, Summary]]] = {}
    for case, scored in scores.items():
        damage, asked, fidelity = case.split("|")
        drawn = f"{distance_key}_output" in scored and "psnr_output" in scored
        if drawn and fidelity.startswith("fidelity ") and damage in (asked, "pairs"):
            word = fidelity.removeprefix("fidelity ")
            number = default if word == "default" else float(word)
            lines.setdefault(asked, []).append((number, scored))
    figure, axes = pyplot.subplots(figsize=(7, 5), layout="constrained")
    for asked, points in lines.items():
        points.sort(key=lambda point: point[0])
        x = [scored[f"{distance_key}_output"] for _, scored in points]
        y = [scored["psnr_output"] for _, scored in points]
        (line,) = axes.plot(x, y, marker="o", label=asked)
        for (number, _), across, up in zip(points, x, y, strict=True):
            axes.annotate(f"{number:g}", (across, up), (4, 4), textcoords="offset points", fontsize=8)
        start = points[0][1]
        axes.plot(start[f"{distance_key}_input"], start["psnr_input"], "o", mfc="none", mec=line.get_color())
    axes.set(xlabel=f"{NAMES[distance_key]} (lower is better)", ylabel="PSNR in dB (higher is better)")
    axes.set_title("Numbers: fidelity. Rings: the input.", fontsize=9)
    axes.legend()
    figure.savefig(path, dpi=120, metadata={"Software": COMMAND})
    pyplot.close(figure)


def markdown(results: Mapping[str, object]) -> str:
    """Everything but the scores by photo, to be read."""
    measures, baselines = results["measures"], results["baselines"]
    parts = [HEADER, f"# Evaluation: {results['config']['source']}"]
    parts.append(f"`{results['command']}`")
    facts = [
        f"{results['date']}, {results['minutes']} minutes on {results['device']}",
        f"prior {results['prior']}, adapters " + (", ".join(results["adapters"].values()) or "none"),
        "measures: " + ", ".join(f"{name}: {what}" for name, what in measures.items()),
        "± is half of a 95 % confidence interval over photos; GB is the most that the whole process had held",
    ]
    facts += [f"baseline {name}: {what}" for name, what in baselines.items()]
    facts += results["notes"]
    parts.append("\n".join(f"- {fact}" for fact in facts))
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
        lines.append(_line(damage, *(_number(gains.get(name), "+.2f") for name in asked)))
    return "\n".join(lines)


def difference_table(differences: Mapping[str, Mapping[str, Mapping[str, object]]]) -> str:
    """This evaluation minus the other, on the same photos."""
    there = [name for name in NAMES if any(name in d for d in differences.values())]
    lines = [_line("case", "photos", *(NAMES[name] for name in there)), "|---" * (len(there) + 2) + "|"]
    for case, found in differences.items():
        photos = max(difference["photos"] for difference in found.values())
        cells = [
            f"{found[n]['mean']:+.3f} ± {_number(found[n]['ci95'], '.3f')}, {found[n]['verdict']}"
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
    digits = ".2f" if name in ("psnr", "niqe") else ".3f"
    text = f"{_number(before, digits)} -> {_number(after, digits)}"
    if name == "psnr":
        gain, width = s.get("psnr_gain"), s.get("psnr_gain_ci95")
        return f"{text} ({_number(gain, '+.2f')} ± {_number(width, '.2f')})"
    if name != "ssim":
        return f"{text} ({_number(s.get(f'{name}_lower_by'), '.0%')})"
    return text


def _number(value: float | None, digits: str) -> str:
    return "n/a" if value is None else format(value, digits)


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"

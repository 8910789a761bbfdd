"""What an evaluation shows: sheets of photos, and a plot of PSNR against the perceptual distance."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageOps

from lwr.images import files as images
from lwr.tasks import TASKS
from training.evaluation.scores import COMMAND, NAMES, Summary

CELL = 256  # pixels, of one picture in the sheet
ROWS = 12  # of the sheet of all damages
EXAMPLES = 3  # photos in the sheet of one damage, before its worst


@dataclass(frozen=True)
class SheetRow:
    """One photo in a sheet, as results name it."""

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


Shown = tuple[SheetRow, tuple[Image.Image, ...]]  # with input, output, and the target if there is one


@dataclass
class Sheet:
    """The first photos, and of each damage the one that gained least."""

    first: list[Shown] = field(default_factory=list)
    worst: dict[str, Shown] = field(default_factory=dict)  # {damage: row}

    def add(self, row: SheetRow, pictures: Sequence[torch.Tensor | None]) -> None:
        """Show images (1,3,H,W) in [0,1] if they are wanted, made small at once so that many fit."""
        worst = self.worst.get(row.damage)
        bad = row.psnr_gain is not None and (worst is None or row.psnr_gain < worst[0].psnr_gain)
        if not bad and len(self.first) >= ROWS:
            return
        small = (ImageOps.contain(images.to_pil(p), (CELL, CELL)) for p in pictures if p is not None)
        shown = row, tuple(small)
        if len(self.first) < ROWS:
            self.first.append(shown)
        if bad:
            self.worst[row.damage] = shown

    def write(self, path: Path, whole: bool = True) -> dict[str, object]:
        """Write the sheet of all, if `whole`, and one for each damage that ends with its worst photo.

        Returns {file name: its rows}.
        """
        sheets = {path: self.first} if whole else {}
        for damage, last in self.worst.items():
            best = [s for s in self.first if s[0].damage == damage and s[0].photo != last[0].photo]
            sheets[sheet_of(path, damage)] = [*best[:EXAMPLES], last]
        for file, shown in sheets.items():
            _write(shown, file)
        return {file.name: [asdict(row) for row, _ in shown] for file, shown in sheets.items()}


def sheet_of(path: Path, damage: str) -> Path:
    """The sheet of one damage beside that of all."""
    return path.with_name(f"{path.stem}-{damage}{path.suffix}")


def _write(rows: Sequence[Shown], path: Path) -> None:
    """A JPEG with one photo a row: input | output | target."""
    bar = 16
    width = max(len(pictures) for _, pictures in rows) * CELL
    sheet = Image.new("RGB", (width, len(rows) * (CELL + bar)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, (row, pictures) in enumerate(rows):
        top = index * (CELL + bar)
        title = f"{' | '.join(('input', 'output', 'target')[: len(pictures)])}: {row.title}"
        draw.text((4, top + 2), title.encode("ascii", "replace").decode(), fill="black")
        for column, picture in enumerate(pictures):
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
        if drawn and fidelity.startswith("fidelity ") and (damage == asked or damage not in TASKS):
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

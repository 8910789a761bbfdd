"""Tables of the diagnosis for README and cards: how well it finds each defect, and what that saves.

`python -m training.publishing.diagnosis_tables` prints them from the files in training/results.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lwr.diagnose import defect_of
from training.command_line import parse_nothing

COMMAND = "python -m training.publishing.diagnosis_tables"


def found_table(diagnosis: Mapping[str, Any]) -> str:
    """Areas under the curve, calibration error and confusion of each defect."""
    confusion = diagnosis["confusion"]
    rows = [name for name in confusion if name != "nothing"]
    names = {name: defect_of(name) for name in rows}
    scored = ("AUC, one defect", "AUC, several", "calibration error")
    head = ("picture that is", *scored, *(f"found {names[name]}" for name in rows))
    lines = [head, ("---",) * len(head)]
    for name in rows:
        score = diagnosis["scores"][name]
        seen = (f"{confusion[name][other]:.2f}" for other in rows)
        areas = (f"{score[key]:.3f}" for key in ("auc_alone", "auc", "calibration"))
        lines.append((names[name], *areas, *seen))
    lines.append(("good", "", "", "", *(f"{confusion['nothing'][other]:.2f}" for other in rows)))
    return _drawn(lines)


def harm_table(harm: Mapping[str, Any]) -> str:
    """What asking costs good photos and gains damaged ones; in brackets, insisting ("strongly")."""
    head = (
        "asked for (insisting)", "good photos: PSNR to themselves", "left alone", "under the floor",
        "damaged photos: gain", "left alone",
    )  # fmt: skip
    lines = [head, ("---",) * len(head)]
    for name, one in harm["tasks"].items():
        floor = f"under {one['floor_db']:g} dB"
        lines.append((
            name,
            f"{one['good_db']:.1f} ({one['good_db_insisted']:.1f}) dB",
            f"{one['good_left_alone']:.0%} (0%)",
            f"{one['good_under_floor']:.0%} ({one['good_under_floor_insisted']:.0%}) {floor}",
            f"{one['gain_db']:+.2f} ({one['gain_db_insisted']:+.2f}) dB",
            f"{one['damaged_left_alone']:.0%} (0%)",
        ))  # fmt: skip
    return _drawn(lines)


def _drawn(lines: list[tuple[str, ...]]) -> str:
    rows = ["|".join(line) if line[0] == "---" else f" {' | '.join(line)} " for line in lines]
    return "\n".join(f"|{row}|" for row in rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    from training.publishing.results import Results  # which puts these tables into cards

    parse_nothing(arguments, COMMAND, __doc__)
    print(found_table(Results().file("diagnosis")), harm_table(Results().file("harm")), sep="\n\n")


if __name__ == "__main__":
    main()

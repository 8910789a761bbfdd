"""The evaluation in short, for the About tab and the Space's card."""

from collections.abc import Mapping
from typing import Any


def numbers(results: Mapping[str, Any]) -> str:
    """A Markdown table: each task at the default fidelity and at 1, and what else was tried on its damage."""
    lines = ["| damage | method | photos | PSNR | gain | LPIPS lower by |", "|---|---|---|---|---|---|"]
    for case, row in results["scores"].items():
        damage, asked, fidelity = case.split("|")
        usual = fidelity in ("fidelity 1", f"fidelity {results['default_fidelity']:g}")
        baseline = asked.removeprefix("baseline ") if asked.startswith("baseline ") else None
        if baseline in ("input", "bicubic") or (baseline is None and not (asked == damage and usual)):
            continue
        gain = f"{row['psnr_gain']:+.2f} ± {row['psnr_gain_ci95']:.2f} dB"
        cells = (damage, baseline or f"this, {fidelity}", row["photos"], f"{row['psnr_output']:.2f} dB", gain)
        lines.append("| " + " | ".join(map(str, (*cells, f"{row['lpips_lower_by']:.0%}"))) + " |")
    return "\n".join(lines)

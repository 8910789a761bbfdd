"""Small result files of a study, whole or not there."""

import json
from pathlib import Path


def write_json(path: Path, content: object) -> None:
    """Write `content`; a kill leaves the file before, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content) + "\n")
    part.replace(path)


def read_json(path: Path) -> dict:
    """What `write_json` wrote."""
    return json.loads(path.read_text())

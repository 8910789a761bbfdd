"""What is asked of `lwr export`, and what of it can be refused before torch loads."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lwr.request import Request, RestoreError, option
from lwr.tasks import TASKS

PACKAGES = ("onnx", "onnxscript")  # which torch.onnx needs


@dataclass(frozen=True)
class Export:
    """Which passes are taken out of a network."""

    task: list[str] | None = option(None, "the task whose pass it is; repeatable [default: all]")
    strength: float = option(1.0, "0 to 1: how much of it is done")
    fidelity: float | None = option(None, "as of restore [default: the task's]")
    overwrite: bool = option(False, "replace existing files")
    prior: str = option("embedded", "as of restore")
    adapter: list[str] | None = option(None, "as of restore; repeatable")

    def check(self, kind: str, out: str) -> None:
        """RestoreError for what is wrong whatever the network is."""
        if kind != "onnx" or not out:
            what = f"There is no kind {kind!r}" if kind != "onnx" else "The folder has no name"
            raise RestoreError(f"{what}: use export onnx OUT.")
        if missing := [name for name in PACKAGES if find_spec(name) is None]:
            raise RestoreError(f"Exporting needs {' and '.join(missing)}: pip install {' '.join(missing)}.")
        for request in self.requests():
            request.asked()
        for file in (file for task in self.tasks for file in files(Path(out), task)):
            if not self.overwrite and os.path.lexists(file):
                raise RestoreError(f"{file} already exists: choose another folder, or give --overwrite.")

    @property
    def tasks(self) -> tuple[str, ...]:
        """Their names, each once."""
        return tuple(dict.fromkeys(self.task or TASKS))

    def requests(self) -> list[Request]:
        """What a caller would ask of a photo, for one task after the other."""
        return [Request(task={name: self.strength}, fidelity=self.fidelity) for name in self.tasks]


def files(out: Path, task: str) -> tuple[Path, Path]:
    """(graph with weights, its description) of a task in the folder `out`."""
    return out / f"{task}.onnx", out / f"{task}.json"

"""Numbers for cards: every one comes from a file in training/results, with the command that measured it."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lwr.tasks import TASKS
from training.evaluation.benchmarks import BENCHMARKS
from training.evaluation.report import short_table, swap_table, table
from training.publishing import light
from training.publishing.diagnosis_tables import found_table, harm_table
from training.publishing.errors import PublishError
from training.study.sentences import recommendation, sentences
from training.study.statistics import is_study

FOLDER = Path(__file__).parents[1] / "results"
STUDY = "study-strategies"  # .json
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class OnPairs:
    """What was measured on one named dataset of pairs, of some tasks at their default fidelity."""

    file: str  # NAME of NAME.json
    dataset: str
    split: str
    rows: Mapping[str, Mapping[str, Any]]  # case -> scores


class Results:
    """The measurements in a folder; `given` are the numbers that went into cards, as they stand there."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder
        self.given: set[str] = set()
        self._files: dict[str, dict[str, Any]] = {}

    def file(self, name: str) -> dict[str, Any]:
        """The content of NAME.json; {} when it was not measured. PublishError when it is damaged."""
        if name not in self._files:
            path = self.folder / f"{name}.json"
            try:
                content = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
            except (OSError, ValueError) as error:
                raise PublishError(f"{path} is damaged ({error}): measure again.") from error
            if not isinstance(content, dict):
                raise PublishError(f"{path} holds no results: measure again.")
            self._files[name] = content
        return self._files[name]

    def value(self, name: str, *keys: str) -> Any:
        """What stands under these keys in NAME.json; PublishError when it is not there."""
        found: Any = self.file(name)
        for key in keys:
            if not isinstance(found, dict) or key not in found:
                path = self.folder / f"{name}.json"
                raise PublishError(f"{path} has no {' / '.join(keys)}, which a card shows: measure again.")
            found = found[key]
        return found

    def number(self, name: str, *keys: str, form: str = ".2f") -> str:
        """The number under these keys, as a card shows it."""
        return self.say(self.value(name, *keys), form)

    def say(self, value: float, form: str = ".2f") -> str:
        """A number that was worked out from measurements."""
        return self._noted(format(value, form))

    def text(self, name: str, *keys: str) -> str:
        """The words under these keys."""
        return self._noted(str(self.value(name, *keys)))

    def command(self, name: str) -> str:
        """The command line that wrote NAME.json."""
        within = ("variants", "costs") if name == "light" else ()
        return self.text(name, *within, "command")

    def words(self, text: str) -> str:
        """A sentence of a manifest, with the numbers in it."""
        return self._noted(text)

    def scores(self, damage: str) -> dict[str, Mapping[str, Any]]:
        """Rows of the evaluation of this damage under its own task, and of what else was tried on it."""
        rows = self.file("evaluate").get("scores", {})
        return {
            case: scored
            for case, scored in rows.items()
            if case.startswith((f"{damage}|{damage}|", f"{damage}|baseline"))
        }

    def on_pairs(self, tasks: Sequence[str]) -> list[OnPairs]:
        """The named datasets (pairs-*.json) on which the evaluated weights were measured for these tasks."""
        evaluated, found = self.file("evaluate"), []
        for name in sorted(path.stem for path in self.folder.glob("pairs-*.json")):
            one = self.file(name)
            if not one.get("dataset") or one["prior"] != evaluated.get("prior"):
                continue
            rows, about = {}, one["dataset"]
            for case, scored in one["scores"].items():
                damage, asked, fidelity = case.split("|")
                own = damage == asked or (damage, asked) == (about["name"], about.get("task"))
                task = TASKS[asked] if asked in tasks and own else None
                usual = task and (task.default_fidelity or one["default_fidelity"])
                same = task and one["adapters"].get(asked) == evaluated["adapters"].get(asked)
                if same and fidelity == f"fidelity {usual:g}":
                    rows[case] = scored
            if rows:
                found.append(OnPairs(name, about["name"], one["split"] or "test", rows))
        return found

    def never_run(self, tasks: Sequence[str]) -> list[str]:
        """The public benchmarks of these tasks that were not measured."""
        there = {one.dataset for one in self.on_pairs(tasks)}
        known = [one.name for one in BENCHMARKS.values() if one.task in tasks]
        return [name for name in known if name not in there]

    def pair_table(self, measured: OnPairs) -> str:
        """The table of one dataset's pairs."""
        return self._noted(table(measured.rows))

    def score_table(self, damages: Sequence[str]) -> str:
        """The evaluation's table of these damages."""
        rows = {case: scored for damage in damages for case, scored in self.scores(damage).items()}
        return self._noted(table(rows))

    def short_table(self) -> str:
        """The evaluation in short."""
        return self._noted(short_table(self.file("evaluate")))

    def swap_table(self) -> str:
        """PSNR gain under the right and the wrong prompts."""
        return self._noted(swap_table(self.value("evaluate", "swap")))

    def found_table(self) -> str:
        """How well the diagnosis finds each defect."""
        return self._noted(found_table(self.file("diagnosis")))

    def harm_table(self) -> str:
        """What a sentence does to good and to damaged photos."""
        return self._noted(harm_table(self.file("harm")))

    def light_costs(self) -> str:
        """What the two networks of the package cost."""
        return self._noted(light.costs(self.file("light")))

    def light_quality(self) -> str:
        """How well both restore."""
        return self._noted(light.quality(self.file("light")))

    def study(self) -> list[str]:
        """What the study of training found, in three sentences; [] when it was not run."""
        result = self.file(STUDY)
        return [self._noted(one) for one in sentences(result)] if is_study(result) else []

    def recommended(self) -> str:
        """What the study recommends, and whether it ships."""
        return self._noted(recommendation(self.file(STUDY)))

    def minutes(self) -> tuple[str, str]:
        """(minutes of training, core-hours) that went into the shipped weights."""
        runs = self.value("training", "runs")
        core_hours = sum(run["minutes"] * run["cores"] for run in runs) / 60
        return self.say(sum(run["minutes"] for run in runs), ".0f"), self.say(core_hours, ".1f")

    def _noted(self, text: str) -> str:
        self.given |= set(NUMBER.findall(text))
        return text

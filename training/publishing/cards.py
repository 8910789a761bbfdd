"""Cards of the network, the adapters and the Space: templates in cards/, filled and never typed.

Numbers come from training/results, descriptions from task constants and manifests; metadata goes through
huggingface_hub's card classes. (The dataset's card is made with the set, by training/dataset/card.py.)
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData, SpaceCard, SpaceCardData

from lwr.loading.adapter import AdapterMetadata
from lwr.models.config import PriorConfig
from lwr.tasks import TASKS
from lwr.tasks.base import Task
from training.publishing import light
from training.publishing.names import Names
from training.publishing.results import Results
from training.study.report import FIGURE

TEMPLATES = Path(__file__).parents[2] / "cards"
SHEET = "assets/examples.jpg"  # in the repository
STUDY_PICTURE = "assets/study.webp"
LICENSE = "apache-2.0"
PYTHON = "3.12.12"  # of the two that ZeroGPU lists (the other is 3.10.13)
LIBRARY = "lwr"  # which loads them; diffusers and PEFT read single folders, as the cards say
TAGS = ("image-restoration", "lwr")
METRICS = {"psnr": "PSNR (dB)", "ssim": "SSIM", "lpips": "LPIPS (AlexNet)"}


@dataclass(frozen=True)
class Measured:
    """Results that belong to one network, and which of its tasks they cover."""

    results: Results
    adapters: Mapping[str, str]  # task -> "PRIOR/TASK@VERSION" as measured

    @classmethod
    def of(cls, results: Results, prior: PriorConfig, adapters: Mapping[str, AdapterMetadata]) -> "Measured":
        """`results`, or none of the evaluation when it measured other weights."""
        known = results.file("evaluate").get("adapters", {})
        same = results.file("evaluate").get("prior") == f"{prior.id}@{prior.revision}"
        fits = {
            task: known[task]
            for task, one in adapters.items()
            if same and known.get(task) == f"{one.prior}/{task}@{one.version}"
        }
        return cls(results if same else Without(results, "evaluate"), fits)


class Without(Results):
    """Results of which one file is left out."""

    def __init__(self, results: Results, name: str) -> None:
        super().__init__(results.folder)
        self._files[name] = {}


def prior_card(names: Names, pins: Mapping[str, str], measured: Measured) -> str:
    """README.md of the network's repository."""
    tasks = [{"name": name, "repo": names.named("model", names.adapter(name))} for name in pins]
    data = ModelCardData(
        license=LICENSE,
        library_name=LIBRARY,
        pipeline_tag="image-to-image",
        datasets=_datasets(names),
        metrics=list(METRICS),
        tags=[*TAGS, *pins],
        **_index(names.prior, list(measured.adapters), measured.results),
    )
    return _filled(
        ModelCard, "prior.md", data, names, measured.results,
        tasks=tasks, pins=pins, tasks_there=list(pins), sheet=SHEET, repo=names.prior,
        exceptions=_exceptions(pins), study=STUDY_PICTURE if _pictured(measured.results) else None,
        credits=_credits(measured.results, "evaluate.jpg"), minutes=_minutes(measured.results),
    )  # fmt: skip


def lite_card(names: Names, network: Path, tasks: Sequence[str], results: Results) -> str:
    """README.md of the smaller network's repository."""
    full = names.named("model", replace(names, network=Names.network).prior)
    data = ModelCardData(
        license=LICENSE,
        library_name=LIBRARY,
        pipeline_tag="image-to-image",
        base_model=full,
        base_model_relation=full and "quantized",
        datasets=_datasets(names),
        tags=[*TAGS, *tasks],
    )
    return _filled(
        ModelCard, "lite.md", data, names, results,
        tasks=tasks, repo=names.prior, full=full, made=[results.words(one) for one in light.facts(network)],
        compared=light.of_network(results.file("light"), network),
    )  # fmt: skip


def adapter_card(names: Names, task: Task, metadata: AdapterMetadata, size: int, measured: Measured) -> str:
    """README.md of one adapter's repository; `size` of its weights in bytes."""
    results, scored = measured.results, task.name in measured.adapters
    repo, base = names.adapter(task.name), names.named("model", names.prior)
    data = ModelCardData(
        license=LICENSE,
        library_name=LIBRARY,
        pipeline_tag="image-to-image",
        base_model=base,
        base_model_relation=base and "adapter",
        datasets=_datasets(names),
        metrics=list(METRICS),
        tags=[*TAGS, "lora", task.name],
        **_index(repo, [task.name] if scored else [], results),
    )
    default = task.default_fidelity or results.file("evaluate").get("default_fidelity", 1)
    sheet = results.folder / f"evaluate-{task.name}.jpg"
    return _filled(
        ModelCard, "adapter.md", data, names, results,
        task=task, metadata=metadata, scored=scored, base=base,
        megabytes=results.say(size / 1e6, ".1f"), fidelity=f"{default:g}", repo=repo,
        sheet=SHEET if scored and sheet.exists() else None, credits=_credits(results, sheet.name),
        minutes=_minutes(results),
    )  # fmt: skip


def space_card(names: Names, pins: Mapping[str, str], measured: Measured, requirements: str) -> str:
    """README.md of the Space, its front matter included."""
    prior = names.named("model", names.prior)
    gradio = re.search(r"^gradio(?:\[\w+\])?==(\S+)$", requirements, re.MULTILINE)
    data = SpaceCardData(
        title="LWR - Light-Weight Restoration",
        emoji="📷",
        colorFrom="blue",
        colorTo="green",
        sdk="gradio",
        sdk_version=gradio[1],
        python_version=PYTHON,
        app_file="app.py",
        pinned=False,
        license=LICENSE,
        short_description="Say what is wrong with a photo and get it restored",
        models=[*([prior] if prior else []), *(pin.split("@")[0] for pin in pins.values())],
        datasets=_datasets(names),
        tags=[*TAGS, *pins],
        suggested_hardware="zero-a10g",
    )
    return _filled(
        SpaceCard, "space.md", data, names, measured.results,
        pins=pins, tasks_there=list(pins), repo=names.space, prior=prior,
    )  # fmt: skip


def _filled(kind: type, template: str, data: Any, names: Names, results: Results, **values: Any) -> str:
    scores = results.file("evaluate").get("scores", {})
    photos = max((row["photos"] for row in scores.values()), default=0)
    text = kind.from_template(
        data,
        template_path=str(TEMPLATES / template),
        version=names.version,
        space=names.named("space", names.space),
        dataset=names.named("dataset", names.dataset),
        measured=results,
        photos=results.say(photos, "d"),
        limits=(TEMPLATES / "limits.md").read_text(encoding="utf-8"),
        **values,
    )
    return re.sub(r"[ \t]+\n", "\n", str(text)).rstrip() + "\n"


def _pictured(results: Results) -> bool:
    """Whether there is a figure of the study."""
    return bool(results.study()) and (results.folder / FIGURE).exists()


def _exceptions(tasks: Iterable[str]) -> str:
    """The tasks that have a default fidelity of their own: "; of dehaze 1"."""
    own = [(name, TASKS[name].default_fidelity) for name in tasks]
    return "".join(f"; of {name} {fidelity:g}" for name, fidelity in own if fidelity is not None)


def _datasets(names: Names) -> list[str] | None:
    """The dataset, where there is one."""
    dataset = names.named("dataset", names.dataset)
    return [dataset] if dataset else None


def _minutes(results: Results) -> tuple[str, str] | None:
    """(minutes, core-hours) of training, if they are known."""
    return results.minutes() if results.file("training") else None


def _index(model: str, tasks: Sequence[str], results: Results) -> dict[str, Any]:
    """The card's model-index: what each task measured at its default fidelity."""
    found = []
    for name in tasks:
        default = TASKS[name].default_fidelity or results.value("evaluate", "default_fidelity")
        row = results.file("evaluate")["scores"].get(f"{name}|{name}|fidelity {default:g}", {})
        # no Hub dataset: crops made when measuring
        dataset = f"{row.get('photos')} validation photographs, {name}"
        found += _entries(name, f"validation-photographs-{name}", dataset, "validation", row)
    for one in results.on_pairs(tasks):
        for case, row in one.rows.items():
            damage, task, _ = case.split("|")
            dataset = one.dataset if damage == one.dataset else f"{one.dataset}, {damage}"
            kind = re.sub(r"[^a-z0-9]+", "-", dataset.lower())
            found += _entries(task, kind, dataset, one.split, row)
    return {"model_name": model, "eval_results": found} if found else {}


def _entries(task: str, kind: str, dataset: str, split: str, row: Mapping[str, Any]) -> list[EvalResult]:
    """The measures of one row; the Hub merges those of one metric and one `kind` (the dataset's type)."""
    return [
        EvalResult(
            task_type="image-to-image",
            task_name=TASKS[task].title,
            dataset_type=kind,
            dataset_name=dataset,
            dataset_split=split,
            metric_type=metric,
            metric_name=title,
            metric_value=row[f"{metric}_output"],
        )
        for metric, title in METRICS.items()
        if f"{metric}_output" in row
    ]


def _credits(results: Results, sheet: str) -> str:
    """Whose photos a sheet shows."""
    rows = results.file("evaluate").get("sheets", {}).get(sheet, [])
    named = {row["photo"]: row["credit"] for row in rows}
    return "; ".join(f"{photo}: {credit or 'not stated'}" for photo, credit in named.items())

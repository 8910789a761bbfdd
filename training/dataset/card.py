"""The set's dataset card: cards/dataset.md, filled from the manifest and from the finished shards."""

import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

from lwr.tasks import TASKS
from training.data.storage import whole_file
from training.dataset.drawing import DRAWS, HIDDEN, LEAST, SLIGHT
from training.dataset.schema import ALL, SPLITS, degraded_column, pixels_of

TEMPLATE = Path(__file__).parents[2] / "cards" / "dataset.md"
EXAMPLES, HISTOGRAMS = "assets/examples.webp", "assets/params-{}.png"
_ROWS, _SIDE, _GAP, _HEAD = 4, 224, 6, 22  # of the example grid: pictures down, pixels
_PLOTS = 12  # histograms a task, of the parameters that vary most


def write_card(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write README.md and the pictures it shows into a set whose shards are all there."""
    from huggingface_hub import DatasetCard, DatasetCardData

    tasks = list(manifest["recipe"]["tasks"])
    params = {task: _params(out, manifest, task) for task in tasks}
    _picture(out / EXAMPLES, _examples(out, manifest))
    for task in tasks:
        _picture(out / HISTOGRAMS.format(task), _histograms(TASKS[task].title, params[task]))
    count = manifest["photos"]["chosen"]
    data = DatasetCardData(
        pretty_name="LWR multi-task restoration",
        license="other",
        license_name="of-each-photo",
        license_link="#licences",
        task_categories=["image-to-image"],
        tags=["image-restoration", *tasks],
        size_categories=[_size_category(count)],
        configs=[_config(name, manifest) for name in (*tasks, ALL)],
    )
    card = DatasetCard.from_template(
        data,
        template_path=str(TEMPLATE),
        manifest=manifest,
        recipe=manifest["recipe"],
        photos=manifest["photos"],
        splits=[split for split in SPLITS if manifest["splits"][split]["images"]],
        tasks=[_task_values(task, params[task]) for task in tasks],
        collections=_collections(out, manifest),
        rebuild=_rebuild(manifest["recipe"]),
        draws=DRAWS,
        hidden=f"{HIDDEN:g}",
        slight=SLIGHT,
        least=f"{LEAST:g}",
        size=_megabytes(sum(entry["bytes"] for entry in manifest["files"].values())),
        examples=EXAMPLES,
        all_config=ALL,
    )
    with whole_file(out / "README.md") as temporary:
        temporary.write_text(str(card), encoding="utf-8")


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _config(name: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What the Hub and `datasets` need to know of a config; splits without a photo are left out."""
    files = [
        {"split": split, "path": f"data/{name}/{split}-*.parquet"}
        for split in SPLITS
        if manifest["splits"][split]["images"]
    ]
    return {"config_name": name, "data_files": files} | ({"default": True} if name == ALL else {})


def _size_category(count: int) -> str:
    """The Hub's name for so many rows."""
    bounds = ((1000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for bound, name in bounds if count < bound), "1M<n<10M")


def _task_values(name: str, params: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    task = TASKS[name]
    text = task.formation or (task.degrade.__doc__ or "").strip()
    values = {"name": name, "title": task.title, "prompt": task.instruction, "formation": text}
    return values | {"histograms": HISTOGRAMS.format(name), "parameters": list(_parameters(params))}


def _rebuild(recipe: Mapping[str, Any]) -> str:
    """The command line that gives the same set from the same photos."""
    options = {
        "tasks": ",".join(recipe["tasks"]),
        "per-task": recipe["per_task"],
        "size": recipe["size"],
        "seed": recipe["seed"],
        "licenses": ",".join(recipe["licences"]),
        "max-blur": recipe["max_blur"],
        "max-dark-channel": recipe["max_dark_channel"],
        "duplicate-distance": recipe["duplicate_distance"],
        "shard-photos": recipe["shard_photos"],
        "depth": recipe["depth"],
    } | {name: recipe[name] and json.dumps(recipe[name]) for name in ("license", "author", "source")}
    words = [f"--{name} {value}" for name, value in options.items() if value is not None]
    return " ".join(["python -m training.build_dataset --photos PHOTOS --out DIR", *words])


# ---- reading the shards


def _shards(out: Path, manifest: Mapping[str, Any], config: str) -> Iterator[pq.ParquetFile]:
    for name in manifest["files"]:
        if name.startswith(f"data/{config}/"):
            with (out / name).open("rb") as file, pq.ParquetFile(file) as shard:
                yield shard


def _params(out: Path, manifest: Mapping[str, Any], task: str) -> list[dict[str, Any]]:
    """The parameters of all rows of a task, with dotted names."""
    texts = (
        text
        for shard in _shards(out, manifest, task)
        for text in shard.read(columns=["params"]).column(0).to_pylist()
    )
    return [dict(_flat(json.loads(text))) for text in texts]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(part, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _flat(part, f"{name}[{index}]")
    elif value is not None:
        yield name, value


def _collections(out: Path, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where the photos are from: collection, images, licences, authors."""
    found: dict[str, list[tuple[str, str]]] = {}
    for shard in _shards(out, manifest, ALL):
        for row in shard.read(columns=["source", "license", "author"]).to_pylist():
            found.setdefault(_collection(row["source"]), []).append((row["license"], row["author"]))
    return [
        {
            "name": name,
            "images": len(rows),
            "licenses": ", ".join(sorted({license_ for license_, _ in rows})),
            "authors": _some(sorted({author for _, author in rows if author})),
        }
        for name, rows in sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))
    ]


def _collection(source: str) -> str:
    """The site or repository of a photo's source: "github:owner/name" or "example.org"."""
    kind, address, rest = source.partition("://")
    if address:
        return rest.split("/")[0]
    parts = source.split("/")
    return "/".join(parts[:2] if source.startswith("github:") else parts[:1]) or "not stated"


def _some(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


# ---- parameters in numbers and pictures


def _columns(params: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for row in params for name in row)
    return {name: [row[name] for row in params if name in row] for name in sorted(names)}


def _is_number(values: Iterable[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _parameters(params: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    """One row of the card's table for each parameter: what it was in this set."""
    for name, values in _columns(params).items():
        if _is_number(values):
            low, middle, high = min(values), median(values), max(values)
            text = f"{low:.4g} to {high:.4g}, median {middle:.4g}"
        else:
            counts = Counter(str(value) for value in values).most_common()
            text = _some([f"{value} {count / len(values):.0%}" for value, count in counts])
        yield {"name": name, "values": text, "share": f"{len(values) / len(params):.0%}"}


def _histograms(title: str, params: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Histograms of the parameters that vary most, as one picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = {name: values for name, values in _columns(params).items() if _is_number(values)}
    varied = sorted(columns, key=lambda name: (-len(set(columns[name])), name))[:_PLOTS]
    across = min(4, len(varied)) or 1
    down = math.ceil(len(varied) / across) or 1
    figure = Figure(figsize=(3 * across, 2.1 * down + 0.4))
    figure.subplots_adjust(0.04, 0.08, 0.99, 0.88, hspace=0.45)  # a tenth of the time of automatic layouts
    figure.suptitle(f"{title}: parameters of {len(params)} images")
    for name, axes in zip(sorted(varied), figure.subplots(down, across, squeeze=False).flat, strict=False):
        axes.stairs(*np.histogram(columns[name], 24), fill=True, color="#3b6ea5")
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.locator_params(nbins=5)
    for axes in figure.axes[len(varied) :]:
        axes.axis("off")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return Image.open(buffer)


def _examples(out: Path, manifest: Mapping[str, Any]) -> Image.Image:
    """A grid: an image a row, its clean picture and every degradation of it side by side."""
    tasks = list(manifest["recipe"]["tasks"])
    columns = ["clean", *map(degraded_column, tasks)]
    first: list[dict[str, Any]] = []
    for shard in _shards(out, manifest, ALL):
        if shard.metadata.num_rows and len(first) < _ROWS:
            first += shard.read_row_group(0, columns).to_pylist()[: _ROWS - len(first)]
    size = (len(columns) * (_SIDE + _GAP) - _GAP, _HEAD + len(first) * (_SIDE + _GAP) - _GAP)
    grid = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(grid)
    for column, title in enumerate(("clean", *tasks)):
        pen.text((column * (_SIDE + _GAP) + 4, 3), title, fill="black", font_size=14)
        for row, cells in enumerate(first):
            picture = Image.fromarray(pixels_of(cells[columns[column]]))
            place = (column * (_SIDE + _GAP), _HEAD + row * (_SIDE + _GAP))
            grid.paste(picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), place)
    return grid


def _picture(target: Path, picture: Image.Image) -> None:
    with whole_file(target) as temporary:
        picture.save(temporary, target.suffix[1:].upper(), quality=90)

"""What is wrong with a photo, and what that means for what is done to it.

A severity is how bad a defect is, in [0,1]: 0 = not there, 1 = as bad as the strongest training damage. The
small network that finds it (`lwr.models.diagnosis`) ships with the package and serves every prior.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lwr.images.canvas import Canvas
from lwr.images.pixels import pad_to_multiple, resize, to_unit
from lwr.images.toning import find_toning
from lwr.loading.diagnosis import load_encoder, load_head
from lwr.models.bands import reduced
from lwr.models.diagnosis import (
    CELL,
    OVERVIEW,
    SHARPEST,
    Evidence,
    cells_of,
    overview_size,
    statistics_of,
    tiles_of,
)
from lwr.models.statistics import coarse_statistics
from lwr.models.where import Where
from lwr.tasks import TASKS

PRESENT = 0.15  # severity from which on a photo is said to have a defect
FULL = 0.4  # from which on it gets all of a task that it needs (`Task.needed_from`)
LOCAL = (0.04, 0.08)  # severities at one place: up to the first a task that follows its map leaves it alone
SMOOTH = 5  # cells a side, over which such a map is averaged
SMALL, SMALL_SCALE = 500_000, 2.0  # pixels of a photo under which it is enlarged, and how much
MEDIUM = 100_000  # pixels, from which on a photo is not small in itself
LEAST_SIDE = 192  # pixels; haze is read from smaller photos enlarged
FLAT = 2.5 / 255  # range of values up to which a photo is one plain area
SLIGHT, STRONG = 0.4, 0.75  # severities under which a defect is called slight, and from which on strong


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with one photo; a defect has the name of the task that removes it."""

    severities: dict[str, float]  # {defect: severity in [0,1]}, of every defect
    # {defect: (h,w) float32 in [0,1]}: how bad it is where, spread evenly over the photo; of haze and blur
    maps: dict[str, np.ndarray] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)  # as its pixels show it, whatever its size

    @property
    def present(self) -> dict[str, float]:
        """{defect: severity} of those that are there, the worst first."""
        there = {name: s for name, s in self.severities.items() if s >= PRESENT}
        return dict(sorted(there.items(), key=lambda one: -one[1]))

    @property
    def tasks(self) -> dict[str, float]:
        """{task: strength}: what the photo needs, by severity; of defects that look alike the worst."""
        alike = load_head().kinds.alike
        worst = max(alike, key=lambda name: self.severities[name])
        return {
            name: round(min(1.0, (severity - PRESENT) / (FULL - PRESENT)), 2)
            for name, severity in self.severities.items()
            if name in TASKS and severity >= TASKS[name].needed_from and (name == worst or name not in alike)
        }

    @property
    def sentence(self) -> str:
        """What is wrong, for a person: "The photo is hazy and slightly blurred."."""
        found = [described(name, severity) for name, severity in self.present.items()]
        if not found:
            return "Nothing wrong was found."
        *first, last = found
        return f"The photo is {', '.join(first)}{' and ' if first else ''}{last}."

    def json(self) -> dict[str, Any]:
        """Severities, sentence and {task: strength} of what it needs."""
        return {"severities": self.severities, "sentence": self.sentence, "tasks": self.tasks}


def defect_of(name: str) -> str:
    """What a photo with this defect is: "hazy"."""
    return TASKS[name].defect if name in TASKS else name


def described(name: str, severity: float) -> str:
    """The same with how much: "slightly blurred", "very hazy", "far too dark"."""
    defect = defect_of(name)
    very = "far " if defect.startswith("too ") else "very "
    degree = "slightly " if severity < SLIGHT else very if severity >= STRONG else ""
    return degree + defect


@torch.inference_mode()
def diagnose(photo: torch.Tensor) -> Diagnosis:
    """What is wrong with a photo (1,3,H,W), levels (uint8) or floats in [0,1]; no float copy is whole.

    Haze is read from the reduced photo, all else from parts at its own resolution.
    """
    size = (photo.shape[-2], photo.shape[-1])
    head, (rows, columns) = load_head(), tiles_of(size)
    in_parts = len(rows) * len(columns) > 1
    overview = reduced(Canvas(photo, size), overview_size(size)) if in_parts else to_unit(photo)
    tiles = [to_unit(photo[..., down, across]) for down in rows for across in columns] if in_parts else []
    if _is_toned(overview):  # sepia is no haze, and hides none
        overview = overview.mean(1, keepdim=True).expand_as(overview)
    if _is_flat(overview):
        nowhere = {name: np.zeros((1, 1), np.float32) for name in head.kinds.mapped}
        nothing = dict.fromkeys(head.defects, 0.0)
        return Diagnosis(nothing, nowhere, nothing)
    coarse = coarse_statistics(overview)
    enlarged = _enlarged(overview)
    whole = _read(overview if enlarged is None else enlarged, coarse)
    parts = [_read(tile, coarse) for tile in tiles] or [
        whole if enlarged is None else _read(overview, coarse)
    ]
    seen, maps = {}, {}
    for place, name in enumerate(head.defects):
        own = torch.stack([each.severities[place] for each in parts])
        # As sharp as its sharpest parts; noise and blocks are everywhere
        from_parts = own.quantile(SHARPEST if name in head.kinds.alike else 0.5)
        found = whole.severities[place] if name in head.kinds.coarse else from_parts
        seen[name] = round(found.item(), 3)
    for place, name in enumerate(head.kinds.mapped):
        coarse_one = name in head.kinds.coarse
        maps[name] = (whole.where[place] if coarse_one else _joined(parts, place, len(columns))).numpy()
    return _with_size(seen, maps, size)


def is_hazy(photo: torch.Tensor) -> bool:
    """Whether a photo, as `diagnose` takes it, has so much haze that it gets all of its removal."""
    found = diagnose(photo).severities
    return any(found[name] >= FULL for name, task in TASKS.items() if task.follows_map)


def _enlarged(overview: torch.Tensor) -> torch.Tensor | None:
    """A thumbnail (1,3,h,w) at a size of which training knows haze; None for what is not that small."""
    height, width = overview.shape[-2:]
    factor = min(LEAST_SIDE / min(height, width), (OVERVIEW / (height * width)) ** 0.5)
    if factor <= 1:
        return None
    return resize(overview, (round(height * factor), round(width * factor))).clamp(0, 1)


def _with_size(seen: dict[str, float], maps: dict[str, np.ndarray], size: tuple[int, int]) -> Diagnosis:
    """What the pixels of a photo (H, W) show, and that it has few of them."""
    small_itself = {name: _smallness(size) for name, task in TASKS.items() if task.default_scale > 1}
    return Diagnosis(
        {name: max(severity, small_itself.get(name, 0.0)) for name, severity in seen.items()}, maps, seen
    )


def _is_flat(overview: torch.Tensor) -> bool:
    """Whether a photo (1,3,H,W) in [0,1] shows nothing, so that nothing can be wrong with it."""
    return all(high - low < FLAT for low, high in map(torch.aminmax, overview[0]))


def _is_toned(overview: torch.Tensor) -> bool:
    """Whether a photo (1,3,H,W) in [0,1] has one hue, read from half its size for speed."""
    return find_toning(F.avg_pool2d(overview, 2) if min(overview.shape[-2:]) >= 2 else overview) is not None


@dataclass(frozen=True)
class _Read:
    """What the head says of one part of a photo."""

    severities: torch.Tensor  # (T,) in [0,1]
    where: torch.Tensor  # (M,h,w) in [0,1]


def _read(part: torch.Tensor, coarse: torch.Tensor) -> _Read:
    evidence = evidence_of(part, coarse)
    severities, where = load_head()(evidence.cells, evidence.statistics[None])
    return _Read(severities[0].sigmoid(), where[0].sigmoid())


def _joined(parts: Sequence[_Read], place: int, columns: int) -> torch.Tensor:
    """The map of a photo from those of its parts, row by row; of several, each is one value."""
    if len(parts) == 1:
        return parts[0].where[place]
    return torch.stack([part.where[place].mean() for part in parts]).view(-1, columns)


def _smallness(size: tuple[int, int]) -> float:
    """Severity of a small size (H, W) in itself: from MEDIUM pixels down to a MEDIUM / 8 in doublings."""
    return round(min(1.0, max(0.0, math.log2(MEDIUM / (size[0] * size[1])) / 3)), 3)


def evidence_of(part: torch.Tensor, coarse: torch.Tensor | None = None) -> Evidence:
    """What the head reads of a part (1,3,H,W) in [0,1]; `coarse`: of the whole photo, None = of the part."""
    padded, _ = pad_to_multiple(part, CELL)
    cells = cells_of(load_encoder()(padded))
    return Evidence(cells, statistics_of(part, coarse_statistics(part) if coarse is None else coarse))


def needed_scale(tasks: Mapping[str, float], size: tuple[int, int]) -> float:
    """Output side / input side of a photo (H, W) when nobody has named one: only a small one is enlarged."""
    enlarges = any(TASKS[name].default_scale > 1 for name in tasks)
    return SMALL_SCALE if enlarges and size[0] * size[1] < SMALL else 1.0


def harmless(
    tasks: Mapping[str, float], named: Collection[str], severities: Mapping[str, float]
) -> tuple[dict[str, float], tuple[str, ...]]:
    """(tasks, remarks): those that were only `named` are done as far as the photo shows their defect.

    Defects that look alike count for each other: an enlarged photo is blurred too.
    """
    model, kept, remarks = load_head(), dict(tasks), []
    for name in (name for name in named if name in severities):
        kin = model.kinds.alike if name in model.kinds.alike else (name,)
        share = model.strength(name, max(severities[one] for one in kin))
        kept[name] = round(tasks[name] * share, 2)
        if kept[name] < tasks[name]:
            remarks.append(_remark(TASKS[name].title, share))
    return kept, tuple(remarks)


def where(found: Diagnosis, task: str, size: tuple[int, int]) -> Where | None:
    """Where a task acts on a photo that ends up with `size` (H,W); None: everywhere.

    Whoever insists on a task that the photo shows no need of gets it everywhere.
    """
    if not TASKS[task].follows_map or found.severities[task] < PRESENT:
        return None
    shares = (torch.from_numpy(found.maps[task])[None, None] - LOCAL[0]) / (LOCAL[1] - LOCAL[0])
    padded = F.pad(shares.clamp(0, 1), (SMOOTH // 2,) * 4, mode="replicate")
    return Where(F.avg_pool2d(padded, SMOOTH, 1).clamp(0, 1), size)


def _remark(title: str, share: float) -> str:
    ask = "say “strongly” or ask for strength 1 to have"
    if share == 0:
        return f"{title}: not done, as the photo shows no need of it; {ask} it done anyway."
    return f"{title}: done in part ({share:.0%}), as the photo shows little need of it; {ask} all of it done."

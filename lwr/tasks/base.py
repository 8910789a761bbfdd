"""What a task is: one frozen record of how a photo goes bad, how people say so, and what adapter restores it.

Task files import nothing heavy at their top, so that `lwr tasks` and `lwr route` answer at once: torch and
`lwr.degrade` are imported inside the function that degrades.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import torch

# (B,3,H,W) in [0,1], generator -> (degraded (B,3,H,W) in [0,1], one JSON-able dict of parameters per photo).
# It may also take `params`, dicts that an earlier call returned, to make that degradation again, and `depth`,
# a `lwr.degrade.depth.Depth`; the dataset's builder looks for these names.
Degradation: TypeAlias = "Callable[..., tuple[torch.Tensor, list[dict[str, Any]]]]"
# (one photo's parameters, degraded and clean (1,3,H,W)) -> how bad it is in [0,1], the diagnosis' label
Severity: TypeAlias = "Callable[[dict[str, Any], torch.Tensor, torch.Tensor], float]"


@dataclass(frozen=True)
class Vocabulary:
    """The words and phrases by which `lwr.prompt.route` recognises a task.

    All lower case, in full forms ("is not", "can not"), hyphens as spaces; typos need no entry.
    """

    defects: tuple[str, ...]  # what is wrong: "haze", "out of focus"; asks for the task unless denied
    actions: tuple[str, ...]  # what to do, verbs in their base form: "dehaze", "sharper"; asks by itself
    qualities: tuple[str, ...] = ()  # what should be: "sharp", "resolution"; asks when wanted or missing
    measures: tuple[str, ...] = ()  # what "2x" multiplies: "size", "big"; only one task has measures
    looks: tuple[str, ...] = ()  # defects that also tell of things, "dark": none before a noun, "dark hair"
    idioms: tuple[str, ...] = ()  # phrases that hold such words and mean something else: "focus on"


def phrases(text: str) -> tuple[str, ...]:
    """The phrases of a comma-separated list, white space made single."""
    return tuple(" ".join(phrase.split()) for phrase in text.split(",") if phrase.strip())


WAY = ("scene", "lens", "sensor", "file")  # of a photo; damages are undone backwards
SCENE = WAY[0]  # such damage takes the whole photo to see


@dataclass(frozen=True)
class Task:
    """One restoration task. A new task is one new file in this folder holding one constant of this class."""

    name: str  # as in the command line, the API and the dataset: "dehaze"
    title: str  # as a person reads it: "Remove haze"
    instruction: str  # the one sentence that conditions the prior's text encoder for this task
    examples: tuple[str, ...]  # prompts shown to people
    vocabulary: Vocabulary
    degrade: Degradation
    default_scale: float  # output side / input side when the user names none
    color_fix: Literal["wavelet", "none"]  # "none" where the input's colours are the defect (haze, low light)
    follows_map: bool = False  # it is done only where the diagnosis' map shows the defect
    # where on a photo's way its damage is done
    arises: Literal["scene", "lens", "sensor", "file"] = "lens"
    formation: str = ""  # how the photo goes bad: equations and sources, Markdown, for dataset cards
    default_fidelity: float | None = None  # None: the prior's; 1 where sharpness is not what is missing
    adapter: str = "embedded"  # "embedded", or "REPO@REVISION" on the Hub
    # With both, `training.run diagnose` teaches the diagnosis to find it:
    defect: str = ""  # what a photo that needs it is: "hazy"
    severity: Severity | None = None
    needed_from: float = 0.28  # severity from which on a photo gets it though nobody asked for it
    # What training and evaluation know of its damage:
    distinct: bool = False  # whether no other task's instruction covers any of it
    weight: float = 1.0  # how often training on several tasks draws it

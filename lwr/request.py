"""What a request asks for, checked and with its gaps filled: everything that decides the pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from lwr.models.network import Words
from lwr.models.prior import Prior
from lwr.prompt.router import route
from lwr.tasks import TASKS

MAX_SCALE = 4.0
MAX_OUTPUT_PIXELS = 64_000_000
MAX_GUIDANCE = 30.0

N = TypeVar("N", int, float)


class RestoreError(ValueError):
    """A request that cannot be carried out; one sentence: what is wrong, and what would work."""


@dataclass(frozen=True)
class Settings:
    """All that decides the pixels, beside the photo: `restorer(photo, task=s.tasks, scale=s.scale, ...)`."""

    tasks: dict[str, float]  # task name -> strength in [0, 1]
    scale: float
    steps: int
    fidelity: float
    seed: int
    prior: str  # id@revision
    adapters: dict[str, str]  # task name -> id@version, or REPO@REVISION of one from the Hub
    tile: int  # pixels; photos up to TILE_SLACK times its area pass whole
    precision: str = "float32"  # of the weights; chosen when the Restorer is loaded, like the tile
    positive: str | None = None  # what the UNet is told; None = the instructions of the tasks
    negative: str = ""
    guidance: float = 1.0

    @property
    def words(self) -> Words:
        """What the UNet is told."""
        return Words(self.positive, self.negative, self.guidance)


@dataclass(frozen=True)
class Request:
    """What a caller said; None = left open."""

    prompt: str = ""
    task: str | Mapping[str, float] | None = None
    scale: float | None = None
    steps: int | None = None
    fidelity: float | None = None
    seed: int = 0
    guidance: float | None = None
    positive: str | None = None
    negative: str | None = None

    def resolve(self, prior: Prior, name: str, tile: int) -> Settings:
        """The settings without adapters, for a prior of that name; RestoreError says what is bad."""
        facts = prior.config
        tasks, asked_scale = _tasks(self.prompt, self.task)
        scale = next((s for s in (self.scale, asked_scale) if s is not None), None)
        scale = max(TASKS[name].default_scale for name in tasks) if scale is None else scale
        scale = _checked("scale", scale, (1, MAX_SCALE), f"1 (keep the size) to {MAX_SCALE:g}")
        steps = facts.default_steps if self.steps is None else self.steps
        usual = (
            f"a whole number from 1 to {facts.start_timestep}; 1 to {max(4, facts.default_steps)} is usual"
        )
        steps = _checked("number of steps", steps, (1, facts.start_timestep), usual, int)
        fidelity = self.fidelity
        if fidelity is None:
            wanted = [TASKS[name].default_fidelity for name in tasks]
            fidelity = min(facts.default_fidelity if one is None else one for one in wanted)
        fidelity = _checked("fidelity", fidelity, (0, 1), "0 (the model's own picture) to 1 (the exactest)")
        seed = _checked("seed", self.seed, (0, 2**63 - 1), "a whole number from 0 to 2^63 - 1", int)
        words = self._words(prior)
        precision = str(prior.unet.dtype).removeprefix("torch.")
        return Settings(
            tasks,
            scale,
            steps,
            fidelity,
            seed,
            name,
            {},
            tile,
            precision,
            words.positive,
            words.negative,
            words.guidance,
        )

    def _words(self, prior: Prior) -> Words:
        """What the UNet is told; RestoreError when words of one's own would make no difference."""
        usual = Words.of(prior.config)
        guidance = usual.guidance if self.guidance is None else self.guidance
        use = f"1 (none) to {MAX_GUIDANCE:g}; 7 is usual"
        guidance = _checked("guidance", guidance, (1, MAX_GUIDANCE), use)
        for side, text in (("positive", self.positive), ("negative", self.negative)):
            if not isinstance(text, str | None):
                raise RestoreError(f"The {side} words are {text!r}: use a text.")
        words = Words(
            usual.positive if self.positive is None else self.positive,
            usual.negative if self.negative is None else self.negative,
            guidance,
        )
        if words != usual and (usual.positive is None or not prior.reads_text):
            kind = "follows the tasks alone" if usual.positive is None else "knows the empty text alone"
            raise RestoreError(
                f"The model {prior.config.id} {kind}: leave out guidance, positive and negative, which are "
                "for priors like sd-2.1-base."
            )
        return words


def output_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(H, W) of the restored photo; RestoreError when it would be too large."""
    height, width = (max(1, round(side * scale)) for side in size)
    if height * width > MAX_OUTPUT_PIXELS:
        raise RestoreError(
            f"At scale {scale:g} the restored photo would have {height * width / 1e6:.0f} megapixels, over "
            f"the limit of {MAX_OUTPUT_PIXELS / 1e6:.0f}: use a smaller scale or a smaller photo."
        )
    return height, width


def pass_size(size: tuple[int, int], least: int) -> tuple[int, int]:
    """(H, W) at which a photo passes a prior that wants a short side of `least` pixels or more.

    Only as far as the long side stays within twice that: a strip does not become a wall.
    """
    factor = max(1.0, min(least / min(size), 2 * least / max(size)))
    return tuple(max(1, round(side * factor)) for side in size)


def _tasks(prompt: str, task: str | Mapping[str, float] | None) -> tuple[dict[str, float], float | None]:
    """({task: strength}, the scale that the prompt names or None)."""
    if task is not None and task != "auto":
        tasks = {task: 1.0} if isinstance(task, str) else dict(task)
        for name, strength in tasks.items():
            if name not in TASKS:
                near = get_close_matches(name, TASKS, 1, 0.5)
                hint = f"; did you mean {near[0]}?" if near else "."
                raise RestoreError(f"There is no task {name!r}: use {', '.join(TASKS)}{hint}")
            tasks[name] = _checked(f"strength of {name}", strength, (0, 1), "0 to 1")
        if tasks:
            return tasks, route(prompt).scale if prompt else None
    found = route(prompt)
    if not found.understood:
        raise RestoreError(found.message)
    return found.tasks, found.scale


def _checked(name: str, value: object, limits: tuple[float, float], use: str, kind: type[N] = float) -> N:
    """`value` as a number within `limits`; RestoreError for all else, such as NaN, "4" or half a step."""
    try:
        number = kind(value)
        if number == value and limits[0] <= number <= limits[1]:
            return number
    except (TypeError, ValueError, OverflowError):  # not a number at all, or int(nan), int(inf)
        pass
    raise RestoreError(f"The {name} is {value}: use {use}.")

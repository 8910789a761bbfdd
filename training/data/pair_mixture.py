"""What a step trains on where the damage is given: pairs, and the cases that make prompts honest.

Half strength and the good photo follow from any pair. Damage is made on top only where it belongs: on the
target, which is a good photo, for a sentence that asks for something else; and on the degraded photo only
when it comes later on a photo's way, as the given damage is there already. Blur can be laid over a hazy
photo, haze cannot be put behind the blur of a blurred one.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from lwr.tasks import TASKS
from lwr.tasks.base import SCENE, WAY
from training.config import Config
from training.data.crops import Cut, cut_of, stacked
from training.data.mixture import WIDE_SCENES, Batch, alone, degrade, weights_of
from training.data.rng import RngStreams
from training.data.views import CLEAN, Pixels, Views

TOGETHER = ("adapter", "end_to_end")  # stages that restore two damages of a photo


class PairSampler:
    """Random crops of photos with their damage, the same square of each; all state is in the caller's rng."""

    def __init__(
        self, views: Sequence[Views], tasks: Sequence[str], crop: int, device: torch.device, scene: int = 1
    ) -> None:
        """`tasks`: whose damage there is; `scene`: how many times the side crops of whole scenes have."""
        self.tasks, self.crop, self.scene, self.device = tuple(tasks), crop, scene, device
        self.views = [one for one in views if min(one.size) >= crop * scene]
        self.drawn: list[str] = []  # ids of the newest batch, for messages

    def batch(self, rng: RngStreams, scenic: bool = False, wide: float = 0.0) -> torch.Tensor:
        """The targets alone, (B,3,crop,crop) in [0,1], for stages that make their own of clean photos."""
        return self.crops(rng, (), scenic, wide)[CLEAN]

    def crops(
        self, rng: RngStreams, tasks: Sequence[str], scenic: bool, wide: float
    ) -> dict[str, torch.Tensor]:
        """{"clean" and each of `tasks`: (B,3,crop,crop) in [0,1]}, arguments as of `CropSampler.batch`."""
        size = self.crop * (self.scene if scenic else 1)
        if scenic:
            rng.thin(self.scene**2)
        cuts = [self._cut(size, wide, numbers) for numbers in rng.rand(5).tolist()]
        self.drawn = [view.id for view, _, _ in cuts]
        return {
            name: stacked([cut.of(pixels[name]) for _, pixels, cut in cuts], size, self.device)
            for name in (CLEAN, *tasks)
        }

    def _cut(self, size: int, wide: float, numbers: Sequence[float]) -> tuple[Views, Pixels, Cut]:
        """Five numbers in [0,1) -> (photo, its pictures, where in them)."""
        view, pixels = self._read(int(numbers[0] * len(self.views)))
        return view, pixels, cut_of(view.size, size, wide, numbers[1:])

    def _read(self, first: int) -> tuple[Views, Pixels]:
        """The photo at a place, or the next that can be read: always the same, on any process."""
        for place in range(first, first + len(self.views)):
            view = self.views[place % len(self.views)]
            try:
                return view, view.read()
            except Exception as error:  # on damaged bytes decoders raise anything
                print(f"{view.id} cannot be read, the next pair takes its place: {error}")
        raise OSError("No pair can be read any more: are the files still there?")


@torch.autocast("cuda", enabled=False)
@torch.autocast("cpu", enabled=False)
def draw(config: Config, sampler: PairSampler, rng: RngStreams) -> Batch:
    """One batch of one task and kind; with several damages of a photo also its twin of another task."""
    weights = dict(zip(config.tasks, weights_of(config), strict=True))
    task, twin = _tasks({name: weights[name] for name in sampler.tasks if name in weights}, config, rng)
    roll, choice = torch.rand(2, generator=rng.shared).tolist()
    others = [t for t in TASKS if t != task and (TASKS[t].distinct or TASKS[task].distinct)]
    other = others[int(choice * len(others))] if others and roll < 0.12 else None
    scenes = [TASKS[name].arises == SCENE for name in (task, twin) if name]
    # Halving changes a damage of pixels, such as noise, and leaves one of the scene what it is.
    wide = WIDE_SCENES if all(scenes) else 0.0
    crops = sampler.crops(rng, [name for name in (task, twin) if name], any(scenes), wide)
    clean, given = crops[CLEAN], crops[task]

    if other is not None and roll < 0.05:
        damaged = degrade(other, clean, rng)
        return Batch(damaged, damaged, {task: 1.0}, "wrong")
    if other is not None and WAY.index(TASKS[other].arises) > WAY.index(TASKS[task].arises):
        states = rng.states()
        both = degrade(other, given, rng)
        if roll < 0.09 and other in config.tasks:
            return Batch(both, clean, {task: 1.0, other: 1.0}, "both")
        rng.rewind(states)  # the same damage on the target
        return Batch(both, degrade(other, clean, rng), {task: 1.0}, "one-of-two")
    batch = alone(task, clean, lambda: given, roll, choice, rng)
    if twin and batch.kind == task:
        return replace(batch, twin=Batch(crops[twin], clean, {twin: 1.0}, twin))
    return batch


def _tasks(weights: dict[str, float], config: Config, rng: RngStreams) -> tuple[str, str | None]:
    """A task by its weight, and where photos have several damages a second one, or None."""
    if not any(weights.values()):  # of pairs that are to train all the same
        weights = dict.fromkeys(weights, 1.0)
    count = 2 if config.stage in TOGETHER and sum(map(bool, weights.values())) > 1 else 1
    picked = torch.multinomial(torch.tensor(list(weights.values())), count, generator=rng.shared).tolist()
    names = [list(weights)[index] for index in picked]
    return names[0], names[1] if count == 2 else None

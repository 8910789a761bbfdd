"""The data of a run: one part for each source, read, with its weight; and what draws crops of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from training.checkpoint import TrainingError
from training.config import Config
from training.data.crops import CropSampler
from training.data.overlap import refuse_overlap
from training.data.pair_mixture import PairSampler
from training.data.photos import Photo, Split, load_photos
from training.data.shards import BUILT_SET, Skipped
from training.data.sources import ALL, Source, parse_sources
from training.data.storage import place
from training.data.views import Views, load_views

Sampler = CropSampler | PairSampler


@dataclass(frozen=True)
class Part:
    """Photos of one source."""

    photos: Sequence[Photo] | Sequence[Views]
    tasks: tuple[
        str, ...
    ] = ()  # whose damage the photos come with; none = clean photos, damaged as they are drawn
    weight: float = 1.0  # how often a batch comes from here, relative to the others


def sources_of(config: Config) -> list[Source]:
    """Those of `--data`, or the one of `--photos`; TrainingError with a sentence."""
    if config.data is None:
        return [Source(str(config.photos), "photos")]
    if config.photos is not None:
        raise TrainingError("--data names all that trains: write the photos in it, and leave out --photos.")
    sources = parse_sources(config.data)
    for source in sources:
        if source.config and source.config != ALL and source.config not in config.tasks:
            raise TrainingError(
                f"--data has pairs of {source.config}, which --tasks {','.join(config.tasks)} leaves out: "
                "add it."
            )
    return sources


def load_parts(
    config: Config,
    split: Split = "train",
    limit: int | None = None,
    skipped: list[Skipped] | None = None,
    measured_on: Sequence[Source] = (),
) -> list[Part]:
    """Read every source of a run; see `load_part`.

    Raises TrainingError for a `--data` that cannot be meant, and when a photo would train that another
    source, or one of `measured_on`, holds out.
    """
    sources = sources_of(config)
    parts = [load_part(source, config, split, limit, skipped) for source in sources]
    if split == "train":
        trained = [(source.place, part.photos) for source, part in zip(sources, parts, strict=True)]
        refuse_overlap(trained, [*sources, *measured_on], limit)
    return parts


def load_part(
    source: Source,
    config: Config,
    split: Split = "train",
    limit: int | None = None,
    skipped: list[Skipped] | None = None,
) -> Part:
    """Read the photos of one source, at most `limit`; what cannot be read goes to `skipped`.

    Raises FileNotFoundError with a sentence when it has none of the split.
    """
    lost: list[Skipped] = [] if skipped is None else skipped
    if source.kind == "photos":
        if config.data is not None and (place(source.place) / BUILT_SET).exists():
            print(f"{source.place}: its clean photos alone are read; its pairs are {source.place}/{ALL}.")
        return Part(load_photos(source.place, split, limit, skipped), (), source.weight)
    room = config.data_memory * 1e9 / sum(one.kind != "photos" for one in sources_of(config))
    views = load_views(source, split, config.tasks, limit, room, lost)
    tasks = tuple(name for name in views[0].tasks if name in config.tasks)
    return Part(views, tasks, source.weight)


def sampler_of(part: Part, config: Config, device: torch.device) -> Sampler:
    """What draws crops of a part; TrainingError when no photo is large enough."""
    if not part.tasks:
        return CropSampler(part.photos, config.crop, device, config.scene)
    sampler = PairSampler(part.photos, part.tasks, config.crop, device, config.scene)
    if not sampler.views:
        raise TrainingError(
            f"No pair of {', '.join(part.tasks)} has both sides of {config.crop * config.scene} pixels or "
            "more: use larger pictures or a smaller crop."
        )
    return sampler


class Samplers:
    """The samplers of all parts; `pick` chooses one by weight, the same on every process."""

    def __init__(self, parts: Sequence[Part], config: Config, device: torch.device) -> None:
        usable = [part for part in parts if not part.tasks or set(part.tasks) & set(config.tasks)]
        if not sum(part.weight for part in usable) > 0:
            raise TrainingError(f"No source has pictures for {', '.join(config.tasks)}: add one to --data.")
        self.parts = [sampler_of(part, config, device) for part in usable]
        self.weights = torch.tensor([part.weight for part in usable])
        self.newest = self.parts[0]  # whose batch was drawn last, for messages

    def pick(self, shared: torch.Generator) -> Sampler:
        """One of them; a single one takes no random number, so that runs of photos alone stay as they are."""
        if len(self.parts) > 1:
            self.newest = self.parts[int(torch.multinomial(self.weights, 1, generator=shared))]
        return self.newest

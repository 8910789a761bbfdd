"""The one pass: photo + words -> restored photo. Command line, Space, evaluation and tests all call it."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, TypeVar

import torch
from PIL import Image
from safetensors import SafetensorError

from lwr import image as images
from lwr.adapter import Adapter, AdapterError, Attachment
from lwr.adapter_choice import AdapterChoice
from lwr.color import wavelet_color_fix
from lwr.network import RestorationNetwork, load_network
from lwr.prior import EMBEDDED, Located, PriorError, locate
from lwr.prompt import route
from lwr.restore_tiles import OVERLAP, TILE_SLACK, Tiles
from lwr.sampling import sample, timesteps
from lwr.tasks import TASKS
from lwr.tiling import blend

MAX_SCALE = 4.0
MAX_OUTPUT_PIXELS = 64_000_000
DEFAULT_TILE = 512  # pixels; what the network was measured with
MAX_TILE = 2048
BYTES_PER_PIXEL = 3000  # working memory of a float32 pass, measured by training.benchmark, rounded up
FIXED_BYTES = 1_200_000_000  # libraries and weights
PINS = "adapters.json"  # beside a published network: {task: "NAMESPACE/NAME@REVISION"}

T = TypeVar("T")
N = TypeVar("N", int, float)
Device = Literal["auto", "cpu", "cuda", "mps"]
# (finished, all, what is being done): called between units of work; may raise to stop
Progress = Callable[[int, int, str], None]


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


@dataclass(frozen=True)
class Restored:
    """A restored photo and how it came about."""

    image: Image.Image
    tasks: dict[str, float]
    settings: Settings
    seconds: float
    notes: tuple[str, ...]  # remarks for the user, such as "only the first frame was used"
    loaded: images.Loaded  # tensor, transparency and metadata, for `lwr.image.save`
    newer: tuple[str, ...] = ()  # "NAMESPACE/NAME@vX.Y.Z": later versions of what was used; not taken unasked


class Restorer:
    """A network of its own and the adapters it has used. Calls from several threads wait for each other."""

    def __init__(
        self,
        network: RestorationNetwork,
        source: Located | Path,
        device: torch.device,
        tile: int = DEFAULT_TILE,
    ) -> None:
        if tile <= OVERLAP or tile % network.multiple:
            raise RestoreError(
                f"The tile is {tile} pixels: use a multiple of {network.multiple} above {OVERLAP}."
            )
        source = Located(source, str(source)) if isinstance(source, Path) else source
        self.network = network.to(device).eval()
        self.folder, self.device, self.tile = source.folder, device, tile
        self.notes, self.newer = source.notes, source.newer  # on where the network is from
        facts = network.prior.facts
        self._prior = source.name if "@" in source.name else f"{facts.id}@{facts.revision}"
        self.adapters = AdapterChoice(source.folder, facts, _pins(source.folder))
        self._attachment = Attachment(self.network)
        self._attached: list[tuple[Adapter, float]] = []
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        model: str = "embedded",
        revision: str | None = None,
        device: Device = "auto",
        memory_gb: float | None = None,
    ) -> "Restorer":
        """Load the embedded network, a local folder or a Hub repository (at a tag, branch or commit).

        `memory_gb` bounds the working memory by the size of the tiles; None = tiles of 512 pixels.
        Raises PriorError or RestoreError with one sentence.
        """
        chosen, tile = _device(device), _tile(memory_gb)
        source = locate(model, revision)
        try:
            return cls(load_network(source.folder), source, chosen, tile)
        except PriorError:
            raise
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
            reason = str(error).partition("\n")[0]
            raise PriorError(
                f"The model in {source.folder} is damaged ({reason}): fetch it again, or use the embedded "
                "one."
            ) from error

    @torch.inference_mode()
    def __call__(
        self,
        image: Image.Image | str | Path,
        prompt: str = "",
        task: str | Mapping[str, float] | None = None,
        scale: float | None = None,
        steps: int | None = None,
        fidelity: float | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Restored:
        """Restore one photo.

        `prompt` says what is wrong; an explicit `task` (a name, or {name: strength}) wins. `scale` 1 to 4,
        None = what the prompt or the task says; `steps` and `fidelity` (1 exactest, 0.5 sharpest, 0 the
        model's own picture) None = the task's or the prior's default. Same settings, same pixels.
        Raises RestoreError, ImageError or AdapterError, each with one sentence for the user.
        """
        begun = time.perf_counter()
        settings = self.settle(prompt, task, scale, steps, fidelity, seed)
        loaded = images.load(image)
        size = output_size(loaded.rgb.shape[-2:], settings.scale)
        strengths = {name: s for name, s in settings.tasks.items() if s > 0}
        adapters = {name: self.adapters.of(name) for name in strengths}  # a download holds up nobody else
        named = {name: adapter.name for name, adapter in adapters.items()}
        settings = replace(settings, adapters=settings.adapters | named)
        with self._lock, _memory_errors(size):
            photo = images.resize(loaded.rgb, size)
            restored = (
                self._restore(photo, adapters, strengths, settings, progress or (lambda *_: None))
                if strengths
                else photo
            )
        result = loaded.with_rgb(restored.clamp(0, 1).cpu())
        return Restored(
            images.to_pil(result.rgb, result.alpha),
            settings.tasks,
            settings,
            time.perf_counter() - begun,
            (*loaded.notes, *self.notes, *(note for one in adapters.values() for note in one.notes)),
            result,
            tuple(filter(None, (self.newer, *(one.newer for one in adapters.values())))),
        )

    def settle(
        self,
        prompt: str = "",
        task: str | Mapping[str, float] | None = None,
        scale: float | None = None,
        steps: int | None = None,
        fidelity: float | None = None,
        seed: int = 0,
    ) -> Settings:
        """Check a request and fill in what it leaves open, without a photo; RestoreError says what is bad."""
        facts = self.network.prior.facts
        tasks, asked_scale = _tasks(prompt, task)
        scale = next((s for s in (scale, asked_scale) if s is not None), None)
        scale = max(TASKS[name].default_scale for name in tasks) if scale is None else scale
        scale = _checked("scale", scale, (1, MAX_SCALE), f"1 (keep the size) to {MAX_SCALE:g}")
        steps = facts.default_steps if steps is None else steps
        usual = f"a whole number from 1 to {facts.start_timestep}; 1 to 4 is usual"
        steps = _checked("number of steps", steps, (1, facts.start_timestep), usual, int)
        if fidelity is None:
            wanted = [TASKS[name].default_fidelity for name in tasks]
            fidelity = min(facts.default_fidelity if one is None else one for one in wanted)
        fidelity = _checked("fidelity", fidelity, (0, 1), "0 (the model's own picture) to 1 (the exactest)")
        seed = _checked("seed", seed, (0, 2**63 - 1), "a whole number from 0 to 2^63 - 1", int)
        adapters = {name: self.adapters.planned(name) for name in tasks}
        return Settings(tasks, scale, steps, fidelity, seed, self._prior, adapters, self.tile)

    @torch.inference_mode()
    def warm_up(self, side: int = 256) -> float:
        """Seconds of a pass over a grey square of `side` pixels, without adapters; the first is slower."""
        begun = time.perf_counter()
        photo = torch.full((1, 3, side, side), 0.5, device=self.device)
        with self._lock:
            self.network.without_sampler(self.network.encode(photo), 1.0)
        return time.perf_counter() - begun

    def use(self, adapter: Adapter) -> None:
        """Mend the adapter's task with it from now on, instead of with the one that comes with the network.

        Raises AdapterError when it is for no known task, for another prior, or of other shapes.
        """
        facts, prior = adapter.facts, self.network.prior.facts.id
        if facts.task not in TASKS or facts.prior != prior:
            raise AdapterError(
                f"The adapter is for task {facts.task!r} on prior {facts.prior!r}: give one for "
                f"{', '.join(TASKS)} on {prior!r}."
            )
        self.adapters.check_revision(adapter)
        with self._lock:
            self._attached = []
            self._attachment.attach([adapter], [1.0])  # tried now, so that a misfit shows here
            self._attachment.detach()
            self.adapters.give(adapter)

    def _attach(self, adapters: Mapping[str, Adapter], strengths: Mapping[str, float]) -> None:
        """Fold these adapters into the network, unless they are in it."""
        wanted = [(adapters[name], strength) for name, strength in strengths.items()]
        same = len(wanted) == len(self._attached) and all(
            a is b and s == t for (a, s), (b, t) in zip(wanted, self._attached, strict=True)
        )
        if not same:
            self._attached = []
            self._attachment.attach([adapter for adapter, _ in wanted], [strength for _, strength in wanted])
            self._attached = wanted

    def _restore(
        self,
        photo: torch.Tensor,
        adapters: Mapping[str, Adapter],
        strengths: dict[str, float],
        settings: Settings,
        progress: Progress,
    ) -> torch.Tensor:
        """(1,3,H,W) in [0,1] at its final size -> the same, restored."""
        self._attach(adapters, strengths)
        network, factor = self.network, self.network.prior.latent_factor
        padded, size = images.pad_to_multiple(photo.to(self.device), network.multiple)
        tiles = Tiles(padded, settings.tile, factor)
        if not network.needs_sampler(settings.fidelity):
            count = _Counter(progress, tiles.count)
            chain = count.after(
                "restoring", lambda x: network.without_sampler(network.encode(x), settings.fidelity)
            )
            output = chain(padded) if tiles.whole else blend(padded, chain, settings.tile, OVERLAP)
        else:
            output = self._sampled(padded, strengths, settings, progress, tiles)
        output = images.crop(output, size)
        fix = all(TASKS[name].color_fix == "wavelet" for name in strengths)
        if fix and not network.keeps_colors(settings.fidelity):
            output = wavelet_color_fix(output, photo.to(self.device))
        return output

    def _sampled(
        self,
        photo: torch.Tensor,
        strengths: dict[str, float],
        settings: Settings,
        progress: Progress,
        tiles: Tiles,
    ) -> torch.Tensor:
        """(1,3,H,W) of fitting sides -> the same through encoder, sampler and decoder."""
        network = self.network
        context = network.text_context({TASKS[name].instruction: s for name, s in strengths.items()})
        schedule = timesteps(network.prior.facts.start_timestep, settings.steps)
        count = _Counter(progress, tiles.count * (settings.steps + 2))

        encode = count.after("encoding", network.encode)
        encoded = encode(photo) if tiles.whole else None
        lq_latent = encoded.latent if encoded else tiles.encode(photo, encode)
        noise = torch.randn(lq_latent.shape, generator=torch.Generator().manual_seed(settings.seed))

        def predict(latent: torch.Tensor, t: int) -> torch.Tensor:
            step = count.after("restoring", lambda z, lq: network.predict(z, t, lq, context))
            return step(latent, lq_latent) if tiles.whole else tiles.predict(latent, lq_latent, step)

        latent = sample(predict, lq_latent, network.prior.scheduler, schedule, noise.to(self.device))
        decode = count.after("decoding", lambda z, e: network.decode(z, e, settings.fidelity))
        return decode(latent, encoded) if encoded else tiles.decode(latent, photo, network.encode, decode)


class _Counter:
    """Turns finished calls into progress."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.done = progress, total, 0

    def after(self, what: str, function: Callable[..., T]) -> Callable[..., T]:
        """`function` that reports each call once it is finished."""

        def counted(*arguments: object) -> T:
            result = function(*arguments)
            self.done += 1
            self.progress(self.done, self.total, what)
            return result

        return counted


@contextmanager
def _memory_errors(size: tuple[int, int]) -> Iterator[None]:
    """Too little memory for one photo is no reason to stop a batch, so it becomes a RestoreError."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch's CPU allocator raises a plain RuntimeError
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        raise RestoreError(
            f"Too little memory for {size[1]}x{size[0]} pixels: lower memory_gb (--memory) or the scale."
        ) from error


def _pins(folder: Path) -> dict[str, str]:
    """{task: "REPO@REVISION"} of adapters on the Hub: as a published network, or as this program has them."""
    published = folder / PINS
    if published.exists():
        return json.loads(published.read_text())
    pinned = {name: task.adapter for name, task in TASKS.items() if task.adapter != "embedded"}
    return pinned if folder == EMBEDDED else {}


def output_size(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """(H, W) of the restored photo; RestoreError when it would be too large."""
    height, width = (max(1, round(side * scale)) for side in size)
    if height * width > MAX_OUTPUT_PIXELS:
        raise RestoreError(
            f"At scale {scale:g} the restored photo would have {height * width / 1e6:.0f} megapixels, over "
            f"the limit of {MAX_OUTPUT_PIXELS / 1e6:.0f}: use a smaller scale or a smaller photo."
        )
    return height, width


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


def _device(name: Device) -> torch.device:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available.get(name, False):
        there = ", ".join(kind for kind, yes in available.items() if yes)
        raise RestoreError(f"The device {name!r} is not here: use auto, {there}.")
    return torch.device(name)


def _tile(memory_gb: float | None) -> int:
    """The largest tile, in pixels, that a pass within this memory can take."""
    if memory_gb is None:
        return DEFAULT_TILE
    pixels = (memory_gb * 1e9 - FIXED_BYTES) / BYTES_PER_PIXEL / TILE_SLACK
    tile = int(min(max(0.0, pixels), MAX_TILE**2) ** 0.5) // 64 * 64
    if tile < 2 * OVERLAP:
        least = (FIXED_BYTES + TILE_SLACK * BYTES_PER_PIXEL * 4 * OVERLAP**2) / 1e9
        raise RestoreError(f"{memory_gb:g} GB of memory is too little: this needs at least {least:.1f}.")
    return tile

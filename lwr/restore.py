"""The one pass: photo + words -> restored photo. Command line, Space, evaluation and tests all call it."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from PIL import Image
from safetensors import SafetensorError

from lwr.images import files as images
from lwr.images.color import wavelet_color_fix
from lwr.loading.adapter import Adapter, AdapterError, Attachment
from lwr.loading.adapter_choice import AdapterChoice
from lwr.loading.locate import ModelSource, locate
from lwr.loading.memory import plan_memory
from lwr.loading.offload import Offload
from lwr.models.network import RestorationNetwork, load_network
from lwr.models.prior import EMBEDDED, PriorError
from lwr.models.sampling import sample, timesteps
from lwr.models.tiled import OVERLAP, Tiles
from lwr.models.tiling import blend
from lwr.request import (
    MAX_OUTPUT_PIXELS,
    MAX_SCALE,
    Request,
    RestoreError,
    Settings,
    output_size,
    pass_size,
)
from lwr.tasks import TASKS

__all__ = [
    "MAX_OUTPUT_PIXELS",
    "MAX_SCALE",
    "Restored",
    "Restorer",
    "RestoreError",
    "Settings",
    "output_size",
]
PINS = "adapters.json"  # beside a published network: {task: "NAMESPACE/NAME@REVISION"}

T = TypeVar("T")
Device = Literal["auto", "cpu", "cuda", "mps"]
# (finished, all, what is being done): called between units of work; may raise to stop
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Restored:
    """A restored photo and how it came about."""

    image: Image.Image
    tasks: dict[str, float]
    settings: Settings
    seconds: float
    notes: tuple[str, ...]  # remarks for the user, such as "only the first frame was used"
    loaded: images.Loaded  # tensor, transparency and metadata, for `lwr.images.files.save`
    newer: tuple[str, ...] = ()  # "NAMESPACE/NAME@vX.Y.Z": later versions of what was used; not taken unasked


class Restorer:
    """A network of its own and the adapters it has used. Calls from several threads wait for each other."""

    def __init__(
        self,
        network: RestorationNetwork,
        source: ModelSource | Path,
        device: torch.device,
        tile: int | None = None,
        offload: bool = False,
    ) -> None:
        """`tile` in pixels, None = the prior's; with `offload` the weights stay in main memory."""
        tile = network.prior.config.tile if tile is None else tile
        if tile <= OVERLAP or tile % network.multiple:
            raise RestoreError(
                f"The tile is {tile} pixels: use a multiple of {network.multiple} above {OVERLAP}."
            )
        source = ModelSource(source, str(source), parts=source) if isinstance(source, Path) else source
        self.network = network.eval() if offload else network.to(device).eval()
        self.folder, self.device, self.tile = source.folder, device, tile
        self.notes, self.newer = source.notes, source.newer  # on where the network is from
        facts = network.prior.config
        self._prior = source.name if "@" in source.name else f"{facts.id}@{facts.revision}"
        if source.parts is None:
            self.notes += (
                f"{facts.id} has no restoring parts: it redraws the photo by itself. Parts "
                "trained for it, or a converted StableSR, go around it with --parts FOLDER.",
            )
        pins = _pins(source.parts) if source.parts else {}
        self.adapters = AdapterChoice(source.parts, facts, pins, network.config.tasks)
        self._attachment = Attachment(self.network)
        self._attached: list[tuple[Adapter, float]] = []
        self._offload = Offload(network, device) if offload else None
        self._lock = threading.Lock()

    @classmethod
    def load(
        cls,
        model: str | Path = "embedded",
        revision: str | None = None,
        device: Device = "auto",
        memory_gb: float | None = None,
        parts: str | Path | None = None,
        precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    ) -> "Restorer":
        """Load the embedded network, a prior of PRIORS, a folder or a Hub repository (tag, branch, commit).

        `parts` (a folder or repository) go around the prior instead of its own. `memory_gb` bounds the memory
        by the precision of the weights, by where they wait, and by the size of the tiles; None = what is
        free. Raises PriorError or RestoreError with one sentence.
        """
        chosen = _device(device)
        source = locate(model, revision, parts)
        try:
            plan = plan_memory(source, chosen, memory_gb, precision)
            return cls(load_network(source, plan.precision), source, chosen, plan.tile, plan.offload)
        except PriorError:
            raise
        except ImportError as error:
            raise RestoreError(
                "Weights can wait in main memory only with accelerate: pip install accelerate, or give more "
                "--memory."
            ) from error
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            AttributeError,
            RuntimeError,
            SafetensorError,
        ) as error:
            if isinstance(error, RestoreError):
                raise
            reason = str(error).partition("\n")[0][:160]
            raise PriorError(
                f"The model in {source.parts or source.folder} is damaged ({reason}): fetch it again, or use "
                "the embedded one."
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
        guidance: float | None = None,
        positive: str | None = None,
        negative: str | None = None,
    ) -> Restored:
        """Restore one photo.

        `prompt` says what is wrong; an explicit `task` (a name, or {name: strength}) wins. `scale` 1 to 4,
        None = what the prompt or the task says; `steps` and `fidelity` (1 exactest, 0.5 sharpest, 0 the
        model's own picture) None = the task's or the prior's default. `guidance` (1 none to 30) leads a prior
        of the Stable Diffusion kind to the words `positive` and away from `negative`; None = its own. Same
        settings, same pixels. Raises RestoreError, ImageError or AdapterError, each with one sentence.
        """
        begun = time.perf_counter()
        asked = Request(prompt, task, scale, steps, fidelity, seed, guidance, positive, negative)
        settings = self._resolve(asked)
        loaded = images.load(image)
        size = output_size(loaded.rgb.shape[-2:], settings.scale)
        strengths = {name: s for name, s in settings.tasks.items() if s > 0}
        # a download holds up nobody else
        adapters = {name: self.adapters.of(name) for name in strengths if self.adapters.needed(name)}
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

    def resolve(
        self,
        prompt: str = "",
        task: str | Mapping[str, float] | None = None,
        scale: float | None = None,
        steps: int | None = None,
        fidelity: float | None = None,
        seed: int = 0,
        **words: Any,
    ) -> Settings:
        """Check a request and fill in what it leaves open, without a photo; RestoreError says what is bad.

        `words` are guidance, positive and negative, as in a call.
        """
        return self._resolve(Request(prompt, task, scale, steps, fidelity, seed, **words))

    def _resolve(self, request: Request) -> Settings:
        settings = request.resolve(self.network.prior, self._prior, self.tile)
        needed = (name for name in settings.tasks if self.adapters.needed(name))
        return replace(settings, adapters={name: self.adapters.planned(name) for name in needed})

    @torch.inference_mode()
    def warm_up(self, side: int = 256) -> float:
        """Seconds of a pass over a grey square of `side` pixels, without adapters; the first is slower."""
        begun = time.perf_counter()
        photo = torch.full((1, 3, side, side), 0.5, device=self.device)
        with self._lock:
            encoded = self.network.encode(photo)
            if self.network.needs_sampler(1.0):
                self.network.decode(encoded.latent, encoded, 0.0)
            else:
                self.network.without_sampler(encoded, 1.0)
        return time.perf_counter() - begun

    def use(self, adapter: Adapter) -> None:
        """Mend the adapter's task with it from now on, instead of with the one that comes with the network.

        Raises AdapterError when it is for no known task, for another prior, or of other shapes.
        """
        facts, prior = adapter.metadata, self.network.prior.config.id
        if facts.task not in TASKS or facts.prior != prior:
            raise AdapterError(
                f"The adapter is for task {facts.task!r} on prior {facts.prior!r}: give one for "
                f"{', '.join(TASKS)} on {prior!r}."
            )
        self.adapters.check_revision(adapter)
        with self._lock, self._lifted():
            self._attached = []
            self._attachment.attach([adapter], [1.0])  # tried now, so that a misfit shows here
            self._attachment.detach()
            self.adapters.give(adapter)

    def _attach(self, adapters: Mapping[str, Adapter], strengths: Mapping[str, float]) -> None:
        """Fold these adapters into the network, unless they are in it."""
        wanted = [(adapters[name], strengths[name]) for name in adapters]
        same = len(wanted) == len(self._attached) and all(
            a is b and s == t for (a, s), (b, t) in zip(wanted, self._attached, strict=True)
        )
        if not same:
            self._attached = []
            with self._lifted():
                self._attachment.attach(
                    [adapter for adapter, _ in wanted], [strength for _, strength in wanted]
                )
            self._attached = wanted

    def _lifted(self) -> AbstractContextManager[None]:
        """Within it the weights can be replaced."""
        return self._offload.lifted() if self._offload else nullcontext()

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
        final = tuple(photo.shape[-2:])
        photo = images.resize(photo, pass_size(final, network.prior.config.least_side)).to(self.device)
        # a prior of the Stable Diffusion kind gets two positions a side where its UNet is coarsest
        small = network.prior.config.least_side and min(photo.shape[-2:]) <= network.multiple
        padded, size = images.pad_to_multiple(photo, network.multiple * (2 if small else 1))
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
            output = wavelet_color_fix(output, photo)
        return images.resize(output, final)

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
        instructions = {TASKS[name].instruction: s for name, s in strengths.items()}
        context = network.context(instructions, settings.words)
        schedule = timesteps(network.prior.config.start_timestep, settings.steps)
        count = _Counter(progress, tiles.count * (settings.steps + 2))

        encode = count.after("encoding", network.encode)
        encoded = encode(photo) if tiles.whole else None
        lq_latent = encoded.latent if encoded else tiles.encode(photo, encode)
        generator = torch.Generator().manual_seed(settings.seed)

        def noise() -> torch.Tensor:
            return torch.randn(lq_latent.shape, generator=generator).to(self.device)

        def predict(latent: torch.Tensor, t: int) -> torch.Tensor:
            step = count.after(
                "restoring", lambda z, lq: network.predict(z, t, lq, context, settings.guidance)
            )
            return step(latent, lq_latent) if tiles.whole else tiles.predict(latent, lq_latent, step)

        prior = network.prior
        latent = sample(
            predict, lq_latent, prior.scheduler, schedule, noise(), eta=prior.config.eta, fresh_noise=noise
        )
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


def _device(name: Device) -> torch.device:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if not available.get(name, False):
        there = ", ".join(kind for kind, yes in available.items() if yes)
        raise RestoreError(f"The device {name!r} is not here: use auto, {there}.")
    return torch.device(name)

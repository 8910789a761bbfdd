"""The Restorer: a photo and a Request in, a restored photo out. Command line, page and evaluation call it."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image

from lwr.diagnose import Diagnosis, diagnose, is_hazy, where
from lwr.failures import loading_errors, memory_errors
from lwr.fit import fit_to
from lwr.images import files as images
from lwr.images.canvas import Canvas
from lwr.large import Progress, instructions_of, needed_memory, pass_memory
from lwr.loading.adapter import Adapter, AdapterError, Attachment
from lwr.loading.adapter_choice import AdapterChoice
from lwr.loading.diagnosis import lend_encoder
from lwr.loading.limits import too_little_for
from lwr.loading.load import load_network
from lwr.loading.locate import ModelSource, locate
from lwr.loading.memory import plan_first
from lwr.loading.offload import Offload
from lwr.loading.priors import EMBEDDED, LITE, bundled
from lwr.models.encoded import encoding_once
from lwr.models.fixed import FixedPass
from lwr.models.network import RestorationNetwork
from lwr.models.sharing import sharing
from lwr.models.tiled import OVERLAP
from lwr.passes import passes
from lwr.record import with_record
from lwr.repair.photo import repair
from lwr.request import (
    MAX_OUTPUT_PIXELS,
    MAX_SCALE,
    Request,
    RestoreError,
    Settings,
    fitted,
    output_size,
)
from lwr.tasks import TASKS

__all__ = [
    "MAX_OUTPUT_PIXELS",
    "MAX_SCALE",
    "Request",
    "RestoreError",
    "Restored",
    "Restorer",
    "Settings",
    "output_size",
]
PINS = "adapters.json"  # beside a published network: {task: "NAMESPACE/NAME@REVISION"}

ALONE = (
    "{} has no restoring parts: it works alone, image to image (SDEdit). Parts trained for it, or a "
    "converted StableSR, go around it with --parts FOLDER."
)

Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Restored:
    """A restored photo and how it came about."""

    tasks: dict[str, float]
    settings: Settings
    seconds: float  # of its own work: without waiting for another photo or for a download
    notes: tuple[str, ...]  # remarks for the user, such as "only the first frame was used"
    loaded: images.Loaded  # tensor, transparency and metadata, for `lwr.images.files.save`
    ignored: tuple[str, ...] = ()  # what was asked for and no task does: "noise"
    newer: tuple[str, ...] = ()  # "NAMESPACE/NAME@vX.Y.Z": later versions of what was used, which was kept

    @cached_property
    def image(self) -> Image.Image:
        """RGB, or RGBA with transparency; made when it is first asked for."""
        return images.to_pil(self.loaded.pixels, self.loaded.alpha)


class Restorer:
    """A network of its own and the adapters it has used. Calls from several threads wait for each other."""

    def __init__(
        self,
        network: RestorationNetwork,
        source: ModelSource | Path,
        device: torch.device,
        tile: int | None = None,
        offload: bool = False,
        sparing: bool = False,
    ) -> None:
        """`tile`: pixels, None = prior's; `offload`: weights wait in memory; `sparing`: tiles one by one."""
        config = network.prior.config
        self.tile = _checked_tile(config.tile if tile is None else tile, network.multiple)
        source = ModelSource(source, str(source), parts=source) if isinstance(source, Path) else source
        self.network = _placed(network, source, device, offload).eval()
        self.folder, self.newer, self.device, self.sparing = source.folder, source.newer, device, sparing
        self.notes = source.notes if source.parts else (*source.notes, ALONE.format(config.id))
        self._prior = source.name if "@" in source.name else config.name
        self.adapters = AdapterChoice(source.parts, config, _pins(source.parts), network.config.tasks)
        lifted = Offload(network, device).lifted if offload else nullcontext
        self._attachment = Attachment(self.network, lifted)
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._smaller: Restorer | None = None
        self._kept = 0  # bytes of memory that passes have used and will use again

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        revision: str | None = None,
        device: Device = "auto",
        memory_gb: float | None = None,
        parts: str | Path | None = None,
        precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
    ) -> "Restorer":
        """Load a prior of PRIORS, a folder or a Hub repository (tag, branch, commit); None = the embedded
        network, or embedded-lite where memory is short.

        `parts` (a folder or repository) go around the prior instead of its own. `memory_gb`, None = what is
        free, decides precision (see also `matrix_units`), offloading, tiles. Raises PriorError, RestoreError.
        """
        chosen, named = _device(device), any(one is not None for one in (model, revision, parts))
        source = locate("embedded" if model is None else model, revision, parts)
        smaller = None if named or bundled(LITE) is None else locate(LITE)
        with loading_errors(source):
            source, plan = plan_first(source, smaller, chosen, memory_gb, precision)
        with loading_errors(source):  # a text encoder that is read later would not be offloaded
            network = load_network(source, plan.precision, plan.offload, rounds=precision == "auto")
            return cls(network, source, chosen, plan.tile, plan.offload, sparing=memory_gb is not None)

    @torch.inference_mode()
    @sharing()
    @encoding_once()
    def __call__(
        self,
        image: Image.Image | str | Path | images.Loaded,
        prompt: str | Request = "",
        task: str | Mapping[str, float] | None = None,
        *,
        progress: Progress | None = None,
        in_place: bool = False,
        **options: Any,
    ) -> Restored:
        """Restore one photo: as `prompt` says; or an explicit `task`, a name or {name: strength}, which wins.

        With neither, what it needs is done. `options` are fields of `lwr.request.Request`, which `prompt` may
        be. With `in_place` a Loaded may be used up. RestoreError, ImageError, AdapterError: each a sentence.
        """
        started = time.perf_counter()
        request = _request(prompt, task, options)  # 1. What to do, with which weights
        if (other := doing(self, request)) is not self:
            return other(image, request, progress=progress, in_place=in_place)
        asked, settings = request.asked(), self.settings(request)
        spend = not (given := isinstance(image, images.Loaded)) or in_place  # 2. The photo, its final size
        loaded = image if given else images.load(image, refuse=partial(self.refuse, settings))
        repaired = repair(loaded, request.mask, asked.repairs, spend, request.strength, is_hazy)
        loaded, find = repaired.photo, cache(partial(diagnose, repaired.photo.pixels))
        fit = fit_to(request, self.settings, loaded.size, find, repaired.changed)
        settings = replace(fit.settings, filled=repaired.filled, faded=repaired.faded)
        size = output_size(loaded.size, fit.settings.scale)
        strengths = {name: strength for name, strength in settings.tasks.items() if strength > 0}
        places = {name: where(find(), name, size) for name in strengths if TASKS[name].follows_map}
        prepared = time.perf_counter() - started
        # 3. The tasks' adapters; a download delays nobody else
        adapters = {name: self.adapters.of(name) for name in strengths if self.adapters.needed(name)}
        settings = replace(settings, adapters=settings.adapters | {n: a.name for n, a in adapters.items()})
        with self._lock, memory_errors(size):
            entered = time.perf_counter()
            photo = Canvas(loaded.pixels, size, self.network.multiple, spend=spend)
            attach = partial(_attach, self._attachment, adapters)  # 4. Folded into the network
            run = partial(passes, self.network, photo, self.device, settings, attach, places)
            pixels = run(progress or _silent, self.sparing)
            self._kept = max(self._kept, pass_memory(self.network, size, self.tile) // 2)
        return Restored(  # 8. The result
            tasks=settings.tasks,
            settings=settings,
            seconds=prepared + time.perf_counter() - entered,
            notes=(*repaired.notes, *fit.remarks, *loaded.notes, *self.notes, *_notes(adapters)),
            loaded=with_record(loaded.with_rgb(pixels), _as_done(request, self), settings),
            ignored=asked.ignored,
            newer=tuple(filter(None, (self.newer, *(one.newer for one in adapters.values())))),
        )

    def resolve(
        self, prompt: str | Request = "", task: str | Mapping[str, float] | None = None, **options: Any
    ) -> Settings:
        """Check a request and fill in what it leaves open, without a photo; RestoreError says what is bad.

        Takes what a call takes. A `size` gets its scale from `lwr.request.fitted`, and a general request its
        tasks, only with the photo.
        """
        return self.settings(_request(prompt, task, options))

    def settings(self, request: Request, chosen: Mapping[str, float] | None = None) -> Settings:
        """Those of a request; `chosen` is what the photo needs, when the request leaves that to it."""
        if (other := doing(self, request)) is not self:
            return other.settings(request, chosen)
        settings = request.resolve(self.network.prior, self._prior, self.tile, chosen)
        needed = (name for name in settings.tasks if self.adapters.needed(name))
        return replace(settings, adapters={name: self.adapters.planned(name) for name in needed})

    def diagnose(self, image: Image.Image | str | Path | images.Loaded) -> Diagnosis:
        """What is wrong with a photo; ImageError when it is none."""
        return diagnose((image if isinstance(image, images.Loaded) else images.load(image)).pixels)

    def refuse(self, settings: Settings, size: tuple[int, int], decoding: int = 0) -> str | None:
        """A sentence for `lwr.images.files.load` when a photo of `size` (H,W), which takes `decoding` bytes
        to read, needs too much memory."""
        needed = needed_for(self.network, size, settings, self.tile) if self.device.type == "cpu" else 0
        return too_little_for(f"{size[1]}x{size[0]} pixels", max(needed, decoding), self._kept)

    @torch.inference_mode()
    def warm_up(self, side: int = 256) -> float:
        """Seconds of a pass over a gray square of `side` pixels, without adapters; the first is slower."""
        with self._lock:
            return _seconds_of(self.network, torch.full((1, 3, side, side), 0.5, device=self.device))

    def use(self, adapter: Adapter) -> None:
        """Use this adapter for its task from now on, instead of the one that comes with the network.

        Raises AdapterError when it is for no known task, for another prior, or of other shapes.
        """
        _check_fit(adapter, self.network.prior.config.id)
        self.adapters.check_revision(adapter)
        with self._lock:
            self._attachment.attach([adapter], [1.0])  # tried now, so that a misfit shows here
            self._attachment.detach()
            self.adapters.give(adapter)


def offers_fast(restorer: Restorer) -> bool:
    """Whether `fast` makes a difference: this is the embedded network, and the smaller one is there."""
    return restorer.folder == EMBEDDED and bundled(LITE) is not None


def doing(restorer: Restorer, request: Request) -> Restorer:
    """Who does a request: this restorer, or for a `fast` one another with the smaller network, loaded once.

    RestoreError where there is no such choice.
    """
    config = restorer.network.prior.config
    if not request.fast or config.id == LITE:
        return restorer
    if not offers_fast(restorer):
        why = f"goes with the embedded network, and this is {config.id}"
        why = f"needs {LITE}, which did not come with this program" if restorer.folder == EMBEDDED else why
        raise RestoreError(f"The option fast {why}: leave it out.")
    with restorer._loading:
        if restorer._smaller is None:
            source = locate(LITE)
            with loading_errors(source):
                precision, rounds = restorer.network.prior.precision, restorer.network.rounds
                network = load_network(source, precision, text_encoder=False, rounds=rounds)
            like = {"tile": restorer.tile, "sparing": restorer.sparing}
            restorer._smaller = Restorer(network, source, restorer.device, **like)
    return restorer._smaller


def _as_done(request: Request, restorer: Restorer) -> Request:
    """The request for the record: who is asked the same again takes the smaller network, if this is it."""
    return replace(request, fast=True) if restorer.network.prior.config.id == LITE else request


def _placed(
    network: RestorationNetwork, source: ModelSource, device: torch.device, offload: bool
) -> RestorationNetwork:
    """On its device. oneDNN's convolutions are quickest with channels last; with AVX2 they are NNPACK's.

    In float32 only the weights of our own networks are copied for it: they are few.
    """
    network, precision = network if offload else network.to(device), network.prior.vae.dtype
    ours = network.refiner is not None and torch.backends.cpu.get_cpu_capability() == "AVX512"
    if device.type == "cpu" and (precision == torch.bfloat16 or (precision == torch.float32 and ours)):
        network.to(memory_format=torch.channels_last)
    if source.folder == EMBEDDED and device.type == "cpu":
        lend_encoder(network.prior.vae.encoder)
    return network


def _checked_tile(tile: int, multiple: int) -> int:
    if tile <= OVERLAP or tile % multiple:
        raise RestoreError(f"The tile is {tile} pixels: use a multiple of {multiple} above {OVERLAP}.")
    return tile


@torch.no_grad()
def fixed_pass(restorer: Restorer, settings: Settings) -> FixedPass:
    """The pass of the one task of `settings` by itself; RestoreError where it is random."""
    ((name, strength),) = settings.tasks.items()
    adapters = {name: restorer.adapters.of(name)} if restorer.adapters.needed(name) else {}
    with restorer._lock:
        _attach(restorer._attachment, adapters, name, strength)
        try:
            return FixedPass(restorer.network, instructions_of(settings.tasks), settings.fidelity)
        except ValueError as error:
            raise RestoreError(
                f"{error} Only the pass of a network that takes one step without noise can be exported, such "
                "as the embedded one's."
            ) from error


def _attach(attachment: Attachment, adapters: Mapping[str, Adapter], task: str, strength: float) -> None:
    """The adapter of one task, if it takes one, instead of those before."""
    adapter = adapters.get(task)
    attachment.attach([adapter] if adapter else [], [strength] if adapter else [])


def _seconds_of(network: RestorationNetwork, photo: torch.Tensor) -> float:
    started = time.perf_counter()
    if network.refiner is None:  # its UNet would take many seconds
        encoded = network.encode(photo)
        network.decode(encoded.latent, encoded, 0.0)
    else:
        network.restore(photo, {}, torch.randn, steps=1, fidelity=1.0)
    return time.perf_counter() - started


def _request(
    prompt: str | Request, task: str | Mapping[str, float] | None, options: dict[str, Any]
) -> Request:
    return Request.of(prompt, **options, **({} if task is None else {"task": task}))


def needed_for(network: RestorationNetwork, size: tuple[int, int], settings: Settings, tile: int) -> float:
    """Bytes for a photo of `size` (H,W); 0 if it would be too large, which `output_size` says."""
    scale = fitted(settings, size)[0].scale
    final = round(size[0] * scale), round(size[1] * scale)
    too_large = final[0] * final[1] > MAX_OUTPUT_PIXELS
    return 0 if too_large else needed_memory(network, size, final, tile, settings.steps)


def _notes(adapters: Mapping[str, Adapter]) -> Iterator[str]:
    return (note for adapter in adapters.values() for note in adapter.notes)


def _check_fit(adapter: Adapter, prior: str) -> None:
    """AdapterError when it is no adapter, or one for no known task or for another prior."""
    if not isinstance(adapter, Adapter):
        raise AdapterError(f"{adapter!r} is no adapter: give Adapter.open(FOLDER or NAMESPACE/NAME).")
    metadata = adapter.metadata
    if metadata.task not in TASKS or metadata.prior != prior:
        raise AdapterError(
            f"The adapter is for task {metadata.task!r} on prior {metadata.prior!r}: give one for "
            f"{', '.join(TASKS)} on {prior!r}."
        )


def _silent(*_: object) -> None:
    """No progress."""


def _pins(folder: Path | None) -> dict[str, str]:
    """{task: "REPO@REVISION"} of adapters on the Hub: as a published network, or as this program has them."""
    if folder is None:
        return {}
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

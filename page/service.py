"""One restorer for all visitors: an upload and a request in, a restored file out; tensors stay in `lwr`."""

import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from lwr.fit import fit_to
from lwr.images import disk
from lwr.images import files as images
from lwr.models.refiner import REFINER_ALONE
from lwr.passes import megapixels
from lwr.repair.mask import painted
from lwr.request import Request, RestoreError, Settings, fitted, output_size
from lwr.restore import Restored, Restorer, offers_fast
from page.client import still_there
from page.diagnoses import Diagnoses
from page.errors import DISK_FULL, VISITOR_ERRORS, CancelledError, errors_for_visitors, not_restored
from page.gpu import LEAST_SECONDS, TOO_LONG, NoGpuError, is_too_long, no_gpu, seconds_to_ask
from page.line import Job, Line, State
from page.status import text
from page.stops import Signals, Stops
from page.words import said

CPU_PACE, GPU_PACE = 2.0, 0.5  # seconds per megapixel until it is measured, by warming up or the first photos
FILLING = 2e-5  # seconds for each filled pixel of large holes: on the CPU, wherever the network runs
WARM_UP_SIDE = 256  # pixels
LEAST_ROOM = 1_000_000  # bytes free on the disk

Run = Callable[[str, Request, Signals], Restored]
Progress = Callable[..., Any]  # gr.Progress, or what is called like it


@dataclass(frozen=True)
class Done:
    """A finished request."""

    source: images.Loaded
    restored: Restored
    file: str  # the PNG, in Gradio's upload folder, where its cache deletes it in time
    waited: float = 0.0  # seconds, for its turn and for a GPU

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that reproduce these pixels, then size, seconds and remarks."""
        restored = self.restored
        size = dict(zip(("width", "height"), restored.image.size, strict=True))
        remarks = {
            "seconds": restored.seconds,
            "waited": self.waited,
            "notes": restored.notes,
            "newer": restored.newer,
        }
        return restored.settings.json() | size | remarks | {"ignored": restored.ignored}


class Pace:
    """Seconds per megapixel that passes the network, learned from finished photos."""

    def __init__(self, rate: float, measured: bool = False) -> None:
        """`rate` is a guess until it is `measured`."""
        self.rate, self.measured = rate, measured

    def learn(self, megapixels: float, seconds: float, filled: int = 0) -> None:
        """Take a finished photo into account; a small one counts little, and what was filled apart."""
        if megapixels <= 0:
            return
        seconds = max(0.0, seconds - FILLING * filled)
        share = min(0.5, megapixels)
        if not self.measured and share == 0.5:
            share, self.measured = 1.0, True
        self.rate += share * (seconds / megapixels - self.rate)

    def seconds(self, megapixels: float, filled: int = 0) -> float:
        """The estimate for that many, and so many pixels that are to be filled."""
        return self.rate * megapixels + FILLING * filled


class Service:
    """One restorer for all visitors.

    `run_on_gpu` does the work, on a GPU where there is one; `run_on_cpu` does what ZeroGPU refuses. ZeroGPU
    runs the first in another process, so it, its arguments and its result are picklable.
    """

    def __init__(self, restorer: Restorer, run_on_gpu: Run, run_on_cpu: Run | None = None) -> None:
        self.restorer, self.run_on_gpu, self.run_on_cpu = restorer, run_on_gpu, run_on_cpu
        self.diagnose = Diagnoses(restorer.diagnose).of  # an upload; ImageError when it is no photo
        self.stops = Stops()
        self.line, self.cpu_line = Line(), Line()  # who waits for the CPU delays nobody who has a GPU
        self.pace = Pace(CPU_PACE if restorer.device.type == "cpu" else GPU_PACE)
        self.cpu_pace, self.fast_pace = Pace(CPU_PACE), Pace(self.pace.rate)
        self.offers_fast = offers_fast(restorer)  # whether a visitor can choose a smaller network
        # Asked now: once ZeroGPU serves, the weights are in its process alone.
        self._always_samples = restorer.network.needs_sampler(1.0)

    def warm_up(self) -> None:
        """Run the network twice: the first visitor waits less, and the pace is known."""
        seconds = [self.restorer.warm_up(WARM_UP_SIDE) for _ in range(2)][-1]
        passes = 2 if self._always_samples and self.restorer.network.refiner is not None else 1
        self.pace = Pace(seconds / passes / (WARM_UP_SIDE**2 / 1e6))
        self.fast_pace = Pace(self.pace.rate)  # at most

    def restore(self, photo: str, request: Request, visitor: str, progress: Progress) -> Done:
        """Restore an uploaded file for the client whose call is being served, unless it goes away.

        Raises gr.Error with a sentence.
        """
        steps, wanted = self.restoring(photo, request, visitor), still_there()
        try:
            while wanted():
                state = next(steps)
                progress((state.done, state.total) if state.total else None, desc=text(state), unit="parts")
        except StopIteration as stop:
            return stop.value
        finally:
            steps.close()
        raise gr.Error("Nobody waits for this photo any more.", title="Stopped", print_exception=False)

    def restoring(self, photo: str, request: Request, visitor: str) -> Generator[State, None, Done]:
        """Restore an uploaded file, saying how it stands meanwhile; who closes this stops it.

        Raises gr.Error with a sentence.
        """
        with self.stops.run(visitor) as signals, errors_for_visitors(photo):
            yield State(left=self._seconds(request, _checked(self, photo, request)))
            source = images.load(photo)  # before a GPU is asked for
            joined = time.monotonic()
            restored = yield from self.steps(photo, request, signals)
            waited = max(0.0, time.monotonic() - joined - restored.seconds)
            file = images.save(restored.loaded, new_folder() / f"{Path(photo).stem[:80]}.restored.png")
        return Done(source, restored, str(file), waited)

    def steps(
        self, photo: str, request: Request, signals: Signals, always: bool = False
    ) -> Generator[State, None, Restored]:
        """The work alone, once it is this photo's turn; where ZeroGPU does not do it on the CPU, with a note.

        Raises gr.Error, RestoreError or CancelledError, at once where the disk has no room for results or too
        many wait; with `always` these may be more.
        """
        if disk.free_bytes(Path(get_upload_folder())) < LEAST_ROOM:
            raise not_restored(said(DISK_FULL))
        work = _checked(self, photo, request)
        try:
            return (yield from self._on_gpu(photo, request, signals, work, always))
        except NoGpuError as error:
            remark = str(error)
        run = partial(self.run_on_cpu, photo, request, signals)
        job = Job(self.cpu_pace.seconds(work, painted(request.mask)), signals, run, remark)
        restored = yield from _followed(self.cpu_line, job, always)
        self.cpu_pace.learn(self._worked(restored), restored.seconds, restored.settings.filled)
        return replace(restored, notes=(*filter(None, [remark]), *restored.notes))

    def _on_gpu(
        self, photo: str, request: Request, signals: Signals, work: float, always: bool
    ) -> Generator[State, None, Restored]:
        """NoGpuError where ZeroGPU does not do it and the CPU can, or where there is nothing to do."""
        zero = self.run_on_cpu is not None and hasattr(self.run_on_gpu, "zerogpu")
        seconds, least = (self._seconds(request, each) for each in (work, 0))
        if zero and (is_too_long(seconds) or self.planned(photo, request)[2] == least):
            raise NoGpuError(TOO_LONG if is_too_long(seconds) else "")
        job = Job(seconds, signals, partial(self.run_on_gpu, photo, request, signals))
        try:
            restored = yield from _followed(self.line, job, always)
        except (CancelledError, RestoreError):
            raise
        except Exception as error:
            refusal = no_gpu(error, zero) if self.run_on_cpu is not None else None
            raise refusal or error from None
        self._pace(request).learn(self._worked(restored), restored.seconds, restored.settings.filled)
        return restored

    def stop_photo(self, request: gr.Request) -> None:
        """Stop this visitor's running photo at its next step or tile."""
        self.stops.stop(request.session_hash)

    def stop_batch(self, request: gr.Request) -> None:
        """Stop this visitor's running batch at its next step or tile; finished photos stay."""
        self.stops.stop(request.session_hash, "batch")

    def leave(self, request: gr.Request) -> None:
        """The visitor has closed the page."""
        self.stop_photo(request)
        self.stop_batch(request)

    def planned(self, photo: str | None, request: Request) -> tuple[Settings, tuple[str, ...], float | None]:
        """(settings, remarks, seconds) for a photo and what is wrong with it; without one no seconds.

        RestoreError when it cannot be done, ImageError when the photo cannot be read.
        """
        if photo is None:
            return self.restorer.resolve(request), (), None
        self._work(photo, request)  # what cannot be done needs no look at the photo
        size = upright_size(photo)
        found = fit_to(request, self.restorer.settings, size, partial(self.diagnose, photo))
        work = self.work(output_size(size, found.settings.scale), found.settings)
        return found.settings, (*found.on_size, *found.on_tasks), self._seconds(request, work)

    def _pace(self, request: Request) -> Pace:
        return self.fast_pace if request.fast else self.pace

    def _seconds(self, request: Request, work: float) -> float:
        return self._pace(request).seconds(work, painted(request.mask))

    def _work(self, photo: str, request: Request) -> float:
        """Megapixels that pass the network, at most; RestoreError when it cannot be done."""
        size = upright_size(photo)
        settings, _ = fitted(self.restorer.resolve(request), size)
        return self.work(output_size(size, settings.scale), settings)

    def work(self, size: tuple[int, int], settings: Settings) -> float:
        """Megapixels that pass the network for a photo of this final size (H,W), once or for each step."""
        # As network.needs_sampler, which would look at the weights: on ZeroGPU they are in its process alone.
        sampled = self._always_samples or settings.fidelity < REFINER_ALONE
        return megapixels(self.restorer.network, size, settings, sampled)

    def _worked(self, restored: Restored) -> float:
        return self.work(restored.loaded.size, restored.settings)

    def gpu_seconds(self, photo: str, request: Request, *_: Any) -> int:
        """GPU time to ask ZeroGPU for."""
        try:
            return seconds_to_ask(self._seconds(request, self._work(photo, request)))
        except VISITOR_ERRORS:  # the work itself raises it again, for the visitor
            return LEAST_SECONDS


def _checked(service: Service, photo: str, request: Request) -> float:
    """The work for a photo; the error of a bad one is that of reading it, which says more."""
    try:
        return service._work(photo, request)
    except RestoreError:
        service.restorer.resolve(request)
        images.load(photo)
        raise


def _followed(line: Line, job: Job, always: bool) -> Generator[State, None, Any]:
    """The job's result."""
    line.join(job, always)
    yield from line.follow(job)
    return job.future.result()


def upright_size(photo: str) -> tuple[int, int]:
    """(H, W) of a photo, upright; RestoreError when it is none."""
    try:
        return images.upright_size(photo)
    except images.ImageError as error:
        raise RestoreError(
            f"{Path(photo).name} is damaged, too large, or not a photo: try another."
        ) from error


def new_folder() -> Path:
    """A new folder where Gradio's `delete_cache` finds it."""
    return Path(tempfile.mkdtemp(dir=get_upload_folder()))

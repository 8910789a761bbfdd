"""One restorer for all visitors: an upload and a request in, a restored file out; tensors stay in `lwr`."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import ExifTags, Image

from lwr.images import disk
from lwr.images import files as images
from lwr.request import Request, RestoreError, Settings, fitted, output_size
from lwr.restore import Restored, Restorer
from page.errors import DISK_FULL, VISITOR_ERRORS, errors_for_visitors
from page.stops import Progress, Stops

LEAST_SECONDS = 5  # of GPU time to ask for
WARM_UP_SIDE = 256  # pixels
LEAST_ROOM = 1_000_000  # bytes free on the disk

Run = Callable[[str, Request, str, Progress], Restored]  # (photo, request, stop file, progress)


@dataclass(frozen=True)
class Done:
    """A finished request."""

    source: images.Loaded
    restored: Restored
    file: str  # the PNG, in Gradio's upload folder, where its cache deletes it in time

    @property
    def settings(self) -> dict[str, Any]:
        """All settings that reproduce these pixels, then size, seconds and remarks."""
        restored = self.restored
        size = dict(zip(("width", "height"), restored.image.size, strict=True))
        remarks = {"seconds": restored.seconds, "notes": restored.notes, "newer": restored.newer}
        return restored.settings.json() | size | remarks | {"ignored": restored.ignored}


class Pace:
    """Seconds per megapixel and pass over the network, learned from finished photos."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def learn(self, megapixels: float, passes: int, seconds: float) -> None:
        """Take a finished photo into account; a small one counts little."""
        share = min(0.5, megapixels)
        self.rate += share * (seconds / megapixels / passes - self.rate)

    def seconds(self, megapixels: float, passes: int) -> float:
        """The estimate for a result of that size."""
        return self.rate * megapixels * passes


class Service:
    """One restorer for all visitors.

    `run_on_gpu` does the work that needs the GPU; `run_on_cpu` the same for visitors whose GPU time is used
    up. ZeroGPU runs the first in another process, so its arguments and its result are picklable.
    """

    def __init__(self, restorer: Restorer, run_on_gpu: Run, run_on_cpu: Run | None = None) -> None:
        self.restorer, self.run_on_gpu, self.run_on_cpu = restorer, run_on_gpu, run_on_cpu
        self.stops = Stops()
        self.pace = Pace(2.0)

    def warm_up(self) -> None:
        """Run the network twice: the first visitor waits less, and the pace is known."""
        seconds = [self.restorer.warm_up(WARM_UP_SIDE) for _ in range(2)][-1]
        self.pace = Pace(seconds / (WARM_UP_SIDE**2 / 1e6))

    def run(self, photo: str, request: Request, stop: str, progress: Progress) -> Restored:
        """Restore on the GPU or, when this visitor's GPU time is used up, on the CPU, and say so.

        Raises gr.Error, at once where the disk has no room for results.
        """
        if disk.free_bytes(Path(get_upload_folder())) < LEAST_ROOM:
            raise gr.Error(DISK_FULL, print_exception=False)
        try:
            return self.run_on_gpu(photo, request, stop, progress)
        except gr.Error as error:
            if self.run_on_cpu is None or "quota" not in error.title.lower():
                raise
        gr.Info("Your GPU time is used up for now, so this photo is restored on the CPU, which takes longer.")
        return self.run_on_cpu(photo, request, stop, progress)

    def restore(self, photo: str, request: Request, visitor: str, progress: Progress) -> Done:
        """Restore an uploaded file. Raises gr.Error with a sentence."""
        with errors_for_visitors(photo):  # before a GPU is asked for
            self.restorer.resolve(request)
            source = images.load(photo)
        with self.stops.run(visitor) as stop:
            restored = self.run(photo, request, stop, progress)
        megapixels = restored.image.width * restored.image.height / 1e6
        self.pace.learn(megapixels, self.passes(restored.settings), restored.seconds)
        with errors_for_visitors(photo):
            file = images.save(restored.loaded, new_folder() / f"{Path(photo).stem[:80]}.restored.png")
        return Done(source, restored, str(file))

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

    def passes(self, settings: Settings) -> int:
        """How often a photo passes the network; sampling steps count only where the sampler takes part."""
        return 1 + settings.steps if self.restorer.network.needs_sampler(settings.fidelity) else 1

    def planned(self, photo: str | None, request: Request) -> tuple[Settings, tuple[str, ...], float | None]:
        """(settings, remarks, seconds) for a photo; without one nobody knows the seconds.

        RestoreError when it cannot be done.
        """
        settings = self.restorer.resolve(request)
        if photo is None:
            return settings, (), None
        size = _pixels(photo)
        settings, remarks = fitted(settings, size)
        height, width = output_size(size, settings.scale)
        return settings, remarks, self.pace.seconds(height * width / 1e6, self.passes(settings))

    def gpu_seconds(self, photo: str, request: Request, *_: Any) -> int:
        """GPU time to ask for: twice the estimate, as a request that overruns is lost."""
        try:
            return max(LEAST_SECONDS, round(2 * (self.planned(photo, request)[2] or 0)))
        except VISITOR_ERRORS:  # the work itself raises it again, for the visitor
            return LEAST_SECONDS


def _pixels(photo: str) -> tuple[int, int]:
    """(H, W) of a photo, upright; RestoreError when it is none."""
    try:
        with Image.open(photo) as image:
            size = (image.height, image.width)
            return size[::-1] if image.getexif().get(ExifTags.Base.Orientation, 1) > 4 else size
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError) as error:
        raise RestoreError(
            f"{Path(photo).name} is damaged, too large, or not a photo: try another."
        ) from error


def new_folder() -> Path:
    """A new folder where Gradio's `delete_cache` finds it."""
    return Path(tempfile.mkdtemp(dir=get_upload_folder()))

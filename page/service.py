"""What the tabs and the API have done for them: a checked upload and wishes in, a restored file out.

Everything here is about one visitor's request; tensors stay in `lwr`.
"""

import atexit
import hashlib
import html
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from lwr.images import files as images
from lwr.images.files import ImageError
from lwr.loading.adapter import AdapterError
from lwr.restore import Restored, RestoreError, Restorer, Settings, output_size
from lwr.tasks import TASKS

LOG = logging.getLogger("lwr.page")
MISTAKES = (ImageError, RestoreError, AdapterError)  # each says in one sentence what is wrong
FORMATS = {"PNG": ".png", "JPEG": ".jpg", "WebP": ".webp"}
LEAST_SECONDS = 5  # of GPU time that are asked for


class CancelledError(Exception):
    """The visitor pressed Cancel."""


@dataclass(frozen=True)
class Done:
    """A finished request."""

    source: images.Loaded
    restored: Restored
    file: str  # the PNG, in Gradio's upload folder, where its cache deletes it in time

    @property
    def settings(self) -> dict[str, Any]:
        """All that makes these pixels again, and what came of it."""
        size = dict(zip(("width", "height"), self.restored.image.size, strict=True))
        told = {"seconds": self.restored.seconds, "notes": self.restored.notes, "newer": self.restored.newer}
        return asdict(self.restored.settings) | size | told


class Pace:
    """Seconds that a photo will take, learned from those before; starts from a small one of its own."""

    def __init__(self, seconds_per_megapixel: float) -> None:
        self.rate = seconds_per_megapixel

    def learn(self, megapixels: float, settings: Settings, seconds: float) -> None:
        """Take a finished photo into account; small ones say little."""
        share = min(0.5, megapixels)
        self.rate += share * (seconds / megapixels / _passes(settings) - self.rate)

    def seconds(self, megapixels: float, settings: Settings) -> float:
        """For a result of so many megapixels."""
        return self.rate * megapixels * _passes(settings)


def _passes(settings: Settings) -> int:
    """Sampling steps count where the sampler has a part."""
    return 1 + (settings.steps if settings.fidelity < 0.5 else 0)


class Service:
    """One restorer for all visitors.

    `run` is what needs the GPU: (photo, request, stop file, progress) -> Restored; `run_slowly` the same on
    the CPU, for visitors whose GPU time is used up.
    """

    def __init__(
        self,
        restorer: Restorer,
        run: Callable[..., Restored],
        run_slowly: Callable[..., Restored] | None = None,
    ) -> None:
        self.restorer, self.run_on_gpu, self.run_slowly = restorer, run, run_slowly
        self.stops = Path(tempfile.mkdtemp(prefix="lwr-stop-"))  # a file for each visitor who pressed Cancel
        atexit.register(shutil.rmtree, self.stops, ignore_errors=True)
        self.pace = Pace(2.0)

    def warm_up(self) -> None:
        """Run the network once: the first visitor waits less, and the pace is known."""
        side = 256
        seconds = [self.restorer.warm_up(side) for _ in range(2)][-1]
        self.pace = Pace(seconds / (side * side / 1e6))

    def request(
        self,
        prompt: Any = "",
        task: Any = "auto",
        scale: Any = None,
        steps: Any = None,
        fidelity: Any = None,
        seed: Any = 0,
    ) -> dict[str, Any]:
        """The restorer's arguments from what a browser or client sent; RestoreError when they are bad."""
        try:
            wanted = {
                "prompt": str(prompt or ""),
                "task": dict(task) if isinstance(task, Mapping) else str(task or "auto"),
                "scale": None if scale in ("auto", "", None) else float(scale),
                "steps": None if steps in ("auto", "", None) else _whole(steps),
                "fidelity": None if fidelity in ("auto", "", None) else float(fidelity),
                "seed": _whole(seed or 0),
            }
        except (TypeError, ValueError, OverflowError) as error:
            raise RestoreError(f"Scale, steps, fidelity and seed must be numbers: {error}.") from None
        self.restorer.resolve(**wanted)
        return wanted

    def run(self, photo: str, request: dict[str, Any], stop: str, progress: Any) -> Restored:
        """Restore on the GPU or, when this visitor's time there is used up, on the CPU, and say so."""
        try:
            return self.run_on_gpu(photo, request, stop, progress)
        except gr.Error as error:
            if self.run_slowly is None or "quota" not in error.title.lower():
                raise
        gr.Info("Your GPU time is used up for now, so this photo is restored on the CPU; it takes longer.")
        return self.run_slowly(photo, request, stop, progress)

    def restore(self, photo: str, request: dict[str, Any], visitor: str, progress: Any) -> Done:
        """Restore an uploaded file. Raises gr.Error with a sentence."""
        stop = self.stop_file(visitor)
        with mistakes_told(photo):  # before a GPU is asked for
            source = images.load(photo)
        restored = self.run(photo, request, str(stop), progress)
        megapixels = restored.image.width * restored.image.height / 1e6
        self.pace.learn(megapixels, restored.settings, restored.seconds)
        with mistakes_told(photo):
            file = images.save(restored.loaded, new_folder() / f"{Path(photo).stem[:80]}.restored.png")
        return Done(source, restored, str(file))

    def stop_photo(self, request: gr.Request) -> None:
        """Let this visitor's running photo end at its next step or tile."""
        self._stop_file(request.session_hash).touch()

    def stop_batch(self, request: gr.Request) -> None:
        """Let this visitor's running batch end at its next step or tile; what is done stays."""
        self._stop_file(request.session_hash, "batch").touch()

    def leave(self, request: gr.Request) -> None:
        """The visitor has closed the page."""
        self.stop_photo(request)
        self.stop_batch(request)

    def stop_file(self, visitor: str, what: str = "photo") -> Path:
        """The file whose being there ends this visitor's photo or batch; it is not there yet."""
        file = self._stop_file(visitor, what)
        file.unlink(missing_ok=True)
        return file

    def _stop_file(self, visitor: str, what: str = "photo") -> Path:
        # Clients choose what they call their session, so it never becomes a path as it is.
        return self.stops / hashlib.sha256(f"{what} {visitor}".encode()).hexdigest()

    def estimate(self, photo: str | None, request: dict[str, Any]) -> float | None:
        """Seconds that a photo will take; None when there is none. RestoreError when it cannot be done."""
        if photo is None:
            return None
        settings = self.restorer.resolve(**request)
        try:
            with Image.open(photo) as image:
                size = (image.height, image.width)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise RestoreError(
                f"{Path(photo).name} is damaged, too large, or no photo: try another."
            ) from error
        height, width = output_size(size, settings.scale)
        return self.pace.seconds(height * width / 1e6, settings)

    def gpu_seconds(self, photo: str, request: dict[str, Any], *_: Any) -> int:
        """GPU time to ask for: twice the estimate, as a request that overruns is lost."""
        try:
            return max(LEAST_SECONDS, round(2 * (self.estimate(photo, request) or 0)))
        except MISTAKES:  # which the work itself will tell
            return LEAST_SECONDS


def uploaded(image: Any) -> str:
    """The path of an upload; nothing outside Gradio's upload folder is ever opened."""
    path = upload_path(image)
    if path is None:
        raise gr.Error("There is no photo yet: give one first.", print_exception=False)
    return path


def upload_path(image: Any) -> str | None:
    """The path of an upload, or None when it is none."""
    path = image.get("path") if isinstance(image, dict) else None
    inside = isinstance(path, str) and "\0" not in path
    return path if inside and Path(get_upload_folder()).resolve() in Path(path).resolve().parents else None


def _whole(value: Any) -> int:
    """A whole number; ValueError for 2.7, "2x" or True."""
    number = int(value)
    if isinstance(value, bool) or number != float(value):
        raise ValueError(f"{value} is no whole number")
    return number


def new_folder() -> Path:
    """A new folder where Gradio's `delete_cache` finds it."""
    return Path(tempfile.mkdtemp(dir=get_upload_folder()))


@contextmanager
def mistakes_told(photo: str) -> Iterator[None]:
    """Turn a visitor's mistake into a `gr.Error` of one sentence, escaped since browsers show it as HTML."""
    try:
        yield
    except MISTAKES as mistake:
        LOG.warning("refused a request: %s", type(mistake).__name__)  # neither words nor photo of a visitor
        raise gr.Error(sentence(mistake, photo), print_exception=False) from None
    except CancelledError:
        raise gr.Error("Your photo is as it was.", title="Stopped", print_exception=False) from None


def sentence(mistake: Exception, photo: str = "") -> str:
    """What a mistake says, as text that is safe in a page and names no folder of the server."""
    text = str(mistake).replace(photo, Path(photo).name) if photo else str(mistake)
    return html.escape(text, quote=False)


def stopping(stop: str, progress: Any) -> Callable[[int, int, str], None]:
    """The restorer's progress: shows each step or tile; ends the work when the visitor's file is there."""

    def report(done: int, total: int, what: str) -> None:
        if Path(stop).exists():
            raise CancelledError
        progress((done, total), desc=what.capitalize(), unit="parts")

    return report


def plan(settings: Settings) -> str:
    """Settings in words: "remove haze (slightly), enlarge 2x"."""
    words = []
    for name, strength in settings.tasks.items():
        degree = "" if strength == 1 else f" (strength {strength:g})"
        words.append(TASKS[name].title.lower() + degree)
    if settings.scale != 1:
        words = [word for word in words if not word.startswith("enlarge")] + [f"enlarge {settings.scale:g}x"]
    return ", ".join(words)

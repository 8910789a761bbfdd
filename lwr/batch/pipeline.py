"""The pipeline of a batch: while the network restores a photo, the next is read and the last is written.

The network runs in the calling thread. One other thread reads and one writes, so that lines come in the order
of the photos. How many photos are in memory at once is bounded by `Room`.
"""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import psutil

from lwr.batch.failures import SKIP, said
from lwr.batch.folders import make_folder
from lwr.batch.output_names import QUALITY, Output
from lwr.batch.plan import Job
from lwr.batch.report import Line, Report
from lwr.diagnose import SMALL, SMALL_SCALE
from lwr.images import disk, files
from lwr.images.files import DiskFullError, ImageError, Loaded
from lwr.images.formats import pixel_count
from lwr.loading.adapter import AdapterError
from lwr.loading.limits import is_too_little
from lwr.request import MAX_OUTPUT_PIXELS, MAX_SCALE, Request, RestoreError
from lwr.restore import Restored, Restorer

PIXEL_BYTES = 45  # of memory: a result as numbers, as a picture and as a file; WebP takes most
MOST_ROOM = 1e9  # bytes
SHARE = 0.1  # of --memory that photos beside the first may take


@dataclass(frozen=True)
class Ready:
    """A photo that was read."""

    loaded: Loaded
    seconds: float  # that it took
    held: int  # bytes of the room


@dataclass(frozen=True)
class Made:
    """A photo that was restored."""

    restored: Restored
    seconds: float  # of reading and restoring
    pixels: int  # of the photo before


class StoppingError(Exception):
    """The room is closed: the batch ends."""


class Room:
    """Bytes of memory for the photos of a batch; a photo larger than all of it has it to itself."""

    def __init__(self, size: float) -> None:
        self._size, self._held, self._closed = size, 0, False
        self._changed = threading.Condition()

    @classmethod
    def within(cls, memory_gb: float | None) -> "Room":
        """A share of --memory, or of what is free."""
        if memory_gb is not None:
            return cls(SHARE * memory_gb * 1e9)
        return cls(min(MOST_ROOM, psutil.virtual_memory().available / 4))

    def take(self, size: int) -> int:
        """Wait until there is room for `size` bytes or nobody else is in; StoppingError once it is closed."""
        with self._changed:
            fits = self._changed.wait_for(
                lambda: self._closed or not self._held or self._held + size <= self._size
            )
            if self._closed or not fits:
                raise StoppingError
            self._held += max(1, size)
        return max(1, size)

    def give_back(self, size: int) -> None:
        """`size` bytes are free again."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Let nobody in any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class Pipeline:
    """Restores the photos of a batch; one that fails stops no other."""

    def __init__(
        self, restorer: Restorer, request: Request, output: Output, report: Report, room: Room
    ) -> None:
        self.restorer, self.request, self.output, self.report = restorer, request, output, report
        self.room = room
        self._settings = restorer.resolve(request)
        self._bytes_per_pixel = 0.0  # of the file for which a disk was full, by pixels of the photo before
        self._failures = 0  # for want of room

    def run(self, jobs: Sequence[Job]) -> None:
        """Restore all; on KeyboardInterrupt the photo that is being written is finished first."""
        reader, writer = (ThreadPoolExecutor(1, thread_name_prefix=name) for name in ("reading", "writing"))
        writing: Future[None] | None = None
        try:
            ahead = reader.submit(self._read, jobs[0]) if jobs else None
            for number, job in enumerate(jobs):
                ready = ahead.result()
                ahead = reader.submit(self._read, jobs[number + 1]) if number + 1 < len(jobs) else None
                made = ready if isinstance(ready, dict) else self._restore(job, ready)
                held = 0 if isinstance(ready, dict) else ready.held
                del ready
                if writing is not None:
                    writing.result()  # no more than one photo waits
                writing = writer.submit(self._finish, job, made, held)
                del made
            if writing is not None:
                writing.result()
        finally:
            self.room.close()
            reader.shutdown(cancel_futures=True)
            writer.shutdown()

    def _read(self, job: Job) -> Ready | Line:
        """The photo, or the line that says why it needs no work."""
        if line := job.settled(self.output):
            return line
        try:
            self._make_folder(job)
            files.writable(job.target, self.output.overwrite)
        except ImageError as error:
            return job.failed(said(error, SKIP))
        held = self.room.take(round(PIXEL_BYTES * self._most_pixels(job.photo.path)))
        try:
            started = time.perf_counter()
            loaded = files.load(job.photo.path, refuse=partial(self.restorer.refuse, self._settings))
            return Ready(loaded, time.perf_counter() - started, held)
        except BaseException as error:
            self.room.give_back(held)
            if isinstance(error, ImageError):
                return job.failed(str(error))
            if is_too_little(error):
                return job.failed("There is too little memory to read it: close other programs.")
            raise

    def _most_pixels(self, photo: str) -> float:
        """Pixels of its result; the most where that depends on what the photo shows."""
        pixels, settings = pixel_count(photo), self._settings
        scale = MAX_SCALE if settings.size is not None else settings.scale
        if settings.general and pixels < SMALL:
            scale = max(scale, SMALL_SCALE)
        return min(pixels * scale**2, MAX_OUTPUT_PIXELS)

    def _restore(self, job: Job, ready: Ready) -> Made | Line:
        """The restored photo, or the line that says what is wrong."""
        pixels = ready.loaded.size[0] * ready.loaded.size[1]
        try:
            if self._failures and (refusal := self._refusal(job, pixels)):
                return job.failed(refusal)
            progress = self.report.photo(job.number, job.photo.path)
            restored = self.restorer(ready.loaded, self.request, progress=progress, in_place=True)
            return Made(restored, ready.seconds + restored.seconds, pixels)
        except (AdapterError, ImageError, RestoreError) as error:
            return job.failed(str(error))

    def _finish(self, job: Job, made: Made | Line, held: int) -> None:
        """Write what was made, and say how it went."""
        try:
            line, remarks = (made, []) if isinstance(made, dict) else self._write(job, made)
        finally:
            if held:
                self.room.give_back(held)
        self.report.line(job.number, line, remarks)

    def _write(self, job: Job, made: Made) -> tuple[Line, list[str]]:
        """The result as a file -> (the line, remarks)."""
        restored = made.restored
        remarks = list(restored.notes)
        quality = QUALITY if self.output.quality is None else self.output.quality
        height, width = restored.loaded.size
        try:
            written = files.save(restored.loaded, job.target, self.output.overwrite, quality, remarks)
        except DiskFullError as error:
            self._bytes_per_pixel = error.needed / made.pixels
            self._failures += 1
            return job.failed(str(error)), []
        except ImageError as error:  # another process may have made it meanwhile
            done = self.output.skip_existing and job.is_done
            return (job.skipped() if done else job.failed(said(error, SKIP))), []
        except (MemoryError, RuntimeError) as error:
            if not is_too_little(error):
                raise
            return job.failed("There is too little memory to write the result: close other programs."), []
        remarks += [f"{newer} is published; it is used when you ask for it." for newer in restored.newer]
        line = {"input": job.photo.path, "output": str(written), **restored.settings.json()}
        line |= {"width": width, "height": height, "seconds": round(made.seconds, 3)}
        return line | {"notes": remarks, "ignored": list(restored.ignored)}, remarks

    def _make_folder(self, job: Job) -> None:
        """The folder of a mirrored subfolder; --out itself is there already."""
        if job.photo.below and self.output.out is not None:
            make_folder(job.target.parent)

    def _refusal(self, job: Job, pixels: int) -> str | None:
        """Once a disk was full: why there is no room for the result of a photo of so many pixels.

        Photos differ in how they shrink, so after one failure half of what is expected must fit, then all.
        """
        share = 0.5 if self._failures == 1 else 1.0
        return disk.refusal(job.target, round(share * self._bytes_per_pixel * pixels))

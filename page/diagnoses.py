"""What is wrong with each upload, found once: the page's bars and its plan ask for it at the same time."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import torch

from lwr.diagnose import Diagnosis
from lwr.models.parallel import compute_alone

KEPT = 200  # diagnoses of the latest uploads
AT_ONCE = 2  # photos that are read meanwhile: a large one takes hundreds of megabytes


class Diagnoses:
    """Diagnoses by upload, made on the CPU of this process: nobody waits for a photo that is restored."""

    def __init__(self, find: Callable[[str], Diagnosis]) -> None:
        """`find` takes a path."""
        self._find, self._lock = find, threading.Lock()
        self._found: dict[tuple[int | str, ...], Future[Diagnosis]] = {}
        self._pool = ThreadPoolExecutor(AT_ONCE, "diagnosis", compute_alone, (torch.get_num_threads(),))

    def of(self, photo: str) -> Diagnosis:
        """The diagnosis without its maps; ImageError when it is no photo."""
        key = _identity(photo)
        with self._lock:
            future = self._found.pop(key, None) or self._pool.submit(self._look, photo)
            self._found[key] = future  # the latest stands last
            if len(self._found) > KEPT:
                del self._found[next(iter(self._found))]
        try:
            return future.result()
        except BaseException:
            with self._lock:
                self._found.pop(key, None)  # who asks again may find more memory
            raise

    def _look(self, photo: str) -> Diagnosis:
        return replace(self._find(photo), maps={})


def _identity(photo: str) -> tuple[int | str, ...]:
    """The same for all names of one file, and another once it has changed."""
    try:
        found = os.stat(photo)
    except OSError:
        return (photo,)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

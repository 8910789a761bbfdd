"""What is wrong with each upload, found once: the page's bars and its plan ask for it at the same time."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

from lwr.diagnose import Diagnosis

KEPT = 200  # diagnoses of the latest uploads
AT_ONCE = 2  # photos that are read meanwhile: a large one takes hundreds of megabytes


class Diagnoses:
    """Diagnoses by upload, made on the CPU of this process: nobody waits for a photo that is restored."""

    def __init__(self, find: Callable[[str], Diagnosis]) -> None:
        """`find` takes a path; it is called in the thread that asks first."""
        self._find = find
        self._found: dict[tuple[int | str, ...], Future[Diagnosis]] = {}
        self._lock, self._room = threading.Lock(), threading.BoundedSemaphore(AT_ONCE)

    def of(self, photo: str) -> Diagnosis:
        """The diagnosis without its maps; ImageError when it is no photo."""
        key = _identity(photo)
        with self._lock:
            future = self._found.pop(key, None)
            if first := future is None:
                future = Future()
            self._found[key] = future  # the latest stands last
            if len(self._found) > KEPT:
                del self._found[next(iter(self._found))]
        if first:
            self._fill(future, key, photo)
        return future.result()

    def _fill(self, future: "Future[Diagnosis]", key: tuple[int | str, ...], photo: str) -> None:
        try:
            with self._room:
                future.set_result(replace(self._find(photo), maps={}))
        except BaseException as error:
            with self._lock:
                self._found.pop(key, None)  # who asks again may find more memory
            future.set_exception(error)


def _identity(photo: str) -> tuple[int | str, ...]:
    """The same for all names of one file, and another once it has changed."""
    try:
        found = os.stat(photo)
    except OSError:
        return (photo,)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

"""Threads of our own that compute beside each other, each by itself.

Two tiles at a time with a thread each take less time than one after the other with two of torch's: these
do not share every operation, and at each that they share they wait for each other.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

try:
    import resource
except ImportError:  # Windows
    resource = None

In, Out = TypeVar("In"), TypeVar("Out")
_pools: dict[int, ThreadPoolExecutor] = {}
_starting = threading.Lock()


def together(jobs: Sequence[Callable[[], None]], threads: int) -> None:
    """Do the jobs, `threads` at a time.

    The caller's thread only waits: torch's threads, which work for it, would be in the helpers' way.
    """
    for _ in in_order(lambda job: job(), jobs, threads):
        pass


def in_order(function: Callable[[In], Out], items: Iterable[In], threads: int) -> Iterator[Out]:
    """What `function` gives for each item, in order, `threads` at a time, by helpers in inference mode.

    Without helpers, and with one thread, the caller's does it. Items are taken in the caller's thread. When
    it stops early, what is running is waited for.
    """
    pool = _helpers(threads) if threads > 1 else None
    if pool is None:
        yield from map(function, items)
        return
    running = deque()
    try:
        for item in items:
            running.append(pool.submit(_in_inference, function, item))
            if len(running) == threads:
                yield _first(running)
        while running:
            yield _first(running)
    finally:
        for one in running:
            one.cancel() or one.exception()


def _first(running: deque[Future[Out]]) -> Out:
    """What the first gives; until it is there it counts as running."""
    result = running[0].result()
    running.popleft()
    return result


def can_share(threads: int) -> bool:
    """Whether there are helpers: not where torch has one thread, or a limit leaves no room for more."""
    return threads > 1 and _helpers(threads) is not None


def compute_alone(threads: int) -> None:
    """Let this thread compute by itself, without torch's helpers.

    Threads that start later would do so too, if another did not set their number of `threads` again.
    """
    torch.get_num_threads()  # else its first tensor would take the number that is set again
    torch.set_num_threads(1)
    other = threading.Thread(target=torch.set_num_threads, args=(threads,))
    other.start()
    other.join()


def _in_inference(function: Callable[[In], Out], item: In) -> Out:
    with torch.inference_mode():  # which each thread has for itself
        return function(item)


def _helpers(count: int) -> ThreadPoolExecutor | None:
    """`count` of them, made once a process; None in a session with a limit (`ulimit -v`): stacks count."""
    if _is_limited():
        return None
    name = f"helper of {count}"
    with _starting:
        if not any(one.name.startswith(f"{name}_") for one in threading.enumerate()):  # or after a fork
            pool = ThreadPoolExecutor(count, name, compute_alone, (torch.get_num_threads(),))
            pool.submit(int).result()  # so that there is one from now on
            _pools[count] = pool
        return _pools[count]


def _is_limited() -> bool:
    if resource is None:
        return False
    limits = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return any(limit != resource.RLIM_INFINITY for limit in limits)

"""Ctrl-C, and the signals of a closing terminal or a system that shuts down: the first one stops, once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StoppedError(KeyboardInterrupt):
    """A signal asks to stop; `status` is the exit status by custom."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


@contextmanager
def stoppable() -> Iterator[None]:
    """A signal raises StoppedError in here; further ones are ignored until the block has cleaned up.

    Signals that are ignored already stay so, such as SIGHUP under nohup.
    """
    if threading.current_thread() is not threading.main_thread():  # where no handler can be set
        yield
        return
    before = {one: signal.getsignal(one) for one in SIGNALS}
    watched = [one for one, handler in before.items() if handler not in (signal.SIG_IGN, None)]

    def stop(number: int, _frame: object) -> None:
        for one in watched:
            signal.signal(one, signal.SIG_IGN)
        raise StoppedError(number)

    for one in watched:
        signal.signal(one, stop)
    try:
        yield
    finally:
        for one in watched:
            signal.signal(one, before[one])

"""How a photo stands, as a sentence: the page's only clock."""

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, TypeVar

import gradio as gr

from page.errors import FAULT, LOG, CancelledError
from page.line import State
from page.words import said

T = TypeVar("T")


def told(
    steps: Generator[State, None, T], values: Callable[[State], tuple[Any, ...]]
) -> Generator[tuple[Any, ...], None, T]:
    """What `steps` return; yields an event's output values for how the photo stands.

    A fault of the program becomes a gr.Error, so that the page does not go on saying how it stands.
    """
    with closing(steps):
        while True:
            try:
                state = next(steps)
            except StopIteration as done:
                return done.value
            except (gr.Error, CancelledError, OSError):
                raise
            except Exception as error:
                LOG.exception("a fault of the program")
                raise gr.Error(FAULT, print_exception=False) from error
            yield values(state)


def text(state: State) -> str:
    """Place in the queue, parts and seconds left; what is stopping says so."""
    return said(" ".join(filter(None, [state.remark, _now(state)])))


def with_bar(state: State, before: str = "") -> str:
    """The same as Markdown, behind a bar that shows the parts and what is to stand `before`."""
    known = f' max="{state.total}" value="{state.done}"' if state.done else ""
    name = said("Parts that are done")
    return f'<progress aria-label="{name}"{known}></progress> {before} {text(state)}'


def duration(seconds: float) -> str:
    """5 s, 80 s, 3 minutes."""
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _now(state: State) -> str:
    if state.stopping:
        return "Stopping after this part."
    if state.ahead:
        photos = "1 photo is" if state.ahead == 1 else f"{state.ahead} photos are"
        return (
            f"{photos} before yours, for about {duration(state.wait)}; then yours takes about "
            f"{duration(state.left)}."
        )
    left = f"about {duration(state.left)} left" if state.left >= 0.5 else "almost done"
    if state.done and state.total > 1:
        return f"Restoring: {state.done} of {state.total} parts, {left}."
    return f"Restoring, {left}."

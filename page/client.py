"""Whether the program or browser whose call is being served still wants the answer."""

from collections.abc import Callable

from gradio.context import LocalContext


def still_there() -> Callable[[], bool]:
    """A function that tells so; made where the call is served, it may be called anywhere.

    Gradio lets a function run on after its client has cancelled or gone, and has no public way to learn it.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    calls = blocks._queue.event_ids_to_events if blocks is not None else {}
    event = calls.get(event_id)
    if event is None:  # not a call over the queue
        return lambda: True
    return lambda: event.alive and event_id in calls

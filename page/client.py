"""Whether the program or browser whose call is being served still wants the answer."""

from collections.abc import Callable
from time import monotonic

from gradio.context import LocalContext

UNHEARD = 60.0  # seconds that an answer's messages may lie unread; a client may open its stream late


def still_there() -> Callable[[], bool]:
    """A function that tells so; made where the call is served, it may be called anywhere.

    Gradio lets a function run on after its client has cancelled or gone, and has no public way to learn it.
    """
    blocks, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    calls = blocks._queue.event_ids_to_events if blocks is not None else {}
    event = calls.get(event_id)
    if event is None:  # not a call over the queue
        return lambda: True
    heard = monotonic()

    def wanted() -> bool:
        nonlocal heard
        messages = blocks._queue.pending_messages_per_session.get(event.session_hash)
        if messages is None or messages.empty():  # who listens takes them at once
            heard = monotonic()
        return event.alive and event_id in calls and monotonic() - heard < UNHEARD

    return wanted

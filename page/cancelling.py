"""Cancel one call: by itself Gradio ends all calls of that session to the same function."""

import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CANCEL, RESET = "/gradio_api/cancel", "/gradio_api/reset"
NO_FUNCTION = -1  # of which Gradio then ends all calls


class CancelOne:
    """Around the app: marks that one call as Gradio marks those whose client has gone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; only the body of one that cancels is looked at.

        A client that cancels before it knows its call's id asks for a reset later, where Gradio does nothing.
        """
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith((CANCEL, RESET)):
            body = await _body(receive)
            if (cancel := _marked(scope["app"], body)) is not None:
                body, scope = cancel, scope | {"path": scope["path"].replace(RESET, CANCEL)}
            receive = _replayed(body, receive)
        await self.app(scope, receive, send)


def _marked(app: Any, body: bytes) -> bytes | None:
    """What lets Gradio remove a call that waits and tell its client that it is over; None without a call."""
    try:
        call = app.get_blocks()._queue.event_ids_to_events[json.loads(body)["event_id"]]
    except (ValueError, TypeError, KeyError):
        return None  # Gradio says what is wrong with it
    call.alive = False
    asked = {"session_hash": call.session_hash, "event_id": call._id, "fn_index": NO_FUNCTION}
    return json.dumps(asked).encode()


async def _body(receive: Receive) -> bytes:
    parts, more = [], True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` that gives this body first."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return first.pop() if first else await receive()

    return give

"""Cancel one call: by itself Gradio ends all calls of that session to the same function."""

import json
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH = "/gradio_api/cancel"
NO_FUNCTION = -1  # of which Gradio then ends all calls


class CancelOne:
    """Around the app: marks that one call as Gradio marks those whose client has gone."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; only the body of one that cancels is looked at."""
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"].endswith(PATH):
            receive = _replayed(_marked(scope["app"], await _body(receive)), receive)
        await self.app(scope, receive, send)


def _marked(app: Any, body: bytes) -> bytes:
    """The body for Gradio, which removes a call that waits and tells the client that it is over."""
    try:
        asked = json.loads(body)
        call = app.get_blocks()._queue.event_ids_to_events.get(asked["event_id"])
    except (ValueError, TypeError, KeyError):
        return body  # Gradio says what is wrong with it
    if call is None:
        return body
    call.alive = False
    return json.dumps(asked | {"fn_index": NO_FUNCTION}).encode()


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

"""How the tests' Hub misbehaves: `hub.fail("PUT ", cut_upload(1000))` spoils the next call that matches."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

Scope = MutableMapping[str, Any]
Fault = Callable[[Callable[..., Awaitable[None]], Scope, Callable, Callable], Awaitable[None]]


def status(code: int, retry_after: int | None = None, why: str | None = None) -> Fault:
    """Answer with an HTTP status, such as 429 or 503, and the Hub's own name for the error."""

    async def fault(app: Any, scope: Scope, receive: Callable, send: Callable) -> None:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        headers |= {} if why is None else {"X-Error-Code": why}
        await JSONResponse({"error": "not now"}, code, headers)(scope, receive, send)

    return fault


def cut_download(after: int) -> Fault:
    """Break the connection after so many bytes of the answer."""
    return _changed_answer(lambda body, done, last: body[: max(0, after - done)], cut=True)


def cut_upload(after: int) -> Fault:
    """Break the connection after so many bytes of the request."""

    async def fault(app: Any, scope: Scope, receive: Callable, send: Callable) -> None:
        done = 0

        async def cutting() -> dict[str, Any]:
            nonlocal done
            message = await receive()
            done += len(message.get("body", b""))
            if done > after:
                _transport(send).abort()
                return {"type": "http.disconnect"}
            return message

        try:
            await app(scope, cutting, send)
        except (ClientDisconnect, OSError, RuntimeError):  # the application notices that its caller has gone
            logging.getLogger(__name__).debug("upload cut")

    return fault


def lost_answer() -> Fault:
    """Do what was asked, then break the connection instead of saying so."""

    async def fault(app: Any, scope: Scope, receive: Callable, send: Callable) -> None:
        async def nothing(message: dict[str, Any]) -> None:
            pass

        await app(scope, receive, nothing)
        _transport(send).abort()

    return fault


def truncated(missing: int) -> Fault:
    """Leave out the last bytes of a file, and claim that it is all."""
    return _changed_answer(lambda body, done, last: body[:-missing] if last else body, shorter=missing)


def altered() -> Fault:
    """Change one byte of a file."""
    return _changed_answer(
        lambda body, done, last: body[:-9] + bytes([body[-9] ^ 1]) + body[-8:] if last else body
    )


def _changed_answer(
    change: Callable[[bytes, int, bool], bytes], cut: bool = False, shorter: int = 0
) -> Fault:
    async def fault(app: Any, scope: Scope, receive: Callable, send: Callable) -> None:
        done, total = 0, 0

        async def changing(message: dict[str, Any]) -> None:
            nonlocal done, total
            if message["type"] == "http.response.start":
                headers = dict(message["headers"])
                total = int(headers.get(b"content-length", 0))
                headers[b"content-length"] = str(total - shorter).encode()
                return await send(message | {"headers": list(headers.items())})
            body = message.get("body", b"")
            new = change(body, done, bool(body) and done + len(body) >= total)
            done += len(body)
            if cut and len(new) < len(body):
                await send(message | {"body": new, "more_body": True})
                return _transport(send).abort()
            await send(message | {"body": new})

        try:
            await app(scope, receive, changing)
        except (ClientDisconnect, OSError, RuntimeError):
            logging.getLogger(__name__).debug("download cut")

    return fault


def _transport(send: Any) -> Any:
    """The connection behind uvicorn's `send`."""
    return send.__self__.transport

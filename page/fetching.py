"""Photos from the web: public addresses only, so that nobody reaches the network behind the server.

The check is made where a connection is opened, so it holds for every redirect and for names that change what
they stand for.
"""

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

import httpcore
import httpx

from lwr.images.files import ImageError

MOST_REDIRECTS = 5
CONNECT, WHOLE = 10, 60  # seconds
# On a Space these names stand for inner addresses; nobody else can change that.
HUB = ("huggingface.co", "hf.co")
# IPv6 addresses of the public; outside lie those of a site, and most that hold an IPv4 address
_GIVEN_OUT = ipaddress.ip_network("2000::/3")


class RefusedError(OSError):
    """The address is none of the public internet."""


def fetch(address: str, most: int) -> tuple[bytes, str]:
    """(content, file name) of an http or https address; ImageError when there is none or it is refused.

    Args:
        most: bytes; a longer file is refused as soon as that shows.
    """
    until = time.monotonic() + WHOLE
    url = _parsed(address)
    with httpcore.ConnectionPool(ssl.create_default_context(), network_backend=PublicOnly()) as pool:
        for _ in range(MOST_REDIRECTS + 1):
            content, onward = _answer(pool, url, most, until)
            if onward is None:
                return content, unquote(url.path.rstrip("/").rpartition("/")[2]) or "photo"
            url = _parsed(onward, url)
    raise ImageError(f"{url.host} redirects too often: give the address of the photo itself.")


def _parsed(address: str, base: httpx.URL | None = None) -> httpx.URL:
    """The URL, seen from `base`; ImageError for what is none of http or https."""
    try:
        url = httpx.URL(address) if base is None else base.join(address)
        good = url.scheme in ("http", "https") and bool(url.host) and (url.port or 0) < 2**16
    except (httpx.InvalidURL, ValueError):  # the host too is decoded only when it is asked for
        good = False
    if good:
        return url
    if base is not None:
        raise ImageError(
            f"{base.host} redirects to what is no http or https address: give that of the photo itself."
        )
    raise ImageError("This is no http or https address of a photo: give one, or upload the photo.")


def _answer(
    pool: httpcore.ConnectionPool, url: httpx.URL, most: int, until: float
) -> tuple[bytes, str | None]:
    """(content, None), or (b"", where the server sends us instead)."""
    headers = {"Host": url.netloc, "User-Agent": "lwr", "Accept": "image/*,*/*;q=0.5"}
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    timeouts = {"connect": CONNECT, "read": CONNECT, "write": CONNECT, "pool": CONNECT}
    try:
        with pool.stream("GET", target, headers=headers, extensions={"timeout": timeouts}) as answer:
            found = httpx.Headers(answer.headers)
            if answer.status in (301, 302, 303, 307, 308) and "location" in found:
                return b"", found["location"]
            if answer.status != 200:
                raise ImageError(f"{url.host} answers with status {answer.status}, not with a photo.")
            return _content(answer.iter_stream(), url.host, most, until), None
    except RefusedError as error:
        raise ImageError(str(error)) from None
    except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, OSError) as error:
        reason = str(error) or "it takes too long"
        raise ImageError(f"{url.host} cannot be reached ({reason}): upload the photo instead.") from None


def _content(parts: Iterable[bytes], host: str, most: int, until: float) -> bytes:
    whole = bytearray()
    for part in parts:
        whole += part
        if len(whole) > most:
            raise ImageError(
                f"The photo at {host} is larger than {most / 1e6:.0f} MB: make it smaller first."
            )
        if time.monotonic() > until:
            raise ImageError(f"{host} takes longer than {WHOLE} s: upload the photo instead.")
    return bytes(whole)


class PublicOnly(httpcore.SyncBackend):
    """Opens connections to public addresses only; RefusedError for others."""

    def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.NetworkStream:
        """A connection to an address that was checked, not to a name that may mean another by then."""
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"there is no server of this name: {error}") from error
        for *_, place in found:
            if not (is_public(place[0]) or _of_the_hub(host)):
                raise RefusedError(
                    f"{host} is no public address, and others are refused: upload the photo instead."
                )
        for number, (*_, place) in enumerate(found, 1):
            try:
                return super().connect_tcp(place[0], port, *args, **options)
            except httpcore.ConnectError:
                if number == len(found):
                    raise
        raise httpcore.ConnectError("there is no server of this name")

    def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Never."""
        raise RefusedError("Sockets of this machine are refused: upload the photo instead.")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also when it holds an IPv4 address within."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip not in _GIVEN_OUT:
            return False
        within = [ip.sixtofour, *(ip.teredo or ())]
        if any(one is not None and not is_public(str(one)) for one in within):
            return False
    return ip.is_global and not ip.is_multicast


def _of_the_hub(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in HUB)

"""The tool `restore` as a local MCP client meets it: every way to name a photo, and what is refused."""

import asyncio
import base64
import errno
import io
import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.types import CallToolResult, Tool
from PIL import Image
from served import Server, picture

from lwr.images.files import ImageError
from page import fetching, mcp_tools, photo_sources
from page.errors import DISK_FULL
from page.photo_sources import received

PATIENCE = 120  # seconds


def talk(url: str, calls: list[tuple[str, Mapping[str, Any]]]) -> tuple[list[Tool], list[CallToolResult]]:
    """The tools, and the answer to each call (name, arguments), in one session."""

    async def session() -> tuple[list[Tool], list[CallToolResult]]:
        address = f"{url}/gradio_api/mcp/"
        async with (
            streamablehttp_client(address) as (reading, writing, _),
            ClientSession(reading, writing) as mcp,
        ):
            await mcp.initialize()
            return (await mcp.list_tools()).tools, [await mcp.call_tool(*call) for call in calls]

    return asyncio.run(session())


def restore(url: str, *photos: Any, prompt: str = "remove the haze") -> list[CallToolResult]:
    return talk(url, [("restore", {"image": photo, "prompt": prompt}) for photo in photos])[1]


def shown(answer: CallToolResult) -> Image.Image:
    """The picture of an answer."""
    assert not answer.isError, answer.content
    (part,) = [part for part in answer.content if part.type == "image"]
    return Image.open(io.BytesIO(base64.b64decode(part.data)))


def said(answer: CallToolResult) -> str:
    return "\n".join(part.text for part in answer.content if part.type == "text")


@pytest.fixture(scope="module")
def photo(server: Server) -> Path:
    """A photo in the folder that the server's owner has opened to programs, LWR_FOLDER."""
    path = server.folder / "in a folder" / "my photo.png"
    path.parent.mkdir(exist_ok=True)
    picture(96, 64).save(path)
    return path


def test_every_way_to_give_a_photo_brings_the_picture_and_its_settings(server: Server, photo: Path) -> None:
    form = {"files": ("my photo.png", photo.read_bytes())}
    upload = httpx2.post(f"{server.url}/gradio_api/upload", files=form, timeout=PATIENCE)
    path = upload.json()[0]
    ways = (
        path,
        upload.text,
        f"{server.url}/gradio_api/file={path.replace(' ', '%20')}",
        "data:image/png;base64," + base64.b64encode(photo.read_bytes()).decode(),
        "DATA:image/png;BASE64," + base64.urlsafe_b64encode(photo.read_bytes()).decode().rstrip("="),
        str(photo),
        "in a folder/../in a folder/my photo.png",
    )
    for way, answer in zip(ways, restore(server.url, *ways), strict=True):
        assert shown(answer).size == (96, 64) and shown(answer).format == "PNG", way
        *_, settings = [part.text for part in answer.content if part.type == "text"]
        assert json.loads(settings)["tasks"] == {"dehaze": 1.0}
        assert f"{server.url}/gradio_api/file=" in said(answer)


def test_a_large_picture_is_shown_smaller(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    Image.effect_noise((1700, 1000), 90).convert("RGB").save(large, compress_level=0)
    assert large.stat().st_size > mcp_tools.MOST_BYTES
    answer = CallToolResult(content=list(mcp_tools._picture(large, "http://here/large.png")))
    assert shown(answer).size == (1568, 922)
    assert said(answer).startswith("Image URL: http://here/large.png (1700x1000 pixels")


def test_what_is_refused_is_one_sentence(server: Server, photo: Path) -> None:
    (server.folder / "out").symlink_to("/etc")
    before = len(server.log.read_text())
    refused = {
        "/etc/hostname": "outside LWR_FOLDER",
        "../log.txt": "outside LWR_FOLDER",
        "out/hostname": "outside LWR_FOLDER",
        "no such.png": "no photo no such.png in LWR_FOLDER",
        "in a folder": "no photo",
        f"{server.url}/config": "127.0.0.1 is no public address",
        "http://localhost/photo.jpg": "localhost is no public address",
        "http://[::1]:80/photo.jpg": "::1 is no public address",
        "http://[::1": "This is no http or https address",
        "http://xn--a.com/photo.jpg": "This is no http or https address",
        "http://8.8.8.8:99999/photo.jpg": "This is no http or https address",
        "file:///etc/hostname": "Only http and https addresses are taken",
        "ftp://example.com/photo.jpg": "Only http and https addresses are taken",
        "http://169.254.169.254/latest": "is no public address",
        "http://10.0.0.1/photo.jpg": "is no public address",
        "http://0x7f.1/photo.jpg": "is no public address",
        "data:image/png;base64,": "The data URL is cut short",
        "data:image/png;base64,abcd": "not an image",
        "": "There is no photo",
    }
    for (given, text), answer in zip(refused.items(), restore(server.url, *refused), strict=True):
        assert answer.isError and text in said(answer), (given, said(answer))
        assert said(answer).count(". ") == 0 and "Error" not in said(answer) and "&" not in said(answer)
    (answer,) = restore(server.url, str(photo), prompt="what a lovely <day>")
    assert answer.isError and said(answer).startswith("I found nothing")
    assert "Traceback" not in server.log.read_text()[before:]


def test_the_tools_say_what_a_photo_may_be(server: Server) -> None:
    tools, _ = talk(server.url, [])
    for tool in (tool for tool in tools if tool.name in ("restore", "diagnose")):
        asked = tool.inputSchema["properties"]["image"]
        assert asked["type"] == "string" and "data URL" in asked["description"]
        assert "/gradio_api/upload" in tool.description
        assert tool.inputSchema.get("required", ["image"]) == ["image"]
    for tool in tools:
        for name, asked in tool.inputSchema["properties"].items():  # Gradio reads one line of a docstring
            assert name in mcp_tools.PICTURES or asked["description"].endswith("."), (tool.name, name)


def test_a_photo_alone_is_diagnosed_and_gets_what_it_needs(server: Server, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    picture(192, 128).save(photo)
    given = "data:image/png;base64," + base64.b64encode(photo.read_bytes()).decode()
    calls = [("diagnose", {"image": given}), ("restore", {"image": given}), ("diagnose", {"image": "/x.png"})]
    found, restored, refused = talk(server.url, calls)[1]
    tasks = json.loads(said(found))["tasks"]
    assert tasks["dehaze"] > 0 and json.loads(said(restored).splitlines()[-1])["tasks"] == tasks
    assert refused.isError and "outside LWR_FOLDER" in said(refused)


def test_without_a_folder_and_on_a_space_no_path_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    picture(8, 8).save(tmp_path / "photo.png")
    with pytest.raises(ImageError, match="Paths are refused"):
        received(str(tmp_path / "photo.png"))
    monkeypatch.setenv("LWR_FOLDER", str(tmp_path))
    kept = Path(received("photo.png"))
    assert kept.name == "photo.png" and kept.is_relative_to(tmp_path / "uploads")
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "somebody/lwr")
    with pytest.raises(ImageError, match="Paths are refused"):
        received("photo.png")


def test_long_names_and_other_faults_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(photo_sources, "fetch", lambda address, _: (b"x", address.rpartition("/")[2]))
    kept = Path(received(f"https://example.com/{'照' * 120}.png"))
    assert kept.read_bytes() == b"x" and kept.suffix == ".png" and kept.stem.strip("照") == ""
    assert mcp_tools._why(OSError(errno.ENOSPC, "full")) == DISK_FULL
    assert "File name too long" in mcp_tools._why(OSError(errno.ENAMETOOLONG, "File name too long"))


class Web(BaseHTTPRequestHandler):
    """A server whose photos are at /photo.png, and whose other paths lead away."""

    away = {"/inside": "http://localhost:{}/photo.png", "/on": "/photo.png", "/round": "/round",
            "/file": "file:///etc/hostname", "/bad": "http://[::1", "/port": "http://a:b/"}  # fmt: skip

    def do_GET(self) -> None:  # noqa: N802
        if self.path in self.away:
            self.send_response(302)
            self.send_header("Location", self.away[self.path].format(self.server.server_port))
            self.end_headers()
            return
        self.send_response(200 if self.path == "/photo.png" else 404)
        self.end_headers()
        self.wfile.write(b"x" * 1000)

    def log_message(self, *_: object) -> None:
        pass


def test_a_photo_from_the_web_and_redirects_that_lead_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    inner = "127.0.0.1 10.1.2.3 100.64.0.1 169.254.1.1 0.0.0.0 224.0.0.1 ::1 :: ::ffff:127.0.0.1 fe80::1%eth0"
    for address in f"{inner} fd00::1 64:ff9b::7f00:1 2002:7f00:1::".split():
        assert not fetching.is_public(address), address
    for address in ("::127.0.0.1", "::8.8.8.8", "fec0::1", "::ffff:0:127.0.0.1", "5f00::1"):
        assert not fetching.is_public(address), address
    assert fetching.is_public("8.8.8.8") and fetching.is_public("::ffff:8.8.8.8")
    assert fetching.is_public("2606:4700::1111")
    # 127.0.0.1 stands for the public internet; "localhost" for what lies behind the server
    resolve = fetching.socket.getaddrinfo
    monkeypatch.setattr(fetching, "is_public", lambda address: address == "127.0.0.1")
    monkeypatch.setattr(
        fetching.socket,
        "getaddrinfo",
        lambda host, *more, **named: resolve("127.0.0.2" if host == "localhost" else host, *more, **named),
    )
    with ThreadingHTTPServer(("", 0), Web) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{web.server_port}"
        assert fetching.fetch(f"{at}/photo.png", 1000) == (b"x" * 1000, "photo.png")
        assert fetching.fetch(f"{at}/on", 1000)[1] == "photo.png"
        for path, reason in {
            "/inside": "localhost is no public address",
            "/round": "redirects too often",
            "/file": "no http or https address",
            "/bad": "redirects to what is no http or https address",
            "/port": "redirects to what is no http or https address",
            "/else": "answers with status 404",
        }.items():
            with pytest.raises(ImageError, match=reason):
                fetching.fetch(at + path, 1000)
        with pytest.raises(ImageError, match="larger than"):
            fetching.fetch(f"{at}/photo.png", 999)
        web.shutdown()

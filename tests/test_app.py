"""The Space as programs meet it: a real server and Gradio's client."""

import asyncio
import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from random import Random

import httpx2
import psutil
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from gradio_client.utils import Status
from huggingface_hub import SpaceCard
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from PIL import Image, ImageChops, ImageDraw
from served import MAKE, ROOT, Server, exif, picture

from lwr.images.formats import readable_formats
from lwr.record import recorded

PATIENCE = 120  # seconds that any answer may take on a busy machine


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return server.url


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False, httpx_kwargs={"timeout": PATIENCE})


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A 96x64 PNG with transparency and EXIF."""
    path = tmp_path / "my photo.png"
    picture(96, 64).convert("RGBA").save(path, exif=exif())
    return path


def test_a_photo_and_a_sentence_are_enough(client: Client, photo: Path) -> None:
    file, settings = client.predict(handle_file(str(photo)), "remove the haze", api_name="/restore")
    restored = Image.open(file)
    assert (restored.format, restored.mode, restored.size) == ("PNG", "RGBA", (96, 64))
    assert restored.getexif()[MAKE] == "Test Camera"
    assert settings["tasks"] == {"dehaze": 1.0} and settings["scale"] == 1
    assert (settings["width"], settings["height"]) == (96, 64)


def test_a_photo_alone_gets_what_it_needs_and_is_diagnosed(client: Client, url: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    picture(192, 128).save(photo)
    image = handle_file(str(photo))
    found = client.predict(image, api_name="/diagnose")
    assert found["tasks"]["dehaze"] > 0 and "hazy" in found["sentence"]
    assert set(found) == {"severities", "sentence", "tasks"}
    _, settings = client.predict(image, api_name="/restore")
    assert settings["tasks"] == found["tasks"] and settings["notes"][0].startswith("Found: ")
    assert settings["found"] == {name: round(value, 2) for name, value in found["severities"].items()}
    half = client.predict(image, scale=1, strength=0.5, auto=True, api_name="/restore")[1]
    assert half["tasks"] == dict.fromkeys(found["tasks"], 0.5)
    form = {"files": ("photo.png", photo.read_bytes())}
    upload = httpx2.post(f"{url}/gradio_api/upload", files=form, timeout=PATIENCE)
    body = {"data": [{"path": upload.json()[0], "meta": {"_type": "gradio.FileData"}}]}
    call = httpx2.post(f"{url}/gradio_api/call/restore", json=body, timeout=PATIENCE).json()["event_id"]
    assert "event: complete" in httpx2.get(f"{url}/gradio_api/call/restore/{call}", timeout=PATIENCE).text


def test_every_setting_reaches_the_pixels_and_repeats_them(client: Client, photo: Path) -> None:
    options = {"task": "deblur", "scale": "2", "steps": 2, "fidelity": 0.25, "seed": 7}
    files = []
    for _ in range(2):
        file, settings = client.predict(handle_file(str(photo)), "", **options, api_name="/restore")
        files.append(Path(file).read_bytes())
    assert Image.open(file).size == (192, 128) and files[0] == files[1]
    assert {name: settings[name] for name in ("scale", "steps", "fidelity", "seed")} == {
        "scale": 2, "steps": 2, "fidelity": 0.25, "seed": 7
    }  # fmt: skip
    assert settings["tasks"] == {"deblur": 1.0}


def test_a_size_instead_of_a_scale_and_what_is_not_done(client: Client, photo: Path) -> None:
    words = "dehaze and remove the red eyes"
    file, settings = client.predict(handle_file(str(photo)), words, size="150x150", api_name="/restore")
    assert Image.open(file).size == (150, 100) and settings["size"] == "150x150"
    assert settings["ignored"] == ["red eyes"] and "Not done" in settings["notes"][0]


def test_a_mask_is_filled_and_an_old_photo_repaired(client: Client, tmp_path: Path) -> None:
    photo, mask = picture(192, 128), Image.new("L", (192, 128))
    ImageDraw.Draw(photo).line([20, 64, 170, 64], fill="white", width=3)
    ImageDraw.Draw(mask).line([20, 64, 170, 64], fill=255, width=5)
    photo.save(tmp_path / "photo.png")
    mask.save(tmp_path / "mask.png")
    mask.resize((96, 64)).save(tmp_path / "small.png")
    given, painted, small = (
        handle_file(str(tmp_path / f"{name}.png")) for name in ("photo", "mask", "small")
    )
    file, settings = client.predict(given, mask=painted, api_name="/restore")
    changed = ImageChops.difference(Image.open(file).convert("RGB"), photo).getbbox()
    assert settings["filled"] == sum(mask.histogram()[128:]) and settings["tasks"] == {}
    assert changed[1] >= 62 and changed[3] <= 67 and settings["notes"][0].startswith("Filled as painted: ")
    settings = client.predict(given, "strongly fix the blur", old=True, api_name="/restore")[1]
    assert settings["repairs"] and any("colours" in note for note in settings["notes"])
    with pytest.raises(AppError, match="give a mask of the photo's size"):
        client.predict(given, mask=small, api_name="/restore")


def test_route_and_tasks_list_what_can_be_asked(client: Client) -> None:
    found = client.predict("slightly dehaze it", api_name="/route")
    assert found == {"tasks": {"dehaze": 0.5}, "understood": True}
    tasks = client.predict(api_name="/tasks")
    assert {"super-resolution", "deblur", "dehaze"} <= {task["name"] for task in tasks}


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ("what a lovely day", {}, "you can ask me to"),
        ("remove the haze", {"scale": 9}, "The scale is 9"),
        ("remove the haze", {"size": "huge"}, "The size is 'huge'"),
        ("remove the haze", {"size": "4k", "scale": 2}, "give one of the two"),
        ("remove the haze", {"steps": "many"}, "must be numbers"),
        ("", {"strength": 1.5}, "The strength is 1.5"),
        ("", {"task": "dehase"}, "did you mean dehaze"),
    ],
)
def test_an_error_is_one_sentence(
    client: Client, photo: Path, server: Server, prompt: str, options: dict, message: str
) -> None:
    with pytest.raises(AppError, match=message):
        client.predict(handle_file(str(photo)), prompt, **options, api_name="/restore")
    assert "Traceback" not in server.log.read_text()
    assert client.predict("dehaze", api_name="/route")["understood"]  # and the server lives on


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "TIFF"])
def test_photos_of_phones_and_scanners(client: Client, tmp_path: Path, kind: str) -> None:
    readable_formats()  # lets Pillow write HEIC
    picture(96, 64).save(tmp_path / "photo.bin", kind)
    file, settings = client.predict(
        handle_file(str(tmp_path / "photo.bin")), "remove the haze", api_name="/restore"
    )
    assert Image.open(file).size == (96, 64)
    made = recorded(file)
    assert made.request.prompt == "remove the haze" and made.settings["fidelity"] == settings["fidelity"]


def test_a_file_that_is_no_photo_is_named_without_the_servers_folders(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "letter.png"
    path.write_text("Dear reader")
    with pytest.raises(AppError) as caught:
        client.predict(handle_file(str(path)), "remove the haze", api_name="/restore")
    assert str(caught.value).startswith("letter.png is not an image")
    with pytest.raises(AppError, match="^letter.png is not an image"):
        client.predict(handle_file(str(path)), api_name="/diagnose")


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_files_that_were_not_uploaded_are_never_opened(url: str, photo: Path, meta: dict) -> None:
    body = {"data": [{"path": str(photo), **meta}, "remove the haze", "auto", "auto", None, None, 0]}
    headers = {"Content-Type": "application/json"}
    call = urllib.request.Request(f"{url}/gradio_api/call/restore", json.dumps(body).encode(), headers)
    event = json.load(urllib.request.urlopen(call, timeout=PATIENCE))["event_id"]
    answer = (
        urllib.request.urlopen(f"{url}/gradio_api/call/restore/{event}", timeout=PATIENCE).read().decode()
    )
    assert "event: error" in answer and "event: complete" not in answer


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A photo of 4 megapixels, which takes many tiles."""
    picture(2000, 2000).save(tmp_path / "large.jpg")
    return tmp_path / "large.jpg"


def finished(server: Server, name: str) -> list[Path]:
    """The results of that name which the server has written."""
    return list((server.log.parent / "uploads").glob(f"*/{name}"))


def test_cancelled_jobs_stop_and_the_queue_goes_on(
    client: Client, server: Server, photo: Path, large: Path
) -> None:
    image = handle_file(str(large))
    words = "strongly fix the blur"
    jobs = [client.submit(image, words, api_name="/restore") for _ in range(3)]
    while not any(one.index for job in jobs for one in job.status().progress_data or ()):
        time.sleep(0.1)
    last = client.submit(handle_file(str(photo)), words, api_name="/restore")
    while last.status().code == Status.STARTING:
        time.sleep(0.1)
    for job in jobs:
        job.cancel()
    file, settings = last.result(timeout=PATIENCE)
    assert Image.open(file).size == (96, 64) and settings["waited"] >= 0
    assert finished(server, "large.restored.png") == []


def called(url: str, large: Path) -> str:
    """The address of the answer to a call that takes long."""
    files = {"files": (large.name, large.read_bytes())}
    path = httpx2.post(f"{url}/gradio_api/upload", files=files, timeout=PATIENCE).json()[0]
    upload = {"path": path, "meta": {"_type": "gradio.FileData"}}
    call, form = (
        f"{url}/gradio_api/call/restore",
        [upload, "strongly fix the blur", "auto", "auto", None, None, 0],
    )
    return f"{call}/{httpx2.post(call, json={'data': form}, timeout=PATIENCE).json()['event_id']}"


def test_the_work_for_a_client_that_has_gone_stops(
    url: str, client: Client, server: Server, photo: Path, large: Path
) -> None:
    with httpx2.stream("GET", called(url, large.rename(large.with_stem("gone"))), timeout=PATIENCE):
        pass
    client.predict(handle_file(str(photo)), "strongly fix the blur", api_name="/restore")
    assert finished(server, "gone.restored.png") == []


def test_a_job_cancelled_before_its_client_knew_its_id_stops(url: str, large: Path) -> None:
    address = called(url, large)
    event = {"event_id": address.rpartition("/")[2]}  # all that Gradio's client tells by then
    assert httpx2.post(f"{url}/gradio_api/reset", json=event, timeout=PATIENCE).status_code == 200
    assert "restored.png" not in httpx2.get(address, timeout=PATIENCE).text


# What the README says -----------------------------------------------------------------------------


def snippet(kind: str, text: str, url: str) -> str:
    """The README's code block of that kind with this text in it, for this server."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(rf"```{kind}\n(.*?)```", readme, re.DOTALL)
    return next(block for block in blocks if text in block).replace("http://127.0.0.1:7860", url)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, in which the snippets run."""
    picture(96, 64).save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_readmes_client(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values: dict = {}
    exec(snippet("python", "gradio_client", url), values)
    assert Image.open(values["file"]).size == (96, 64) and values["settings"]["tasks"] == {"dehaze": 1.0}
    assert "'dehaze': 1.0" in capsys.readouterr().out


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_readmes_curl(url: str, folder: Path) -> None:
    done = subprocess.run(["bash", "-c", snippet("bash", "curl", url)], capture_output=True, text=True)
    assert "event: complete" in done.stdout and "photo.restored.png" in done.stdout, done.stdout + done.stderr


def test_the_readmes_mcp_server(url: str, folder: Path) -> None:
    address = json.loads(snippet("json", "mcpServers", url))["mcpServers"]["lwr"]["url"]

    async def talk() -> tuple[list[str], str]:
        async with (
            streamablehttp_client(address) as (reading, writing, _),
            ClientSession(reading, writing) as mcp,
        ):
            await mcp.initialize()
            tools = [tool.name for tool in (await mcp.list_tools()).tools if tool.description]
            found = await mcp.call_tool("route_prompt", {"prompt": "slightly dehaze it"})
            return tools, found.content[0].text

    tools, found = asyncio.run(talk())
    assert {"restore", "route_prompt", "list_tasks"} <= set(tools) and "0.5" in found


def test_the_front_matter_is_a_spaces() -> None:
    card = SpaceCard.load(ROOT / "README.md")
    needed = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert f"gradio[mcp]=={card.data.sdk_version}" in needed and (ROOT / card.data.app_file).exists()
    assert card.data.license == "apache-2.0" and len(card.data.to_dict()["short_description"]) <= 60


# What nobody should send --------------------------------------------------------------------------


def malformed(count: int) -> list[tuple[str, dict]]:
    """(path, arguments of httpx2.request) of requests that no widget and no honest client sends."""
    random = Random(0)
    upload = {"path": "../../etc/passwd", "meta": {"_type": "gradio.FileData"}}
    junk = [None, "", "auto", -1, 1e308, float("inf"), True, [], {}, [[]], "\x00", "a" * 10**5, "<script>",
            {"path": "/etc/passwd"}, {"path": 3}, upload]  # fmt: skip
    names = ("../../x.png", "a" * 300 + ".png", "\r\n.png", "..")
    paths = ("/etc/passwd", "../app.py", "%2e%2e/app.py", "/etc/hostname", "C:\\x")
    found: list[tuple[str, dict]] = []
    for _ in range(count):
        data = [random.choice(junk) for _ in range(random.choice((0, 1, 6, 7, 7, 7, 9)))]
        body = json.dumps({"data": data}).replace("Infinity", "1e999")
        kind = random.choice(("call", "call", "route", "join", "upload", "text", "file"))
        if kind == "call":
            found.append(("/gradio_api/call/restore", {"content": body}))
        elif kind == "route":
            found.append(("/gradio_api/call/route", {"content": body}))
        elif kind == "join":
            number, session = random.choice((-1, 0, 3, 9, 999, "x")), random.choice(("s", "../x", None))
            text = json.dumps({"data": data, "fn_index": number, "session_hash": session})
            found.append(("/gradio_api/queue/join", {"content": text}))
        elif kind == "upload":
            file = (random.choice(names), random.randbytes(2000))
            found.append(("/gradio_api/upload", {"files": {"files": file}}))
        elif kind == "text":
            text = random.choice(("", "{", "[]", "null", "\x00"))
            found.append(("/gradio_api/call/restore", {"content": text}))
        else:
            found.append((f"/gradio_api/file={random.choice(paths)}", {"method": "GET"}))
    return found


def test_malformed_requests_break_nothing(url: str, client: Client, photo: Path) -> None:
    server = psutil.Process(serving(url))
    memory = []
    fresh = httpx2.Limits(max_keepalive_connections=0)  # the server may close on a bad request
    with httpx2.Client(timeout=PATIENCE, limits=fresh) as http:
        for _ in range(2):  # the first round also fills caches
            for path, request in malformed(200):
                send(http, url + path, request)
            memory.append(server.memory_info().rss)
    assert memory[1] < memory[0] * 1.05, memory
    file, _ = client.predict(handle_file(str(photo)), "remove the haze", api_name="/restore")
    assert Image.open(file).size == (96, 64)


def send(http: httpx2.Client, address: str, request: dict) -> None:
    """Send a malformed request; nothing of the server comes back, and nothing is restored."""
    headers = {} if "files" in request else {"Content-Type": "application/json"}
    answer = http.request(url=address, headers=headers, **{"method": "POST"} | request)
    assert b"root:" not in answer.content and b"Light-Weight" not in answer.content
    if address.endswith("/restore") and answer.status_code == 200:
        events = http.get(f"{address}/{answer.json()['event_id']}").text
        assert "event: complete" not in events and "Traceback" not in events


def serving(url: str) -> int:
    """The process that listens at an address."""
    port = int(url.rsplit(":", 1)[1])
    found = (c.pid for c in psutil.net_connections("tcp") if c.status == "LISTEN" and c.laddr.port == port)
    return next(found)


def test_a_session_is_no_path(url: str, client: Client, tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("still here")
    config = httpx2.get(f"{url}/config", timeout=PATIENCE).json()
    starts = [d["id"] for d in config["dependencies"] if d["api_name"] == "restore_on_page"]
    form = {"files": ("photo.png", (ROOT / "lwr/samples/small-cat.jpg").read_bytes())}
    path = httpx2.post(f"{url}/gradio_api/upload", files=form, timeout=PATIENCE).json()[0]
    upload = {"path": path, "meta": {"_type": "gradio.FileData"}}
    data = [upload, None, "remove the haze", ["dehaze"], "auto", 1, "auto", 0, "", False, *[1] * 7]
    body = {"data": data, "fn_index": starts[0], "session_hash": str(victim)}
    assert httpx2.post(f"{url}/gradio_api/queue/join", json=body, timeout=PATIENCE).status_code == 200
    done = client.predict(handle_file(path), "remove the haze", api_name="/restore")
    assert done and victim.read_text() == "still here"

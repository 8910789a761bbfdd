"""The Space as visitors meet it: a real server, Gradio's client, and a real browser where there is one."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

ROOT = Path(__file__).parent.parent
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MAKE, ORIENTATION = 271, 274  # EXIF tags
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver (Debian's)"
)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the server writes to its terminal."""
    return tmp_path_factory.mktemp("server") / "log.txt"


@pytest.fixture(scope="module")
def url(log: Path) -> Iterator[str]:
    """Address of a server started as a user starts it, on a free port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(log.parent / "uploads")}
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "app.py"], cwd=ROOT, env=os.environ | environment, stdout=output, stderr=output
        )
    try:
        until = time.monotonic() + 180
        while not answers(address):
            assert server.poll() is None and time.monotonic() < until, f"no server:\n{log.read_text()}"
            time.sleep(0.5)
        yield address
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A 96x64 PNG with transparency and EXIF."""
    path = tmp_path / "my photo.png"
    picture(96, 64).convert("RGBA").save(path, exif=exif())
    return path


def answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def picture(width: int, height: int) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([2 * x % 256, 3 * y % 256, (x + y) % 256], -1).astype(np.uint8))


def exif(orientation: int = 1) -> Image.Exif:
    tags = Image.Exif()
    tags[MAKE], tags[ORIENTATION] = "Test Camera", orientation
    return tags


def test_a_photo_and_a_sentence_are_enough(client: Client, photo: Path) -> None:
    file, settings = client.predict(handle_file(str(photo)), "remove the haze", api_name="/restore")
    restored = Image.open(file)
    assert (restored.format, restored.mode, restored.size) == ("PNG", "RGBA", (96, 64))
    assert restored.getexif()[MAKE] == "Test Camera"
    assert settings["tasks"] == {"dehaze": 1.0} and settings["scale"] == 1
    assert (settings["width"], settings["height"]) == (96, 64)


def test_every_setting_reaches_the_pixels_and_repeats_them(client: Client, photo: Path) -> None:
    wishes = {"task": "deblur", "scale": "2", "steps": 2, "fidelity": 0.25, "seed": 7}
    files = []
    for _ in range(2):
        file, settings = client.predict(handle_file(str(photo)), "", **wishes, api_name="/restore")
        files.append(Path(file).read_bytes())
    assert Image.open(file).size == (192, 128) and files[0] == files[1]
    assert {name: settings[name] for name in ("scale", "steps", "fidelity", "seed")} == {
        "scale": 2, "steps": 2, "fidelity": 0.25, "seed": 7
    }  # fmt: skip
    assert settings["tasks"] == {"deblur": 1.0}


def test_route_and_tasks_tell_what_can_be_asked(client: Client) -> None:
    found = client.predict("slightly dehaze it", api_name="/route")
    assert found == {"tasks": {"dehaze": 0.5}, "understood": True}
    tasks = client.predict(api_name="/tasks")
    assert {"super-resolution", "deblur", "dehaze"} <= {task["name"] for task in tasks}


@pytest.mark.parametrize(
    ("prompt", "wishes", "words"),
    [
        ("what a lovely day", {}, "you can ask me to"),
        ("remove the haze", {"scale": 9}, "The scale is 9"),
        ("remove the haze", {"steps": "many"}, "must be numbers"),
        ("", {"task": "dehase"}, "did you mean dehaze"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(
    client: Client, photo: Path, log: Path, prompt: str, wishes: dict, words: str
) -> None:
    with pytest.raises(AppError, match=words):
        client.predict(handle_file(str(photo)), prompt, **wishes, api_name="/restore")
    assert "Traceback" not in log.read_text()
    assert client.predict("dehaze", api_name="/route")["understood"]  # and the server lives on


def test_a_file_that_is_no_photo_is_named_without_the_servers_folders(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "letter.png"
    path.write_text("Dear reader")
    with pytest.raises(AppError) as told:
        client.predict(handle_file(str(path)), "remove the haze", api_name="/restore")
    assert str(told.value).startswith("letter.png is not an image")


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}])
def test_files_that_were_not_uploaded_are_never_opened(url: str, photo: Path, meta: dict) -> None:
    body = {"data": [{"path": str(photo), **meta}, "remove the haze", "auto", "auto", None, None, 0]}
    headers = {"Content-Type": "application/json"}
    call = urllib.request.Request(f"{url}/gradio_api/call/restore", json.dumps(body).encode(), headers)
    event = json.load(urllib.request.urlopen(call, timeout=30))["event_id"]
    answer = urllib.request.urlopen(f"{url}/gradio_api/call/restore/{event}", timeout=60).read().decode()
    assert "event: error" in answer and "event: complete" not in answer


# In the browser -----------------------------------------------------------------------------------


class Page:
    """The page in a headless Chromium of the given width."""

    def __init__(self, url: str, width: int, folder: Path) -> None:
        from selenium import webdriver

        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
            options.add_argument(flag)
        options.add_argument("--window-size=1280,1000")
        options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        if width < 500:  # narrower than a desktop window can be
            metrics = {"width": width, "height": 844, "pixelRatio": 1}
            options.add_experimental_option("mobileEmulation", {"deviceMetrics": metrics})
        self.browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.browser.get(url)

    def find(self, selector: str) -> list[Any]:
        """Elements for a CSS selector, as soon as there are some."""
        return self.wait(lambda: self.browser.find_elements("css selector", selector), selector)

    def wait(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
        """What `condition` answers, as soon as it is true."""
        until = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < until, f"waited {seconds:g} s for {what}"
            time.sleep(0.1)
        return found

    def ask(self, photo: Path, sentence: str, understood: str) -> None:
        """Upload, type, wait until the page says what it understood, and press the button."""
        self.find("#restore")
        self.find("#photo input[type=file]")[0].send_keys(str(photo))
        self.find("#photo img")
        self.find("#sentence textarea, #sentence input")[0].send_keys(sentence)
        self.wait(lambda: understood in self.find("#understood")[0].text, f"{understood!r}")
        self.browser.execute_script("arguments[0].click()", self.find("#restore")[0])

    def sizes(self) -> list[list[int]]:
        """Pixel sizes of the two pictures in the slider, once both have arrived."""
        pictures = "[...document.querySelectorAll('#result img')]"
        script = f"return {pictures}.map(i => [i.naturalWidth, i.naturalHeight]).filter(size => size[0])"
        self.wait(lambda: len(self.browser.execute_script(script)) == 2, "the comparison", 120)
        return self.browser.execute_script(script)

    def strangers(self) -> list[str]:
        """Addresses outside this machine that the page asked for."""
        events = [json.loads(entry["message"])["message"] for entry in self.browser.get_log("performance")]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [address for address in asked if address.startswith("http") and "//127.0.0.1" not in address]


@pytest.fixture(params=[1280, 390])
def page(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Iterator[Page]:
    shown = Page(url, request.param, tmp_path)
    yield shown
    shown.browser.quit()


@needs_browser
def test_a_visitor_restores_and_downloads_a_photo(page: Page, tmp_path: Path) -> None:
    photo = tmp_path / "lying.jpg"
    picture(96, 64).save(photo, exif=exif(orientation=6))  # upright it is 64x96
    page.ask(photo, "slightly dehaze and enlarge it 2x", "remove haze (slightly), enlarge 2x")
    assert page.sizes() == [[128, 192], [128, 192]]
    page.browser.save_screenshot(str(tmp_path / "result.png"))

    page.browser.execute_script("arguments[0].click()", page.find("#download")[0])
    file = tmp_path / "lying.restored.png"
    page.wait(file.exists, "the download")
    restored = Image.open(file)
    assert restored.size == (128, 192) and restored.getexif()[MAKE] == "Test Camera"

    width, visible = page.browser.execute_script("return [document.body.scrollWidth, window.innerWidth]")
    assert width <= visible, "the page is wider than the window"
    assert page.strangers() == [], "the page must work without internet"


@needs_browser
def test_a_visitors_mistake_shows_as_a_sentence_and_markup_stays_text(page: Page, photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:200])
    page.ask(photo, "<img src=x id=injected> remove the haze", "remove haze")
    toast = page.find(".toast-body")[0]
    page.wait(lambda: "my photo.png is damaged or cut short" in toast.text, "the sentence, without folders")
    assert page.browser.find_elements("css selector", "#injected") == []

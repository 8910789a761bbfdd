"""The Space on ZeroGPU: the real `spaces` and its processes, a scheduler of our own, and no CUDA."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from gradio_client import Client, handle_file
from PIL import Image
from served import ROOT, picture, running_app

from lwr.tasks import TASKS
from page.gpu import MOST_SECONDS

PATIENCE = 300  # seconds


class Space:
    """The running app; `answer` is what the scheduler will say."""

    def __init__(self, url: str, scratch: Path) -> None:
        self.url, self.answer, self.log = url, scratch / "answer", scratch / "log.txt"
        self.client = Client(url, verbose=False, httpx_kwargs={"timeout": PATIENCE})

    def restore(self, photo: Path, prompt: str) -> tuple[str, dict[str, Any]]:
        """What /restore gives."""
        return self.client.predict(handle_file(str(photo)), prompt, api_name="/restore")

    def press(self, name: str, *data: Any) -> list[Any]:
        """The last output values of an event of the page; `data` as the browser sends it."""
        events = httpx2.get(f"{self.url}/config", timeout=PATIENCE).json()["dependencies"]
        number = next(one["id"] for one in events if one["api_name"] == name)
        body = {"data": data, "fn_index": number, "session_hash": name}
        httpx2.post(f"{self.url}/gradio_api/queue/join", json=body, timeout=PATIENCE).raise_for_status()
        values: list[Any] = []
        address = f"{self.url}/gradio_api/queue/data?session_hash={name}"
        with httpx2.stream("GET", address, timeout=PATIENCE) as stream:
            for line in filter(None, stream.iter_lines()):
                message = json.loads(line.removeprefix("data: "))
                assert message.get("success", True), message
                if message["msg"] == "process_completed":
                    values = message["output"]["data"]
                    break
        return values

    def upload(self, photo: Path) -> dict[str, Any]:
        """An uploaded photo, as the browser sends it on."""
        files = {"files": (photo.name, photo.read_bytes())}
        path = httpx2.post(f"{self.url}/gradio_api/upload", files=files, timeout=PATIENCE).json()[0]
        return {"path": path, "meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Space]:
    scratch = tmp_path_factory.mktemp("zerogpu")
    (scratch / "answer").write_text("gpu")
    command = [str(ROOT / "tests" / "zerogpu.py"), str(ROOT / "app.py"), str(scratch / "answer")]
    own = {"HOME": str(scratch), "ZEROGPU_OFFLOAD_DIR": str(scratch / "tensors")}
    with running_app(scratch, own=own, command=command) as url:
        yield Space(url, scratch)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    picture(96, 64).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_photo_a_batch_and_a_damaged_photo_are_restored_in_its_process(space: Space, photo: Path) -> None:
    file, settings = space.restore(photo, "strongly fix the blur")
    assert Image.open(file).size == (96, 64) and settings["tasks"] == {"deblur": 1.0}
    upload = space.upload(photo)
    assert "hazy" in space.press("look", upload)[0]["sentence"]  # on the CPU, and no GPU is asked for
    archive, report, _ = space.press("restore_all", [upload, upload], "strongly fix the blur", "PNG", False)
    assert archive["path"].endswith(".zip") and "Restored 2 of 2 photos" in report
    strokes = [{"width": 0.05, "points": [[0.2, 0.5], [0.8, 0.5]]}]
    painted = json.dumps({"photo": upload["path"], "strokes": strokes})
    asked = ["strongly fix the blur", ["deblur"], "auto", 1, "auto", 0, "", False, *[1] * len(TASKS)]
    done = space.press("restore_on_page", upload, painted, "", *asked)  # the mask crosses into it too
    assert "Filled as painted: " in done[2], done
    assert "restored" in space.press("break_it", upload, "deblur", 1)[1]
    log = space.log.read_text()
    asked = [int(seconds) for seconds in re.findall(r"gpu /schedule.*durationSeconds=(\d+)", log)]
    assert len(asked) == 5 and max(asked) <= MOST_SECONDS and log.count("fail=false") == 5
    assert "PicklingError" not in log and "Traceback" not in log


@pytest.mark.parametrize(
    ("answer", "sentence"), [("quota", "GPU time is used up"), ("illegal", "than you may ask for")]
)
def test_what_the_scheduler_refuses_is_done_on_the_cpu(
    space: Space, photo: Path, answer: str, sentence: str
) -> None:
    space.answer.write_text(answer)
    file, settings = space.restore(photo, "strongly fix the blur")
    assert Image.open(file).size == (96, 64) and sentence in settings["notes"][0]
    upload = space.upload(photo)
    report = space.press("restore_all", [upload], "strongly fix the blur", "PNG", False)[1]
    assert "Restored 1 of 1 photos" in report
    assert "Traceback" not in space.log.read_text()

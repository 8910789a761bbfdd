"""What stands behind the page, without a server: requests, estimates, Cancel, errors, examples."""

import os
import pickle
import shutil
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from gradio.routes import App
from gradio.utils import get_upload_folder
from limits import full_disk
from PIL import Image
from served import picture

import app
from lwr.images import disk
from lwr.prompt import route
from lwr.request import Request, RestoreError
from lwr.tasks import TASKS
from page import batch_tab, examples, links, options, restore_tab, uploads
from page.errors import errors_for_visitors
from page.inputs import read_request
from page.options import OPTIONS
from page.service import LEAST_SECONDS, Pace, Service
from page.stops import Stops, no_progress, stopping
from page.style import NOTHING_ASKED

LARGE = (1200, 900)  # passes in tiles


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    (tmp_path / "uploads").mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return Service(app.RESTORER, app.run)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    picture(64, 64).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def test_what_was_sent_becomes_one_request() -> None:
    sent = {"prompt": "fix it", "task": "auto", "scale": "2", "steps": "", "fidelity": None, "seed": "7"}
    assert read_request(**sent) == Request("fix it", scale=2, seed=7)
    assert read_request(task={"dehaze": 0.5}, fidelity="0.25") == Request(task={"dehaze": 0.5}, fidelity=0.25)
    assert read_request(prompt=None, task=3) == Request("", task="3")
    assert read_request(seed=2**60 + 1).seed == 2**60 + 1, "a long seed keeps its digits"


@pytest.mark.parametrize("value", [True, "many", [1], {}, "1e", float])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(RestoreError, match="must be numbers"):
        read_request(steps=value)


@pytest.mark.parametrize(
    ("option", "value"), [("steps", "2.7"), ("seed", -1), ("scale", "nan"), ("seed", 1e308)]
)
def test_numbers_out_of_range_are_refused(service: Service, option: str, value: object) -> None:
    with pytest.raises(RestoreError, match=f"(The {option}|number of {option}) is"):
        service.restorer.resolve(read_request(task="deblur", **{option: value}))


def test_all_that_crosses_to_the_gpus_process_pickles(photo: str) -> None:
    request = read_request(prompt="fix the blur")
    for progress in (gr.Progress(), no_progress):
        sent = pickle.dumps((app.run, photo, request, "stop", progress))
        assert pickle.loads(sent)[:3] == (app.run, photo, request)
    made = app.run(photo, request, "stop", no_progress)
    back = pickle.loads(pickle.dumps(made))
    assert back.settings == made.settings and back.loaded.rgb.equal(made.loaded.rgb)


def test_work_ends_at_the_next_tile_when_the_visitor_cancels(tmp_path: Path) -> None:
    seen = []
    stop = tmp_path / "stop"

    def progress(done: tuple[int, int], **_: object) -> None:
        seen.append(done)
        stop.touch()  # the visitor presses Cancel during the first tile

    large = tmp_path / "large.png"
    picture(*LARGE).save(large)
    with pytest.raises(gr.Error, match="not changed"):
        app.run(str(large), read_request(prompt="fix the blur"), str(stop), progress)
    assert len(seen) == 1 and seen[0][1] > 3
    stop.unlink()
    stopping(str(stop), progress)(1, 2, "restoring")  # without the file it goes on


def test_cancel_stops_what_has_started_and_nothing_later() -> None:
    stops = Stops()
    with (
        stops.run("visitor") as first,
        stops.run("../visitor") as other,
        stops.run("visitor", "batch") as batch,
    ):
        stops.stop("visitor")
        with stops.run("visitor") as second:
            assert [Path(file).exists() for file in (first, other, batch, second)] == [
                True,
                False,
                False,
                False,
            ]
    assert not Path(first).exists()


def test_without_gpu_time_the_cpu_serves_and_says_so(
    tmp_path: Path, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def used_up(*_: object) -> None:
        raise gr.Error("You have exceeded your GPU quota", title="ZeroGPU quota exceeded")

    shown = []
    monkeypatch.setattr(gr, "Info", shown.append)
    service, request = Service(app.RESTORER, used_up, app.run_on_cpu), read_request(prompt="fix the blur")
    made = service.run(photo, request, str(tmp_path / "stop"), no_progress)
    assert made.image.size == (64, 64) and "on the CPU" in shown[0]


def test_gpu_time_grows_with_the_photo(tmp_path: Path, photo: str, service: Service) -> None:
    request = read_request(prompt="fix the blur")
    assert service.gpu_seconds(photo, request) == LEAST_SECONDS
    Image.new("L", (4000, 3000)).save(tmp_path / "large.png")
    assert service.gpu_seconds(str(tmp_path / "large.png"), request) > LEAST_SECONDS
    assert service.gpu_seconds(photo, read_request(task="no such task")) == LEAST_SECONDS


def test_the_pace_is_not_misled_by_sampling_steps(service: Service) -> None:
    fast = service.passes(service.restorer.resolve(task="deblur"))
    slow = service.passes(service.restorer.resolve(task="deblur", steps=12))
    assert (fast, slow) == (2, 13)
    pace = Pace(2.0)
    for _ in range(5):
        pace.learn(1.0, slow, 26.0)
        pace.learn(1.0, fast, 4.0)
    assert pace.seconds(1.0, fast) == pytest.approx(4.0) and pace.seconds(1.0, slow) == pytest.approx(26.0)


@pytest.mark.parametrize("offered", [True, False])
def test_steps_are_offered_only_where_the_network_takes_several(
    service: Service, offered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    prior = service.restorer.network.prior
    monkeypatch.setattr(prior, "config", replace(prior.config, one_step_noise=offered))
    with gr.Blocks():
        assert options.build(service.restorer.network)[OPTIONS.index("steps")].visible == offered


def test_an_error_names_no_folder_and_is_no_markup() -> None:
    with pytest.raises(gr.Error) as caught, errors_for_visitors("/secret/a<b>.png"):
        raise RestoreError("/secret/a<b>.png is bad.")
    assert caught.value.message == "a&lt;b&gt;.png is bad."


def test_the_plan_names_size_general_requests_and_what_is_not_done(service: Service, photo: str) -> None:
    upload = Path(get_upload_folder()) / "plan.png"  # nothing elsewhere is opened
    upload.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(photo, upload)

    def plan(prompt: str, size: str = "", image: str | None = str(upload)) -> str:
        values = (list(route(prompt).tasks), "auto", 1, "auto", 0, size, *[1] * len(TASKS))
        return restore_tab.preview(service, image and {"path": image}, prompt, prompt, *values)

    assert plan("upscale to 3840x2160, denoise", image=None) == (
        "I understood: **enlarge to 3840x2160**; not done: noise"
    )
    assert plan("upscale to 128x128").startswith("I understood: **enlarge to 128x128**, in about ")
    limited = plan("make it 4k")
    assert "**enlarge 4x, towards 4k**, in about" in limited
    assert limited.endswith("4 is the limit: the photo is enlarged 4x.")
    assert "**nothing**" in plan("resize to 64x64") and plan("resize to 64x64").endswith(
        "it is not enlarged."
    )
    assert "**what the photo needs**, in about" in plan("enhance")
    assert "**what the photo needs, enlarge to 128 pixels wide**" in plan("enhance", "128")
    assert "**enlarge to 128 pixels wide**" in plan("", "128")
    assert plan("", "huge").startswith("The size is 'huge'") and plan("") == NOTHING_ASKED
    upload.unlink()


def test_a_link_brings_a_size_back() -> None:
    def size(query: str) -> object:
        values = links.from_link(SimpleNamespace(query_params=query))
        return values[links.NAMES.index("size")]

    assert size("prompt=enlarge&size=A4+at+300+dpi") == "A4 at 300 dpi"
    assert size("prompt=enlarge&size=huge") == size("prompt=enlarge") != ""


def test_examples_are_what_the_shipped_weights_make() -> None:
    for one in examples.found():
        assert one["prior"] == app.RESTORER.network.prior.config.name, (
            "run python -m training.publishing.page_examples again"
        )
        assert one["credit"] and (examples.FOLDER / one["after"]).stat().st_size < 300_000
    assert (examples.FOLDER / "strip.webp").stat().st_size < 300_000


def batch(service: Service, paths: list[str], tmp_path: Path) -> tuple[str | None, str]:
    request, names = read_request(prompt="fix the blur"), batch_tab._names(paths, ".jpg")
    return batch_tab._restore_all(service, paths, names, request, str(tmp_path / "stop"), no_progress)


def test_a_batch_numbers_twins_and_takes_a_format(service: Service, photo: str, tmp_path: Path) -> None:
    paths = [photo, shutil.copy(photo, tmp_path / "photo.bmp"), shutil.copy(photo, tmp_path / "PHOTO.png")]
    archive, report = batch(service, paths, tmp_path)
    with zipfile.ZipFile(archive) as zipped:
        names = ["photo.restored.jpg", "photo.restored-2.jpg", "PHOTO.restored-3.jpg", "report.txt"]
        assert zipped.namelist() == names and zipped.testzip() is None
        assert Image.open(zipped.open(names[0])).format == "JPEG"
    assert "Restored 3 of 3 photos." in report


def test_a_full_disk_costs_no_finished_photo(service: Service, photo: str, tmp_path: Path) -> None:
    large = str(tmp_path / "large.png")
    Image.effect_noise((400, 300), 80).convert("RGB").save(large)  # does not compress
    before = len(list(Path(get_upload_folder()).iterdir()))
    with full_disk(30_000 + batch_tab.LAST):
        archive, report = batch(service, [photo, large, photo], tmp_path)
    with zipfile.ZipFile(archive) as zipped:
        assert zipped.namelist() == ["photo.restored.jpg", "photo.restored-2.jpg", "report.txt"]
        assert zipped.testzip() is None
    assert report.count("The server's disk is full") == 1 and "Restored 2 of 3" in report
    shutil.rmtree(Path(archive).parent)
    with full_disk(0), pytest.raises(gr.Error, match="disk is full"), errors_for_visitors():
        batch(service, [photo], tmp_path)
    assert len(list(Path(get_upload_folder()).iterdir())) == before, "nothing half stays"


def test_a_result_without_room_is_a_sentence(
    service: Service, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = read_request(prompt="fix the blur")
    with full_disk(0), pytest.raises(gr.Error, match="The server's disk is full") as caught:
        service.restore(photo, request, "visitor", no_progress)
    assert get_upload_folder() not in caught.value.message
    monkeypatch.setattr(disk, "free_bytes", lambda _: 0)
    monkeypatch.setattr(service, "run_on_gpu", lambda *_: pytest.fail("works in vain"))
    with pytest.raises(gr.Error, match="The server's disk is full"):
        service.restore(photo, request, "visitor", no_progress)


def test_an_upload_without_room_is_a_sentence(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.demo, "max_file_size", None, raising=False)  # as launch() does
    folder = Path(get_upload_folder())
    (folder / "tmpstale").touch()
    os.utime(folder / "tmpstale", (0, 0))  # cut short long ago
    handlers = {"exception_handlers": {OSError: uploads.disk_full}}
    web = TestClient(App.create_app(app.demo, app_kwargs=handlers), raise_server_exceptions=False)
    files = {"files": ("photo.png", b"x" * 100_000)}
    assert web.post("/gradio_api/upload", files=files).status_code == 200
    with full_disk(10_000):
        answer = web.post("/gradio_api/upload", files=files)
    assert (answer.status_code, answer.text) == (507, uploads.SENTENCE)
    assert not (folder / "tmpstale").exists()


def test_chips_that_only_follow_the_sentence_do_not_insist() -> None:
    left_open = [None] * len(OPTIONS)
    asked = partial(restore_tab.request_from, "fix the blur", "fix the blur")
    assert asked(["deblur"], *left_open, *(1 for _ in TASKS)).task is None
    assert asked(["deblur"], *left_open, *(0.5 for _ in TASKS)).task == {"deblur": 0.5}
    assert asked(["dehaze"], *left_open, *(1 for _ in TASKS)).task == {"dehaze": 1}

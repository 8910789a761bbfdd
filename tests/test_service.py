"""What stands behind the page, without a server: requests, estimates, Cancel, errors, examples."""

import asyncio
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar
from unittest.mock import Mock

import gradio as gr
import pytest
from fastapi.testclient import TestClient
from gradio.context import LocalContext
from gradio.routes import App
from gradio.utils import get_upload_folder
from limits import full_disk
from PIL import Image
from served import picture
from test_diagnose import GOOD

import app
from lwr.images import disk
from lwr.prompt import route
from lwr.request import Request, RestoreError
from lwr.tasks import TASKS
from page import (
    batch_tab,
    break_tab,
    client,
    examples,
    links,
    options,
    planning,
    restore_tab,
    results,
    uploads,
)
from page.errors import errors_for_visitors
from page.gpu import LEAST_SECONDS, MOST_SECONDS
from page.inputs import read_request
from page.line import State
from page.options import OPTIONS
from page.service import FILLING, GPU_PACE, Pace, Service
from page.status import text, told
from page.stops import Signals, Stops
from page.style import NOTHING_SAID

LARGE = (1200, 900)  # passes in tiles
T = TypeVar("T")


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    (tmp_path / "uploads").mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return Service(app.RESTORER, app.run)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    picture(64, 64).save(tmp_path / "photo.png")
    return str(tmp_path / "photo.png")


def uploaded_copy(photo: str, name: str) -> str:
    """The photo's copy in the upload folder."""
    return str(shutil.copy(photo, Path(get_upload_folder()) / f"{name}.png"))


def nothing(*_: object, **__: object) -> None:
    """Progress that nobody looks at."""


def until(steps: Iterator[T], holds: Callable[[T], bool]) -> T:
    """The first step for which something holds; StopIteration at the end of the work."""
    while not holds(step := next(steps)):
        pass
    return step


def test_what_was_sent_becomes_one_request() -> None:
    sent = {"prompt": "fix it", "task": "auto", "scale": "2", "steps": "", "fidelity": None, "seed": "7"}
    assert read_request(**sent) == Request("fix it", scale=2, seed=7)
    assert read_request(task={"dehaze": 0.5}, fidelity="0.25") == Request(task={"dehaze": 0.5}, fidelity=0.25)
    assert read_request(prompt=None, task=3) == Request("", task="3")
    assert read_request(prompt="", auto=True, strength="0.5") == Request(auto=True, strength=0.5)
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


def test_work_ends_at_the_next_tile_when_the_visitor_cancels(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture(*LARGE).save(tmp_path / "large.png")
    calls, report = [], Signals.report

    def cancelled_in_the_first_tile(signals: Signals, *part: object) -> None:
        calls.append(part)
        service.stops.stop("visitor")
        report(signals, *part)

    monkeypatch.setattr(Signals, "report", cancelled_in_the_first_tile)
    with pytest.raises(gr.Error, match="not changed"):
        service.restore(str(tmp_path / "large.png"), read_request(task="deblur"), "visitor", nothing)
    assert len(calls) == 1 and calls[0][1] > 3
    service.stops.stop("visitor")  # nothing of the earlier run is left that this could stop
    assert list(service.line._jobs) == []


def test_the_next_photo_starts_when_its_neighbour_is_given_up(service: Service, photo: str) -> None:
    """One waits, one works and is closed as Gradio closes it; only then has the last its turn."""
    seen: list[str] = []

    def work(photo: str, request: Request, signals: Signals) -> object:
        seen.append(request.prompt)
        while request.prompt == "first":
            signals.report(1, 40)
            time.sleep(0.01)
        return app.run(photo, read_request(task="deblur"), signals)

    service.run_on_gpu, service.run_on_cpu = work, None
    service.pace = Pace(1000.0, measured=True)
    asked = {name: Request(name, task="deblur") for name in ("first", "second", "third")}
    first, second, third = (service.restoring(photo, one, name) for name, one in asked.items())
    until(first, lambda state: state.done == 1 and state.total == 40)
    state = until(second, lambda state: state.ahead == 1)
    assert state.wait > state.left / 2, "the place in the queue and its own time, apart"
    assert "1 photo is before yours" in text(state)
    until(third, lambda state: state.ahead == 2)
    second.close()
    until(third, lambda state: state.ahead == 1)
    first.close()
    with pytest.raises(StopIteration) as done:
        until(third, lambda _: False)
    assert seen == ["first", "third"]
    assert done.value.value.settings["seconds"] < 60


def test_what_waits_for_a_neighbour_is_not_counted(
    service: Service, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy:
        def __enter__(self) -> None:
            time.sleep(1)

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr(service.restorer, "_lock", Busy())
    start = time.perf_counter()
    seconds = service.restorer(photo, task="deblur").seconds
    assert seconds <= time.perf_counter() - start - 1


def test_a_full_line_says_so(service: Service, photo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("page.line.WAITING", 0)
    busy = threading.Event()
    service.run_on_gpu, service.run_on_cpu = (lambda *_: busy.wait()), None
    first = service.restoring(photo, read_request(task="deblur"), "a")
    until(first, lambda _: len(service.line._jobs) == 1)
    with pytest.raises(gr.Error, match="waiting already"):
        until(service.restoring(photo, read_request(task="deblur"), "b"), lambda _: False)
    busy.set()
    first.close()


def test_a_client_that_has_gone_stops_the_work(
    service: Service, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("page.service.still_there", lambda: lambda: len(calls) < 3)

    def work(photo: str, request: Request, signals: Signals) -> None:
        while True:
            signals.report(len(calls), 9)
            calls.append(1)
            time.sleep(0.05)

    service.run_on_gpu, service.run_on_cpu = work, None
    with pytest.raises(gr.Error, match="Nobody waits"):
        service.restore(photo, read_request(task="deblur"), "visitor", nothing)
    service.run_on_gpu = app.run
    monkeypatch.setattr("page.service.still_there", lambda: lambda: True)
    assert service.restore(photo, read_request(task="deblur"), "visitor", nothing).file


def test_an_answer_that_nobody_reads_is_given_up_and_a_late_reader_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, messages = [0.0], asyncio.Queue()
    queue = SimpleNamespace(
        event_ids_to_events={"call": SimpleNamespace(alive=True, session_hash="a")},
        pending_messages_per_session={"a": messages},
    )
    monkeypatch.setattr(client, "monotonic", lambda: now[0])
    tokens = (
        LocalContext.blocks.set(SimpleNamespace(_queue=queue)),  # type: ignore[arg-type]
        LocalContext.event_id.set("call"),
    )
    wanted = client.still_there()
    LocalContext.blocks.reset(tokens[0])
    LocalContext.event_id.reset(tokens[1])
    messages.put_nowait("it has started")
    now[0] = client.UNHEARD - 1
    assert wanted()
    messages.get_nowait()
    now[0] += 30
    assert wanted(), "read late"
    messages.put_nowait("its progress")
    now[0] += client.UNHEARD - 1
    assert wanted()
    now[0] += 1
    assert not wanted()


def test_cancel_stops_what_has_started_and_nothing_later() -> None:
    stops = Stops()
    with (
        stops.run("visitor") as first,
        stops.run("../visitor") as other,
        stops.run("visitor", "batch") as batch,
    ):
        stops.stop("visitor")
        with stops.run("visitor") as second:
            assert [one.stopped for one in (first, other, batch, second)] == [True, False, False, False]


@pytest.mark.parametrize(
    ("title", "sentence"),
    [
        ("ZeroGPU quota exceeded", "Your GPU time is used up for now"),
        ("ZeroGPU pending credits exceeded", "Your GPU time is used up for now"),
        ("ZeroGPU illegal duration", "more GPU time than you may ask for"),
        ("ZeroGPU queue timeout", "No GPU is free right now"),
        ("ZeroGPU client error", "No GPU is free right now"),
        ("ZeroGPU worker error", "The GPU did not finish this photo"),
    ],
)
def test_what_zerogpu_refuses_the_cpu_does_and_a_sentence_says_so(
    service: Service, photo: str, title: str, sentence: str
) -> None:
    def refused(*_: object) -> None:
        raise gr.Error("of ZeroGPU", title=title)

    service.run_on_gpu, service.run_on_cpu = refused, app.run_on_cpu
    service.pace.rate = 7.0
    steps = service.restoring(photo, read_request(prompt="fix the blur"), "visitor")
    with pytest.raises(StopIteration) as done:
        until(steps, lambda state: bool(state.remark) and sentence not in text(state))
    notes = done.value.value.settings["notes"]
    assert sentence in notes[0] and "restored on the CPU" in notes[0]
    assert service.pace.rate == 7.0, "the CPU's pace is not the GPU's"


def test_a_photo_that_needs_nothing_takes_no_gpu_time(service: Service, tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    GOOD["text"].save(good)
    service.run_on_cpu = app.run_on_cpu
    service.run_on_gpu = Mock(zerogpu=None, side_effect=RestoreError("on the GPU"))
    for sentence in ("", "remove the haze"):
        done = service.restore(str(good), Request(sentence), "visitor", nothing)
        assert Image.open(done.file).tobytes() == GOOD["text"].tobytes()
        assert not any("CPU" in note for note in done.settings["notes"])
    service.run_on_gpu.assert_not_called()
    with pytest.raises(gr.Error, match="on the GPU"):
        service.restore(str(good), Request("strongly remove the haze"), "visitor", nothing)


def test_an_error_of_the_work_is_no_refusal(service: Service, photo: str) -> None:
    service.run_on_cpu = lambda *_: pytest.fail("does it again in vain")
    for error in (gr.Error("it is no photo"), RuntimeError("a fault of our own")):
        service.run_on_gpu = Mock(spec=(), side_effect=error)
        with pytest.raises(type(error)):
            service.restore(photo, read_request(task="deblur"), "visitor", nothing)


def test_gpu_time_grows_with_the_photo_up_to_what_a_visitor_may_ask(
    tmp_path: Path, photo: str, service: Service
) -> None:
    request = read_request(task="deblur")
    service.pace = Pace(GPU_PACE)
    assert service.gpu_seconds(photo, request) == LEAST_SECONDS
    seconds = []
    for side in (2000, 3000, 8000):
        Image.new("1", (side, side)).save(tmp_path / "large.png")
        seconds.append(service.gpu_seconds(str(tmp_path / "large.png"), request))
    assert LEAST_SECONDS < seconds[0] < seconds[1] <= seconds[2] == MOST_SECONDS
    assert MOST_SECONDS * 1.5 <= 120, "all that visitors without an account have, on the GPU that costs most"
    assert service.gpu_seconds(photo, read_request(task="no such task")) == LEAST_SECONDS
    service.run_on_gpu, service.run_on_cpu = Mock(zerogpu=None), Mock(side_effect=RestoreError("on the CPU"))
    with pytest.raises(gr.Error, match="on the CPU"):  # not asked for what cannot be had
        service.restore(str(tmp_path / "large.png"), request, "visitor", nothing)
    service.run_on_gpu.assert_not_called()


def test_the_pace_is_not_misled_by_sampling_steps_tiles_or_the_overview(service: Service) -> None:
    def work(side: int, **options: object) -> float:
        return service.work((side, side), service.restorer.resolve(**options))

    assert work(512, task="deblur", steps=12) == pytest.approx(6.5 * work(512, task="deblur"))
    assert work(2048, task="deblur") == pytest.approx(25 * work(512, task="deblur"))  # tiles overlap
    assert work(2048, task="deblur") < work(2048, task="dehaze") < 1.2 * work(2048, task="deblur")
    assert work(512, task={"deblur": 0}) == 0 and work(512, prompt="enhance") > 0
    pace = Pace(2.0)
    for _ in range(5):
        pace.learn(13.0, 26.0)
        pace.learn(0.1, 0.2)
        pace.learn(0.0, 5.0)
    assert pace.seconds(3.0) == pytest.approx(6.0)
    pace = Pace(2.0)
    pace.learn(1.0, 0.1)
    assert pace.rate == pytest.approx(0.1), "what was only guessed gives way to the first photo"


def test_what_is_painted_takes_time_and_does_not_mislead_the_pace(
    service: Service, photo: str, tmp_path: Path
) -> None:
    size = Image.open(photo).size
    mask = Image.new("1", size)
    mask.paste(1, (0, 0, size[0] - 1, 20))
    mask.save(tmp_path / "mask.png")
    plain = service.planned(photo, Request(task="deblur"))[2]
    for one in (mask, str(tmp_path / "mask.png")):
        more = service.planned(photo, Request(task="deblur", mask=one))[2] - plain
        assert more == pytest.approx(FILLING * 20 * (size[0] - 1))
    pace = Pace(2.0, measured=True)
    pace.learn(1.0, 2.0 + FILLING * 50_000, filled=50_000)
    assert pace.rate == pytest.approx(2.0)


def test_one_clock_counts_down() -> None:
    states = [
        (
            State(ahead=2, wait=100, left=5),
            "2 photos are before yours, for about 2 minutes; then yours takes",
        ),
        (State(left=80), "Restoring, about 80 s left."),
        (State(left=75, done=3, total=266), "Restoring: 3 of 266 parts, about 75 s left."),
        (State(left=0), "Restoring, almost done."),
        (State(left=75, done=3, total=266, stopping=True), "Stopping after this part."),
    ]
    for state, said in states:
        assert text(state).startswith(said)


@pytest.mark.parametrize("several", [True, False])
def test_a_control_that_never_changes_a_pixel_is_not_shown(
    service: Service, several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = service.restorer.network
    monkeypatch.setattr(network.prior, "config", replace(network.prior.config, one_step_noise=several))
    with gr.Blocks():
        built = options.build(network, fast=several)
        shown = {name: one.visible for name, one in zip(OPTIONS, built, strict=True)}
    always = {"scale": True, "fidelity": True, "size": True}
    assert shown == always | {"steps": several, "seed": several, "fast": several}


def test_a_control_without_effect_at_these_settings_says_why(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disabled(steps: int, fidelity: float, sized: bool = False) -> dict[str, str]:
        settings = replace(service.restorer.resolve(task="deblur"), steps=steps, fidelity=fidelity)
        effects = options.effects(network, settings, sized)
        return {name: one["info"] for name, one in effects.items() if not one["interactive"]}

    network = service.restorer.network
    monkeypatch.setattr(network.refiner, "reads_sampler", lambda: False)
    assert disabled(12, 0.75) == {"steps": options.NO_SAMPLER, "seed": options.NO_SAMPLER}
    assert disabled(1, 0.25) == {"seed": options.NO_NOISE} and disabled(12, 0.25) == {}
    assert disabled(12, 0.25, sized=True) == {"scale": options.NO_SCALE}
    both = planning.request_from("", "enlarge it", [], "2", None, "auto", 0, "4k", False, *[1] * len(TASKS))
    assert (both.scale, both.size) == (None, "4k"), "the size decides, and the page does not complain"


def test_an_error_names_no_folder_and_is_no_markup() -> None:
    with pytest.raises(gr.Error) as caught, errors_for_visitors("/secret/a<b>.png"):
        raise RestoreError("/secret/a<b>.png is bad.")
    assert caught.value.message == "a&lt;b&gt;.png is bad."


def test_the_plan_names_size_general_requests_and_what_is_not_done(service: Service, photo: str) -> None:
    upload = Path(get_upload_folder()) / "plan.png"  # nothing elsewhere is opened
    upload.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(photo, upload)

    def plan(prompt: str, size: str = "", image: str | None = str(upload)) -> str:
        values = (list(route(prompt).tasks), "auto", 1, "auto", 0, size, False, *[1] * len(TASKS))
        return planning.preview(service, image and {"path": image}, "", prompt, prompt, *values)[0]

    assert plan("upscale to 3840x2160, remove the red eyes", image=None) == (
        "I understood: **enlarge to 3840x2160**; not done: red eyes"
    )
    assert plan("upscale to 128x128").startswith("I understood: **enlarge to 128x128**, in about ")
    limited = plan("make it 4k")
    assert "**enlarge 4x, towards 4k**, in about" in limited
    assert limited.endswith("4 is the limit: the photo is enlarged 4x.")
    assert "**nothing**" in plan("resize to 64x64") and plan("resize to 64x64").endswith(
        "it is not enlarged."
    )
    assert plan("enhance", image=None) == "I would do: **what the photo needs**"
    assert plan("enhance", "128").startswith("I would do: **") and "128 pixels wide" in plan("enhance", "128")
    assert "**enlarge to 128 pixels wide**" in plan("", "128")
    assert plan("", "huge").startswith("The size is 'huge'") and plan("", image=None) == NOTHING_SAID
    upload.unlink()


def test_a_comparison_has_every_pixel_of_a_result_of_any_size(
    service: Service, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sizes() -> list[tuple[str, tuple[int, int]]]:
        return [(Path(path).suffix, Image.open(path).size) for path in results.comparison(done)]

    done = service.restore(photo, read_request(prompt="enlarge it 2x"), "visitor", nothing)
    assert sizes() == [(".jpg", done.restored.image.size), (".png", done.restored.image.size)]
    monkeypatch.setattr(results, "SHOWN_PIXELS", 100)  # above it a PNG takes long to arrive
    assert sizes() == [(".jpg", done.restored.image.size)] * 2


def test_the_download_button_belongs_to_the_result_that_is_shown(service: Service, photo: str) -> None:
    done = [
        service.restore(uploaded_copy(photo, name), read_request(task="deblur"), "a", nothing).file
        for name in "ab"
    ]
    for kind, form in (("WebP", "WEBP"), ("JPEG", "JPEG"), ("PNG", "PNG")):
        made = results.in_format(done[0], kind)
        button, status = results.if_current(made, done[0], kind)
        assert Image.open(button.value["path"]).format == form and button.interactive and status == gr.skip()
    made = results.in_format(done[0], "WebP")
    for png, kind in ((done[1], "PNG"), (done[1], "WebP"), (done[0], "JPEG")):
        assert results.if_current(made, png, kind) == (gr.skip(), gr.skip()), "another has come since"


def test_a_result_that_is_not_there_any_more_is_a_sentence(service: Service) -> None:
    gone = str(Path(get_upload_folder()) / "a.png")
    for kind in results.FORMATS:
        button, status = results.if_current(results.in_format(gone, kind), gone, kind)
        assert button.interactive and button.value is None and status == results.GONE
    assert restore_tab.take_result(gone)[2] == results.GONE
    assert restore_tab.take_result("")[2] == results.GONE


def test_a_link_brings_a_size_back() -> None:
    def size(query: str) -> object:
        values = links.from_link(SimpleNamespace(query_params=query))
        return values[links.NAMES.index("size")]

    assert size("prompt=enlarge&size=A4+at+300+dpi") == "A4 at 300 dpi"
    assert size("prompt=enlarge&size=huge") == size("prompt=enlarge") != ""


def test_examples_show_every_task_and_are_what_the_shipped_weights_make() -> None:
    assert {task for one in examples.found() for task in one["tasks"]} == TASKS.keys()
    for one in examples.found():
        assert one["prior"] == app.RESTORER.network.prior.config.name, (
            "run python -m training.publishing.page_examples again"
        )
        assert one["credit"] and (examples.FOLDER / one["after"]).stat().st_size < 300_000
    assert (examples.FOLDER / "strip.webp").stat().st_size < 300_000


def batch(service: Service, paths: list[str], tmp_path: Path) -> tuple[str | None, str]:
    request, names = read_request(prompt="fix the blur"), batch_tab._names(paths, ".jpg")
    with service.stops.run("visitor", "batch") as signals:
        steps = batch_tab._restore_all(service, paths, names, request, signals)
        with pytest.raises(StopIteration) as done:
            until(steps, lambda _: False)
    return done.value.value


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
        service.restore(photo, request, "visitor", nothing)
    assert get_upload_folder() not in caught.value.message
    monkeypatch.setattr(disk, "free_bytes", lambda _: 0)
    monkeypatch.setattr(service, "run_on_gpu", lambda *_: pytest.fail("works in vain"))
    with pytest.raises(gr.Error, match="The server's disk is full"):
        service.restore(photo, request, "visitor", nothing)


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
    asked = partial(planning.request_from, "fix the blur", "fix the blur")
    assert asked(["deblur"], *left_open, *(1 for _ in TASKS)).task is None
    assert asked(["deblur"], *left_open, *(0.5 for _ in TASKS)).task == {"deblur": 0.5}
    assert asked(["dehaze"], *left_open, *(1 for _ in TASKS)).task == {"dehaze": 1}
    both = planning.request_from("enhance", "enhance", ["dehaze"], *left_open, *(1 for _ in TASKS))
    assert both.auto and both.task == {"dehaze": 1}, "the photo decides beside what is ticked"


def test_a_fault_of_the_program_ends_what_the_page_says(service: Service, photo: str) -> None:
    service.run_on_gpu = Mock(spec=(), side_effect=RuntimeError("a fault"))
    steps = told(service.restoring(photo, read_request(task="deblur"), "visitor"), lambda state: (state,))
    with pytest.raises(gr.Error, match="its own fault"):
        until(steps, lambda _: False)


def test_a_photo_let_go_stops_and_is_not_shown(service: Service, photo: str) -> None:
    """As when an example or another photo is chosen while this one is being restored."""
    visitor = SimpleNamespace(session_hash="visitor")
    path = uploaded_copy(photo, "a")
    values = ("fix the blur", "fix the blur", ["deblur"], "1", "auto", "auto", 0, "", False)
    values += (1,) * len(TASKS)
    wanted = partial(planning.request_from, *values)
    started = threading.Event()

    def work(photo: str, request: Request, signals: Signals) -> None:
        started.set()
        while True:
            signals.report(1, 9)
            time.sleep(0.01)

    service.run_on_gpu, service.run_on_cpu = work, None
    steps = break_tab.breaking(service, "visitor", {"path": path}, "deblur", 1)
    until(steps, lambda _: started.is_set())
    service.stops.stop("visitor", break_tab.BROKEN)
    assert list(steps) == [(*break_tab.REST, "")], "so it is where good photos are damaged"
    started.clear()
    steps = restore_tab.restoring(service, "visitor", {"path": path}, wanted)
    until(steps, lambda _: started.is_set())
    restore_tab.let_go(service, visitor)
    left = list(steps)
    assert left == [(gr.skip(), "", *[gr.skip()] * 6)], "no picture, and a status that says nothing"
    service.run_on_gpu = app.run
    steps = restore_tab.restoring(service, "visitor", {"path": path}, wanted)
    *_, done = steps
    assert "fix blur" in done[2]
    steps = restore_tab.restoring(service, "visitor", {"path": path}, wanted)
    next(steps)
    service.stop_photo(visitor)
    *_, cancelled = steps
    assert cancelled[1].startswith("**Stopped.**"), "Cancel says so"

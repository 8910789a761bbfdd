"""The page's choice of the smaller network: for a photo, for a batch, through the API, and in results."""

import inspect
import zipfile
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from gradio.utils import get_upload_folder
from lite import NAME
from served import picture
from test_lite import lite, without  # noqa: F401

import app
from lwr.record import recorded
from lwr.request import Request, RestoreError
from lwr.restore import Restorer
from lwr.tasks import TASKS
from page import batch_tab, given, links, options, planning
from page.inputs import read_request
from page.service import Service

PLACE = 1 + links.NAMES.index("fast")  # of its value among those that an upload brings


@pytest.fixture(scope="module")
def both(lite: Path) -> Restorer:  # noqa: F811
    return Restorer.load("embedded", device="cpu")


@pytest.fixture
def service(both: Restorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    (tmp_path / "uploads").mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    yield Service(both, lambda photo, request, signals: both(photo, request, progress=signals.report))


@pytest.fixture
def photo(service: Service) -> str:
    path = Path(get_upload_folder()) / "photo.png"
    picture(96, 64).save(path)
    return str(path)


def values(fast: bool) -> tuple[object, ...]:
    """Of the widgets from the sentence on."""
    return ("fix the blur", ["deblur"], "auto", 1, "auto", 0, "", fast, *[1] * len(TASKS))


def test_a_photo_is_restored_by_it_and_its_result_brings_the_choice_back(
    service: Service, photo: str
) -> None:
    request = planning.request_from("fix the blur", *values(fast=True))
    assert request.fast and not planning.request_from("fix the blur", *values(fast=False)).fast
    assert planning.fixing(*values(fast=True)).fast
    slow = service.pace.rate
    steps = service.restoring(photo, request, "visitor")
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
    done = end.value.value
    assert done.settings["prior"].startswith(f"{NAME}@") and recorded(done.file).request.fast
    assert service.pace.rate == slow != service.fast_pace.rate, "each network has its own pace"
    result = {"path": done.file}
    assert given.taken(result, fast=True)[PLACE] is True
    assert given.taken(result, fast=False)[PLACE] == gr.skip(), "where there is no choice, none is made"
    plain = service.restorer(photo, task="deblur")
    assert plain.settings.prior.startswith("embedded@")


def test_the_plan_knows_it(service: Service, photo: str) -> None:
    settings, _, seconds = service.planned(photo, Request(task="deblur", fast=True))
    assert settings.prior.startswith(f"{NAME}@") and seconds > 0
    assert planning.preview(service, {"path": photo}, "", "fix the blur", *values(fast=True))[0].startswith(
        "I "
    )


def test_a_batch_takes_it(service: Service, photo: str) -> None:
    request = batch_tab._checked(service, [photo], "strongly fix the blur", True)
    with service.stops.run("visitor", "batch") as signals, pytest.raises(StopIteration) as end:
        steps = batch_tab._restore_all(service, [photo], ["photo.restored.png"], request, signals)
        while True:
            next(steps)
    archive, _ = end.value.value
    with zipfile.ZipFile(archive) as zipped:
        file = Path(zipped.extract("photo.restored.png", get_upload_folder()))
    assert recorded(file).settings["prior"].startswith(f"{NAME}@")


def test_links_keep_it() -> None:
    for text, value in (("true", True), ("false", False), ("perhaps", gr.skip()), (None, gr.skip())):
        asked = {} if text is None else {"fast": text}
        assert links.values_for(asked, fast=True)[PLACE - 1] == value
        assert links.values_for(asked)[PLACE - 1] == gr.skip()


def test_it_is_the_last_parameter_of_the_api(
    service: Service, photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that calls from before it was there mean what they meant."""
    *_, last = inspect.signature(app.restore).parameters.values()
    assert (last.name, last.default) == ("fast", False)
    asked: list[Request] = []

    def restore(path: str, request: Request, *_: object) -> None:
        asked.append(request)
        raise RestoreError("enough")

    monkeypatch.setattr(app.SERVICE, "restore", restore)
    for given_options in ({}, {"fast": True}):
        with pytest.raises(RestoreError, match="enough"):
            app.restore({"path": photo}, "fix the blur", **given_options)
    assert [request.fast for request in asked] == [False, True]
    assert "fast" in app.restore.__doc__ and read_request(fast=True).fast


def test_the_choice_is_hidden_where_it_makes_no_difference(
    both: Restorer,
    without: None,  # noqa: F811
) -> None:
    service = Service(both, app.run)
    assert not service.offers_fast
    with gr.Blocks():
        hidden, shown = (options.fast_box(there, "fast") for there in (service.offers_fast, True))
    assert (hidden.visible, shown.visible, shown.value) == (False, True, False)


def test_the_smaller_network_alone_offers_no_choice(lite: Path) -> None:  # noqa: F811
    alone = Restorer.load(NAME, device="cpu")
    assert not Service(alone, app.run).offers_fast

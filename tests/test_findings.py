"""What is wrong with a photo shows before anything is pressed, and "Just fix it" does what that takes."""

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from gradio.utils import get_upload_folder
from PIL import Image
from served import ROOT, picture
from test_diagnose import GOOD

import app
from lwr.diagnose import Diagnosis, defect_of
from lwr.images.files import ImageError
from lwr.request import Request
from lwr.tasks import TASKS
from page import chips, findings, given, planning
from page.diagnoses import Diagnoses
from page.service import Service
from page.style import NOTHING_ASKED

HAZY = ROOT / "lwr" / "samples" / "hazy-rocket.jpg"
LEFT_OPEN = ("auto", 1, "auto", 0, "", False, *[1] * len(TASKS))  # options and strengths


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    (tmp_path / "uploads").mkdir()
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    return Service(app.RESTORER, app.run)


def upload(picture: Image.Image, name: str) -> dict[str, str]:
    """The value of a picture widget after an upload."""
    path = Path(get_upload_folder()) / name
    picture.save(path)
    return {"path": str(path)}


def test_the_plan_is_what_the_photo_needs_and_what_is_done(service: Service) -> None:
    def plan(image: dict[str, str], prompt: str, *chosen: str) -> str:
        values = (list(chosen), *LEFT_OPEN)
        return planning.preview(service, image, "", prompt, prompt, *values)[0]

    hazy, good = upload(Image.open(HAZY).reduce(2), "hazy.png"), upload(GOOD["landscape"], "good.png")
    for prompt in ("", "fix it"):
        assert re.match(r"I would do: \*\*.*remove haze \(strength .*\*\*, in about ", plan(hazy, prompt)), (
            prompt
        )
        assert plan(good, prompt) == f"I would do: **nothing**. {planning.UNCHANGED}", prompt
    needed = service.diagnose(hazy["path"]).tasks
    assert (
        service.restorer(hazy["path"], planning.fixing("leave the haze", ["deblur"], *LEFT_OPEN)).tasks
        == needed
    )
    kept = plan(good, "fix the blur", "deblur")
    assert kept.startswith("I would do: **nothing**") and "Fix blur: not done, as the photo shows no" in kept
    assert plan(good, "", "deblur").startswith("I understood: **fix blur**"), "a chip insists"
    assert plan(hazy, "remove the haze") == NOTHING_ASKED, "its chip was taken off by hand"


def test_bars_show_every_defect_and_chips_are_marked_not_ticked(service: Service) -> None:
    hazy = upload(Image.open(HAZY).reduce(2), "hazy.png")
    bars, marked = findings.look(service, hazy)
    percents = {bar.name: bar.percent for bar in bars.bars}
    assert list(percents) == [defect_of(name) for name in service.diagnose(hazy["path"]).severities]
    assert max(percents, key=percents.get) == "hazy" and "hazy" in bars.sentence
    assert "hazy" in [bar.name for bar in bars.bars if bar.kind]
    assert ("Remove haze · suggested", "dehaze") in marked.choices and marked.value == []
    bars, marked = findings.look(service, upload(GOOD["landscape"], "good.png"))
    assert bars.sentence == "Nothing wrong was found." and not any(bar.kind for bar in bars.bars)
    plain = [(task.title, name) for name, task in TASKS.items()]
    plain[2:2] = [(title, name) for name, title in chips.AGED.items()]
    assert marked.choices == plain
    (Path(get_upload_folder()) / "letter.png").write_text("Dear reader")
    for nothing_to_see in (None, {"path": str(Path(get_upload_folder()) / "letter.png")}):
        bars, marked = findings.look(service, nothing_to_see)
        assert bars is None and marked.choices == plain


def test_what_no_task_removes_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Diagnosis, "present", {"crooked": 0.9})
    found = findings.found(Diagnosis({"deblur": 0.1, "crooked": 0.9}))
    assert [(bar.name, bar.percent, bar.kind, bar.note) for bar in found.bars] == [
        ("blurred", 10, "", ""),
        ("crooked", 90, "there", "(no task yet)"),
    ]


def test_a_photo_is_looked_at_once_however_many_ask(tmp_path: Path) -> None:
    photo, other = str(tmp_path / "photo.png"), str(tmp_path / "other.png")
    for path in (photo, other):
        picture(64, 64).save(path)
    looked, all_ask = [], threading.Event()

    def find(path: str) -> Diagnosis:
        looked.append(path)
        all_ask.wait(60)
        return app.RESTORER.diagnose(path)

    diagnoses = Diagnoses(find)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(diagnoses.of, photo) for _ in range(4)]
        all_ask.set()
        assert len({id(one.result()) for one in asked}) == 1 and looked == [photo]
    os.link(photo, f"{photo}.again")  # as a photo with a preview is kept
    assert diagnoses.of(f"{photo}.again") is asked[0].result() and len(looked) == 1
    diagnoses.of(other)
    assert looked == [photo, other]
    Path(photo).write_text("no photo any more")
    for _ in range(2):
        with pytest.raises(ImageError):
            diagnoses.of(photo)


def test_a_diagnosis_computes_in_one_thread_and_all_else_in_as_many_as_before(tmp_path: Path) -> None:
    picture(64, 64).save(tmp_path / "photo.png")
    before, used = torch.get_num_threads(), []
    torch.set_num_threads(3)

    def find(path: str) -> Diagnosis:
        used.append(torch.get_num_threads())
        return Diagnosis({})

    def ask_in_a_new_thread() -> int:
        with ThreadPoolExecutor(1) as other:
            return other.submit(torch.get_num_threads).result()

    try:
        Diagnoses(find).of(str(tmp_path / "photo.png"))
        assert (used, ask_in_a_new_thread(), torch.get_num_threads()) == ([1], 3, 3)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("request_", "prompt", "tasks", "remark"),
    [
        (Request(), "", None, ""),
        (Request(auto=True, fidelity=0.5), "", None, ""),
        (Request(auto=True, scale=2), "enhance", None, ""),
        (Request("make it better", auto=True), "make it better", None, ""),
        (Request("fix the blur", auto=True), "fix the blur", None, given.ALSO_BY_THE_PHOTO),
        (Request("fix the blur", strength=0.5), "fix the blur", "deblur:0.5", ""),
        (Request(strength=0.5), "", None, "Its strength, 0.5, is no choice here."),
    ],
)
def test_how_a_result_was_made_comes_back_as_far_as_the_page_can(
    request_: Request, prompt: str, tasks: str | None, remark: str
) -> None:
    texts, notes = given._texts(request_)
    assert (texts["prompt"], texts.get("tasks"), notes) == (prompt, tasks, [remark] if remark else [])

"""Just fix it: who asks for nothing gets what the photo needs, and is told; `lwr diagnose` tells it alone."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from test_cli import run
from test_diagnose import GOOD, SAMPLES

from lwr.batch.diagnoses import Maps, diagnoses
from lwr.batch.inputs import Named
from lwr.cli import Loading
from lwr.diagnose import Diagnosis
from lwr.fit import NO_STRENGTH, UNCHANGED, fit_to
from lwr.images.files import ImageError, save
from lwr.loading.diagnosis import load_head
from lwr.prompt import route
from lwr.record import like, recorded
from lwr.request import Request, RestoreError, Settings
from lwr.restore import Restored, Restorer

HAZY = Image.open(SAMPLES / "hazy-rocket.jpg").reduce(2)
TEXT = GOOD["text"]


def met(
    restorer: Restorer, request: Request, severities: Mapping[str, float], side: int = 2000
) -> tuple[Settings, tuple[str, ...]]:
    """(settings, notes) of a request for a square photo with these defects."""
    found = Diagnosis(dict.fromkeys(load_head().defects, 0.0) | dict(severities))
    fit = fit_to(request, restorer.settings, (side, side), lambda: found)
    return fit.settings, fit.remarks


def said(restored: Restored, start: str) -> str:
    (note,) = [note for note in restored.notes if note.startswith(start)]
    return note


def test_who_asks_for_nothing_gets_what_the_photo_needs(restorer: Restorer) -> None:
    hazy = HAZY.crop((80, 40, 240, 200))
    first, *others = (
        restorer(hazy, **asked)
        for asked in ({}, {"prompt": "make it better"}, {"prompt": " ", "task": "auto", "auto": True})
    )
    assert first.tasks["dehaze"] > 0 and not first.settings.general
    for other in others:
        assert other.settings == first.settings and np.array_equal(other.image, first.image)
    note, found = said(first, "Found: "), first.settings.found
    assert f"hazy ({found['dehaze']:.2f})" in note and "Done: " in note
    assert f"remove haze (strength {first.tasks['dehaze']:g})" in note
    severities = restorer.diagnose(hazy).severities
    assert found == {name: round(severity, 2) for name, severity in severities.items()}
    s = first.settings
    again = restorer(hazy, task=s.tasks, scale=s.scale, fidelity=s.fidelity)
    assert np.array_equal(again.image, first.image) and again.settings == s and again.settings.found == {}


def test_a_good_photo_comes_back_bit_for_bit_and_that_is_said(
    restorer: Restorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Loading, "restorer", lambda _: restorer)  # is loaded already
    TEXT.save(tmp_path / "good.png")
    for options in ((), ("--auto",), ("--prompt", "fix it"), ("--prompt", "")):
        done = run("restore", tmp_path / "good.png", *options, "--json", "--overwrite")
        (line,) = done.lines
        assert done.status == 0 and (line["tasks"], line["scale"]) == ({}, 1), options
        assert UNCHANGED in line["notes"] and UNCHANGED in done.err
        assert set(line["found"]) == set(load_head().defects)
        assert np.array_equal(Image.open(line["output"]), TEXT)
    assert recorded(line["output"]).settings["found"] == line["found"]
    untouched = restorer(TEXT, task=line["tasks"])
    assert np.array_equal(untouched.image, TEXT), "the printed settings reproduce it"


def test_a_sentence_or_a_task_beside_auto_is_done_too(restorer: Restorer) -> None:
    both = {"dehaze": 1.0, "deblur": 1.0}
    tasks = met(restorer, Request("enlarge it 2x", auto=True), {"dehaze": 1.0})[0].tasks
    assert tasks == {"super-resolution": 1.0, "dehaze": 1.0}
    assert met(restorer, Request("remove the haze", auto=True), {"deblur": 1.0})[0].tasks == {
        "dehaze": 0.0, "deblur": 1.0,
    }, "the haze is named, and not there"  # fmt: skip
    assert met(restorer, Request(task="dehaze", auto=True), {"deblur": 1.0})[0].tasks == both
    assert met(restorer, Request(task="dehaze"), {"deblur": 1.0})[0].tasks == {"dehaze": 1.0}
    settings, notes = met(restorer, Request("leave the fog", auto=True), both)
    assert settings.tasks == {"deblur": 1.0} and "Left out, as you asked: remove haze." in notes[0]
    settings, notes = met(restorer, Request("make it darker", auto=True), both)
    assert settings.tasks == both and notes[0].endswith("no task for it yet: darkening.")
    alike = {"super-resolution": 1.0, "deblur": 1.0}
    assert met(restorer, Request("fix it, but don't enlarge it"), alike)[0].tasks == {"deblur": 1.0}
    for nonsense in ("qwertz uiop", "what a lovely day"):
        with pytest.raises(RestoreError, match="you can ask me to"):
            restorer.resolve(nonsense, auto=True)


def test_a_scale_or_a_size_alone_still_enlarges(restorer: Restorer) -> None:
    for given in ({"scale": 2}, {"size": "4k"}):
        asked = Request(**given).asked()
        assert asked.tasks == {"super-resolution": 1.0} and not asked.general
        assert replace(Request(**given), auto=True).asked().general
    settings, _ = met(restorer, Request(scale=1), {"super-resolution": 1.0}, side=200)
    assert (settings.tasks, settings.scale) == ({"super-resolution": 1.0}, 1), "it keeps its size"
    assert met(restorer, Request(), {"super-resolution": 1.0}, side=200)[0].scale == 2


def test_what_was_found_and_done_is_said_in_plain_words(restorer: Restorer) -> None:
    def notes(severities: Mapping[str, float], **asked: object) -> str:
        return " ".join(met(restorer, Request(**asked), severities)[1])

    assert notes({"dehaze": 1.0}) == "Found: very hazy (1.00). Done: remove haze (strength 1)."
    assert notes({}) == UNCHANGED
    assert notes({}, auto=True, scale=2) == "Nothing wrong was found. Done: enlarge 2x (strength 1)."
    assert notes({"dehaze": 1.0}, prompt="remove the haze") == "", "who names it is told what was not done"
    assert notes({"crooked": 1.0}) == (
        "Found: very crooked (1.00). The photo stays very crooked, as there is no task for that yet."
    )


def test_a_general_sentence_says_how_much(restorer: Restorer) -> None:
    found = {"dehaze": 0.32}
    usual = met(restorer, Request("enhance it"), found)[0].tasks["dehaze"]
    part = route("slightly enhance it").degree
    assert 0 < part < 1 and route("enhance it").degree is None and route("slightly dehaze it").degree is None
    for sentence in ("slightly enhance it", "improve this photo a little"):
        assert met(restorer, Request(sentence), found)[0].tasks == {"dehaze": round(part * usual, 2)}, (
            sentence
        )
    assert met(restorer, Request("enhance it strongly"), found)[0].tasks == {"dehaze": 1.0}


def test_strength_is_for_all_tasks_and_insists(restorer: Restorer) -> None:
    for asked in ({"prompt": "remove the haze"}, {"task": "dehaze"}, {"task": {"dehaze": 0.2}}):
        assert met(restorer, Request(strength=0.4, **asked), {})[0].tasks == {"dehaze": 0.4}, asked
    clear = met(restorer, Request("remove the haze"), {})
    assert clear[0].tasks == {"dehaze": 0.0} and "say “strongly” or ask for strength 1" in clear[1][0]
    for insisting in (Request("strongly remove the haze"), Request("remove the haze", strength=1)):
        assert met(restorer, insisting, {}) == met(restorer, Request(task="dehaze"), {})
    settings, notes = met(restorer, Request(strength=0.3), {"dehaze": 1.0})
    assert settings.tasks == {"dehaze": 0.3} and notes[0].endswith("Done: remove haze (strength 0.3).")
    slight = {"dehaze": 0.3}  # of which a part is done anyway
    usual = met(restorer, Request(), slight)[0].tasks["dehaze"]
    for less in (Request(strength=0.5), Request("slightly enhance it", strength=0.5)):
        assert met(restorer, less, slight)[0].tasks == {"dehaze": round(0.5 * usual, 2)}, (
            "never more than none"
        )
    assert met(restorer, Request(strength=1), slight)[0].tasks == {"dehaze": 1.0}
    for asked in ({}, {"task": "super-resolution"}, {"prompt": "fix the blur"}):
        settings, notes = met(restorer, Request(strength=0, **asked), {"super-resolution": 1.0}, side=200)
        assert not any(settings.tasks.values()) and settings.scale == 1 and NO_STRENGTH in notes, asked
    nothing = restorer(TEXT, "fix the blur", strength=0)
    assert np.array_equal(nothing.image, TEXT)


def test_two_defects_at_once_are_found_and_each_has_its_pass(restorer: Restorer) -> None:
    calls: list[str] = []
    photo = HAZY.filter(ImageFilter.GaussianBlur(2.5))
    restored = restorer(photo, scale=1, progress=lambda _done, _all, what: calls.append(what))
    done = {name for name, strength in restored.tasks.items() if strength > 0}
    assert "dehaze" in done and done & {"deblur", "super-resolution"}
    assert done <= {"dehaze", "deblur", "super-resolution"}
    assert set(restored.settings.adapters) == done and calls == len(done) * [
        "encoding",
        "restoring",
        "decoding",
    ]
    note = said(restored, "Found: ")
    assert "hazy (" in note and note.count("(strength ") == len(done)


def test_what_happened_last_is_undone_first(restorer: Restorer) -> None:
    photo, told = HAZY.crop((80, 40, 240, 200)), []
    tasks = {"dehaze": 1.0, "deblur": 0.7}
    both = restorer(
        photo, task=tasks, fidelity=0.6, progress=lambda done, total, _: told.append((done, total))
    )
    first = restorer(photo, task={"deblur": 0.7}, fidelity=0.6)
    then = restorer(first.loaded, task="dehaze", fidelity=1.0)  # sharpness is not what haze takes
    assert np.array_equal(both.image, then.image) and both.tasks == tasks
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)], "one count for all passes"


def test_results_keep_auto_and_strength_for_like(restorer: Restorer, tmp_path: Path) -> None:
    asked = Request("leave the fog", auto=True, strength=0.5)
    result = save(restorer(TEXT, asked).loaded, tmp_path / "result.png")
    assert recorded(result).request == asked == like(result, Request())
    assert like(result, Request("fix the blur")) == Request("fix the blur", strength=0.5)
    assert like(result, Request(task="deblur")).auto is False
    named = save(restorer(TEXT, task="deblur").loaded, tmp_path / "named.png")
    assert like(named, Request(auto=True)) == Request(task="deblur", auto=True)
    assert like(save(restorer(TEXT).loaded, tmp_path / "left open.png"), Request()) == Request()


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A hazy and a good photo, a result of an earlier run, a damaged file, and a photo in a subfolder."""
    (tmp_path / "album" / "deep").mkdir(parents=True)
    for name, photo in (("hazy.jpg", HAZY), ("good.png", TEXT), ("good.restored.png", TEXT)):
        photo.save(tmp_path / "album" / name)
    (tmp_path / "album" / "letter.jpg").write_text("Dear reader")
    HAZY.rotate(90, expand=True).save(tmp_path / "album" / "deep" / "hazy.jpg")
    return tmp_path / "album"


def test_diagnose_says_what_is_wrong_with_each_photo(
    restorer: Restorer, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Restorer, "load", lambda *_, **__: pytest.fail("loads a network"))
    before = sorted(album.rglob("*"))
    done = run("diagnose", album, "--json")
    good, hazy, letter = done.lines
    assert done.status == 1 and "left out 1 result (good.restored.png)" in done.err
    assert [Path(line["input"]).name for line in done.lines] == ["good.png", "hazy.jpg", "letter.jpg"]
    assert hazy["tasks"]["dehaze"] > 0 and hazy["sentence"].startswith("The photo is ")
    assert {name: hazy[name] for name in ("severities", "sentence", "tasks")} == restorer.diagnose(
        hazy["input"]
    ).json()
    assert list(good) == ["input", "severities", "sentence", "tasks", "scale"]
    assert (good["tasks"], good["scale"]) == ({}, 1)
    assert set(letter) == {"input", "error"} and "is not an image" in letter["error"]
    spoken = run("diagnose", album / "hazy.jpg", album / "good.png", album / "letter.jpg")
    assert spoken.status == 1 and spoken.out.count("\n") == 2 and spoken.err.count("\n") == 1
    assert f"{hazy['sentence'].removesuffix('.')} (" in spoken.out
    assert f"hazy {hazy['severities']['dehaze']:.2f}" in spoken.out
    assert "good.png: Nothing wrong was found (" in spoken.out
    assert sorted(album.rglob("*")) == before, "nothing is written"
    assert run("diagnose", album / "deep").status == 0
    assert len(run("diagnose", album, "--recursive", "--json").lines) == 4
    assert run("diagnose").status == 2


def test_diagnose_writes_maps_and_never_over_a_file(album: Path) -> None:
    maps = album.parent / "new" / "maps"
    words = ("diagnose", album / "hazy.jpg", "--maps", maps, "--json")
    (line,) = run(*words).lines
    assert sorted(map(str, maps.iterdir())) == sorted(line["maps"].values())
    for name, file in line["maps"].items():
        grey = Image.open(file)
        assert (grey.mode, grey.size, Path(file).name) == ("L", HAZY.size, f"hazy.{name}.png")
    assert run(*words).status == (1 if line["maps"] else 0) and run(*words, "--overwrite").status == 0
    refused = run("diagnose", album / "good.png", "--maps", album / "good.png", "--json")
    assert refused.status == 2 and refused.err.count("\n") == 1 and "choose another --maps" in refused.err
    nameless = run("diagnose", album / "good.png", "--maps", "", "--json")  # a path takes it for where one is
    assert nameless.status == 2 and nameless.err == "The folder for --maps has no name: give one.\n"
    assert set(refused.lines[0]) == {"input", "error"}


def test_maps_are_grey_pictures_of_the_photos_size(tmp_path: Path) -> None:
    dense = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    found = Diagnosis({"dehaze": 0.9}, {"dehaze": dense})
    maps = Maps(tmp_path)
    first, second = maps.bases([Named("a/photo.jpg"), Named("b/photo.jpg")])
    for base, name in ((first, "photo.dehaze.png"), (second, "photo-2.dehaze.png")):
        assert maps.write(found, (60, 80), base) == {"dehaze": str(tmp_path / name)}
    grey = np.asarray(Image.open(tmp_path / "photo.dehaze.png"))
    assert grey.shape == (60, 80) and grey[0, 0] == 0 and grey[-1, -1] == 255 and np.ptp(grey[30]) > 50
    (tmp_path / "photo.dehaze.png").write_bytes(b"precious")
    with pytest.raises(ImageError, match="already exists"):
        maps.write(found, (60, 80), first)
    assert (tmp_path / "photo.dehaze.png").read_bytes() == b"precious"
    (line,) = diagnoses([Named("no photo here", error="No photo.")], maps)
    assert line == {"input": "no photo here", "error": "No photo."}

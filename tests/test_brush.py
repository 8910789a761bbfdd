"""The brush and the chip for old photos: what is painted on the page is filled in the photo, no more."""

# ruff: noqa: F811 (fixtures of test_page.py)

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from gradio.utils import get_upload_folder
from PIL import Image, ImageDraw
from playwright.sync_api import BrowserContext, Page, expect
from served import exif, picture
from test_page import (  # noqa: F401
    CHROMIUM,
    SENTENCE,
    SIZES,
    any_page,
    browser,
    contexts,
    download,
    faults,
    give,
    opened,
    page,
    plans,
    shows,
    url,
)

from lwr.images.errors import ImageError
from lwr.images.formats import readable_formats
from lwr.prompt.old import REPAIRS
from lwr.prompt.router import ALSO
from lwr.record import recorded
from lwr.repair.photo import HAZY, TOO_SMALL
from lwr.request import RestoreError
from lwr.tasks import TASKS
from page import brush, chips, given, links, planning
from page.options import OPTIONS
from page.words import said, table

in_browser = pytest.mark.skipif(not CHROMIUM, reason="needs chromium (Debian's)")
LEFT_OPEN = [None] * len(OPTIONS) + [1] * len(TASKS)
PAINT = "#result [data-do=brush]"
STROKES = "JSON.parse(document.querySelector('#result .cmp').painted || '{\"strokes\": []}').strokes"
SHOWN = """() => {
  const box = (part) => document.querySelector(`#result ${part}`).getBoundingClientRect();
  const picture = box(".cmp-after img"), stage = box(".cmp-stage");
  return [picture.x, picture.y, picture.width, picture.height, stage.x, stage.y];
}"""


@pytest.fixture
def upload() -> Callable[..., dict[str, Any]]:
    """A photo of this size as the browser sends it."""

    def made(width: int, height: int) -> dict[str, Any]:
        path = Path(get_upload_folder()) / "brush.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(width, height).save(path)
        return {"path": str(path)}

    return made


def painted(image: dict[str, Any], *strokes: dict[str, Any]) -> str:
    return json.dumps({"photo": image["path"], "strokes": strokes})


def stroke(share: float, *points: tuple[float, float]) -> dict[str, Any]:
    return {"width": share, "points": points}


def test_strokes_become_a_mask_of_the_photos_size(upload: Callable[..., dict[str, Any]]) -> None:
    image = upload(400, 200)
    mask = np.asarray(brush.mask_of(painted(image, stroke(0.02, (0.25, 0.5), (0.75, 0.5))), image))
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    assert mask.shape == (200, 400) and len(rows) in (8, 9) and abs(rows.mean() - 100) <= 1
    assert abs(columns[0] - 96) <= 1 and abs(columns[-1] - 304) <= 1
    dot = np.asarray(brush.mask_of(painted(image, stroke(0.001, (0.9999, 1.0))), image))
    assert dot.sum() <= 1, "beside the photo there is nothing to paint"
    assert brush.pixels(image) == "400x200" and brush.pixels(None) == ""


def test_one_stroke_of_the_widest_brush_is_never_too_wide(upload: Callable[..., dict[str, Any]]) -> None:
    image = upload(400, 400)
    for end in ((0.9, 0.5), (0.9, 0.9), (0.5, 0.9), (0.7, 0.9), (0.9, 0.6), (0.51, 0.5)):
        mask = brush.mask_of(painted(image, stroke(brush.WIDEST / 400, (0.5, 0.5), end)), image)
        assert np.asarray(mask).sum() > 600
    wide = [stroke(brush.WIDEST / 400, (0.2, y), (0.8, y)) for y in (0.4, 0.45, 0.5)]
    with pytest.raises(ImageError, match="wider than 32 pixels"):
        brush.mask_of(painted(image, *wide), image)


def test_what_cannot_be_read_is_a_sentence_and_other_photos_strokes_do_not_count(
    upload: Callable[..., dict[str, Any]],
) -> None:
    image = upload(64, 64)
    one = stroke(0.1, (0.5, 0.5))
    assert brush.mask_of("", image) is None and brush.mask_of(painted(image), image) is None
    assert brush.mask_of(painted({"path": "other.png"}, one), image) is None
    assert brush.mask_of(painted(image, one), None) is None
    nan = stroke(0.1, (float("nan"), 0.5)), stroke(float("inf"), (0.5, 0.5)), stroke(-1, (0.5, 0.5))
    bad = [
        "{",
        "7",
        "[" * 100_000,
        painted(image, {"width": 1}),
        painted(image, stroke(0.1, (1,))),
    ]
    for text in (*bad, *(painted(image, each) for each in nan), painted(image, stroke(0.1, (9e9, 0)))):
        with pytest.raises(RestoreError, match="cannot be read"):
            brush.mask_of(text, image)
    with pytest.raises(RestoreError, match="Too much"):
        brush.mask_of(painted(image, stroke(0.1, *[(0.5, 0.5)] * (brush.MOST_POINTS + 1))), image)


def test_the_chip_asks_for_what_the_sentence_does() -> None:
    by_hand = planning.request_from("", "", [chips.OLD], *LEFT_OPEN)
    text = "restore this old photo"
    said_so = planning.request_from(text, text, [chips.OLD], *LEFT_OPEN)
    assert len(by_hand.asked().repairs) == 2 and by_hand.asked().general and not by_hand.asked().tasks
    assert said_so.prompt == text and said_so.asked().tasks == by_hand.asked().tasks
    assert chips.understood(text, "")[0] == [chips.OLD] and chips.understood("dehaze", "")[0] == ["dehaze"]
    with pytest.raises(RestoreError, match="Say what is wrong"):
        planning.request_from(text, text, [], *LEFT_OPEN)
    beside = planning.request_from("", "", [chips.OLD, "dehaze"], *LEFT_OPEN)
    assert beside.asked().repairs and beside.asked().tasks == {"dehaze": 1} and not beside.asked().general
    without = planning.request_from(
        "sharpen, remove the scratches", "sharpen, remove the scratches", ["deblur"], *LEFT_OPEN
    )
    assert not without.asked().repairs and without.asked().tasks == {"deblur": 1}
    assert links.values_for({"tasks": "dehaze:0.5,old"})[1] == ["dehaze", chips.OLD]
    assert links.values_for({"prompt": text})[1] == [chips.OLD]
    texts, _ = given._texts(by_hand)
    assert texts["tasks"] == chips.OLD


def test_each_repair_has_its_chip() -> None:
    for text, ticked in (
        ("remove the scratches", ["scratches"]),
        ("remove the scratches and fix the faded colours", ["scratches", "fading"]),
        ("restore the old photo but keep the scratches", ["fading"]),
    ):
        assert chips.understood(text, "")[0] == links.values_for({"prompt": text})[1] == ticked
        assert planning.request_from(text, text, ticked, *LEFT_OPEN).prompt == text
    for text, ticked, repairs, general in (
        ("", ["scratches"], ("scratches",), False),
        ("restore this old photo", ["fading"], ("fading",), True),
        ("remove the scratches", ["fading"], ("fading",), False),
        ("remove the scratches", ["scratches", "fading"], ("scratches", "fading"), False),
        ("remove the scratches", [chips.OLD], ("scratches", "fading"), True),
    ):
        request = planning.request_from(text, text, ticked, *LEFT_OPEN)
        assert (request.asked().repairs, request.asked().general) == (repairs, general), (text, ticked)
        said_again, ticked_again = links.values_for(given._texts(request)[0])[:2]  # of its result's record
        again = planning.request_from(said_again, said_again, ticked_again, *LEFT_OPEN).asked()
        assert (again.repairs, again.general) == (repairs, general), (text, ticked)
    by_hand = planning.request_from("", "", ["scratches", "deblur"], *LEFT_OPEN)
    assert by_hand.asked().repairs == ("scratches",) and by_hand.asked().tasks == {"deblur": 1}
    assert links.values_for({"tasks": "dehaze:0.5,fading"})[1] == ["dehaze", "fading"]


def test_what_is_painted_alone_asks_for_no_more() -> None:
    mask = Image.new("1", (8, 8), 1)
    assert planning.request_from("", "", [], *LEFT_OPEN, mask=mask).asked().general is False
    assert (
        planning.request_from("fix the blur", "fix the blur", [], *LEFT_OPEN, mask=mask).asked().tasks == {}
    )
    assert planning.fixing("", [], *LEFT_OPEN, mask=mask).mask is mask


def test_notes_on_old_photos_are_translated() -> None:
    for name, known in (("de", "Pixel"), ("es", "píxeles"), ("fr", "pixels"), ("ja", "画素"), ("zh", "像素")):
        for note in (
            "Filled as painted: 1,234 pixels (0.50%).",
            "Scratches and dust filled: 1,234 pixels (0.50%).",
            "The mask has a hole wider than 32 pixels (around 10, 20), and larger ones cannot be filled "
            "by this prior: paint over less, or make photo and mask smaller first.",
            "Done: **fill 1,234 pixels, correct faded colours (strength 0.5)**, 64x64 pixels, 0.1 s",
        ):
            found = said(note, name)
            assert known in found and not re.search(r"\b(fill|painted|mask|faded|filled)\b", found, re.I), (
                found
            )
        for note in (
            "Faded colours corrected (strength 0.5).",
            HAZY,
            TOO_SMALL,
            brush.UNREADABLE,
            brush.TOO_MUCH,
        ):
            assert said(note, name) != note


def scratched(path: Path, width: int, height: int, **saved: Any) -> Path:
    """A photo with a white scratch across its middle, from 0.3 to 0.7 of its width."""
    photo = picture(width, height)
    line = [(0.3 * width, 0.5 * height), (0.7 * width, 0.5 * height)]
    ImageDraw.Draw(photo).line(line, fill="white", width=max(2, width // 200))
    (photo.transpose(Image.Transpose.ROTATE_90) if "exif" in saved else photo).save(path, **saved)
    return path


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    """Where a place of the photo, in shares of its sides, is on the screen."""
    left, top, width, height, *_ = page.evaluate(SHOWN)
    return left + x * width, top + y * height


def start_painting(page: Page) -> None:
    page.click(PAINT)
    page.wait_for_selector("#result .cmp.brushing.alone")
    page.wait_for_function("document.activeElement.className == 'cmp-paper'")


def paint(page: Page, *places: tuple[float, float]) -> None:
    page.mouse.move(*at(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*at(page, *place), steps=6)
    page.mouse.up()


def changed(before: Path, after: Path) -> np.ndarray:
    """(H,W) where a result differs from its photo, upright."""
    from PIL import ImageOps

    one, other = (
        np.asarray(ImageOps.exif_transpose(Image.open(each)).convert("RGB"), int) for each in (before, after)
    )
    return np.abs(one - other).max(-1) > 0


@in_browser
def test_a_photo_larger_than_the_screen_is_painted_and_filled(any_page: Page, tmp_path: Path) -> None:
    expect(any_page.locator(PAINT)).to_be_hidden()  # the brush rests while there is no photo
    photo = scratched(tmp_path / "held.png", 1500, 2000, exif=exif(orientation=6))
    assert Image.open(photo).size == (2000, 1500)
    give(any_page, photo)
    expect(any_page.locator(PAINT)).to_be_visible()
    plans(any_page, "I would do")
    start_painting(any_page)
    paint(any_page, (0.1, 0.2), (0.3, 0.2))
    paint(any_page, (0.28, 0.5), (0.72, 0.5))
    any_page.click("#result [data-do=undo]")
    any_page.click("#result [data-do=undo]")
    expect(any_page.locator("#result [data-do=undo]")).to_be_disabled()
    assert any_page.evaluate(f"{STROKES}.length") == 0
    paint(any_page, (0.28, 0.5), (0.72, 0.5))
    plans(any_page, "I would do: fill what is painted, in about")
    expect(any_page.locator("#restore")).to_have_class(re.compile("primary"))
    assert not faults(any_page)
    assert any_page.evaluate("document.documentElement.scrollWidth") <= any_page.viewport_size["width"]
    any_page.click("#restore")
    shows(any_page, "#done", "Filled as painted: ")
    expect(any_page.locator("#result .cmp.brushing")).to_have_count(0)
    hole = changed(photo, download(any_page, tmp_path))
    rows, columns = hole.any(1).nonzero()[0], hole.any(0).nonzero()[0]
    assert hole.shape == (2000, 1500) and 990 < rows.mean() < 1010 and rows.max() - rows.min() < 32
    assert 400 < columns.min() < 460 and 1040 < columns.max() < 1100
    any_page.locator("#photo button[aria-label='Remove Image'], #photo button[title='Remove Image']").click()
    expect(any_page.locator(PAINT)).to_be_hidden()
    assert any_page.evaluate("document.querySelector('#result .cmp').painted") == ""


@in_browser
@pytest.mark.parametrize("name", ["scan.tiff", "phone.heic"])
def test_a_finger_paints_on_a_preview_and_two_zoom(
    contexts: dict[str, BrowserContext], url: str, tmp_path: Path, name: str
) -> None:
    readable_formats()  # lets Pillow write HEIC
    phone = opened(contexts["phone"], url)
    photo = scratched(tmp_path / name, 2400, 1600)
    phone.set_input_files("#photo input[type=file]", photo)
    phone.wait_for_selector(f"#result .cmp.alone img[src*='{name}.preview.webp']")
    expect(phone.locator(PAINT)).to_be_visible()
    plans(phone, "I would do")
    start_painting(phone)
    devtools = phone.context.new_cdp_session(phone)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    width = phone.evaluate(SHOWN)[2]
    left, right = at(phone, 0.4, 0.5), at(phone, 0.6, 0.5)
    touch("touchStart", left)
    touch("touchStart", left, right)
    touch("touchMove", (left[0] - 60, left[1]), (right[0] + 60, right[1]))
    touch("touchEnd")
    phone.wait_for_function(f"({SHOWN})()[2] > {1.5 * width}")
    assert phone.evaluate(f"{STROKES}.length") == 0, "two fingers do not paint"
    touch("touchStart", at(phone, 0.4, 0.5))
    touch("touchMove", at(phone, 0.5, 0.5))
    touch("touchMove", at(phone, 0.6, 0.5))
    touch("touchEnd")
    phone.wait_for_function(f"{STROKES}.length == 1")
    plans(phone, "I would do: fill what is painted")
    phone.click("#restore")
    shows(phone, "#done", "Filled as painted: ")
    hole = changed(photo, download(phone, tmp_path))
    rows, columns = hole.any(1).nonzero()[0], hole.any(0).nonzero()[0]
    assert hole.shape == (1600, 2400) and 785 < rows.mean() < 815 and rows.max() - rows.min() < 32
    assert 920 < columns.min() < 970 and 1430 < columns.max() < 1480
    phone.close()


@in_browser
def test_by_keyboard_alone_and_what_is_too_wide(page: Page, tmp_path: Path) -> None:
    give(page, scratched(tmp_path / "small.png", 200, 150))
    plans(page, "I would do")
    shown = page.locator("#result .there img").get_attribute("src")
    page.locator(PAINT).focus()
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.className == 'cmp-paper'")
    for key in ("[", "Space", *["ArrowRight"] * 9, "Space"):
        page.keyboard.press(key)
    points = page.evaluate(f"{STROKES}[0].points")
    assert len(points) == 10 and points[0] == [0.5, 0.5] and points[-1][0] > 0.55 and points[-1][1] == 0.5
    plans(page, "I would do: fill what is painted")
    page.keyboard.press("Control+z")
    assert page.evaluate(f"{STROKES}.length") == 0
    slider = page.get_by_label("Brush size")
    slider.focus()
    slider.press("End")
    assert slider.input_value() == str(brush.WIDEST)
    for y in (0.4, 0.5, 0.6):
        paint(page, (0.2, y), (0.8, y))
    plans(page, "The mask has a hole wider than 32 pixels")
    page.click("#restore")
    shows(page, "#status", "Not restored. The mask has a hole wider than 32 pixels")
    assert page.locator("#result .there img").get_attribute("src") == shown, "the last picture stays"
    page.click("#result [data-do=clear]")
    plans(page, "I would do")
    page.locator("#result .cmp-paper").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#result .cmp.brushing")).to_have_count(0)


@in_browser
def test_an_old_photo_by_its_chip(any_page: Page, tmp_path: Path) -> None:
    photo = Image.fromarray(skimage.data.astronaut()).resize((320, 320))
    faded = photo.point([round(60 + 0.5 * value) for value in range(256)] * 3)
    faded.save(tmp_path / "old.png")
    chip = any_page.locator("#tasks").get_by_label("Old photo")
    labels = [one for one in any_page.locator("#tasks .wrap label").all() if one.is_visible()]
    assert len(labels) == len(TASKS) + 1 and len({label.bounding_box()["y"] for label in labels}) <= 3
    one = any_page.locator("#tasks").get_by_label("Fill scratches")
    any_page.fill(SENTENCE, "remove the scratches")
    expect(one).to_be_checked()
    expect(one).to_be_visible()
    any_page.fill(SENTENCE, "restore this old photo")
    expect(chip).to_be_checked()
    any_page.fill(SENTENCE, "")
    expect(chip).not_to_be_checked()
    expect(one).to_be_hidden()
    give(any_page, tmp_path / "old.png")
    chip.check()
    expect(one).to_be_visible()
    plans(any_page, "fill scratches and dust, correct faded colours")
    any_page.click("#restore")
    shows(any_page, "#done", "Faded colours corrected (strength ")
    expect(any_page.locator("#done")).to_contain_text("correct faded colours")
    any_page.get_by_text("Settings of this result").click()
    expect(any_page.get_by_text('"faded"')).to_be_visible()
    request = recorded(download(any_page, tmp_path)).request
    assert request.old and request.auto and not request.prompt


def test_the_chip_and_the_brush_have_their_words() -> None:
    for name in ("de", "es", "fr", "ja", "zh"):
        does = {repair.does for repair in REPAIRS.values()}
        words = {*chips.AGED.values(), "Paint over damage", "Brush size", planning.FILL, *does, *ALSO}
        assert words <= table(name).keys()
    assert set(SIZES) == {"desk", "phone"}

"""The page as visitors meet it: a real server and a real browser, at desk and phone width."""

import re
import shutil
import zipfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright
from served import MAKE, Server, exif, picture
from test_diagnose import GOOD
from test_findings import HAZY

from lwr.fit import deed
from lwr.images.formats import readable_formats
from lwr.loading.priors import LITE, bundled
from lwr.record import recorded
from lwr.tasks import TASKS
from page import about_tab, examples
from page.words import LANGUAGES, said, table

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs chromium (Debian's)")
SIZES = {"desk": {"width": 1280, "height": 1000}, "phone": {"width": 390, "height": 844}}
PATIENCE = 120_000  # ms that a page may take for anything on a busy machine
SENTENCE = "#sentence textarea, #sentence input"
STILL = "document.getAnimations().every(a => a.playState != 'running')"  # else colours are between two
UNMOVED = """() => {
  const place = JSON.stringify(document.querySelector('#restore').getBoundingClientRect());
  if (place != window.place) { window.place = place; window.moved = Date.now(); }
  return Date.now() - window.moved > 700;
}"""
FITS = """() => ['#result .cmp-bar', '#result .cmp-group', 'button.lg'].every((part) =>
  [...document.querySelectorAll(part)].every((one) => one.scrollWidth <= one.clientWidth))"""
TOO_LARGE = "File(s) exceed the maximum allowed size of {size}: {name}"
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return server.url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> dict[str, BrowserContext]:
    """One for each size, so that the page's scripts are fetched once; the phone likes it dark."""
    return {
        size: browser.new_context(viewport=viewport, color_scheme="dark" if size == "phone" else "light")
        for size, viewport in SIZES.items()
    }


def opened(context: BrowserContext, url: str) -> Page:
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(url)
    page.wait_for_selector("#restore")
    return page


@pytest.fixture
def page(contexts: dict[str, BrowserContext], url: str) -> Iterator[Page]:
    shown = opened(contexts["desk"], url)
    yield shown
    shown.close()


@pytest.fixture(params=list(SIZES))
def any_page(request: pytest.FixtureRequest, contexts: dict[str, BrowserContext], url: str) -> Iterator[Page]:
    shown = opened(contexts[request.param], url)
    yield shown
    shown.close()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A 96x64 photo that the camera held upright: 64x96."""
    path = tmp_path / "lying.jpg"
    picture(96, 64).save(path, exif=exif(orientation=6))
    return path


def give(page: Page, photo: Path, sentence: str = "") -> None:
    page.set_input_files("#photo input[type=file]", photo)
    page.wait_for_selector("#photo img")
    if sentence:
        page.fill(SENTENCE, sentence)


def shows(page: Page, selector: str, text: str) -> None:
    """Wait until a part of the page holds this text."""
    expect(page.locator(selector)).to_contain_text(text)


def plans(page: Page, text: str) -> None:
    """Wait until the plan says this and nothing moves: chips and sliders follow the sentence later."""
    shows(page, "#plan", text)
    page.wait_for_function(UNMOVED)


def compares(page: Page, width: int, height: int, comparison: str = "#result") -> None:
    """Wait until a comparison shows two pictures of this size in pixels."""
    page.wait_for_function(
        f"() => {{ const all = [...document.querySelectorAll('{comparison} .there img')];"
        " return all.length == 2 && all.every(i => i.complete &&"
        f" i.naturalWidth == {width} && i.naturalHeight == {height}); }}"
    )


def download(page: Page, folder: Path) -> Path:
    with page.expect_download() as coming:
        page.locator("#download").click()
    file = folder / coming.value.suggested_filename
    coming.value.save_as(file)
    return file


def faults(page: Page) -> str:
    """Serious faults of accessibility, once nothing moves."""
    page.wait_for_function(STILL)
    return "\n".join(
        f"{fault['id']}: {node['html'][:150]}"
        for fault in Axe().run(page).response["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    )


def test_a_visitor_restores_and_downloads_a_photo(any_page: Page, photo: Path, tmp_path: Path) -> None:
    give(any_page, photo, "slightly dehaze and enlarge it 2x")
    plans(any_page, "remove haze (strength 0.5), enlarge 2x, in about")
    any_page.click("#restore")
    compares(any_page, 128, 192)
    expect(any_page.locator("#done")).to_contain_text(
        "remove haze (strength 0.5), enlarge 2x, 128x192 pixels"
    )
    for kind, form in (("PNG", "PNG"), ("JPEG", "JPEG"), ("WebP", "WEBP")):
        any_page.get_by_label(kind, exact=True).check()
        shows(any_page, "#download:not([disabled])", f"Download {kind}")
        restored = Image.open(download(any_page, tmp_path))
        assert (restored.format, restored.size) == (form, (128, 192))
        assert restored.getexif()[MAKE] == "Test Camera"
    for kind in ("PNG", "JPEG"):  # the last choice wins, however quick
        any_page.get_by_label(kind, exact=True).check()
    shows(any_page, "#download:not([disabled])", "Download JPEG")
    any_page.get_by_text("Settings of this result").click()
    expect(any_page.get_by_text('"fidelity"')).to_be_visible()
    any_page.wait_for_function(
        "[...document.querySelectorAll('.json-node')].every(e => e.scrollWidth <= e.clientWidth)"
    )
    assert not faults(any_page) and any_page.locator("a[href^=mailto]").count() == 0
    assert any_page.evaluate("document.documentElement.scrollWidth") <= any_page.viewport_size["width"]
    strangers = [a for a in any_page.asked if a.startswith("http") and "//127.0.0.1" not in a]
    assert strangers == [], "the page must work without internet"


REMOVE = "#photo button[aria-label='Remove Image'], #photo button[title='Remove Image']"
LONGEST = """() => [...document.querySelectorAll('#findings li')]
  .map((row) => [row.querySelector('.bar > span').getBoundingClientRect().width, row.innerText])
  .sort((one, other) => other[0] - one[0])[0][1]"""


def test_what_is_wrong_shows_at_once_and_is_fixed_by_one_press(any_page: Page, tmp_path: Path) -> None:
    hazy, good = tmp_path / "hazy.png", tmp_path / "good.png"
    Image.open(HAZY).reduce(2).save(hazy)
    GOOD["landscape"].save(good)
    chip = any_page.locator("#tasks").get_by_label("Remove haze")
    expect(any_page.locator("#findings")).to_be_hidden()
    give(any_page, hazy)
    shows(any_page, "#findings [role=status]", "hazy")
    assert any_page.evaluate(LONGEST).startswith("hazy")
    shows(any_page, "#tasks", "Remove haze · suggested")
    expect(chip).not_to_be_checked()
    plans(any_page, "I would do: ")
    shows(any_page, "#plan", "remove haze")
    assert not faults(any_page)
    assert any_page.evaluate("document.documentElement.scrollWidth") <= any_page.viewport_size["width"]
    expect(any_page.locator("#fix")).to_have_class(re.compile("primary"))
    chip.check()  # what is asked for by hand is what Restore does
    expect(any_page.locator("#restore")).to_have_class(re.compile("primary"))
    expect(any_page.locator("#fix")).to_have_class(re.compile("secondary"))
    chip.uncheck()
    any_page.click("#fix")
    shows(any_page, "#done", "Found: ")
    expect(any_page.locator("#done")).to_contain_text(re.compile("Done: .*remove haze.*Found: .*hazy", re.S))
    any_page.locator(REMOVE).click()
    expect(any_page.locator("#findings")).to_be_hidden()
    expect(any_page.locator("#tasks")).not_to_contain_text("suggested")
    give(any_page, good)
    shows(any_page, "#findings", "Nothing wrong was found.")
    plans(any_page, "I would do: nothing. Your photo would come back as it is.")
    any_page.click("#restore")  # without a sentence it is the same
    shows(any_page, "#done", "Nothing wrong was found: the photo is unchanged.")
    result = Image.open(download(any_page, tmp_path)).convert("RGB")
    assert result.tobytes() == GOOD["landscape"].tobytes()


def test_each_task_chip(page: Page, photo: Path) -> None:
    give(page, photo)
    page.get_by_text("Advanced", exact=True).click()
    page.locator("#scale").get_by_label("1", exact=True).check()
    for task in TASKS.values():
        chip = page.locator("#tasks").get_by_label(task.title)
        chip.check()
        plans(page, f"I understood: {deed(task.name, scale=1)}, in about")
        page.click("#restore")
        shows(page, "#done", f"{deed(task.name, scale=1)}, 64x96")
        compares(page, 64, 96)
        chip.uncheck()


def test_the_sentence_can_be_overridden(page: Page, photo: Path) -> None:
    give(page, photo, "remove the haze and the blur")
    plans(page, "fix blur, remove haze")
    chips = page.locator("#tasks")
    expect(chips.get_by_label("Remove haze")).to_be_checked()
    chips.get_by_label("Fix blur").uncheck()
    plans(page, "I understood: remove haze,")
    page.get_by_label("number input for Strength: remove haze").fill("0.25")
    plans(page, "remove haze (strength 0.25)")
    page.click("#restore")
    shows(page, "#done", "remove haze (strength 0.25), 64x96")


def test_enter_sends_the_sentence_as_it_stands(page: Page, photo: Path) -> None:
    give(page, photo)
    page.fill(SENTENCE, "fix the blur")
    page.press(SENTENCE, "Enter")
    shows(page, "#done", "fix blur")


def test_enter_sends_the_sentence_while_its_chips_are_on_their_way(page: Page, photo: Path) -> None:
    give(page, photo)
    shows(page, "#findings", "The photo is")

    def late(route: Route) -> None:
        answer = route.fetch()
        if answer.json()["data"][:1] == [["deblur"]]:  # the chips
            page.wait_for_timeout(3000)
        route.fulfill(response=answer)

    page.route("**/gradio_api/run/**", late)
    page.fill(SENTENCE, "fix the blur")
    page.wait_for_timeout(1000)
    page.press(SENTENCE, "Enter")
    shows(page, "#done", "fix blur")


def test_a_result_can_be_restored_again(page: Page, photo: Path) -> None:
    give(page, photo, "enlarge it 2x")
    plans(page, "enlarge 2x")
    page.click("#restore")
    compares(page, 128, 192)
    page.click("#again")
    expect(page.locator(SENTENCE)).to_have_value("")
    page.fill(SENTENCE, "fix the blur")
    plans(page, "fix blur")
    page.click("#restore")
    shows(page, "#done", "fix blur, 128x192")


def test_a_clock_a_place_in_the_queue_and_cancel(page: Page, url: str, photo: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.jpg"
    picture(4000, 3000).save(large)  # half a minute even on a quick machine
    give(page, large, "strongly fix the blur")
    plans(page, "in about")
    page.click("#restore")
    expect(page.locator("#status")).to_contain_text(
        re.compile(r"Restoring: \d+ of \d+ parts, about .* left\.")
    )
    expect(page.locator("#restore")).to_be_disabled()
    page.press(SENTENCE, "Enter")  # does nothing
    neighbour = opened(page.context, url)
    give(neighbour, photo, "fix the blur")
    plans(neighbour, "in about")
    neighbour.click("#restore")
    shows(neighbour, "#status", "1 photo is before yours, for about ")
    page.click("#cancel:not([disabled])")
    # "Stopping after this part." may be gone before anybody sees it: see test_service.py
    shows(page, "#status", "Stopped. Your photo was not changed.")
    expect(page.locator("#cancel")).to_be_disabled()
    assert len(page.locator("#result img").all()) >= 2, "the picture of before stays"
    shows(neighbour, "#done", "fix blur, 64x96 pixels")
    neighbour.close()
    page.click("#restore:not([disabled])")
    shows(page, "#status", "Restoring")
    page.locator(REMOVE).first.click()  # lets the photo go
    expect(page.locator("#restore")).to_be_enabled()
    expect(page.locator("#status")).to_have_text("")
    give(page, large)
    page.click("#restore:not([disabled])")
    shows(page, "#status", "Restoring")
    page.locator("#examples button").last.click()  # so does this
    expect(page.locator("#restore")).to_be_enabled()
    expect(page.locator("#cancel")).to_be_disabled()
    expect(page.locator("#status")).to_have_text("")
    shows(page, "#done", "Made in advance")
    page.locator(REMOVE).first.click()
    give(page, photo)
    page.click("#restore")
    shows(page, "#done", "fix blur, 64x96 pixels")


def test_a_batch_loses_nothing(page: Page, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        picture(64, 64).save(tmp_path / folder / "same.png")
    (tmp_path / "letter.png").write_text("Dear reader")
    page.get_by_role("tab", name="Batch").click()
    files = [tmp_path / "a/same.png", tmp_path / "b/same.png", tmp_path / "letter.png"]
    for number in range(17):
        files.append(tmp_path / f"{number}.png")
        picture(32, 32).save(files[-1])
    page.set_input_files("#batch-files input[type=file]", files)
    expect(page.locator("#batch-files")).to_contain_text("letter")
    expect(page.locator("#batch-files")).to_contain_text("16")
    bottom = page.locator("#batch-cancel").bounding_box()["y"] + 100
    assert bottom < page.viewport_size["height"], "buttons and progress stay on the screen"
    page.fill("#batch-sentence textarea, #batch-sentence input", "fix the blur, remove the red eyes")
    page.click("#batch-start")
    expect(page.locator("#batch-start")).to_be_disabled()  # a second press would restore all once more
    report = page.locator("#batch-report")
    expect(report).to_contain_text("Restored 19 of 20 photos")
    expect(report).to_contain_text("letter.png is not an image")
    expect(report).to_contain_text("Not done, as there is no task for it yet: red eyes.")
    expect(page.locator("#batch-start")).to_be_enabled()
    with page.expect_download() as coming:
        page.locator("#batch-zip a[download]").first.click()
    coming.value.save_as(tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as zipped:
        names = sorted(zipped.namelist())
        assert len(names) == 20 and names[-3:] == ["report.txt", "same.restored-2.png", "same.restored.png"]
        assert Image.open(zipped.open("same.restored-2.png")).size == (64, 64)


def test_the_smaller_network_is_a_choice_where_it_came_along(page: Page) -> None:
    there = bundled(LITE) is not None
    page.get_by_text("Advanced", exact=True).click()
    expect(page.locator("#fidelity")).to_be_visible()
    expect(page.locator("#fast")).to_be_visible(visible=there)
    page.get_by_role("tab", name="Batch").click()
    expect(page.locator("#batch-format")).to_be_visible()
    expect(page.locator("#batch-fast")).to_be_visible(visible=there)


def test_a_link_brings_the_settings_back(url: str, page: Page) -> None:
    page.fill(SENTENCE, "slightly dehaze & enlarge it 3x")
    plans(page, "enlarge 3x")
    page.get_by_text("Advanced", exact=True).click()
    page.locator("#fidelity").get_by_label("0.75").check()
    page.fill("#size textarea, #size input", "A4 at 300 dpi")
    plans(page, "enlarge to A4 at 300 dpi")
    page.locator("#tasks").get_by_label("Remove haze").uncheck()  # against the sentence
    page.locator("#tasks").get_by_label("Fix blur").check()
    plans(page, "fix blur, enlarge to A4 at 300 dpi")
    page.get_by_text("Link to these settings").click()
    page.click("#share")
    expect(page.locator("#link textarea, #link input")).to_have_value(re.compile("fidelity=0.75"))
    link = page.locator("#link textarea, #link input").input_value()
    assert parse_qs(urlparse(link).query)["prompt"] == ["slightly dehaze & enlarge it 3x"]
    other = opened(page.context, link)
    plans(other, "fix blur, enlarge to A4 at 300 dpi")
    other.get_by_text("Advanced", exact=True).click()
    expect(other.locator("#fidelity").get_by_label("0.75")).to_be_checked()
    expect(other.locator("#scale input").first).to_be_disabled()  # a size decides
    other.close()
    bad = opened(
        page.context, f"{url}/?scale=99&seed=-1&fidelity=x&tasks=nothing&prompt=<img src=x id=injected>"
    )
    plans(bad, "I found nothing in this")
    assert bad.locator("#injected").count() == 0
    bad.close()


def test_an_example_shows_its_result_at_once(page: Page) -> None:
    page.wait_for_selector("#result .cmp[data-side=both]")  # a visitor meets a result
    last = len(examples.found()) - 1
    page.locator("#examples button").last.click()
    page.wait_for_selector(f"#result .cmp-after img[src*='{Path(examples.pictures(last)[1]).name}']")
    shows(page, "#done", "Made in advance")
    expect(page.locator(SENTENCE)).to_have_value(examples.found()[last]["sentence"])


SHOWN = """() => {
  const box = (part) => document.querySelector(`#result ${part}`).getBoundingClientRect();
  const picture = box(".cmp-after img"), stage = box(".cmp-stage");
  const handle = document.querySelector("#result .cmp-handle");
  return {side: document.querySelector("#result .cmp").dataset.side, width: Math.round(picture.width),
    left: picture.left - stage.left, top: picture.top - stage.top, split: Number(handle.ariaValueNow),
    full: Boolean(document.fullscreenElement)};
}"""


def test_the_comparison_zooms_pans_and_obeys_keys(page: Page) -> None:
    def shown() -> dict[str, float]:
        return page.evaluate(SHOWN)

    def press(*keys: str) -> dict[str, float]:
        for key in keys:
            page.keyboard.press(key)
        return shown()

    page.wait_for_selector("#result .cmp[data-side=both]")
    width = Image.open(examples.pictures(0)[1]).width
    page.click("#result [data-do=whole]")
    assert shown()["width"] == width, "100 %: a pixel of the result is a pixel of the screen"
    for _ in range(6):
        page.click("#result [data-do=closer]")
    before, stage = shown(), page.locator("#result .cmp-stage").bounding_box()
    assert before["width"] == round(width * 1.25**6)
    x, y = stage["x"] + 150, stage["y"] + 150
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 100, y - 60, steps=4)
    page.mouse.up()
    after = shown()
    moved = after["left"] - before["left"], after["top"] - before["top"]
    assert moved == pytest.approx((-100, -60), abs=1)
    assert press("ArrowRight", "ArrowRight", "ArrowLeft")["split"] == 52
    assert [press("b")["side"], press("b")["side"], press("ArrowLeft")["side"]] == ["after", "before", "both"]
    assert press("Home")["split"] == 0 and press("0")["left"] >= 0
    press("l")
    lens = page.locator("#result .cmp-lens")
    expect(lens).to_be_visible()
    assert lens.inner_text().split() == ["before", "after"]
    press("f")
    page.wait_for_function("document.fullscreenElement?.clientHeight == innerHeight")
    press("f")
    page.wait_for_function("!document.fullscreenElement")


@pytest.mark.parametrize("event, holder", [("drop", "dataTransfer"), ("paste", "clipboardData")])
def test_a_photo_is_taken_wherever_it_is_dropped_or_pasted(page: Page, event: str, holder: str) -> None:
    page.wait_for_selector("#result .cmp[data-side=both]")
    page.evaluate(
        """async ([event, holder]) => {
          const blob = await (await fetch(document.querySelector("#examples img").src)).blob();
          const data = new DataTransfer();
          data.items.add(new File([blob], "dropped.webp", {type: "image/webp"}));
          const kind = event == "drop" ? DragEvent : ClipboardEvent;
          document.querySelector("#result .cmp-stage").dispatchEvent(
            new kind(event, {[holder]: data, bubbles: true, cancelable: true}));
        }""",
        [event, holder],
    )
    left_alone = page.evaluate(
        """(field) => {
          const clipboardData = new DataTransfer();
          clipboardData.items.add("remove the haze", "text/plain");
          clipboardData.items.add(new File(["x"], "of-text.png", {type: "image/png"}));
          return document.querySelector(field).dispatchEvent(
            new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true}));
        }""",
        SENTENCE,
    )
    assert left_alone, "text that comes with a picture of it is pasted as text"
    page.wait_for_selector("#result .cmp.alone .there img[src*=dropped]")  # alone until it is restored
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("dropped"))


def test_a_finger_moves_the_boundary_and_two_zoom(contexts: dict[str, BrowserContext], url: str) -> None:
    page = opened(contexts["phone"], url)
    page.wait_for_selector("#result .cmp[data-side=both]")
    assert page.locator("#result .cmp-tag").all_inner_texts()[:2] == ["before", "after"]
    assert page.locator("#restore").bounding_box()["y"] < SIZES["phone"]["height"], "in the first view"
    width, stage = page.evaluate(SHOWN)["width"], page.locator("#result .cmp-stage").bounding_box()
    devtools = page.context.new_cdp_session(page)

    def touch(kind: str, *xs: float) -> None:
        y = stage["y"] + stage["height"] / 2
        points = [{"x": x, "y": y, "id": number} for number, x in enumerate(xs)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    left, right = stage["x"] + 120, stage["x"] + 240
    touch("touchStart", left)
    touch("touchMove", left + 20)
    touch("touchEnd")
    page.wait_for_function(f"({SHOWN})().split < 50")
    touch("touchStart", left, right)
    touch("touchMove", left - 60, right + 60)
    touch("touchEnd")
    page.wait_for_function(f"({SHOWN})().width > {1.5 * width}")
    page.close()


def test_the_plan_says_what_cannot_be_done(page: Page, tmp_path: Path) -> None:
    picture(6000, 4000).save(tmp_path / "huge.png")
    give(page, tmp_path / "huge.png", "enlarge it")
    plans(page, "over the limit of 64: use a smaller scale")
    page.locator("#tasks").get_by_label("Enlarge").uncheck()
    plans(page, "Say what is wrong, or choose what to do.")


def test_damaging_and_restoring_a_good_photo(page: Page, photo: Path) -> None:
    page.get_by_role("tab", name="Try to break it").click()
    page.set_input_files("#good input[type=file]", photo)
    page.wait_for_selector("#good img")
    page.click("#break")
    compares(page, 64, 96, "#broken")
    expect(page.locator("#score")).to_contain_text("restored")
    assert re.search(r"damaged\s+\d+\.\d\d dB\s+0\.\d{3}", page.locator("#score").inner_text())
    assert not faults(page)


def test_a_good_photo_let_go_is_not_restored(page: Page, tmp_path: Path) -> None:
    picture(1024, 1024).save(tmp_path / "good.png")
    page.get_by_role("tab", name="Try to break it").click()
    page.set_input_files("#good input[type=file]", tmp_path / "good.png")
    page.wait_for_selector("#good img")
    page.click("#break")
    shows(page, "#break-status", "Restoring")
    page.locator("#good button[aria-label='Remove Image']").click()
    expect(page.locator("#break-status")).to_have_text("")
    expect(page.locator("#score")).to_have_text("")
    assert page.locator("#broken .there").count() == 0, "no picture of a photo that was let go"


def test_about_shows_limits_and_numbers(any_page: Page) -> None:
    any_page.get_by_role("tab", name="About").click()
    expect(any_page.get_by_text("Strong blur stays.")).to_be_visible()
    pictures = "[...document.querySelectorAll('.figures img')]"
    seen = f"{pictures}.filter(i => (i.loading = 'eager', i.naturalWidth)).length"
    any_page.wait_for_function(f"() => {seen} == {1 + about_tab.STUDY.exists() + len(about_tab.CAPTIONS)}")
    any_page.get_by_text("The numbers as a table").click()
    expect(any_page.locator("#numbers")).to_contain_text("dark channel")
    expect(any_page.get_by_text("Cards and dataset")).to_be_visible()
    assert any_page.evaluate("document.documentElement.scrollWidth") <= any_page.viewport_size["width"]


def test_an_error_shows_as_a_sentence_and_markup_stays_text(page: Page, photo: Path) -> None:
    photo.write_bytes(photo.read_bytes()[:200])
    give(page, photo, "<img src=x id=injected> remove the haze")
    plans(page, "lying.jpg is damaged, too large, or not a photo")
    shown = page.locator("#result .cmp-after img").get_attribute("src")
    page.click("#restore")
    expect(page.locator("#status")).to_contain_text("Not restored. lying.jpg is")
    expect(page.locator("#cancel")).to_be_disabled()
    assert page.locator("#injected").count() == 0
    assert page.locator("#result .cmp-after img").get_attribute("src") == shown, "the last picture stays"
    assert page.locator("#result").is_visible() and page.locator("#result .error").count() == 0


def test_no_serious_accessibility_fault(any_page: Page) -> None:
    for tab in ("Restore", "Batch", "Try to break it", "About"):
        any_page.get_by_role("tab", name=tab).click()
        assert not faults(any_page), tab


def test_by_keyboard_alone(page: Page, photo: Path) -> None:
    give(page, photo)
    page.locator(SENTENCE).focus()
    page.keyboard.type("fix the blur")
    plans(page, "fix blur")
    for _ in range(16):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "restore":
            break
    expect(page.locator("#restore")).to_be_focused()
    page.keyboard.press("Enter")
    shows(page, "#done", "fix blur")


def drop(page: Page, photo: Path) -> None:
    """Drop a file on the photo's box, without a type, as browsers give what they do not know."""
    page.wait_for_selector("#photo input[accept*='.heic']", state="attached")  # the page's script has run
    page.evaluate(
        """([content, name]) => {
          const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], name, {type: ''}));
          const box = document.querySelector('#photo input[type=file]').closest('button');
          box.dispatchEvent(new DragEvent('drop', {bubbles: true, cancelable: true, dataTransfer}));
        }""",
        [b64encode(photo.read_bytes()).decode(), photo.name],
    )


def test_what_browsers_do_not_show_is_shown_and_results_bring_their_settings(
    page: Page, tmp_path: Path
) -> None:
    readable_formats()  # lets Pillow write HEIC
    picture(96, 64).save(tmp_path / "phone.heic")
    picture(96, 64).save(tmp_path / "scan.tiff")
    (tmp_path / "camera.CR2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(1000))
    drop(page, tmp_path / "camera.CR2")
    expect(page.locator(".toast-body").first).to_contain_text("camera's raw file (Canon CR2)")
    expect(page.locator("#photo img")).to_have_count(0)
    drop(page, tmp_path / "scan.tiff")
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("scan.tiff.preview.webp"))
    page.locator(REMOVE).click()
    page.set_input_files("#photo input[type=file]", tmp_path / "phone.heic")
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("phone.heic.preview.webp"))
    page.wait_for_selector("#result .cmp.alone img[src*='phone.heic.preview.webp']")
    page.fill(SENTENCE, "strongly fix the blur")
    page.get_by_text("Advanced", exact=True).click()
    page.get_by_label("0.75", exact=True).check()
    plans(page, "fix blur, in about")
    page.click("#restore")
    shows(page, "#done", "fix blur, 96x64")
    result = download(page, tmp_path)
    assert result.name == "phone.restored.png" and recorded(result).request.fidelity == 0.75
    other = opened(page.context, page.url)
    drop(other, result)
    expect(other.locator(SENTENCE)).to_have_value("strongly fix the blur")
    expect(other.locator("#tasks").get_by_label("Fix blur")).to_be_checked()
    other.get_by_text("Advanced", exact=True).click()
    expect(other.get_by_label("0.75", exact=True)).to_be_checked()
    other.close()


@pytest.mark.parametrize("language", ["de-DE", "zh-CN", "zh"])  # with a region that Gradio knows, and without
def test_the_page_speaks_the_visitors_language(
    browser: Browser, url: str, photo: Path, language: str
) -> None:
    name = language.partition("-")[0]
    context = browser.new_context(viewport=SIZES["phone"], locale=language)
    context.set_default_timeout(PATIENCE)
    page = opened(context, url)
    known = table(name)
    expect(page.locator("#restore")).to_have_text(known["Restore"])
    expect(page.locator("#sentence")).to_contain_text(
        known["What is wrong with it?"]
    )  # and that it is English
    for task in TASKS.values():
        expect(page.locator("#tasks")).to_contain_text(known[task.title])
    expect(page.locator("#result")).to_contain_text(known["Split"])
    shows(page, "#done", said(examples.found()[0]["done"], name))
    give(page, photo, "strongly fix the blur, remove the red eyes")
    shows(page, "#plan", said("I understood: **fix blur**", name).replace("*", ""))
    shows(page, "#plan", known["red eyes"])
    if language == "de-DE":
        page.click("#restore")
        shows(page, "#done", "Fertig: Unschärfe beheben, 64x96 Pixel")
        shows(page, "#download", "PNG herunterladen")
        for width in (SIZES["phone"]["width"], 320):
            page.set_viewport_size({"width": width, "height": 844})
            page.wait_for_function(FITS)
        page.set_viewport_size(SIZES["phone"])
    page.get_by_role("tab", name=known["Batch"]).click()
    page.set_viewport_size({"width": 320, "height": 844})
    page.wait_for_function(FITS)
    page.click("#batch-start")
    shows(page, "#batch-status", said("There are no photos yet: choose some first.", name))
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    context.close()


def test_what_gradio_says_itself_is_in_the_visitors_language_too(
    browser: Browser, url: str, photo: Path, tmp_path: Path
) -> None:
    with (tmp_path / "large.png").open("wb") as large:
        large.truncate(60 * 1024**2)
    for name in LANGUAGES:
        known = table(name)
        context = browser.new_context(viewport=SIZES["desk"], locale=name)
        context.set_default_timeout(PATIENCE)
        page = opened(context, url)
        page.set_input_files("#photo input[type=file]", tmp_path / "large.png")
        toast = page.locator(".toast-body").first
        expect(toast.locator(".toast-title")).to_have_text(re.compile(known["Error"]))
        expect(toast).to_contain_text(known[TOO_LARGE].format(size="50.0 Mb", name='"large.png"'))
        assert "Use via" not in page.locator("footer").inner_text()
        assert "Click to Upload" not in page.locator("#photo").inner_text()
        give(page, photo)
        expect(page.locator(f'#photo [aria-label="{known["Remove Image"]}"]')).to_be_visible()
        context.close()

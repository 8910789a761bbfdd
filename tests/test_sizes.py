"""Target sizes: how they are written, and the pixels that photos of all shapes get."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lwr.prompt import route, size_of
from lwr.request import MAX_OUTPUT_PIXELS, MAX_SCALE, Request, RestoreError, Settings, fitted, output_size
from lwr.restore import Restorer

FACE = Image.fromarray(skimage.data.astronaut()).crop((180, 60, 276, 140))  # 96x80
LANDSCAPE, PORTRAIT = (1500, 1000), (1000, 1500)  # width, height

# What is asked: (kind, pixels of a landscape photo, pixels of a portrait one).
SIZES = {
    ("3840x2160", "3840 × 2160", "3,840x2,160 px", "3840*2160", "3840 by 2160",
        "3840 px wide by 2160 px high"): ((3240, 2160), (1440, 2160)),
    ("4k", "4 K", "UHD", "4k uhd", "ultra HD", "3840 px on the long side"):
        ((3840, 2560), (2560, 3840)),
    ("1080p", "HD", "full hd", "FHD", "1080 P", "high definition", "short side 1080"):
        ((1620, 1080), (1080, 1620)),
    ("QHD", "1440p", "quad hd"): ((2160, 1440), (1440, 2160)),
    ("2k",): ((2048, 1365), (1365, 2048)),
    ("4000", "4000px wide", "width 4000", "width=4000 px", "4.000 pixels wide", "4 000 pixels wide",
        "4000x"):
        ((4000, 2667), (4000, 6000)),
    ("x2000", "2000 pixels high", "2000 tall", "height: 2000"): ((3000, 2000), (1333, 2000)),
    ("long side 3000", "3000 px longest edge"): ((3000, 2000), (2000, 3000)),
    ("12 megapixels", "12MP"): ((4243, 2828), (2828, 4243)),
    ("A4@300dpi", "A4", "a4 at 300 dpi", "A4, 300 DPI", "300 dpi A4 paper"): ((3508, 2339), (2339, 3508)),
    ("letter at 300 dpi", "us letter"): ((3300, 2200), (2200, 3300)),
    ("10x15 cm at 300 dpi", "100x150 mm", "15 cm x 10 cm"): ((1772, 1181), (1181, 1772)),
    ("8x10 inches", '8"x10"', "10 x 8 in", "8 by 10 inch at 300 ppi"): ((3000, 2000), (2000, 3000)),
    ("20 cm wide at 254 dpi",): ((2000, 1333), (2000, 3000)),
}  # fmt: skip
NO_SIZES = (
    "",
    " ",
    "big",
    "0",
    "0x0",
    "x",
    "-3",
    "4x",
    "2.5x",
    "99999999x1",
    "1e3",
    "nan",
    "50%",
    "²",
    "160,100",
    "x" * 2000,
)


def settings(size: str | None, **tasks: float) -> Settings:
    return Settings(tasks or {"super-resolution": 1.0}, 1.0, 1, 0.6, 0, "p", {}, 512, size=size)


def pixels(size: str, photo: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the result."""
    width, height = photo
    return output_size((height, width), fitted(settings(size), (height, width))[0].scale)[::-1]


def test_every_size_is_read_and_turned_as_its_kind_says() -> None:
    for texts, (landscape, portrait) in SIZES.items():
        for text in texts:
            assert (pixels(text, LANDSCAPE), pixels(text, PORTRAIT)) == (landscape, portrait), text
            said = size_of(text).text
            assert size_of(said).text == said and pixels(said, LANDSCAPE) == landscape, said
            assert route(f"enlarge it to {text}").size or text in ("4000", "4000x", "x2000"), text


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_none(text: str) -> None:
    assert size_of(text) is None


@given(
    st.sampled_from(sorted({text for texts in SIZES for text in texts})),
    st.integers(1, 9000),
    st.integers(1, 7000),
)
def test_any_photo_gets_the_nearest_size_within_the_limits(text: str, width: int, height: int) -> None:
    size, photo = size_of(text), (height, width)
    found, remarks = fitted(settings(text), photo)
    wanted = size.scale(width, height)
    assert 1 <= found.scale <= MAX_SCALE and found.tasks["super-resolution"] == (0 if wanted <= 1 else 1)
    most = max(MAX_OUTPUT_PIXELS, width * height)
    out = tuple(max(1, round(side * found.scale)) for side in photo)
    assert out[0] * out[1] <= most
    if found.scale == wanted and size.kind in ("width", "height"):
        assert round(size.width * ((size.dpi or 300) if size.is_print else 1)) == out[size.kind == "width"]
    said = " ".join(remarks)
    assert ("limit" in said) == (wanted > found.scale) and ("already" in said) == (wanted <= 1)


@given(st.text(max_size=40))
def test_any_text_is_a_size_or_none(text: str) -> None:
    size = size_of(text)
    assert size is None or (size.scale(640, 480) > 0 and size_of(size.text).text == size.text)


def test_without_a_size_nothing_changes() -> None:
    assert fitted(settings(None), (80, 96)) == (settings(None), ())


def test_one_side_is_met_to_the_pixel(restorer: Restorer) -> None:
    for size, expected in (
        ("250", (250, 208)),
        ("x123", (148, 123)),
        ((150, 400), (150, 125)),
        (200, (200, 167)),
    ):
        restored = restorer(FACE, "enlarge it", size=size)
        assert restored.image.size == expected, size
        assert restored.settings.scale == pytest.approx(expected[0] / 96, rel=0.01)
    restored = restorer(FACE, "upscale to 240x500")
    again = restorer(FACE, task=restored.tasks, scale=restored.settings.scale)
    assert restored.image.size == (240, 200) and np.array_equal(restored.image, again.image)


def test_beyond_4_the_limit_is_named(restorer: Restorer) -> None:
    restored = restorer(FACE.crop((0, 0, 24, 20)), "make it 4k")
    assert restored.image.size == (96, 80) and restored.settings.scale == 4
    assert any("scale 160, and 4 is the limit" in note for note in restored.notes)


def test_a_scale_beyond_4_in_a_sentence_is_held_at_4(restorer: Restorer) -> None:
    restored = restorer(FACE.crop((0, 0, 24, 20)), "enlarge 8x")
    assert restored.image.size == (96, 80) and restored.settings.scale == 4
    assert "Scale 8 was asked for, and 4 is the limit." in restored.notes
    with pytest.raises(RestoreError, match="scale is 0.* to 4"):
        restorer.resolve("upscale 0")


def test_a_photo_that_is_that_large_stays_as_it_is(restorer: Restorer) -> None:
    restored = restorer(FACE, "resize to 80x60")
    assert np.array_equal(restored.image, FACE) and restored.tasks == {"super-resolution": 0.0}
    assert any("larger than that already: it is not enlarged" in note for note in restored.notes)
    both = restorer(FACE, "strongly fix the blur, 96 pixels wide")
    assert both.image.size == FACE.size and not np.array_equal(both.image, FACE)
    assert np.array_equal(both.image, restorer(FACE, "strongly fix the blur").image)


def test_who_only_wants_it_in_hd_wants_what_the_photo_needs(restorer: Restorer) -> None:
    for prompt, wish in {
        "HD": True,
        "make it 4k": True,
        "upscale to HD": False,
        "make it 640x480": False,
    }.items():
        settings = restorer.resolve(prompt)
        assert settings.wish == fitted(settings, (4000, 6000))[0].general == wish, prompt
        assert not fitted(settings, (40, 60))[0].general
    assert not restorer.resolve("make it HD", task="deblur").wish


def test_a_size_wins_over_the_prompt_and_excludes_a_scale(restorer: Restorer) -> None:
    assert restorer.resolve("enlarge 2x", size="4k").size == "4k"
    assert (
        restorer.resolve("make it 4k", scale=2).size is None
        and restorer.resolve("make it 4k", scale=2).scale == 2
    )
    assert restorer.resolve("enlarge 2x to 4k").size == "4k" and restorer.resolve("make it 4k, 2x").scale == 2
    assert route("8k and 2x").notes == route("8k and 8k, 2x").notes
    assert route("8k and 2x").notes == ("8k is left out, as 2x is asked for too.",)
    assert route("enlarge 2x to 4k").notes == ("2x is left out, as 4k is asked for too.",)
    assert not route("enlarge 2x").notes and not route("make it 4k, not 2x").notes
    assert restorer.resolve(size="4k").tasks == restorer.resolve(scale=2).tasks == {"super-resolution": 1.0}
    assert restorer.resolve("remove the haze", size="4k").tasks == {"dehaze": 1.0}
    assert restorer.resolve("remove the haze", size="auto").size is None
    with pytest.raises(RestoreError, match="a scale .2. and a size .4k.: give one of the two"):
        restorer.resolve("enlarge it", scale=2, size="4k")
    for wrong in ("huge", "4x", (3, 4, 5), True, -5, ("a", "b"), float("nan")):
        with pytest.raises(RestoreError, match='The size is .*: use "3840x2160"'):
            restorer.resolve("enlarge it", size=wrong)


def test_general_requests_get_what_the_photo_needs(restorer: Restorer) -> None:
    for prompt in ("enhance", "make it clear", "it's low quality", "restore my grandma's old photo"):
        waiting = restorer.resolve(prompt)
        assert waiting.general and waiting.tasks == {}
        restored = restorer(FACE, prompt)
        assert any(note.startswith(("Found: ", "Nothing wrong was found")) for note in restored.notes)
        assert not restored.settings.general
    enlarged = restorer(FACE, "enhance", size="120")
    assert enlarged.image.size == (120, 100) and enlarged.tasks["super-resolution"] == 1
    assert restorer.resolve("enhance", task="deblur").tasks == {"deblur": 1.0}, "an explicit task wins"


def test_a_general_request_spares_what_it_forbids(restorer: Restorer) -> None:
    prior = restorer.network.prior
    chosen = {"dehaze": 0.5, "deblur": 1.0}
    found = Request("enhance but keep the haze").resolve(prior, "p", 512, chosen)
    assert found.tasks == {"deblur": 1.0} and found.fidelity == prior.config.default_fidelity
    assert Request("enhance").resolve(prior, "p", 512, {"dehaze": 0.5}).fidelity == 1.0


def test_what_was_understood_and_not_done_is_named(restorer: Restorer) -> None:
    restored = restorer(FACE, "strongly sharpen and remove the red eyes and creases")
    assert restored.tasks == {"deblur": 1.0} and restored.ignored == ("red eyes", "creases")
    assert "Not done, as there is no task for it yet: red eyes, creases." in restored.notes
    assert restorer(FACE, "sharpen, remove the creases", task="deblur").ignored == ("creases",)
    long = restorer(FACE, "fix the blur. " + "Thank you! " * 100)
    assert any("first 1000 characters" in note for note in long.notes)

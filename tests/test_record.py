"""Results say how they were made, in every format, and the same can be asked of another photo."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from served import exif, picture
from test_cli import run
from test_metadata import XMP, xmp_of

from lwr.images import xmp
from lwr.images.files import load, save
from lwr.images.metadata import settings_in
from lwr.record import differences, like, recorded
from lwr.request import Request, RestoreError
from lwr.restore import Restorer

ASKED = Request('fix the <blur> & "more" ü', task={"deblur": 0.5}, fidelity=0.75, seed=7, size=(90, 60))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """With a rating in its XMP, and EXIF."""
    picture(60, 40).save(tmp_path / "photo.jpg", xmp=XMP, exif=exif())
    return tmp_path / "photo.jpg"


def test_every_format_carries_the_request_settings_and_versions(restorer: Restorer, photo: Path) -> None:
    restored = restorer(photo, ASKED)
    for suffix in (".png", ".jpg", ".webp", ".tiff"):
        path = save(restored.loaded, photo.with_suffix(f".result{suffix}"))
        found = recorded(path)
        assert found and found.request == ASKED, suffix
        assert found.settings == restored.settings.json() and found.settings["prior"].startswith("embedded@")
        kept = recorded(save(load(path), photo.with_suffix(f".again{suffix}")))
        assert kept == found, "another format keeps it"
    assert b'Rating="5"' in xmp_of(photo.with_suffix(".result.png"))
    again = restorer(photo.with_suffix(".result.png"), Request(task="dehaze"))
    assert recorded(save(again.loaded, photo.with_suffix(".twice.png"))).request == Request(task="dehaze")
    assert xmp.without_settings(again.loaded.xmp) == load(photo).xmp, "the rest stays as it was"


def test_like_asks_the_same_and_what_is_named_wins(restorer: Restorer, photo: Path) -> None:
    result = save(restorer(photo, ASKED).loaded, photo.with_suffix(".png"))
    assert like(result, Request()) == ASKED
    other = like(result, Request("remove the haze", scale=2, seed=8))
    assert other == replace(ASKED, prompt="remove the haze", task=None, scale=2, size=None, seed=8)
    words = ("--out", photo.parent, "--format", "webp", "--json")
    done = run("restore", photo, "--like", result, *words)
    assert done.status == 0 and done.lines[0]["tasks"] == {"deblur": 0.5}
    assert (done.lines[0]["seed"], done.lines[0]["width"]) == (7, 90) and not done.err
    refused = run("restore", photo, "--like", photo, *words)
    assert refused.status == 2 and "photo.jpg does not say how it was made" in refused.lines[0]["error"]


def test_like_a_file_that_is_not_there(photo: Path) -> None:
    lost = photo.with_name("lost.png")
    for file, reason in (
        (lost, f"There is no file {lost}:"),
        (photo.parent, "is a folder"),
        ("", "has no name"),
        (f"{'x' * 300}.png", "There is no file"),
    ):
        with pytest.raises(RestoreError, match=reason):
            like(file, Request())


def test_other_weights_are_named(restorer: Restorer, photo: Path) -> None:
    made = restorer(photo, Request(task="deblur")).loaded
    packet = made.xmp.replace(b"embedded@", b"embedded@9")
    result = save(replace(made, xmp=packet), photo.with_suffix(".png"))
    done = run("restore", photo, "--like", result, "--out", photo.with_suffix(".webp"))
    assert done.status == 0 and "was made with embedded@9" in done.err and "pixels will differ" in done.err


def test_what_is_no_record_is_none(photo: Path) -> None:
    bad = (
        "",
        "{",
        "[]",
        "null",
        '{"lwr": 1, "request": 3}',
        '{"lwr": "1", "request": {}}',
        r'{"lwr": "1", "settings": {}, "request": {"prompt": "\ud800"}}',
        r'{"lwr": "1", "settings": {"\udfff": 1}, "request": {}}',
        "[" * 9999,
        "9" * 10**6,
    )
    for text in bad:
        Image.new("RGB", (4, 4)).save(photo, xmp=xmp.with_settings(None, text)[:65_000])
        assert recorded(photo) is None, text[:40]
    odd = '{"lwr": "1", "settings": {}, "request": {"prompt": [1], "scale": "x", "new": 1}}'
    Image.new("RGB", (4, 4)).save(photo, xmp=xmp.with_settings(None, odd))
    with pytest.raises(RestoreError, match=r"The prompt is \[1\]"):
        like(photo, Request()).asked()
    attribute = b"<rdf:Description lwr:Settings='{&quot;a&quot;: &lt;1}'/>"  # as other programs write it
    assert xmp.settings_of(attribute) == '{"a": <1}'
    assert b"Settings" not in xmp.without_settings(attribute)
    photo.write_bytes(b"")
    assert settings_in(photo) is None and settings_in(photo.parent) is None


def test_the_photos_own_xmp_goes_before_the_settings(restorer: Restorer, photo: Path) -> None:
    filler = b"x" * (65_400 - len(XMP))  # nearly as long as a JPEG can hold
    long = XMP.replace(b"</rdf:Description>", b"<dc:a>" + filler + b"</dc:a></rdf:Description>", 1)
    photo.with_suffix(".webp").write_bytes(b"")
    picture(60, 40).save(photo.with_suffix(".webp"), xmp=long)
    notes: list[str] = []
    result = restorer(photo.with_suffix(".webp"), Request("fix the blur")).loaded
    path = save(result, photo.with_suffix(".out.jpg"), notes=notes)
    assert filler in xmp_of(path) and recorded(path) is None and "no room for the settings" in notes[0]
    with pytest.raises(RestoreError, match="does not say"):
        like(path, Request())


def test_like_a_photo_that_only_a_mask_filled_says_that_nothing_is_done(
    restorer: Restorer, photo: Path
) -> None:
    mask = Image.new("L", (60, 40))
    mask.paste(255, (10, 10, 14, 30))
    result = save(restorer(photo, mask=mask).loaded, photo.with_name("filled.png"))
    done = run("restore", photo, "--like", result, "--out", photo.with_name("other.png"))
    assert done.status == 0 and "is of one photo: here nothing is filled without --mask." in done.err
    for asked in (Request("remove the scratches"), Request(mask=mask)):  # these fill
        assert not list(differences(result, asked, restorer.resolve(asked)))

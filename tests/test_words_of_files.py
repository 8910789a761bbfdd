"""What reading and writing a file may remark is translated like the rest of the page, whatever is added."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_words import english

import lwr.images
from lwr.request import RestoreError
from lwr.restore import Restorer
from page.words import LANGUAGES, phrase, said

# functions that return a note, and constants that are one, beside those that append it
RETURNING = ("lost_depth", "refuse_raw", "_note", "_unusable")
CONSTANT = ("DAMAGED_EXIF",)
NOTES = (
    "NaN or minus infinity became black in 1 pixel",
    "infinity became white in 12 pixels",
    "16 bits per channel were reduced to 8",
    "WEBP has no place for the photo's texts: Author, Title dropped",
    "JPEG has no place for the photo's texts: Software dropped",
    "WEBP has no place for IPTC data: captions and keywords were dropped",
    "the EXIF data is too long for JPEG: MakerNote, ... dropped",
    "the XMP data leaves no room for the settings in JPEG: they were left out",
    "the IPTC data is too long for JPEG and was dropped",
    "the photo's EXIF data is damaged and was dropped",
    "the photo's IPTC data is damaged and was dropped",
    "the photo's XMP data is damaged and was dropped",
    "damaged entries of the photo's EXIF data were dropped: GPSInfo, Artist",
    "the file is named as a raw file (Canon CR2) but is a JPEG photo, which was used",
    "a part of the file beside the photo (gain map, video, depth or further XMP) was dropped",
    "a colour profile of the PNG file is damaged and was dropped",
    "a text (comment) of the PNG file is too long and was dropped",
    "a EXIF data of the PNG file is damaged and was dropped",
    "a chunk 'abCD' of the PNG file is damaged and was dropped",
    "CMYK photo without a colour profile: its colours are approximate",
    "the embedded colour profile is for gray pixels, not for RGB ones as in this photo: it was ignored",
    "the embedded colour profile could not be applied (cannot build transform): colours may be off",
    "the photo is fully transparent: the colours that it hides were used",
    "JPEG has no transparency: the photo was laid on white",
    "animated image: only the first of 4 frames was used",
    "animated image: only number 2 of 4 frames was used",
    "file of pages: only the first of 3 pages was used",
    "file of pages: only number 2 of 3 pages was used",
    "file of several photos: only the first of 2 photos was used",
    "file of several photos: only number 2 of 2 photos was used",
)
BAD = (
    {"scale": 0.5}, {"scale": 9}, {"seed": -1}, {"steps": 0}, {"fidelity": 2}, {"scale": 2, "size": "4k"},
    {"task": {"deblur": 3}},
)  # fmt: skip


def texts(node: ast.AST) -> Iterator[ast.expr]:
    """Expressions that are notes, in or at a node of the syntax tree."""
    if isinstance(node, ast.FunctionDef) and node.name in RETURNING:
        yield from (one.value for one in ast.walk(node) if isinstance(one, ast.Return))
    elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in CONSTANT:
        yield node.value
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "notes.append":
        yield node.args[0]


def patterns() -> Iterator[str]:
    """A regular expression for each note that lwr/images can make, where any text stands for a value."""
    for file in Path(lwr.images.__file__).parent.glob("*.py"):
        found = [text for node in ast.walk(ast.parse(file.read_text())) for text in texts(node)]
        for text in found:
            for one in (text.body, text.orelse) if isinstance(text, ast.IfExp) else (text,):
                if isinstance(one, ast.JoinedStr):
                    parts = (part.value if isinstance(part, ast.Constant) else None for part in one.values)
                    yield "".join(".*" if part is None else re.escape(part) for part in parts)
                elif isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield re.escape(one.value)


def test_every_note_of_the_code_is_among_those_tried() -> None:
    found = list(patterns())
    assert len(found) > 20
    for pattern in found:
        assert any(re.fullmatch(pattern, note) for note in NOTES), pattern


@pytest.mark.parametrize("name", LANGUAGES)
def test_notes_and_bad_settings_are_translated(name: str, restorer: Restorer) -> None:
    for note in NOTES:
        assert said(note, name) != note and not english(said(note, name)), note
    for bad in BAD:
        with pytest.raises(RestoreError) as error:
            restorer.resolve("fix the blur", **bad)
        text = str(error.value)
        assert said(text, name) != text and not english(said(text, name)), text
    done = phrase("remove haze, fix blur (strength 0.5), enlarge 4x, towards 4k, 0.7 s", name)
    assert not re.search("remove|haze|fix|strength|enlarge|towards", done), done

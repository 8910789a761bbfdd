"""The page in other languages: nothing it says stays English but prompts, names and numbers."""

import re
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace

import pytest
from gradio.context import LocalContext

import app
from lwr.diagnose import Diagnosis
from lwr.fit import NO_MORE_STRENGTH, NO_STRENGTH, found_and_done
from lwr.loading.diagnosis import load_head
from lwr.loading.memory import SHORT
from lwr.prompt import route
from lwr.request import MAX_OUTPUT_PIXELS, Request, RestoreError, Settings, fitted, remarks
from lwr.tasks import TASKS
from page import about_tab, batch_tab, errors, given, gpu, line, planning, results, words
from page.line import State
from page.status import text
from page.words import LANGUAGES, said, table

ENGLISH = re.compile(
    r"\b(the|you|your|is|are|of|and|not|with|for|this|it|done|found|slightly|very|hazy|wide|high|side|at|read|inches)\b"
)
SIZES = (
    "700 wide", "20 cm wide", "900 pixels high", "4 in tall", "long side 9000", "short side 2000", "full HD",
    "12 megapixels", "A4", "A4 at 150 dpi", "8x10 inches", "8x10 inches at 250 dpi", "10x15 cm", "6k",
)  # fmt: skip
STRENGTH = "Its strength, 0.5, is no choice here."
QUOTED = re.compile(r"“[^”]*”|«[^»]*»|„[^“]*“")  # prompts


def english(sentence: str) -> str:
    """What is left of English words in a translated sentence."""
    return " ".join(ENGLISH.findall(QUOTED.sub("", sentence)))


def preview(prompt: str, size: str = "") -> str:
    values = (list(route(prompt).tasks), "auto", 1, "auto", 0, size, False, *[1] * len(TASKS))
    return planning.preview(app.SERVICE, None, "", prompt, prompt, *values)[0]


def on_sizes() -> Iterator[str]:
    """What is said of the sizes that one may ask for, for a photo that is small or large for them."""
    for size in SIZES:
        settings = app.SERVICE.restorer.resolve(f"enlarge to {size}")
        for photo in ((64, 48), (9000, 6000)):
            fit, notes = fitted(settings, photo)
            yield f"I understood: **{results.plan(fit)}**, in about 3 s. {' '.join(notes)}"


def accounts(settings: Settings) -> Iterator[str]:
    """What is said of photos that were left to the diagnosis."""
    asked = Request("enhance but keep the haze").asked()
    for severity in (0.0, 0.3, 0.6, 1.0):
        found = Diagnosis(dict.fromkeys(load_head().defects, severity))
        for tasks in ({}, {"deblur": 0.5, "super-resolution": 1.0}):
            done = replace(settings, tasks=tasks, scale=2.0 if tasks else 1.0)
            yield " ".join(found_and_done(found, asked, done))
            yield " ".join(found_and_done(found, replace(asked, spared=()), done))


def test_there_are_five_beside_english() -> None:
    assert set(LANGUAGES) == {"zh", "es", "de", "fr", "ja"}


def test_every_text_of_a_widget_is_translated() -> None:
    known = words.translations().translations_dict
    assert len(words._used) > 80, "the page has been laid out"
    for name in LANGUAGES:
        assert not words._used - known[name].keys(), name
        assert known[name].keys() <= words._used, "no more is sent than is shown"


@pytest.mark.parametrize("name", LANGUAGES)
def test_translations_keep_what_their_english_has(name: str) -> None:
    assert table(name).keys() == table(LANGUAGES[0]).keys()
    for english_text, translation in table(name).items():
        there, here = (set(re.findall(r"{\w+}", each)) for each in (english_text, translation))
        assert here <= there and there - here <= {"{remedy}", "{kind}"}, (
            english_text
        )  # which ours may leave out
        assert translation.count("**") == english_text.count("**"), english_text
        assert translation.strip() == translation and translation, english_text


@pytest.mark.parametrize("name", LANGUAGES)
def test_sentences_with_values_are_translated(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    request = SimpleNamespace(headers={"accept-language": f"{name}-XX,{name};q=0.9,en;q=0.8"})
    token = LocalContext.request.set(request)
    try:
        settings = app.SERVICE.restorer.resolve("fix the blur")
        states = (State(ahead=1, wait=9, left=3), State(ahead=4, wait=999, left=3), State(stopping=True))
        states += (State(left=40, done=2, total=9), State(left=0), State(left=5, remark=gpu.USED_UP))
        prompts = (
            "enhance, remove the red eyes",
            "make it 9x and darker",
            "upscale x2000",
        )
        prompts += ("remove the scratches, leave the faded colours",)
        asked = [Request(prompt).asked() for prompt in prompts]
        sentences = [
            preview("fix the blur, slightly dehaze and remove the red eyes, make it 4k"),
            preview("enhance"),
            preview("hello"),
            preview("remove the creases and the red eyes"),
            preview("enlarge it 2x"),
            preview("make it 8k and 2x"),
            preview("enlarge it 2x to 4k"),
            preview("enlarge it 9x"),
            preview("", "huge"),
            preview(""),
            *map(text, states),
            *(said(remark) for one in asked for remark in remarks(one)),
            *(said(note) for note in (*accounts(settings), *on_sizes())),
            *map(said, (NO_STRENGTH, NO_MORE_STRENGTH, SHORT)),
            *map(said, (errors.DISK_FULL, errors.FAULT, line.FULL, gpu.TOO_LONG, gpu.NONE_FREE, gpu.FAILED)),
            *map(
                said,
                (
                    results.GONE,
                    planning.UNCHANGED,
                    planning.SLIGHT,
                    given.BY_THE_PHOTO,
                    given.ALSO_BY_THE_PHOTO,
                ),
            ),
            said("I would do: **bring out detail (strength 0.5), enlarge 2x (strength 1)**, in about 3 s"),
            *(said(Diagnosis(dict.fromkeys(load_head().defects, s)).sentence) for s in (0.0, 0.5, 1.0)),
            errors.sentence(RestoreError("lying.jpg is damaged, too large, or not a photo: try another.")),
            batch_tab._lost("There is no photo yet: choose one first."),
        ]
    finally:
        LocalContext.request.reset(token)
    for sentence in sentences:
        assert not english(sentence), sentence


def test_who_speaks_another_language_gets_english() -> None:
    sentence = "I understood: **fix blur**, in about 3 s"
    assert said(sentence) == sentence and MAX_OUTPUT_PIXELS
    for accepted, name in (
        ("nl-NL,nl;q=0.9", "en"),
        ("zh-TW", "zh"),
        ("nl,fr-CA;q=0.5", "en"),
        ("it-IT,it;q=0.9,de;q=0.8", "en"),
        (" fr;q=0.9", "fr"),
        ("", "en"),
        ("en-US,de", "en"),
    ):
        token = LocalContext.request.set(SimpleNamespace(headers={"accept-language": accepted}))
        assert words.language() == name
        LocalContext.request.reset(token)


def test_the_plan_says_what_is_limited_and_left_out() -> None:
    assert "Scale 9 was asked for, and 4 is the limit." in preview("enlarge it 9x")
    assert "8k is left out, as 2x is asked for too." in preview("8k and 2x")


def test_parts_of_a_sentence_find_their_places() -> None:
    what = "fix blur, enlarge 4x, towards 4k"
    text = f"I understood: **{what}**, in about 2 minutes; not done: snow, text. Or so."
    assert said(text, "fr") == (
        "Compris : **corriger le flou, agrandir 4x, vers 4k**, en 2 minutes environ ; "
        "pas fait : neige, texte. Or so."
    )


def test_what_is_wrong_is_told_in_every_language() -> None:
    sentence = "The photo is very hazy, slightly noisy and small."
    assert said(sentence, "de") == "Das Foto ist sehr dunstig, leicht verrauscht und klein."
    assert said(sentence, "ja") == "写真の状態：強いかすみ、軽いノイズ、解像度不足。"
    file = "small and mine.png is damaged, too large, or not a photo: try another."
    assert "small and mine.png" in said(file, "de"), "a name of a file stays as it is"


def test_a_visitors_own_words_are_left_alone() -> None:
    assert said("I understood: **enlarge to my photo**", "de") == "Verstanden: **vergrößern auf my photo**"
    assert said("Remove {the} **haze**", "de") == "Remove {the} **haze**"
    assert about_tab.CAPTIONS.keys() and said("", "de") == ""

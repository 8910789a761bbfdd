"""What a sentence asks for: every line of prompts.csv, and what no list of sentences can show."""

import csv
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwr.prompt import Route, route
from lwr.tasks import TASKS
from lwr.tasks.base import Vocabulary

# Columns: text; tasks in order of mention, "NAME" or "NAME=STRENGTH"; scale, empty when unsaid.
with (Path(__file__).parent / "prompts.csv").open(encoding="utf-8", newline="") as _lines:
    SENTENCES = [(row["text"], row["tasks"], row["scale"]) for row in csv.DictReader(_lines)]


def expected(tasks: str) -> list[tuple[str, float]]:
    """ "dehaze deblur=0.5" -> [("dehaze", 1.0), ("deblur", 0.5)]."""
    pairs = [item.partition("=") for item in tasks.split()]
    return [(name, float(strength or 1)) for name, _, strength in pairs]


def test_every_sentence_asks_for_its_tasks() -> None:
    wrong = []
    for text, tasks, scale in SENTENCES:
        routed = route(text)
        found = list(routed.tasks.items()), routed.scale, routed.understood
        if found != (expected(tasks), float(scale) if scale else None, bool(tasks)):
            wrong.append(f"{text!r}: {routed}, not {tasks!r} {scale}")
    assert not wrong, "\n".join(wrong)


def test_each_example_shown_to_people_asks_for_its_task() -> None:
    for task in TASKS.values():
        for example in (*task.examples, task.title, task.instruction):
            assert list(route(example).tasks) == [task.name], example


def test_a_new_task_needs_only_its_own_vocabulary() -> None:
    words = Vocabulary(defects=("noise", "noisy", "grain"), actions=("denoise",), qualities=("clean look",))
    noise = replace(TASKS["deblur"], name="denoise", title="Remove noise", vocabulary=words)
    tasks = TASKS | {"denoise": noise}
    assert route("remove the noise", tasks).tasks == {"denoise": 1.0}
    assert route("slightly denoising, and get rid of the fog", tasks).tasks == {"denoise": 0.5, "dehaze": 1.0}
    assert route("keep the grain, fix the blur", tasks).tasks == {"deblur": 1.0}
    assert route("give it a clean look", tasks).tasks == {"denoise": 1.0}
    assert route("denosie", tasks).tasks == {"denoise": 1.0}
    assert "remove noise" in route("hello", tasks).message
    assert route("enlarge 2x", {"denoise": noise}) == Route(
        {}, False, message=route("hello", {"denoise": noise}).message
    )


def test_nothing_understood_lists_what_can_be_asked() -> None:
    for text in ("", "make it beautiful", "don't sharpen"):
        assert route(text).tasks == {}
        assert all(task.title.lower() in route(text).message for task in TASKS.values())


def test_json_holds_optional_keys_only_when_they_say_something() -> None:
    assert route("remove the haze").json() == {"tasks": {"dehaze": 1.0}, "understood": True}
    assert route("enlarge 9x").json() == {
        "tasks": {"super-resolution": 1.0},
        "understood": True,
        "scale": 9.0,
    }
    assert set(route("hello").json()) == {"tasks", "understood", "message"}


def test_typos_are_corrected_and_common_words_are_none() -> None:
    for word in ("shark", "snake", "frog", "hazel", "leaves", "house", "remote", "stale", "smile"):
        assert not route(f"the {word}").understood, word
    for typo in ("deblurrr", "sharpne", "edblur", "hsarpning", "emboiggne", "dehtazign"):
        assert route(f"please {typo}").understood, typo  # in a long word two typos, wherever they are


@pytest.mark.parametrize(
    "unit", ["haze and ", "10% ", "4x ", "not ", "1.1", "deblxur fozggy smogdy ", "a", " ", "keep it haze "]
)
def test_a_very_long_text_takes_no_time(unit: str) -> None:
    text = (unit * 10_000)[:10_000]
    route(text)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        route(text)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.02


@given(st.text(max_size=80))
def test_any_text_routes(text: str) -> None:
    routed = route(text)
    assert routed.understood == bool(routed.tasks) == (not routed.message)
    assert all(name in TASKS and 0 < strength <= 1 for name, strength in routed.tasks.items())

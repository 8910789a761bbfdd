"""What a sentence asks for: every line of prompts.csv, and what no list of sentences can show."""

import csv
import time
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lwr.prompt import Route, route
from lwr.prompt.old import REPAIRS
from lwr.prompt.router import ALSO
from lwr.tasks import TASKS
from lwr.tasks.base import Vocabulary

# Columns: text; tasks in order of mention, "NAME" or "NAME=STRENGTH"; scale; size; whether the request is
# general; what is understood and not done, "A; B"; repairs of an old photo, "A B", which most rows leave out.
# Each is empty when unsaid.
with (Path(__file__).parent / "prompts.csv").open(encoding="utf-8", newline="") as _lines:
    SENTENCES = list(csv.DictReader(_lines))


def expected(tasks: str) -> list[tuple[str, float]]:
    """ "dehaze deblur=0.5" -> [("dehaze", 1.0), ("deblur", 0.5)]."""
    pairs = [item.partition("=") for item in tasks.split()]
    return [(name, float(strength or 1)) for name, _, strength in pairs]


def test_every_sentence_asks_for_its_tasks() -> None:
    wrong = []
    for row in SENTENCES:
        routed, tasks, scale = route(row["text"]), row["tasks"], row["scale"]
        found = list(routed.tasks.items()), routed.scale, routed.understood
        said = routed.size.text if routed.size else "", routed.general, "; ".join(routed.ignored)
        repairs = (row["repairs"] or "").split()
        understood = bool(tasks or row["general"] or repairs)
        right = expected(tasks), float(scale) if scale else None, understood
        meant = row["size"], bool(row["general"]), row["ignored"]
        if (found, said, list(routed.repairs)) != (right, meant, repairs):
            wrong.append(f"{routed}, not {row}")
    assert not wrong, "\n".join(wrong)


def test_what_can_be_asked_beside_tasks_is_understood() -> None:
    old, better = map(route, ALSO.values())
    assert old.general and set(old.repairs) == set(REPAIRS) and better.general and not better.repairs


def test_each_example_shown_to_people_asks_for_its_task() -> None:
    for task in TASKS.values():
        for example in (*task.examples, task.title, task.instruction):
            assert list(route(example).tasks) == [task.name], example


def test_a_new_task_needs_only_its_own_vocabulary() -> None:
    words = Vocabulary(defects=("snow", "snowy", "snowfall"), actions=("desnow",), qualities=("dry look",))
    snow = replace(TASKS["deblur"], name="snow", title="Remove snow", vocabulary=words)
    tasks = TASKS | {"snow": snow}
    assert route("remove the snow", tasks).tasks == {"snow": 1.0}
    assert route("slightly desnowing, and get rid of the fog", tasks).tasks == {"snow": 0.5, "dehaze": 1.0}
    assert route("keep the snowfall, fix the blur", tasks).tasks == {"deblur": 1.0}
    assert route("give it a dry look", tasks).tasks == {"snow": 1.0}
    assert route("snofwall", tasks).tasks == {"snow": 1.0}
    assert "remove snow" in route("hello", tasks).message
    assert route("enlarge 2x", {"snow": snow}) == Route(
        {}, False, message=route("hello", {"snow": snow}).message
    )


def test_nothing_understood_lists_what_can_be_asked() -> None:
    for text in ("", "make it beautiful", "don't sharpen"):
        assert route(text).tasks == {}
        assert all(task.title.lower() in route(text).message for task in TASKS.values())
        assert all(f"{title} (“{example}”)" in route(text).message for title, example in ALSO.items())
    only_ignored = route("remove the red eyes and the creases").message
    assert only_ignored.startswith("I understood red eyes, creases, but there is no task for that yet")
    assert "remove haze" in only_ignored


def test_what_a_general_request_forbids_is_spared() -> None:
    for text, spared in (
        ("enhance but keep the haze", "dehaze"),
        ("fix everything except the blur", "deblur"),
    ):
        assert route(text).general and route(text).spared == (spared,), text


def test_a_topic_goes_when_a_task_covers_it() -> None:
    words = Vocabulary(defects=("snow",), actions=("desnow",))
    tasks = TASKS | {"snow": replace(TASKS["deblur"], name="snow", vocabulary=words)}
    assert route("remove the snow and the creases").ignored == ("snow", "creases")
    found = route("remove the snow and the creases", tasks)
    assert found.tasks == {"snow": 1.0} and found.ignored == ("creases",)


def test_two_tasks_in_one_sentence_work_for_every_pair() -> None:
    for first, second in permutations(TASKS.values(), 2):
        for text in (f"{first.instruction} and {second.instruction}", f"{first.title}, {second.examples[0]}"):
            assert list(route(text).tasks) == [first.name, second.name], text


def test_a_text_longer_than_is_read_says_so() -> None:
    assert route("remove the haze" + " " * 2000).notes == ()
    assert "first 1000 characters" in route("remove the haze. " + "Thank you! " * 100).notes[0]
    assert "first 1000 characters" in route("hello " * 200).notes[0]


def test_a_size_without_a_unit_is_not_read_silently() -> None:
    assert route("enlarge it to 8x10").notes == ("8x10 was not read as a size: add px, cm or inches to it.",)
    assert route("enlarge it to 8x10 inches").notes == route("a 16x9 photo").notes == ()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("upscale -2", "-2"),
        ("upscale to 0x0", "0x0"),
        ("upscale 1e9x", "1e9x"),
        ("upscale x2160", "x2160"),
        ("enlarge 17", "17"),
        ("upscale to 99999999999999999999 pixels wide", "9" * 20 + " pixels"),
    ],
)
def test_a_number_that_says_nothing_is_named(text: str, number: str) -> None:
    found = route(text)
    assert found.scale is None and found.size is None
    assert found.notes[0].startswith(f"{number} was not read as a scale or a size: use a scale of 1 to 4")


def test_json_holds_optional_keys_only_when_they_say_something() -> None:
    assert route("remove the haze").json() == {"tasks": {"dehaze": 1.0}, "understood": True}
    assert route("enlarge 9x").json() == {
        "tasks": {"super-resolution": 1.0},
        "understood": True,
        "scale": 9.0,
    }
    assert set(route("hello").json()) == {"tasks", "understood", "message"}
    assert route("make it 4k, remove the red eyes").json() == {
        "tasks": {"super-resolution": 1.0},
        "understood": True,
        "size": "4k",
        "ignored": ["red eyes"],
    }
    assert route("enhance").json() == {"tasks": {}, "understood": True, "general": True}


def test_typos_are_corrected_and_common_words_are_none() -> None:
    for word in ("shark", "snake", "frog", "hazel", "leaves", "house", "remote", "stale", "smile"):
        assert not route(f"the {word}").understood, word
    for typo in ("deblurrr", "sharpne", "edblur", "hsarpning", "emboiggne", "dehtazign"):
        assert route(f"please {typo}").understood, typo  # in a long word two typos, wherever they are


@pytest.mark.parametrize(
    "unit",
    [
        "haze and ",
        "10% ",
        "4x ",
        "not ",
        "1.1",
        "deblxur fozggy smogdy ",
        "a",
        " ",
        "keep it haze ",
        "fix it ",
    ]
    + [
        "4k ",
        "a4 300 dpi ",
        "3840x2160 ",
        "1,000",
        "upscale 3 ",
        "long side ",
        "enhance the nice old ",
        "niose ",
    ],
)
def test_a_very_long_text_takes_no_time(unit: str) -> None:
    text = (unit * 10_000)[:10_000]
    route(text)
    seconds = []
    for _ in range(5):
        start = time.process_time()
        route(text)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.2  # linear takes a tenth of it on a slow machine, quadratic many times as much


@given(st.text(max_size=80))
def test_any_text_routes(text: str) -> None:
    routed = route(text)
    assert routed.understood == bool(routed.tasks or routed.general or routed.repairs) == (not routed.message)
    assert all(name in TASKS and 0 < strength <= 1 for name, strength in routed.tasks.items())

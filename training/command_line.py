"""Command lines made by tyro from a dataclass or a function, each field an option, its comment the help.

A value is one word: `none` where a field may be None, `true` or `false`, several values with commas between.
"""

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

T = TypeVar("T")
SWITCH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
REGISTRY = ConstructorRegistry()


def parse(
    kind: Callable[..., T],
    arguments: Sequence[str] | None,
    prog: str,
    about: str | None = None,
    default: T | None = None,
) -> T:
    """What `kind` returns for a command line (None: this process's own), or `default` with its edits.

    A mistake in it ends the program with status 2 and one sentence on stderr.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    message = StringIO()
    try:
        with redirect_stderr(message):
            start = {} if default is None else {"default": default}
            return tyro.cli(kind, prog=prog, description=about, args=words, registry=REGISTRY, **start)
    except SystemExit as stop:
        if stop.code:
            fail(prog, _sentence(message.getvalue(), words, kind, default))
        raise


def parse_nothing(arguments: Sequence[str] | None, prog: str, about: str | None = None) -> None:
    """The command line of a program without options: `--help`, or nothing; see `parse`."""
    parse(lambda: None, arguments, prog, about)


def fail(prog: str, sentence: str) -> NoReturn:
    """End the program with status 2 and a sentence on stderr."""
    print(f"{prog}: {sentence}", file=sys.stderr)
    raise SystemExit(2)


def _sentence(box: str, words: Sequence[str], kind: Callable[..., Any], default: Any) -> str:
    """The error in a box of tyro, without frame and help, with the options that it thinks were meant.

    Where something is missing, tyro is silent about options that it does not know; the sentence names both.
    """
    lines = [line.strip("│╭╮ ") for line in box.splitlines()]
    _title, error, *rest = re.split("(?:─|-){5,}", "\n".join(lines))
    near = re.findall(r"^(--[\w-]+)", rest[0], re.MULTILINE) if "Perhaps" in rest[0] else []
    error = " ".join(error.split()).replace(" (required)", ";").rstrip(".;")
    error = re.sub("^Missing from .*?: ", "missing: ", error)
    if not error.startswith("Unrecognized") and (unknown := _unknown(words, kind, default)):
        error = f"Unrecognized options: {', '.join(unknown)}; {error}"
    return f"{error}; did you mean {' or '.join(dict.fromkeys(near))}?" if near else f"{error}."


def _unknown(words: Sequence[str], kind: Callable[..., Any], default: Any) -> list[str]:
    """The options among the words that the help of `kind` does not name."""
    start = {} if default is None else {"default": default}
    text = StringIO()
    with redirect_stdout(text), suppress(SystemExit):
        tyro.cli(kind, args=["--help"], registry=REGISTRY, **start)
    known = set(re.findall(r"--[\w-]+", text.getvalue()))
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    return [option for option in options if option.replace("_", "-") not in known]


@REGISTRY.primitive_rule
def _one_word(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """How numbers and switches, a value or None, and a tuple of values are written."""
    options = get_args(info.type) if get_origin(info.type) in (Union, UnionType) else (info.type,)
    kinds = [kind for kind in options if kind is not NoneType]
    if len(kinds) != 1:
        return None
    several = get_origin(kinds[0]) is tuple
    single = get_args(kinds[0])[0] if several else kinds[0]
    if single not in (bool, int, float) and not several and len(options) == 1:
        return None

    def read(words: list[str]) -> Any:
        if len(options) > 1 and words[0].lower() == "none":
            return None
        if not several:
            return _value(single, words[0])
        try:
            return tuple(_value(single, part) for part in words[0].split(",") if part)
        except ValueError:
            raise ValueError(f"{words[0]!r} is no list of numbers: write it as 0,0.5,1") from None

    name = "|".join(get_args(single)) if get_origin(single) is Literal else single.__name__.upper()
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=f"{name},..." if several else name,
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [_text(value)],
    )


def _value(kind: Callable[[str], Any], text: str) -> Any:
    """One value of a kind: bool, int, float, Literal, or what a text can be made into."""
    if kind is bool:
        if text.lower() not in SWITCH:
            raise ValueError(f"{text!r} is neither true nor false")
        return SWITCH[text.lower()]
    if get_origin(kind) is Literal:
        if text not in get_args(kind):
            raise ValueError(f"{text!r} is none of {', '.join(get_args(kind))}")
        return text
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is no {'whole ' * (kind is int)}number") from None


def _text(value: Any) -> str:
    """A default as it would be written."""
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)

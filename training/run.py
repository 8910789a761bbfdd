"""Train one rung of the ladder: `python -m training.run PRESET [--field value ...]`, or the same under
`accelerate launch -m`. The same command again resumes. `--dry-run` prints the resolved preset.
"""

import argparse
import dataclasses
import inspect
import json
import os
import re
import sys
import typing
from difflib import get_close_matches

from training.config import Config
from training.launch import start_all_processes, stop_with_the_launcher
from training.presets import PRESETS

STOPPED = 143  # the exit status of a process that SIGTERM ended


class _Parser(argparse.ArgumentParser):
    """Fields that do not exist are answered with the nearest that do."""

    def fields(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]

    def error(self, message: str) -> typing.NoReturn:
        unknown = [
            word.split("=")[0] for word in message.rpartition(": ")[2].split() if word.startswith("--")
        ]
        if message.startswith("unrecognized arguments") and unknown:
            message = f"there is no field {unknown[0]}{_nearest(unknown[0], self.fields())}"
        print(f"{self.prog}: {message}", file=sys.stderr)
        raise SystemExit(2)


def resolve(arguments: list[str] | None = None) -> tuple[Config, bool]:
    """Command line -> (the preset with its edits, whether to print it only)."""
    parser = _Parser(prog="python -m training.run", description=__doc__, allow_abbrev=False)
    parser.add_argument("preset", type=_preset, help=", ".join(PRESETS))
    parser.add_argument("--dry-run", action="store_true", help="print the resolved preset and stop")
    hints = typing.get_type_hints(Config)
    for field in dataclasses.fields(Config):
        option, kind = f"--{field.name.replace('_', '-')}", _parser(hints[field.name])
        parser.add_argument(option, type=kind, default=None, help=_comments().get(field.name))
    values = vars(parser.parse_args(arguments))
    preset, dry = values.pop("preset"), values.pop("dry_run")
    return dataclasses.replace(preset, **{k: v for k, v in values.items() if v is not None}), dry


def _comments() -> dict[str, str]:
    """{field: the comment beside it in config.py}, for --help."""
    found = re.findall(r"^    (\w+): .*?# (.*)$", inspect.getsource(Config), re.MULTILINE)
    return {name: comment.replace("%", "%%") for name, comment in found}


def _preset(name: str) -> Config:
    if name not in PRESETS:
        raise argparse.ArgumentTypeError(f"there is no preset {name!r}{_nearest(name, PRESETS)}")
    return PRESETS[name]


def _nearest(name: str, names: typing.Iterable[str]) -> str:
    names = list(names)
    near = get_close_matches(name, names, 3, 0.5)
    return f"; did you mean {' or '.join(near)}?" if near else f": use one of {', '.join(names)}."


def _parser(kind: object) -> typing.Callable[[str], object]:
    kinds = [k for k in typing.get_args(kind) if k is not type(None) and k is not Ellipsis] or [kind]
    if typing.get_origin(kind) is tuple:
        return lambda text: tuple(kinds[0](part) for part in text.split(",") if part)
    if kinds[0] is bool:
        return _switch
    return kinds[0]


def _switch(text: str) -> bool:
    if text.lower() not in ("1", "true", "yes", "0", "false", "no"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text.lower() in ("1", "true", "yes")


def main() -> None:
    """Entry point."""
    config, dry = resolve()
    stop_with_the_launcher()
    start_all_processes()
    if dry:
        print(json.dumps(dataclasses.asdict(config), indent=2), flush=True)
    from lwr.loading.adapter import AdapterError
    from lwr.loading.priors import PriorError
    from training.checkpoint import TrainingError
    from training.checks import check
    from training.loop import train  # torch and accelerate load only when the command line is right

    try:
        if dry:
            return check(config)
        outcome = train(config)
    except (TrainingError, OSError, AdapterError, PriorError) as error:
        print(f"python -m training.run: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    if outcome.interrupted:
        saved = "and saved; the same command goes on" if outcome.step else "before anything was trained"
        print(f"stopped at step {outcome.step} {saved}", file=sys.stderr)
        raise SystemExit(STOPPED)
    if os.environ.get("RANK", "0") == "0":
        print(f"network written to {outcome.out}/network")


if __name__ == "__main__":
    main()

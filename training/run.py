"""Train one stage: `python -m training.run PRESET [--field value ...] [--dry-run]`.

Also under `accelerate launch -m`. The same command again resumes; `--dry-run` prints the resolved preset.
`python -m training.run diagnose` trains the diagnosis and has options of its own.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from tyro.conf import FlagConversionOff

from lwr.tasks import TASKS
from training.command_line import fail, parse
from training.config import Config
from training.data.shards import NEEDED
from training.launch import start_all_processes, stop_with_the_launcher
from training.presets import PRESETS

if TYPE_CHECKING:
    from training.data.parts import Part

PROG = "python -m training.run"
DIAGNOSE = "diagnose"
STOPPED = 143  # the exit status of a process that SIGTERM ended


def resolve(arguments: Sequence[str] | None = None) -> tuple[Config, bool]:
    """Command line -> (the preset with its edits, whether it is only printed and checked)."""
    name, *words = (sys.argv[1:] if arguments is None else arguments) or ["--help"]
    dry = "--dry-run" in words
    words = [word for word in words if word != "--dry-run"]
    about = f"{__doc__}\nPresets: {', '.join(PRESETS)}, {DIAGNOSE}."
    kind = FlagConversionOff[Config]  # `--muon false`, not `--no-muon`
    if name in ("-h", "--help"):
        parse(kind, ["--help"], f"{PROG} PRESET", about, Config("a preset's"))
    if name not in PRESETS:
        names = (*PRESETS, DIAGNOSE)
        near = get_close_matches(name, names, 3, 0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else f": use one of {', '.join(names)}."
        fail(PROG, f"there is no preset {name!r}{hint}")
    config = parse(kind, words, PROG, about, PRESETS[name])
    if config.photos is None and config.data is None and config.batches is None and not dry:
        fail(PROG, NEEDED)
    return _of_its_pairs(config, words) if config.data is not None else config, dry


def _of_its_pairs(config: Config, words: Sequence[str]) -> Config:
    """The config for what `--data` names: of pairs alone, their tasks train, unless `--tasks` says which."""
    from training.checkpoint import TrainingError
    from training.data.parts import sources_of

    try:
        named = {source.config for source in sources_of(config)}
    except TrainingError:
        return config  # which its callers refuse with a sentence
    if any(word.split("=")[0] == "--tasks" for word in words) or not named <= set(TASKS):
        return config
    return dataclasses.replace(config, tasks=tuple(task for task in TASKS if task in named))


def _check_data(config: Config) -> None:
    """End the program with status 2 for a mistake in `--data`, as for one in any other words."""
    from training.checkpoint import TrainingError
    from training.data.parts import sources_of

    try:
        sources_of(config)
    except (TrainingError, OSError) as error:
        fail(PROG, str(error))


def main() -> None:
    """Entry point."""
    if sys.argv[1:2] == [DIAGNOSE]:
        from training.diagnosis.__main__ import main as diagnose  # no network: no stage of the others'

        return diagnose(sys.argv[2:])
    config, dry = resolve()
    _check_data(config)
    stop_with_the_launcher()
    start_all_processes()
    if dry:
        print(json.dumps(dataclasses.asdict(config), indent=2), flush=True)
    run(config, dry=dry)


def run(config: Config, parts: "Sequence[Part] | None" = None, dry: bool = False) -> None:
    """Train, on `parts` if they are read already, or only check; a mistake ends it with a sentence."""
    from lwr.loading.adapter import AdapterError
    from lwr.loading.load import without_bars
    from lwr.loading.priors import PriorError
    from training.checkpoint import TrainingError
    from training.checks import check, check_sources
    from training.loop import train  # torch and accelerate load only when the command line is right

    without_bars()
    try:
        if dry:
            check(config)
            for said in check_sources(config):
                print(f"{PROG}: {said}", file=sys.stderr)
            return None
        outcome = train(config, parts)
    except (TrainingError, OSError, AdapterError, PriorError) as error:
        print(f"{PROG}: {error}", file=sys.stderr)
        raise SystemExit(1) from error
    if outcome.interrupted:
        saved = "and saved; the same command continues" if outcome.step else "before anything was trained"
        print(f"stopped at step {outcome.step} {saved}", file=sys.stderr)
        raise SystemExit(STOPPED)
    if os.environ.get("RANK", "0") == "0":
        print(f"network written to {outcome.out}/network")


if __name__ == "__main__":
    main()

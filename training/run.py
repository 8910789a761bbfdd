"""Train one rung of the ladder: `python -m training.run PRESET [--field value ...]`, or the same under
`accelerate launch -m`. The same command again resumes. `--dry-run` prints the resolved preset.
"""

import argparse
import dataclasses
import json
import typing

from training.config import Config
from training.presets import PRESETS


def resolve(arguments: list[str] | None = None) -> tuple[Config, bool]:
    """Command line -> (the preset with its edits, whether to print it only)."""
    parser = argparse.ArgumentParser(prog="python -m training.run", description=__doc__)
    parser.add_argument("preset", choices=sorted(PRESETS))
    parser.add_argument("--dry-run", action="store_true", help="print the resolved preset and stop")
    hints = typing.get_type_hints(Config)
    for field in dataclasses.fields(Config):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=_parser(hints[field.name]), default=None
        )
    values = vars(parser.parse_args(arguments))
    preset, dry = PRESETS[values.pop("preset")], values.pop("dry_run")
    return dataclasses.replace(preset, **{k: v for k, v in values.items() if v is not None}), dry


def _parser(kind: object) -> typing.Callable[[str], object]:
    kinds = [k for k in typing.get_args(kind) if k is not type(None) and k is not Ellipsis] or [kind]
    if typing.get_origin(kind) is tuple:
        return lambda text: tuple(kinds[0](part) for part in text.split(","))
    if kinds[0] is bool:
        return lambda text: text.lower() in ("1", "true", "yes")
    return kinds[0]


def main() -> None:
    """Entry point."""
    config, dry = resolve()
    if dry:
        print(json.dumps(dataclasses.asdict(config), indent=2))
        return
    from training.loop import train  # torch and accelerate load only when something trains

    print(f"network written to {train(config)}/network")


if __name__ == "__main__":
    main()

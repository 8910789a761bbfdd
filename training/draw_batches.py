"""Draw batches ahead, for several runs: `python -m training.draw_batches COUNT PRESET --batches FOLDER`.

Options are those of training.run; runs with the same `--batches` then need no photos, and see the same crops.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from tyro.conf import FlagConversionOff

from training.checkpoint import TrainingError
from training.command_line import fail, parse
from training.config import Config
from training.data.kept import keep
from training.data.parts import load_parts
from training.run import resolve
from training.stages import STAGES

PROG = "python -m training.draw_batches"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point; a mistake ends it with status 2 and a sentence."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["-h"], ["--help"]):
        parse(FlagConversionOff[Config], ["--help"], f"{PROG} COUNT PRESET", __doc__, Config("a preset's"))
    if not words or not words[0].isdigit() or not int(words[0]):
        first = f", not {words[0]}" if words else ""
        fail(PROG, f"give the number of batches first, such as 2000{first}.")
    config, _ = resolve(words[1:])
    if config.batches is None:
        fail(PROG, "give --batches, the folder for what is drawn.")
    try:
        parts = load_parts(config, "train", config.photos_limit)
        keep(config, STAGES[config.stage].draw, parts, Path(config.batches), int(words[0]))
    except (TrainingError, OSError) as error:
        fail(PROG, str(error))
    print(f"{words[0]} batches in {config.batches}")


if __name__ == "__main__":
    main()

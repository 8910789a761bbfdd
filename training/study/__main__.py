"""The study from nothing to its report: `python -m training.study strategies --photos PHOTOS`.

It answers whether separate or joint training serves the tasks better, what LoRA rank buys, and whether the
diffusion prior helps. Every arm (arms.py) sees the same batches, as many of each task, and is measured on
the same validation photos. The same command again goes on where it was stopped.

Writes training/results/study-strategies.json, .md and .png, study.md and study.webp.
"""

import sys
from collections.abc import Sequence

from lwr.loading.load import without_bars
from lwr.tasks import TASKS
from training.checkpoint import TrainingError
from training.command_line import fail, parse
from training.study import report
from training.study.arms import ARMS
from training.study.collect import collect
from training.study.jobs import run_all
from training.study.plan import LEAST_SAMPLES, Options, check, jobs_of

COMMAND = "python -m training.study"
LEAST = {
    "samples": LEAST_SAMPLES,
    "prior_samples": 1,
    "seeds": 1,
    "photos_limit": 1,
    "validation": 1,
    "jobs": 1,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; status 2 and one sentence when the photos cannot be read or a run cannot be made."""
    options = parse(Options, arguments, COMMAND, __doc__)
    for name, least in LEAST.items():
        value = getattr(options, name)
        if value is not None and value < least:
            fail(COMMAND, f"--{name.replace('_', '-')} is {value}: use {least} or more.")
    for name, known in (("arms", ARMS), ("tasks", TASKS)):
        for one in getattr(options, name):
            if one not in known:
                fail(COMMAND, f"--{name} has {one!r}: use {', '.join(known)}.")
        if not getattr(options, name) or len(set(getattr(options, name))) < len(getattr(options, name)):
            fail(COMMAND, f"--{name} names none, or one twice: use {', '.join(known)}.")
    if len(options.tasks) < 3:
        fail(COMMAND, "--tasks names fewer than three: to compare how tasks share, add some.")
    without_bars()
    try:
        check(options)
        run_all(*jobs_of(options), options.jobs)
        result = collect(options)
        report.write(result, options.out)
    except (OSError, TrainingError) as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            f"{COMMAND}: stopped; the same command goes on in the networks that were training.",
            file=sys.stderr,
        )
        return 130
    print(*report.sentences(result), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

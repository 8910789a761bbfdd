"""Make the pictures of the page's About tab: the numbers of all tasks, the study, a failure for each limit.

python -m training.publishing.about_pictures     # run it again after new weights and `training.evaluate`
"""

from collections.abc import Sequence

from lwr.restore import Restorer
from training.command_line import parse_nothing
from training.publishing import failures, numbers_picture
from training.publishing.results import STUDY, Results
from training.study import report
from training.study.statistics import is_study

COMMAND = "python -m training.publishing.about_pictures"
FAILURES = failures.ROOT / "page" / "failures"
NUMBERS = "numbers.webp"  # beside the results


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the numbers and the study, then restore what fails."""
    parse_nothing(arguments, COMMAND, __doc__)
    results = Results()
    numbers_picture.draw(results.file("evaluate"), results.file("peers"), results.folder / NUMBERS)
    study = results.file(STUDY)
    if is_study(study):
        report.write_shown(study, results.folder)
    failures.write(Restorer.load(device="cpu"), FAILURES)
    print(f"{results.folder / NUMBERS}, and {len(failures.FAILURES)} failures in {FAILURES}")


if __name__ == "__main__":
    main()

"""Make the pictures of the page's About tab: the numbers of all tasks, and a failure for each limit.

python -m training.publishing.about_pictures     # run it again after new weights and `training.evaluate`
"""

from lwr.restore import Restorer
from training.publishing import failures, numbers_picture
from training.publishing.results import Results

FAILURES = failures.ROOT / "page" / "failures"
NUMBERS = "numbers.webp"  # beside the results


def main() -> None:
    """Draw the numbers, then restore what fails."""
    results = Results()
    numbers_picture.draw(results.file("evaluate"), results.file("peers"), results.folder / NUMBERS)
    failures.write(Restorer.load(device="cpu"), FAILURES)
    print(f"{results.folder / NUMBERS}, and {len(failures.FAILURES)} failures in {FAILURES}")


if __name__ == "__main__":
    main()

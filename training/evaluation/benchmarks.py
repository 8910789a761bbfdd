"""The field's benchmarks of pairs: where their files lie, whose they are, and how papers score them.

`python -m training.evaluate --dataset NAME --pairs FOLDER`: the folder is what you downloaded and unpacked;
nothing is fetched here. A benchmark is one row of the table, which training/README.md shows and
`python -m training.evaluation.benchmarks` prints.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from training.command_line import parse_nothing
from training.data.layouts import NUMBERED, Layout, folders, split_named
from training.data.pairs import Pair, find_pairs
from training.data.shards import Skipped
from training.evaluation.protocol import ALIGNED, ENLARGED, PLAIN, Protocol

COMMAND = "python -m training.evaluation.benchmarks"
UNKNOWN = "not stated"


@dataclass(frozen=True)
class Benchmark:
    """One row."""

    name: str
    task: str  # which is asked for, unless the command says otherwise
    page: str  # of its authors, where it can be had
    # The first that fits is taken. No others are: pairs that may be of anything, as input/ and target/ are,
    # would count under this name.
    layouts: tuple[Layout, ...]
    shown: str  # the same for a reader: input + target
    licence: str = UNKNOWN  # as its authors state it
    protocol: Protocol = PLAIN
    remark: str = ""  # what else a comparison with papers needs
    listed: str = ""  # files that name the inputs of the test set, where they lie beside the pairs

    def pairs(self, folder: Path, limit: int | None, skipped: list[Skipped], notes: list[str]) -> list[Pair]:
        """The pairs of the test set; `notes` gets a sentence where it cannot be told from the rest.

        Raises FileNotFoundError with a sentence when there are none.
        """
        names = _listed(folder, self.listed) if self.listed else set()
        if self.listed and not names:
            notes.append(f"{self.name}: no {self.listed} lies in {folder}: all of its pairs are measured.")
        if not folder.is_dir():
            raise FileNotFoundError(f"There is no folder {folder}: give the folder of your download.")
        whole = folder.resolve()  # RealSR's Train/4 says its split one folder above
        above = split_named((whole.parent if whole.name in ("2", "3", "4") else whole).name)

        def of_test_set(pair: Pair) -> bool:
            return (pair.part or above) != "train" and (not names or _scene_file(pair) in names)

        for layout in self.layouts:
            lost: list[Skipped] = []
            with suppress(FileNotFoundError):
                if found := self._found(folder, layout, lost, of_test_set, limit):
                    skipped += lost
                    return found
        if names:
            raise FileNotFoundError(f"No pair in {folder} is in the lists {self.listed} there.")
        raise FileNotFoundError(
            f"{folder} holds no pairs of {self.name}, which has {self.shown}: leave out --dataset, and "
            f"--pairs {folder} --task {self.task} measures it as it is, under no benchmark's name."
        )

    def _found(
        self,
        folder: Path,
        layout: Layout,
        lost: list[Skipped],
        wanted: Callable[[Pair], bool],
        limit: int | None,
    ) -> list[Pair]:
        if self.protocol is not ENLARGED:
            return find_pairs(folder, limit, lost, layout, lambda pairs: wanted)
        found = find_pairs(folder, None, lost, layout, lambda pairs: wanted)
        lost += [Skipped(pair.id, "its target is no larger") for pair in found if pair.scale == 1]
        return [pair for pair in found if pair.scale > 1][:limit]


def _scene_file(pair: Pair) -> str:
    """SCENE/FOLDER/FILE of its input."""
    return "/".join(pair.degraded.parts[-3:])


def _listed(folder: Path, pattern: str) -> set[str]:
    """SCENE/FOLDER/FILE of every input in the lists under a folder, or beside it of what lies in it."""
    lists = sorted(folder.rglob(pattern)) if folder.is_dir() else []
    words = [
        word for path in lists or folder.resolve().parent.glob(pattern) for word in path.read_text().split()
    ]
    if not lists:
        words = [word for word in words if folder.resolve().name in PurePosixPath(word).parts]
    return {"/".join(PurePosixPath(word).parts[-3:]) for word in words if "/blur/" in word}


BENCHMARKS = {
    "gopro": Benchmark(
        name="GoPro",
        task="deblur",
        page="seungjunnah.github.io/Datasets/gopro",
        licence="CC BY 4.0",
        layouts=(Layout("**/test/**/blur/*", "**/test/**/sharp/*", scenes=True),),
        shown="test/SCENE/blur/*.png + test/SCENE/sharp/*.png",
        remark="`blur`, not `blur_gamma`, as papers on single photos mostly do",
    ),
    "realblur": Benchmark(
        name="RealBlur",
        task="deblur",
        page="cg.postech.ac.kr/research/RealBlur",
        licence="CC BY 4.0",
        layouts=(Layout("**/blur/blur_*", "**/gt/gt_*", scenes=True),),
        shown="SCENE/blur/blur_*.png + SCENE/gt/gt_*.png",
        protocol=ALIGNED,
        listed="RealBlur_*_test_list.txt",
        remark="give the folder of J or R with its list; perceptual measures see the photo where it is",
    ),
    "reds": Benchmark(
        name="REDS",
        task="deblur",
        page="seungjunnah.github.io/Datasets/reds",
        licence="CC BY 4.0",
        layouts=(Layout("**/val_blur/**/*", "**/val_sharp/**/*", scenes=True),),
        shown="val_blur/SCENE/*.png + val_sharp/SCENE/*.png",
        remark="its test targets are not public: the validation scenes are measured",
    ),
    "reside": Benchmark(
        name="RESIDE-SOTS",
        task="dehaze",
        page="sites.google.com/view/reside-dehaze-datasets",
        layouts=(
            Layout("**/SOTS/**/hazy/**/*", "**/SOTS/**/gt/**/*", NUMBERED),
            Layout("**/SOTS/**/hazy/**/*", "**/SOTS/**/clear/**/*", NUMBERED),
            folders("hazy", "gt", NUMBERED),
        ),
        shown="hazy/ID_*.png or ID_*_*.jpg + gt/ID.png",
        remark="papers report indoor and outdoor apart: give one of the two folders",
    ),
    "o-haze": Benchmark(
        name="O-HAZE",
        task="dehaze",
        page="data.vision.ee.ethz.ch/cvl/ntire18/o-haze",
        layouts=(Layout("**/hazy/*_outdoor_hazy", "**/GT/*_outdoor_GT"),),
        shown="hazy/ID_outdoor_hazy.jpg + GT/ID_outdoor_GT.jpg",
        remark="photos are large; some papers shrink them first, this does not",
    ),
    "realsr": Benchmark(
        name="RealSR",
        task="super-resolution",
        page="github.com/csjcai/RealSR",
        layouts=tuple(
            Layout(f"**/{where}*_LR{scale}", f"**/{where}*_HR")
            for where in ("Test/**/", "")
            for scale in (4, 3, 2)
        ),
        shown="CAMERA/Test/4/*_LR4.png + CAMERA/Test/4/*_HR.png (also 3 and 2)",
        protocol=ENLARGED,
        remark="of several scales the largest: give the folder of one",
    ),
    "drealsr": Benchmark(
        name="DRealSR",
        task="super-resolution",
        page="github.com/xiezw5/Component-Divide-and-Conquer-for-Real-World-Image-Super-Resolution",
        layouts=(
            *(
                Layout(f"**/Test_x{scale}/test_LR/*{end}", f"**/Test_x{scale}/test_HR/*{other}")
                for scale in (4, 3, 2)
                for end, other in ((f"_x{scale}", "_x1"), ("", ""))
            ),
            *(Layout(f"**/test_LR/*_x{scale}", "**/test_HR/*_x1") for scale in (4, 3, 2)),
            Layout("test_LR/*", "test_HR/*"),
        ),
        shown="Test_x4/test_LR/*.png + Test_x4/test_HR/*.png (also 3 and 2)",
        protocol=ENLARGED,
        remark="of several scales the largest: give the folder of one",
    ),
    "lol": Benchmark(
        name="LOL",
        task="low-light",
        page="daooshee.github.io/BMVC2018website",
        layouts=(Layout("**/eval15/low/*", "**/eval15/high/*"), Layout("low/*", "high/*")),
        shown="eval15/low/*.png + eval15/high/*.png",
        remark="the mean brightness is not matched to the target's, as some papers do",
    ),
    "rain100": Benchmark(
        name="Rain100",
        task="derain",
        page="www.icst.pku.edu.cn/struct/Projects/joint_rain_removal.html",
        layouts=(
            Layout("**/rainy/rain-*", "**/norain-*"),
            Layout("**/rain/rain-*", "**/norain/norain-*"),
            Layout("**/rain/X2/norain-*x2", "**/norain/norain-*"),
            Layout("**/rain/**/*", "**/norain/**/*"),
            Layout("**/rain-*", "**/norain-*"),
        ),
        shown="rain-*.png + norain-*.png, together or in rainy/, or rain/ + norain/",
        protocol=Protocol(also_y=True),
        remark="L or H: give one folder; most papers score Y",
    ),
}


def table(benchmarks: Sequence[str] = tuple(BENCHMARKS)) -> str:
    """The table of training/README.md."""
    lines = [
        "| `--dataset` | name | task | input + target | scored | licence | from | remark |",
        "|---" * 8 + "|",
    ]
    for key in benchmarks:
        one = BENCHMARKS[key]
        cells = (f"`{key}`", one.name, one.task, f"`{one.shown}`", one.protocol.text, one.licence)
        lines.append(f"| {' | '.join((*cells, one.page, one.remark))} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parse_nothing(None, COMMAND, __doc__)
    print(table())


if __name__ == "__main__":
    main()

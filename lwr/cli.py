"""The command line: `lwr restore PHOTO... --prompt TEXT`; `diagnose`, `route`, `tasks`, `degrade`,
`convert`, `export`.

Results go to stdout, everything else to stderr. Exit status: 0 all restored, 1 some failed, 2 wrong usage.
What needs torch is imported inside the command that needs it: `--help`, `route` and `tasks` answer at once.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lwr import __version__
from lwr.batch.output_names import Output, UsageError
from lwr.batch.report import Report, show
from lwr.batch.stopping import StoppedError, stoppable
from lwr.export.asked import Export
from lwr.loading.light_imports import import_diffusers_lightly
from lwr.loading.limits import keep_freed, too_little_to_start
from lwr.options import with_options
from lwr.request import Request, RestoreError
from lwr.streams import Commands
from lwr.threads import thread_settings
from lwr.weights import Loading

if TYPE_CHECKING:
    from lwr.batch.plan import Plan

app = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
JsonFlag = Annotated[bool, typer.Option("--json", help="one JSON object per line on stdout")]


def _show_version(wanted: bool) -> None:
    from lwr.loading.priors import EMBEDDED, read_prior_config

    if wanted:
        print(f"lwr {__version__}, weights {read_prior_config(EMBEDDED).name}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="versions of the code and of the weights"
        ),
    ] = False,
) -> None:
    """Restore photos: say in words what is wrong."""
    os.environ.update(thread_settings())  # before a command imports torch
    keep_freed()


@app.command(
    epilog="Of a folder: the photos directly inside, or with --recursive in its subfolders too; no hidden "
    "files, and no results of earlier runs (*.restored.*). Of several files, a result beside its photo is "
    "left out as well; name results alone to restore them. Photos whose results would have one name are "
    "numbered: NAME.restored-2.png. Exit status: 0 all restored, 1 some failed or stdout did not take the "
    "list, 2 wrong usage, 130 stopped by Ctrl-C; what is finished then stays, and --skip-existing goes on."
)
@with_options
def restore(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="photo files, or folders of photos")],
    request: Request,
    output: Output,
    loading: Loading,
    recursive: Annotated[bool, typer.Option("--recursive", help="look into subfolders of folders")] = False,
    like: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="a result of lwr: ask the same of these photos; other options win"),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Restore photos; each is written beside its input as NAME.restored.png unless --out says otherwise."""
    report = Report(as_json)
    try:
        with stoppable():
            _restore(photos, request, output, loading, recursive, report, like)
    except StoppedError as stop:
        instead = " instead of --overwrite" if output.overwrite else ""
        goes_on = f"run the same command with --skip-existing{instead} to go on."
        kept = (
            f", {report.summary()}. What is finished stays: {goes_on}" if report.total else " at the start."
        )
        print(f"Stopped{kept}", file=sys.stderr)
        raise typer.Exit(stop.status) from None
    raise typer.Exit(1 if report.counts["failed"] else 0)


def _restore(
    photos: list[str],
    request: Request,
    output: Output,
    loading: Loading,
    recursive: bool,
    report: Report,
    like: str | None,
) -> None:
    """Restore what the arguments name; `report` counts. Raises typer.Exit when nothing can be started."""
    from lwr.batch.plan import plan
    from lwr.record import like as asked_like

    try:
        output.check()
        request = request if like is None else asked_like(like, request, loading.prior)
        request.asked()  # refused before a model loads
        planned = plan(photos, output, recursive, request.mask, like)
    except (RestoreError, UsageError) as error:
        raise _refused(error, photos, report.as_json) from None
    report.total = len(planned.jobs)
    for remark in planned.remarks:
        print(remark, file=sys.stderr)
    lines = [job.settled(output) for job in planned.jobs]
    if None in lines:
        _restore_planned(planned, photos, request, output, loading, report, like)
        return
    for number, line in enumerate(lines):  # all were done before
        report.line(number, line)


def _restore_planned(
    planned: "Plan",
    photos: list[str],
    request: Request,
    output: Output,
    loading: Loading,
    report: Report,
    like: str | None,
) -> None:
    """The same with a network, once it is known what there is to do."""
    if (problem := too_little_to_start()) is not None:  # below it torch would not even say why it fails
        raise _refused(RestoreError(problem), photos, report.as_json)
    import_diffusers_lightly()
    from lwr.batch.folders import make_folder
    from lwr.batch.pipeline import Pipeline, Room
    from lwr.images.files import DiskFullError, ImageError
    from lwr.loading.adapter import AdapterError
    from lwr.loading.hub import HubError
    from lwr.loading.load import without_bars
    from lwr.loading.priors import PriorError
    from lwr.record import differences

    without_bars()
    try:
        restorer = loading.doing(request).restorer()
        settings = restorer.resolve(request)
        for note in differences(like, request, settings) if like else ():
            print(note, file=sys.stderr)
        for task in restorer.adapters.given:
            if task not in settings.tasks and not (settings.general or settings.wish):
                print(f"The adapter for {task} has no part in this: it was not asked for.", file=sys.stderr)
        if planned.folder is not None:
            make_folder(planned.folder)
    except (RestoreError, PriorError, AdapterError, HubError, ImageError) as error:
        status = 1 if isinstance(error, DiskFullError) else 2
        raise _refused(error, photos, report.as_json, status) from None
    with report.showing(planned.weights(output) if report.is_watched else []):
        Pipeline(restorer, request, output, report, Room.within(loading.memory)).run(planned.jobs)


@app.command(
    epilog="Photos are found as `restore` finds them. A severity is 0 where a defect is not there, and 1 "
    "where it is as bad as the worst in training. Exit status: 0 all diagnosed, 1 some failed, 2 wrong "
    "usage, 130 stopped by Ctrl-C."
)
def diagnose(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="photo files, or folders of photos")],
    recursive: Annotated[bool, typer.Option("--recursive", help="look into subfolders of folders")] = False,
    maps: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="write maps of where it is how bad there; white is the worst"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace existing maps")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Say what is wrong with photos, and how much; the photos stay as they are."""
    try:
        with stoppable():
            failed = _diagnose(photos, recursive, maps, overwrite, as_json)
    except StoppedError as stop:
        print("Stopped.", file=sys.stderr)
        raise typer.Exit(stop.status) from None
    raise typer.Exit(1 if failed else 0)


def _diagnose(photos: list[str], recursive: bool, maps: str | None, overwrite: bool, as_json: bool) -> int:
    """Print a line for each photo; how many failed. Raises typer.Exit when nothing can be started."""
    if (problem := too_little_to_start()) is not None:
        raise _refused(RestoreError(problem), photos, as_json)
    import_diffusers_lightly()
    from lwr.batch.diagnoses import Maps, diagnoses, in_words
    from lwr.batch.folders import make_folder
    from lwr.batch.inputs import find
    from lwr.batch.kept import files
    from lwr.images.files import DiskFullError, ImageError
    from lwr.images.formats import photo_suffixes

    if maps == "":  # which a path takes for the folder one is in
        raise _refused(UsageError("The folder for --maps has no name: give one."), photos, as_json)
    found, failed = find(photos, photo_suffixes(), recursive), 0
    try:
        if maps is not None:
            make_folder(Path(maps), "--maps")
    except ImageError as error:
        raise _refused(error, photos, as_json, 1 if isinstance(error, DiskFullError) else 2) from None
    for remark in found.remarks:
        print(remark, file=sys.stderr)
    kept = files(photo.path for photo in found.photos)
    for line in diagnoses(found.photos, None if maps is None else Maps(Path(maps), overwrite, kept)):
        failed += "error" in line
        if as_json or "error" in line:
            show(line, as_json)
        else:
            print(in_words(line), flush=True)
    return failed


@app.command()
def route(
    text: Annotated[str, typer.Argument(help="what is wrong, in words")], as_json: JsonFlag = False
) -> None:
    """Show which tasks a sentence asks for."""
    from lwr.prompt.old import REPAIRS
    from lwr.prompt.router import route as find
    from lwr.tasks import TASKS

    found = find(text)
    if as_json:
        print(json.dumps(found.json()))
        return
    lines = [f"{name}: {strength:g}" for name, strength in found.tasks.items()]
    if found.general:
        degree = "" if found.degree is None else f" ({found.degree:g} of it)"
        lines.append(f"general: what the photo needs{degree}")
    if found.general or found.repairs:
        spared = [TASKS[name].title.lower() if name in TASKS else REPAIRS[name].does for name in found.spared]
        lines += [f"left out: {', '.join(spared)}"] if spared else []
    lines += [f"repair: {REPAIRS[name].does}" for name in found.repairs]
    lines += [f"size: {found.size.text}"] if found.size else []
    lines += [f"scale: {found.scale:g}"] if found.scale is not None else []
    lines += [f"not done: {', '.join(found.ignored)}"] if found.ignored and found.understood else []
    lines += found.notes
    print("\n".join(lines if found.understood else [found.message, *found.notes]))


@app.command()
def tasks(as_json: JsonFlag = False) -> None:
    """List what can be asked for."""
    from lwr.tasks import TASKS

    for task in TASKS.values():
        shown = {
            "name": task.name,
            "title": task.title,
            "examples": task.examples,
            "scale": task.default_scale,
        }
        print(json.dumps(shown) if as_json else f'{task.name}: {task.title} ("{task.examples[0]}")')


@app.command(
    epilog="Pairs: FOLDER/input/NAME.png is the damaged photo, FOLDER/target/NAME.png the good one, and "
    "FOLDER/params/NAME.json says how it was damaged; subfolders go into NAME, twins are numbered. Exit "
    "status: 0 all damaged, 1 some failed, 2 wrong usage, 130 stopped by Ctrl-C."
)
def degrade(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="a good photo; with --pairs, folders")],
    task: Annotated[str, typer.Option(help="the task whose damage is done")],
    out: Annotated[str | None, typer.Option(help="file to write, of one photo")] = None,
    pairs: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="write a pair of each photo: damaged and good")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="same seed, same pixels")] = 0,
    recursive: Annotated[bool, typer.Option("--recursive", help="look into subfolders of folders")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace existing files")] = False,
    skip_existing: Annotated[bool, typer.Option("--skip-existing", help="leave whole pairs alone")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Damage good photos the way the training data is damaged; --json prints every parameter."""
    from lwr.batch.damages import Damages, damaged

    asked = Damages(task, out, pairs, seed, recursive, overwrite, skip_existing)
    failed = 0
    try:
        with stoppable():
            for line in damaged(photos, asked):
                failed += "error" in line
                show(line, as_json)
    except UsageError as error:
        raise _refused(error, photos, as_json) from None
    except StoppedError as stop:
        print("Stopped. What is finished stays: --skip-existing goes on with pairs.", file=sys.stderr)
        raise typer.Exit(stop.status) from None
    raise typer.Exit(1 if failed else 0)


@app.command()
def convert(
    kind: Annotated[str, typer.Argument(help="stablesr")],
    files: Annotated[list[str], typer.Argument(metavar="CKPT [CFW_CKPT] OUT", help="two files, one folder")],
    half: Annotated[bool, typer.Option("--half", help="write half precision [default: as it is]")] = False,
    prediction: Annotated[str, typer.Option(help="epsilon, or v_prediction for the 768 model")] = "epsilon",
    head_channels: Annotated[int, typer.Option(help="of the UNet; 64 in Stable Diffusion 2")] = 64,
    as_json: JsonFlag = False,
) -> None:
    """Convert a public StableSR checkpoint into a folder for `restore --prior OUT`."""
    use = "use convert stablesr CKPT [CFW_CKPT] OUT."
    wrong = f"There is no kind {kind!r}: {use}" if kind != "stablesr" else ""
    if not wrong and not 2 <= len(files) <= 3:
        wrong = f"There are {len(files)} paths where two or three are needed: {use}"
    if not wrong and "" in files:
        wrong = f"One of the paths is empty: {use}"
    if wrong:
        raise _refused(UsageError(wrong), files[:1], as_json)
    from lwr.loading.load import without_bars
    from lwr.stablesr.convert import StableSRError
    from lwr.stablesr.convert import convert as convert_stablesr

    without_bars()
    checkpoint, *cfw, out = map(Path, files)
    line: dict[str, Any] = {"input": str(checkpoint), "output": str(out)}
    try:
        line["remarks"] = convert_stablesr(
            checkpoint, out, *cfw, half=half, head_channels=head_channels, prediction=prediction
        )
    except StableSRError as error:
        raise _refused(error, [str(checkpoint)], as_json, status=1) from None
    for remark in line["remarks"]:
        print(remark, file=sys.stderr)
    show(line, as_json)


@app.command(epilog="OUT gets TASK.onnx and TASK.json, which says what the pass takes. It takes minutes.")
@with_options
def export(
    kind: Annotated[str, typer.Argument(help="onnx")],
    out: Annotated[str, typer.Argument(metavar="OUT", help="folder to write into")],
    asked: Export,
    as_json: JsonFlag = False,
) -> None:
    """Write the pass of each task, its adapter folded in, as a file for other programs."""
    try:
        asked.check(kind, out)
    except RestoreError as error:
        raise _refused(error, [], as_json) from None
    from lwr.export.onnx_files import export_onnx
    from lwr.images.files import DiskFullError, ImageError
    from lwr.loading.adapter import AdapterError
    from lwr.loading.hub import HubError
    from lwr.loading.load import without_bars
    from lwr.loading.priors import PriorError

    without_bars()
    loading = Loading(prior=asked.prior, adapter=asked.adapter, device="cpu", precision="float32")
    try:
        for line in export_onnx(loading.restorer(), Path(out), asked):
            show(line, as_json)
    except (RestoreError, PriorError, AdapterError, HubError, ImageError) as error:
        raise _refused(error, [], as_json, 1 if isinstance(error, DiskFullError) else 2) from None


def _refused(error: ValueError, photos: list[str], as_json: bool, status: int = 2) -> typer.Exit:
    """Says what is wrong, for each photo as a JSON line too; the exit to raise."""
    print(error, file=sys.stderr)
    for photo in photos if as_json else ():
        show({"input": photo, "error": str(error)}, as_json)
    return typer.Exit(status)

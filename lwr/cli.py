"""The command line: `lwr restore PHOTO... --prompt TEXT`; `route`, `tasks`, `degrade`, `convert`.

Results go to stdout, everything else to stderr. Exit status: 0 all restored, 1 some failed, 2 wrong usage.
What needs torch is imported inside the command that needs it: `--help`, `route` and `tasks` answer at once.
"""

import io
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lwr import __version__
from lwr.options import with_options
from lwr.request import Request, RestoreError, option

if TYPE_CHECKING:
    from lwr.restore import Restorer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
JsonFlag = Annotated[bool, typer.Option("--json", help="one JSON object per line on stdout")]


@dataclass(frozen=True)
class Loading:
    """Which weights are loaded, and where to."""

    prior: str = option(
        "embedded",
        "embedded, sd-2.1-base, sd-2.1, sd-turbo, ..., a folder, or a Hub repository, "
        "NAMESPACE/NAME@REVISION; sd-turbo=PLACE takes its files from elsewhere",
    )
    parts: str | None = option(
        None, "restoring parts to put around the prior: a folder that convert or training wrote"
    )
    adapter: list[str] | None = option(
        None, "another adapter for its task: a folder or NAMESPACE/NAME@REVISION; repeatable"
    )
    device: str = option("auto", "auto, cpu, cuda or mps")
    precision: str = option("auto", "of the weights: auto, float32, bfloat16 or float16")
    memory: float | None = option(None, "memory to stay within [default: what is free]", metavar="GB")

    def restorer(self) -> "Restorer":
        """The Restorer with its adapters; raises PriorError, RestoreError, AdapterError or HubError."""
        from lwr.loading.adapter import Adapter
        from lwr.restore import Restorer

        restorer = Restorer.load(
            self.prior, device=self.device, memory_gb=self.memory, parts=self.parts, precision=self.precision
        )
        for name in self.adapter or ():
            restorer.use(Adapter.open(name))
        return restorer


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
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file can have a name that the terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")


@app.command()
@with_options
def restore(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="photo files")],
    request: Request,
    loading: Loading,
    out: Annotated[str | None, typer.Option(help="file, or folder for several photos")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace existing files")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Restore photos; each is written beside its input as NAME.restored.png unless --out says otherwise."""
    from lwr.loading.adapter import AdapterError
    from lwr.loading.hub import HubError
    from lwr.loading.load import without_bars
    from lwr.loading.priors import PriorError

    without_bars()
    try:
        request.asked()  # refused before a model loads
        targets = _targets(photos, out)
        restorer = loading.restorer()
        asked = restorer.resolve(request).tasks
        for task in restorer.adapters.given:
            if task not in asked:
                print(f"The adapter for {task} has no part in this: it was not asked for.", file=sys.stderr)
        _make_folder(targets, out)
    except (RestoreError, PriorError, AdapterError, HubError, _UsageError) as error:
        raise _refused(error, photos, as_json) from None
    failed = 0
    for index, (photo, target) in enumerate(zip(photos, targets, strict=True)):
        line = _restore_one(restorer, photo, target, targets[:index], overwrite, request)
        failed += "error" in line
        _report(line, as_json)
    raise typer.Exit(1 if failed else 0)


def _restore_one(
    restorer: "Restorer", photo: str, target: Path, earlier: list[Path], overwrite: bool, request: Request
) -> dict[str, Any]:
    """Restore one photo into `target` and say how it went, as the JSON line."""
    from lwr.images.files import ImageError, save, writable
    from lwr.loading.adapter import AdapterError

    try:
        if target in earlier:
            again = "is the result of an earlier photo of the same name: restore it by itself."
            raise ImageError(f"{target} {again}")
        writable(target, overwrite)
        restored = restorer(photo, request, progress=_show if sys.stderr.isatty() else None)
        remarks = list(restored.notes)
        written = save(restored.loaded, target, overwrite=overwrite, notes=remarks)
    except (AdapterError, ImageError, RestoreError) as error:
        return {"input": photo, "error": str(error)}
    remarks += [f"{newer} is published; it is used when you ask for it." for newer in restored.newer]
    for remark in remarks:
        print(f"{photo}: {remark}", file=sys.stderr)
    settings = asdict(restored.settings)
    size = dict(zip(("width", "height"), restored.image.size, strict=True))
    seconds = round(restored.seconds, 3)
    return {"input": photo, "output": str(written), **settings, **size, "seconds": seconds}


@app.command()
def route(
    text: Annotated[str, typer.Argument(help="what is wrong, in words")], as_json: JsonFlag = False
) -> None:
    """Show which tasks a sentence asks for."""
    from lwr.prompt.router import route as find

    found = find(text)
    if as_json:
        print(json.dumps(found.json()))
        return
    print("\n".join(f"{name}: {strength:g}" for name, strength in found.tasks.items()) or found.message)


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


@app.command()
def degrade(
    photo: Annotated[str, typer.Argument(help="a good photo")],
    task: Annotated[str, typer.Option(help="the task whose damage is done")],
    out: Annotated[str, typer.Option(help="file to write")],
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="same seed, same pixels")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace an existing file")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Damage a good photo the way the training data is damaged; --json prints every parameter."""
    import torch

    from lwr.images.files import ImageError, load, save, writable
    from lwr.tasks import TASKS

    if task not in TASKS:
        raise _refused(_UsageError(f"There is no task {task!r}: use {', '.join(TASKS)}."), [photo], as_json)
    try:
        writable(out, overwrite)
        loaded = load(photo)
        degraded, params = TASKS[task].degrade(loaded.rgb, torch.Generator().manual_seed(seed))
        written = save(loaded.with_rgb(degraded), out, overwrite=overwrite)
    except ImageError as error:
        _report({"input": photo, "error": str(error)}, as_json)
        raise typer.Exit(1) from None
    line = {"input": photo, "output": str(written), "task": task, "seed": seed, "params": params[0]}
    _report(line, as_json)


@app.command()
def convert(
    kind: Annotated[str, typer.Argument(help="stablesr")],
    files: Annotated[list[Path], typer.Argument(metavar="CKPT [CFW_CKPT] OUT", help="two files, one folder")],
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
    if wrong:
        raise _refused(_UsageError(wrong), [str(path) for path in files[:1]], as_json)
    from lwr.loading.load import without_bars
    from lwr.stablesr.convert import StableSRError
    from lwr.stablesr.convert import convert as convert_stablesr

    without_bars()
    checkpoint, *cfw, out = files
    line: dict[str, Any] = {"input": str(checkpoint), "output": str(out)}
    try:
        line["remarks"] = convert_stablesr(
            checkpoint, out, *cfw, half=half, head_channels=head_channels, prediction=prediction
        )
    except StableSRError as error:
        raise _refused(error, [str(checkpoint)], as_json, status=1) from None
    for remark in line["remarks"]:
        print(remark, file=sys.stderr)
    _report(line, as_json)


class _UsageError(ValueError):
    """The command line asks for something that makes no sense; one sentence."""


def _targets(photos: list[str], out: str | None) -> list[Path]:
    """Where each result goes."""
    from lwr.images.files import SUFFIXES

    # "." has no name
    named = [Path(photo) if Path(photo).name else Path(photo) / "photo" for photo in photos]
    if out is None:
        return [path.with_name(f"{path.stem}.restored.png") for path in named]
    folder = Path(out)
    is_file = os.path.isfile(out) or (folder.suffix.lower() in SUFFIXES and not os.path.isdir(out))
    if len(photos) > 1 and is_file:
        raise _UsageError(f"--out {out} is a file: give a folder for {len(photos)} photos.")
    if len(photos) > 1 or os.path.isdir(out) or out.endswith(("/", "\\")):
        return [folder / f"{path.stem}.restored.png" for path in named]
    return [folder]


def _make_folder(targets: list[Path], out: str | None) -> None:
    """Make the folder that --out names; the folder of a single file must be there."""
    if out is None or targets == [Path(out)]:
        return
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        text = f"The folder {out} cannot be made ({error.strerror}): choose another --out."
        raise _UsageError(text) from error


def _refused(error: ValueError, photos: list[str], as_json: bool, status: int = 2) -> typer.Exit:
    """Says what is wrong, for each photo as a JSON line too; the exit to raise."""
    print(error, file=sys.stderr)
    for photo in photos if as_json else ():
        _report({"input": photo, "error": str(error)}, as_json)
    return typer.Exit(status)


def _report(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(line), flush=True)
    elif "error" in line:
        print(f"{line['input']}: {line['error']}", file=sys.stderr)
    elif "seconds" in line:
        made = f"{', '.join(line['tasks'])}, {line['width']}x{line['height']}, {line['seconds']} s"
        print(f"{line['input']} -> {line['output']} ({made})")
    else:
        print(f"{line['input']} -> {line['output']}")


def _show(done: int, total: int, what: str) -> None:
    end = "\n" if done == total else ""
    print(f"\r{what}: {done}/{total}   ", end=end, file=sys.stderr, flush=True)

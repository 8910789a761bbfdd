"""The Space: one page and four API endpoints around one `lwr.restore.Restorer`.

Run `python app.py` and open http://127.0.0.1:7860 (another port: GRADIO_SERVER_PORT). It uses the network
that ships with this repository, so the page works without internet, on a CPU as on a GPU. The environment may
name another: LWR_PRIOR, LWR_PARTS and LWR_MEMORY are the command line's --prior, --parts and --memory.
LWR_FOLDER names a folder whose photos an MCP client may give by their path; on a Space it has no effect.
"""

import os
import sys
import uuid
from functools import cache
from inspect import signature
from typing import Any

from lwr.threads import thread_settings

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.update(thread_settings())  # before torch

try:
    import spaces  # before torch, whose CUDA calls it replaces on ZeroGPU
except ImportError:
    spaces = None

import gradio as gr
from starlette.middleware import Middleware

from lwr.loading.limits import KEPT, SPARINGLY, keep_freed
from lwr.loading.priors import PriorError
from lwr.models.sharing import watch_passes
from lwr.prompt import route
from lwr.request import MAX_OUTPUT_PIXELS, Request, RestoreError
from lwr.restore import Restored, Restorer, doing
from lwr.tasks import TASKS
from page import about_tab, batch_tab, break_tab, examples, links, mcp_tools, restore_tab, words
from page.cancelling import CancelOne
from page.errors import errors_for_visitors
from page.inputs import read_request, uploaded
from page.line import WAITING
from page.service import Service
from page.stops import Signals
from page.style import CSS, JS, PURPOSE, THEME, TITLE
from page.uploads import MAX_FILE_SIZE, disk_full
from page.words import t, translations

HOUR = 3600  # seconds that a visitor's files stay on the server


def load(device: str = "auto") -> Restorer:
    """The network that the environment names; one sentence on stderr and status 2 when there is none."""
    model, memory = os.environ.get("LWR_PRIOR") or None, os.environ.get("LWR_MEMORY")
    try:
        budget = float(memory) if memory else None
        return Restorer.load(
            model, device=device, parts=os.environ.get("LWR_PARTS") or None, memory_gb=budget
        )
    except (PriorError, RestoreError, ValueError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


watch_passes(os.environ)
keep_freed(SPARINGLY if os.environ.get("LWR_MEMORY") else KEPT)
RESTORER = load()


def run(photo: str, request: Request, signals: Signals) -> Restored:
    """All that needs the GPU. ZeroGPU runs it in another process, which can only hand back a `gr.Error`."""
    with errors_for_visitors(photo):
        return RESTORER(photo, request, progress=signals.report)


@cache
def restorer_on_cpu() -> Restorer:
    """A second network, loaded when the first visitor's GPU time is used up."""
    return RESTORER if RESTORER.device.type == "cpu" else load("cpu")


def run_on_cpu(photo: str, request: Request, signals: Signals) -> Restored:
    """The same on the CPU."""
    with errors_for_visitors(photo):
        return restorer_on_cpu()(photo, request, progress=signals.report)


SERVICE = Service(RESTORER, run, run_on_cpu)
if os.environ.get("SPACES_ZERO_GPU") and SERVICE.offers_fast:
    doing(RESTORER, Request(fast=True))  # what is not on the GPU by now stays off it
if spaces is not None:
    SERVICE.run_on_gpu = spaces.GPU(run, duration=SERVICE.gpu_seconds)  # does nothing off ZeroGPU


def restore(
    image: gr.FileData,
    prompt: str = "",
    task: str = "auto",
    scale: str | float = "auto",
    steps: int | None = None,
    fidelity: float | None = None,
    seed: int = 0,
    size: str = "auto",
    strength: float | None = None,
    auto: bool = False,
    mask: gr.FileData | None = None,
    old: bool = False,
    scratches: bool = False,
    fading: bool = False,
    fast: bool = False,
) -> tuple[gr.FileData, dict[str, Any]]:
    """Restore a bad photo as a sentence asks, see /tasks. Returns the restored PNG and all settings.

    Without a prompt it finds out itself what is wrong with the photo, and does what that takes.

    Args:
        image: the photo (PNG, JPEG, HEIC, AVIF, WebP, TIFF, GIF or BMP), uploaded or by its URL.
        prompt: what is wrong with it: "remove the haze and enlarge it 2x"; "fix it" leaves it open.
        task: "auto" (as the prompt says) or the name of one task, which wins over the prompt; see /tasks.
        scale: "auto" or 1 to 4, output side / input side.
        steps: sampling steps; None = the network's default.
        fidelity: 1 the exactest, 0.5 the sharpest, 0 the model's own picture; None = the task's default.
        seed: same seed and settings, same pixels.
        size: "auto", or the size of the result instead of a scale: "3840x2160", "4k", "A4 at 300 dpi".
        strength: 0 to 1, how much of all that is asked for is done; None = as the photo shows.
        auto: do what the photo needs, beside what is asked for.
        mask: what is white in it is filled from around, without a prompt only that; of the photo's size.
        old: an old photo: scratches and dust are filled, faded colours corrected, where there are any.
        scratches: scratches and dust are found and filled.
        fading: faded and yellowed colours are corrected.
        fast: by a smaller network, where the server has one: quicker, and a little less exact.
    """
    path = uploaded(image)
    with errors_for_visitors(path):
        request = read_request(
            prompt=prompt, task=task, scale=scale, steps=steps, fidelity=fidelity, seed=seed, size=size,
            strength=strength, auto=auto, mask=uploaded(mask) if mask else None, old=old,
            scratches=scratches, fading=fading, fast=fast,
        )  # fmt: skip
    done = SERVICE.restore(path, request, uuid.uuid4().hex, gr.Progress())
    return gr.FileData(path=done.file).model_dump(), done.settings


def diagnose(image: gr.FileData) -> dict[str, Any]:
    """Find what is wrong with a photo, and change nothing.

    Returns {"severities": {defect: 0 (not there) to 1}, "sentence": str, "tasks": {task: strength}}; the
    tasks are what `restore` does to it without a prompt.

    Args:
        image: the photo (PNG, JPEG, HEIC, AVIF, WebP, TIFF, GIF or BMP), uploaded or by its URL.
    """
    path = uploaded(image)
    with errors_for_visitors(path):
        return SERVICE.diagnose(path).json()


def route_prompt(prompt: str) -> dict[str, Any]:
    """Find what a sentence asks for, without a photo: {"tasks": {name: strength}, "understood": bool}.

    Args:
        prompt: what is wrong with a photo, in English.
    """
    return route(str(prompt)).json()


def list_tasks() -> list[dict[str, Any]]:
    """List all that can be asked for: name, title, example sentences and default scale of each task."""
    tasks = TASKS.values()
    return [dict(name=t.name, title=t.title, examples=t.examples, scale=t.default_scale) for t in tasks]


def from_link(request: gr.Request) -> list[Any]:
    """What the page's address sets."""
    return links.from_link(request, SERVICE.offers_fast)


class Page(gr.Blocks):
    """Also answers programs that were written before /restore got its newest parameters.

    Gradio's own clients fill in the defaults of what a call leaves out; a plain request, as curl sends it, is
    refused by Gradio unless it names all.
    """

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        """Append in place the defaults of what a plain request left out at its end."""
        if block_fn.api_name == "restore" and inputs:  # all but the photo may be left out
            defaults = [one.default for one in signature(restore).parameters.values()]
            inputs += defaults[len(inputs) :]
        super().validate_inputs(block_fn, inputs)


def build() -> gr.Blocks:
    """The page and its endpoints."""
    with Page(title=TITLE, analytics_enabled=False, delete_cache=(HOUR // 2, HOUR)) as page:
        gr.Markdown(f"# {TITLE}\n{t(PURPOSE)}", elem_id="title")
        with gr.Tabs():
            with gr.Tab(t("Restore")):
                linked = restore_tab.build(SERVICE)
            with gr.Tab(t("Batch")):
                batch_tab.build(SERVICE)
            with gr.Tab(t("Try to break it")):
                break_tab.build(SERVICE)
            with gr.Tab(t("About")):
                about_tab.build(RESTORER)
        gr.Markdown(
            t(
                f"Photos up to {MAX_FILE_SIZE}, results up to {MAX_OUTPUT_PIXELS // 10**6} megapixels; files "
                "are deleted after about an hour. Restored detail is partly imagined: do not use it as "
                "evidence."
            )
        )
        page.unload(SERVICE.leave)
        page.load(from_link, None, linked, **restore_tab.LIVE)
        gr.api(restore, api_name="restore", concurrency_limit=None)  # `page.line` lets one photo in at a time
        gr.api(diagnose, api_name="diagnose")
        gr.api(route_prompt, api_name="route")
        gr.api(list_tasks, api_name="tasks")
    return page.queue(max_size=WAITING, api_open=False)


demo = build()

if __name__ == "__main__":
    mcp_tools.install()
    words.install()
    demo.launch(
        theme=THEME,
        css=CSS,
        js=JS,
        i18n=translations(),
        max_file_size=MAX_FILE_SIZE,
        footer_links=["api"],
        ssr_mode=False,
        mcp_server=True,
        app_kwargs={"exception_handlers": {OSError: disk_full}, "middleware": [Middleware(CancelOne)]},
        allowed_paths=[str(examples.FOLDER), str(about_tab.RESULTS)],
        prevent_thread_lock=True,
    )
    if not os.environ.get("SPACES_ZERO_GPU"):  # there, nothing runs on the GPU outside `run`
        SERVICE.warm_up()
    demo.block_thread()

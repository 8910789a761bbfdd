"""The page as tools of an MCP client: Gradio's server, which takes photos more ways and answers with them."""

import asyncio
import base64
import html
import io
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import gradio.mcp
from anyio import CancelScope
from anyio.to_thread import run_sync
from gradio import processing_utils
from gradio_client import Client, handle_file
from gradio_client.utils import is_file_obj_with_meta
from mcp import types
from mcp.server import Server
from PIL import Image

from lwr.images import files as images
from lwr.images.disk import FULL
from page.errors import DISK_FULL, sentence
from page.photo_sources import received, ways

PICTURES = {  # arguments
    "image": "the photo",
    "mask": "a picture of its size, what is white in it is filled, up to 32 pixels wide",
}
MOST_BYTES = 4_000_000  # of a picture in an answer; models take no larger ones
PATIENCE = 120  # seconds that a busy server may take to answer itself
LOOK = 1  # seconds between looks whether the client is still there
PREVIEW = 1568  # pixels of the longer side of what is shown instead
HOW = (
    " Give the photo as a data URL (data:image/jpeg;base64,...), as a public http or https address, or "
    "upload it first: POST it as the form field `files` to /gradio_api/upload of this server, and give what "
    "that answers."
)


class PhotoTools(gradio.mcp.GradioMCPServer):
    """Gradio's MCP server, with photos by every way of `received`, and pictures in its answers."""

    def create_mcp_server(self) -> Server:
        """The server; a photo is fetched before its tool is called, and what is refused is one sentence."""
        server = super().create_mcp_server()
        call = server.request_handlers[types.CallToolRequest]

        async def with_photo(request: types.CallToolRequest) -> types.ServerResult:
            arguments = request.params.arguments or {}
            for name in PICTURES.keys() & {name for name, given in arguments.items() if given is not None}:
                try:
                    arguments[name] = await run_sync(received, arguments[name])
                except images.ImageError as error:
                    return _refusal(sentence(error))
                except OSError as error:
                    return _refusal(_why(error))
            answer = await call(request)
            if answer.root.isError:
                texts = [part.text for part in answer.root.content if isinstance(part, types.TextContent)]
                return _refusal(" ".join(texts).removeprefix("Error: "))
            return answer

        server.request_handlers[types.CallToolRequest] = with_photo
        return server

    def get_input_schema(
        self, tool_name: str, parameters: dict[str, str] | None = None
    ) -> tuple[dict[str, Any], list[list[str | int]]]:
        """Gradio's, with what a photo may be."""
        schema, places = super().get_input_schema(tool_name, parameters)
        for name in PICTURES.keys() & schema["properties"].keys():
            schema["properties"][name] = {"type": "string", "description": f"{PICTURES[name]}: {ways()}"}
        return schema, places

    @property
    def _file_data_tool_description(self) -> str:
        return HOW

    def convert_strings_to_filedata(self, value: Any, filedata_positions: list[list[str | int]]) -> Any:
        """The photo is a path of Gradio's upload folder by now, see `with_photo`."""
        named = {place[0] for place in filedata_positions}
        return {
            name: handle_file(one) if name in named and one is not None else one
            for name, one in value.items()
        }

    def _get_or_create_client(self) -> Client:
        if self._client_instance is None and self.local_url:  # Gradio's own waits five seconds
            self._client_instance = Client(
                self.local_url,
                download_files=False,
                verbose=False,
                analytics_enabled=False,
                ssl_verify=False,
                headers={"x-gradio-user": "mcp"},
                httpx_kwargs={"timeout": PATIENCE},
                _skip_components=False,
            )
        return super()._get_or_create_client()

    async def _execute_tool_without_progress(self, job: Any) -> list[Any]:
        """What the tool returned, one element for each output."""
        async with _cancelled_with(self.mcp_server.request_context.request, job):
            result = await run_sync(job.result, abandon_on_cancel=True)
        return list(result) if isinstance(result, tuple) else [result]

    async def _execute_tool_with_progress(self, job: Any, progress_token: str | int) -> Any:
        async with _cancelled_with(self.mcp_server.request_context.request, job):
            return await super()._execute_tool_with_progress(job, progress_token)

    def postprocess_output_data(
        self, data: Any, root_url: str
    ) -> list[types.TextContent | types.ImageContent]:
        """Pictures as pictures, with the address of the file; all else as JSON."""
        content: list[types.TextContent | types.ImageContent] = []
        for output in processing_utils.add_root_url(data, root_url, None):
            if is_file_obj_with_meta(output):
                content += _picture(Path(output["path"]), output["url"])
            else:
                content.append(types.TextContent(type="text", text=json.dumps(output)))
        return content


def install() -> None:
    """Let `launch(mcp_server=True)`, which takes no server of ours, start this one."""
    gradio.mcp.GradioMCPServer = PhotoTools


def _picture(file: Path, address: str) -> Iterator[types.TextContent | types.ImageContent]:
    """The picture as it is, or a smaller one when it would be too long, and where the file is."""
    content, kind, text = file.read_bytes(), "image/png", f"Image URL: {address}"
    if len(content) > MOST_BYTES:
        with Image.open(file) as picture:
            width, height = picture.size
            picture.thumbnail((PREVIEW, PREVIEW))
            shown = io.BytesIO()
            picture.save(shown, "WEBP", quality=90)
        content, kind = shown.getvalue(), "image/webp"
        text = f"{text} ({width}x{height} pixels; the picture shown is a smaller copy)"
    yield types.ImageContent(type="image", data=base64.b64encode(content).decode(), mimeType=kind)
    yield types.TextContent(type="text", text=text)


def _why(error: OSError) -> str:
    """The sentence for a photo that the server could not keep."""
    if error.errno in FULL:
        return DISK_FULL
    return (
        f"The server could not take the photo ({error.strerror or 'no reason is known'}): upload it instead."
    )


def _refusal(text: str) -> types.ServerResult:
    content = [types.TextContent(type="text", text=html.unescape(text))]
    return types.ServerResult(types.CallToolResult(content=content, isError=True))


@asynccontextmanager
async def _cancelled_with(request: Any, job: Any) -> AsyncIterator[None]:
    """Cancel the job when the client cancels its request or goes away."""

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(LOOK)
        await run_sync(job.cancel)  # asks this very server, so not in its own loop

    watching = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        with CancelScope(shield=True):
            await run_sync(job.cancel)
        raise
    finally:
        watching.cancel()

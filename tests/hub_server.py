"""A Hub of our own on the loopback, for the unmodified clients of huggingface_hub, datasets and the others.

    python tests/hub_server.py --root /tmp/hub        # prints the environment for clients

It answers the calls that those clients make, as the real Hub does: repos, commits, LFS, tags, branches,
trees, ranges, private repos. `Hub.fail` makes it misbehave.
"""

import argparse
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import hub_answers as answers
import uvicorn
from hub_answers import HubError
from hub_faults import Fault, Scope
from hub_store import Repo, Store
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

TOKENS = {"hf_alice": ("alice", "write"), "hf_alice_read": ("alice", "read"), "hf_bob": ("bob", "write")}
KINDS = {"model": "models", "dataset": "datasets", "space": "spaces"}
API = re.compile(
    r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)(?:/(?P<verb>[\w-]+)(?:/(?P<rest>.*))?)?"
)
RESOLVE = re.compile(
    r"/(?:(?P<kind>datasets|spaces)/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)"
)
LFS = re.compile(r"/(?:(?P<kind>datasets|spaces)/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
STORED = re.compile(r"/_lfs/(?P<oid>[0-9a-f]{64})(?P<verify>/verify)?")


class Hub:
    """The application.

    `log` holds "METHOD path" of every call, `faults` the next calls that go wrong, `hosts` the address where
    a Space runs: {"NAMESPACE/NAME": "http://127.0.0.1:7860"}.
    """

    def __init__(self, root: Path, tokens: dict[str, tuple[str, str]] | None = None) -> None:
        self.store, self.tokens = Store(root), TOKENS if tokens is None else tokens
        self.log: list[str] = []
        self.hosts: dict[str, str] = {}
        self.faults: list[tuple[re.Pattern[str], Fault]] = []
        self.grants: set[str] = set()

    def fail(self, call: str, fault: Fault, times: int = 1) -> None:
        """Let the next `times` calls go wrong whose "METHOD path" matches the regular expression `call`."""
        self.faults += [(re.compile(call), fault)] * times

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        call = f"{scope['method']} {scope['raw_path'].decode()}"
        self.log.append(call)
        for waiting in self.faults:
            if waiting[0].search(call):
                self.faults.remove(waiting)
                return await waiting[1](self._answered, scope, receive, send)
        await self._answered(scope, receive, send)

    async def _answered(self, scope: Scope, receive: Callable, send: Callable) -> None:
        request = Request(scope, receive)
        try:
            response = await self._route(request, scope["raw_path"].decode().partition("?")[0])
        except HubError as answer:
            response = answer.response
        await response(scope, receive, send)

    async def _route(self, request: Request, path: str) -> Response:
        if path == "/api/whoami-v2":
            user, role = self._user(request, required=True)
            return JSONResponse({"type": "user", "name": user, "auth": {"accessToken": {"role": role}}})
        if path == "/api/repos/create":
            return self._create(request, await request.json())
        if path == "/api/repos/delete":
            return self._delete(request, await request.json())
        if path == "/api/validate-yaml":
            return answers.validated(await request.json())
        if found := STORED.fullmatch(path):
            return await answers.lfs_file(self, request, found["oid"], bool(found["verify"]))
        if found := LFS.fullmatch(path):
            self._repo(request, found["kind"] or "models", found["name"], write=True)
            return answers.lfs_batch(self, request, await request.json())
        if found := RESOLVE.fullmatch(path):
            repo = self._repo(request, found["kind"] or "models", found["name"])
            return answers.file_content(
                self, request, repo, unquote(found["revision"]), unquote(found["path"])
            )
        if found := API.fullmatch(path):
            return await self._api(request, found["kind"], found["name"], found["verb"], found["rest"])
        raise HubError(404, "Sorry, we can't find the page you are looking for.")

    def _user(self, request: Request, required: bool = False) -> tuple[str | None, str]:
        header = request.headers.get("authorization", "")
        if not header:
            if required:
                raise HubError(401, "Invalid username or password.")
            return None, "none"
        known = self.tokens.get(header.removeprefix("Bearer "))
        if known is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        return known

    def _repo(self, request: Request, kind: str, name: str, write: bool = False) -> Repo:
        """The repo, if this caller may see it (and write to it): else 401, 403 or 404 as the Hub answers."""
        user, role = self._user(request)
        repo, owner = self.store.repo(kind, name), name.split("/")[0]
        if repo is None or (repo.info["private"] and user != owner):
            if user is None:  # so that nobody learns which private repos there are
                raise HubError(401, "Invalid username or password.", "RepoNotFound")
            raise HubError(404, "Repository not found", "RepoNotFound")
        if write and (user != owner or role != "write"):
            if user is None:
                raise HubError(401, "Invalid username or password.")
            raise HubError(403, f"Your token may not write to {name}")
        return repo

    def _create(self, request: Request, payload: dict[str, Any]) -> Response:
        user, role = self._user(request, required=True)
        owner, kind = payload.get("organization") or user, KINDS[payload.get("type") or "model"]
        if owner != user or role != "write":
            message = f'You don\'t have the rights to create a {kind[:-1]} under the namespace "{owner}"'
            raise HubError(403, message)
        name = f"{owner}/{payload['name']}"
        prefix = "" if kind == "models" else f"{kind}/"
        url = f"{answers.origin(request)}/{prefix}{name}"
        with self.store.lock:
            if self.store.repo(kind, name):
                error = {"error": f"You already created this {kind[:-1]} repo", "url": url}
                return JSONResponse(error, 409, {"X-Error-Message": error["error"]})
            private = bool(payload.get("private")) or payload.get("visibility") == "private"
            readme = f"---\nsdk: {payload['sdk']}\n---\n" if kind == "spaces" else None
            self.store.create(kind, name, {"private": private, "sdk": payload.get("sdk")}, readme)
        return JSONResponse({"url": url, "name": name, "id": uuid4().hex})

    def _delete(self, request: Request, payload: dict[str, Any]) -> Response:
        user, _ = self._user(request, required=True)
        name = f"{payload.get('organization') or user}/{payload['name']}"
        repo = self._repo(request, KINDS[payload.get("type") or "model"], name, write=True)
        repo.folder.rename(repo.folder.with_suffix(f".{uuid4().hex}"))
        return JSONResponse({})

    async def _api(
        self, request: Request, kind: str, name: str, verb: str | None, rest: str | None
    ) -> Response:
        writes = verb in ("preupload", "commit") or (verb in ("tag", "branch"))
        repo = self._repo(request, kind, name, write=writes)
        if verb in (None, "revision"):
            return answers.info(self, repo, kind, name, answers.revision_of(repo, unquote(rest or "main")))
        if verb == "refs":
            return JSONResponse(
                {
                    "branches": answers.refs_of(repo, "heads"),
                    "tags": answers.refs_of(repo, "tags"),
                    "converts": [],
                }
            )
        revision, _, path = (rest or "main").partition("/")
        revision, path = unquote(revision), unquote(path)
        if verb == "preupload":
            return answers.preupload(self, repo, revision, await request.json())
        if verb == "commit":
            return answers.commit(self, request, repo, kind, name, revision, await request.body())
        if verb in ("tag", "branch"):
            return answers.set_ref(self, request, repo, verb, revision, await request.body())
        if verb == "runtime":
            return JSONResponse(answers.runtime(self, name))
        commit = answers.revision_of(repo, revision)
        if verb == "tree":
            return answers.tree(self, request, repo, commit, path)
        if verb == "paths-info":
            form = await request.form()
            wanted = set(form.getlist("paths"))
            return JSONResponse([answers.listed(e) for e in repo.tree(commit) if e.path in wanted])
        if verb == "commits":
            return answers.commits(repo, commit, name.split("/")[0])
        raise HubError(404, f"There is no {verb} here")


# ---- running it


class RunningHub:
    """A Hub that answers on a port of this machine, in a thread, until `stop`."""

    def __init__(self, root: Path, port: int = 0) -> None:
        self.hub = Hub(root)
        self.port = port
        self.start()

    @property
    def address(self) -> str:
        """For HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to answer, on the same port as before."""
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", self.port))
        self.port = self._socket.getsockname()[1]
        config = uvicorn.Config(self.hub, log_level="error", lifespan="off", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        """Be unreachable."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A Hub on the loopback, for trying things out.")
    parser.add_argument("--root", type=Path, required=True, help="folder that holds its repos")
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    hub = RunningHub(arguments.root, arguments.port)
    print(f"HF_ENDPOINT={hub.address} HF_HUB_DISABLE_XET=1 HF_TOKEN=hf_alice", flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        hub.stop()


if __name__ == "__main__":
    main()

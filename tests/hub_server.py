"""A Hub of our own on the loopback, for the unmodified clients of huggingface_hub, datasets and the others.

    python tests/hub_server.py --root /tmp/hub        # prints the environment for clients

It answers the calls that those clients make, as the real Hub does: repos, commits, LFS, tags, branches,
trees, ranges, private repos. `Hub.fail` makes it misbehave.
"""

import argparse
import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

import uvicorn
from hub_faults import Fault, Scope
from hub_store import PLAIN_LIMIT, Entry, MissingRevisionError, Repo, Store, blob_id, pointer
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

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
PAGE = 1000  # entries of a tree in one answer


class HubError(Exception):
    """An error as the Hub words it."""

    def __init__(self, status: int, message: str, code: str | None = None, commit: str | None = None) -> None:
        super().__init__(message)
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        headers |= {"X-Repo-Commit": commit} if commit else {}
        self.response = JSONResponse({"error": message}, status, headers)


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
        self._grants: set[str] = set()

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
            return self._validate(await request.json())
        if found := STORED.fullmatch(path):
            return await self._large(request, found["oid"], bool(found["verify"]))
        if found := LFS.fullmatch(path):
            self._repo(request, found["kind"] or "models", found["name"], write=True)
            return self._batch(request, await request.json())
        if found := RESOLVE.fullmatch(path):
            repo = self._repo(request, found["kind"] or "models", found["name"])
            return self._resolve(request, repo, unquote(found["revision"]), unquote(found["path"]))
        if found := API.fullmatch(path):
            return await self._api(request, found["kind"], found["name"], found["verb"], found["rest"])
        raise HubError(404, "Sorry, we can't find the page you are looking for.")

    # ---- who may what

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
        if repo is None or (repo.facts["private"] and user != owner):
            if user is None:  # so that nobody learns which private repos there are
                raise HubError(401, "Invalid username or password.", "RepoNotFound")
            raise HubError(404, "Repository not found", "RepoNotFound")
        if write and (user != owner or role != "write"):
            if user is None:
                raise HubError(401, "Invalid username or password.")
            raise HubError(403, f"Your token may not write to {name}")
        return repo

    # ---- repos

    def _create(self, request: Request, facts: dict[str, Any]) -> Response:
        user, role = self._user(request, required=True)
        owner, kind = facts.get("organization") or user, KINDS[facts.get("type") or "model"]
        if owner != user or role != "write":
            message = f'You don\'t have the rights to create a {kind[:-1]} under the namespace "{owner}"'
            raise HubError(403, message)
        name = f"{owner}/{facts['name']}"
        prefix = "" if kind == "models" else f"{kind}/"
        url = f"{_origin(request)}/{prefix}{name}"
        with self.store.lock:
            if self.store.repo(kind, name):
                error = {"error": f"You already created this {kind[:-1]} repo", "url": url}
                return JSONResponse(error, 409, {"X-Error-Message": error["error"]})
            private = bool(facts.get("private")) or facts.get("visibility") == "private"
            readme = f"---\nsdk: {facts['sdk']}\n---\n" if kind == "spaces" else None
            self.store.create(kind, name, {"private": private, "sdk": facts.get("sdk")}, readme)
        return JSONResponse({"url": url, "name": name, "id": uuid4().hex})

    def _delete(self, request: Request, facts: dict[str, Any]) -> Response:
        user, _ = self._user(request, required=True)
        name = f"{facts.get('organization') or user}/{facts['name']}"
        repo = self._repo(request, KINDS[facts.get("type") or "model"], name, write=True)
        repo.folder.rename(repo.folder.with_suffix(f".{uuid4().hex}"))
        return JSONResponse({})

    def _validate(self, facts: dict[str, Any]) -> Response:
        import yaml

        head = re.match(r"---\s*\n(.*?)\n---", facts["content"], re.DOTALL)
        errors = []
        try:
            data = yaml.safe_load(head[1]) if head else {}
            if not isinstance(data, dict):
                errors.append({"message": "The metadata is no mapping"})
            elif facts.get("repoType") == "space" and data.get("sdk") not in ("gradio", "static", "docker"):
                errors.append({"message": '"sdk" must be one of [gradio, docker, static]'})
        except yaml.YAMLError as error:
            errors.append({"message": str(error)})
        return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)

    # ---- one repo

    async def _api(
        self, request: Request, kind: str, name: str, verb: str | None, rest: str | None
    ) -> Response:
        writes = verb in ("preupload", "commit") or (verb in ("tag", "branch"))
        repo = self._repo(request, kind, name, write=writes)
        if verb in (None, "revision"):
            return self._info(repo, kind, name, _revision(repo, unquote(rest or "main")))
        if verb == "refs":
            return JSONResponse(
                {"branches": _refs(repo, "heads"), "tags": _refs(repo, "tags"), "converts": []}
            )
        revision, _, path = (rest or "main").partition("/")
        revision, path = unquote(revision), unquote(path)
        if verb == "preupload":
            return self._preupload(repo, revision, await request.json())
        if verb == "commit":
            return self._commit(request, repo, kind, name, revision, await request.body())
        if verb in ("tag", "branch"):
            return self._name(request, repo, verb, revision, await request.body())
        if verb == "runtime":
            return JSONResponse(self._runtime(name))
        commit = _revision(repo, revision)
        if verb == "tree":
            return self._tree(request, repo, commit, path)
        if verb == "paths-info":
            form = await request.form()
            wanted = set(form.getlist("paths"))
            return JSONResponse([_listed(e) for e in repo.tree(commit) if e.path in wanted])
        if verb == "commits":
            return JSONResponse(
                [{**c, "message": "", "authors": [{"user": name.split("/")[0]}]} for c in repo.log(commit)]
            )
        raise HubError(404, f"There is no {verb} here")

    def _info(self, repo: Repo, kind: str, name: str, commit: str) -> Response:
        files = [
            {"rfilename": e.path, "size": e.size, "blobId": e.oid}
            for e in repo.tree(commit)
            if not e.is_folder
        ]
        log = repo.log(commit)
        facts = {
            "_id": "0", "id": name, "author": name.split("/")[0], "sha": commit, "siblings": files,
            "tags": [], "private": repo.facts["private"], "gated": False, "disabled": False,
            "downloads": 0, "likes": 0, "lastModified": log[0]["date"], "createdAt": log[-1]["date"],
        }  # fmt: skip
        if kind == "spaces":
            facts |= {"sdk": repo.facts["sdk"], "host": self.hosts.get(name), "runtime": self._runtime(name)}
        return JSONResponse(facts)

    def _runtime(self, name: str) -> dict[str, Any]:
        """Of a Space."""
        return {"stage": "RUNNING" if name in self.hosts else "STOPPED", "hardware": {}}

    def _tree(self, request: Request, repo: Repo, commit: str, path: str) -> Response:
        entries = repo.tree(commit, path, request.query_params.get("recursive", "").lower() in ("1", "true"))
        if path and not entries:
            raise HubError(404, f"{path} does not exist", "EntryNotFound", commit)
        start = int(request.query_params.get("cursor", 0))
        more = len(entries) > start + PAGE
        link = (
            {"Link": f'<{request.url.include_query_params(cursor=start + PAGE)}>; rel="next"'} if more else {}
        )
        return JSONResponse([_listed(e) for e in entries[start : start + PAGE]], headers=link)

    def _preupload(self, repo: Repo, revision: str, facts: dict[str, Any]) -> Response:
        commit = _revision(repo, revision)
        there = {e.path: e.sha256 or e.oid for e in repo.tree(commit)}
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if repo.is_large(file["path"], file["size"], commit) else "regular",
                "shouldIgnore": False,
                "oid": there.get(file["path"]),
            }
            for file in facts["files"]
        ]
        return JSONResponse({"files": files, "commitOid": commit})

    def _commit(
        self, request: Request, repo: Repo, kind: str, name: str, branch: str, body: bytes
    ) -> Response:
        files, deleted, header = {}, [], {}
        for line in body.splitlines():
            key, value = (item := json.loads(line))["key"], item["value"]
            if key == "header":
                header = value
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                stored = self.store.large(value["oid"])
                if not stored.exists():
                    raise HubError(400, f"LFS object {value['oid']} of {value['path']} was never uploaded")
                files[value["path"]] = pointer(value["oid"], stored.stat().st_size)
            else:
                deleted.append(value["path"].rstrip("/"))
        if large := [path for path, content in files.items() if len(content) > PLAIN_LIMIT]:
            raise HubError(400, f"{large[0]} is larger than 10 MB and no LFS file")
        with self.store.lock:
            tip = _revision(repo, branch)
            if header.get("parentCommit") not in (None, tip):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            there = {e.path: e.oid for e in repo.tree(tip)}
            files = {path: content for path, content in files.items() if there.get(path) != blob_id(content)}
            if files or deleted:
                tip = repo.commit(branch, header["summary"], files, deleted)
        prefix = "" if kind == "models" else f"{kind}/"
        url = f"{_origin(request)}/{prefix}{name}/commit/{tip}"
        return JSONResponse({"success": True, "commitOid": tip, "commitUrl": url, "hookOutput": ""})

    def _name(self, request: Request, repo: Repo, verb: str, rest: str, body: bytes) -> Response:
        """Create or delete a tag (of the revision `rest`) or a branch (`rest`)."""
        facts, refs = json.loads(body or b"{}"), "tags" if verb == "tag" else "heads"
        deletes = request.method == "DELETE"
        name = rest if deletes or verb == "branch" else facts["tag"]
        if deletes != (name in repo.refs(refs)):
            if deletes:
                raise HubError(404, f"There is no {verb} {name}", "RevisionNotFound")
            raise HubError(409, f"Reference already exists: {name}")
        start = rest if verb == "tag" else facts.get("startingPoint") or "main"
        repo.set_ref(refs, name, None if deletes else _revision(repo, start))
        return JSONResponse({})

    # ---- files

    def _resolve(self, request: Request, repo: Repo, revision: str, path: str) -> Response:
        commit = _revision(repo, revision)
        parent = path.rpartition("/")[0]
        entry = next((e for e in repo.tree(commit, parent, recursive=False) if e.path == path), None)
        if entry is None or entry.is_folder:
            raise HubError(404, "Entry not found", "EntryNotFound", commit)
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if entry.sha256:
            headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
            storage = _origin(request).replace("127.0.0.1", "localhost")  # another host, as theirs is
            return Response(status_code=302, headers=headers | {"Location": f"{storage}/_lfs/{entry.sha256}"})
        content = repo.blob(entry.oid)
        headers |= {"ETag": f'"{entry.oid}"', "Content-Type": "text/plain; charset=utf-8"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not asked:
            return Response(content, headers=headers)
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if start >= len(content):
            return Response(status_code=416, headers={"Content-Range": f"bytes */{len(content)}"})
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return Response(content[start : end + 1], 206, headers)

    def _batch(self, request: Request, facts: dict[str, Any]) -> Response:
        """Where to put large files; none for those that are here."""
        objects = []
        for wanted in facts["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if not self.store.large(wanted["oid"]).exists():
                grant = uuid4().hex
                self._grants.add(grant)
                put = f"{_origin(request)}/_lfs/{wanted['oid']}?grant={grant}"
                verify = f"{_origin(request)}/_lfs/{wanted['oid']}/verify"
                answer["actions"] = {
                    "upload": {"href": put, "header": {}},
                    "verify": {"href": verify, "header": {}},
                }
            objects.append(answer)
        return JSONResponse({"transfer": "basic", "objects": objects})

    async def _large(self, request: Request, oid: str, verify: bool) -> Response:
        """Give, take or confirm the content of a large file."""
        stored = self.store.large(oid)
        if verify:
            size = (await request.json())["size"]
            if not stored.exists() or stored.stat().st_size != size:
                raise HubError(404, "The object is not here")
            return JSONResponse({})
        if request.method in ("GET", "HEAD"):
            return (
                FileResponse(stored, headers={"ETag": f'"{oid}"'})
                if stored.exists()
                else Response(status_code=404)
            )
        if request.query_params.get("grant") not in self._grants:
            raise HubError(403, "Signature does not match")
        part, digest = stored.with_suffix(f".{uuid4().hex}"), hashlib.sha256()
        try:
            with part.open("wb") as file:
                async for chunk in request.stream():
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != oid:
                raise HubError(400, "The content is not what its hash says")
            part.replace(stored)
        finally:
            part.unlink(missing_ok=True)
        return Response(headers={"ETag": f'"{oid}"'})


def _revision(repo: Repo, revision: str) -> str:
    try:
        return repo.resolve(revision)
    except MissingRevisionError:
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound") from None


def _refs(repo: Repo, kind: str) -> list[dict[str, str]]:
    refs = repo.refs(kind).items()
    return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit} for name, commit in refs]


def _listed(entry: Entry) -> dict[str, Any]:
    if entry.is_folder:
        return {"type": "directory", "oid": entry.oid, "size": 0, "path": entry.path}
    facts = {"type": "file", "oid": entry.oid, "size": entry.size, "path": entry.path}
    large = {
        "oid": entry.sha256,
        "size": entry.size,
        "pointerSize": len(pointer(entry.sha256 or "", entry.size)),
    }
    return facts | ({"lfs": large} if entry.sha256 else {})


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


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

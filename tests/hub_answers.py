"""What the tests' Hub answers about one repository: settings, files, commits, tags, large files."""

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hub_store import PLAIN_LIMIT, Entry, MissingRevisionError, Repo, blob_id, pointer
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

if TYPE_CHECKING:
    from hub_server import Hub

PAGE = 1000  # entries of a tree in one answer


class HubError(Exception):
    """An error as the Hub words it."""

    def __init__(self, status: int, message: str, code: str | None = None, commit: str | None = None) -> None:
        super().__init__(message)
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        headers |= {"X-Repo-Commit": commit} if commit else {}
        self.response = JSONResponse({"error": message}, status, headers)


def validated(payload: dict[str, Any]) -> Response:
    """Whether the metadata of a card is well-formed."""
    import yaml

    head = re.match(r"---\s*\n(.*?)\n---", payload["content"], re.DOTALL)
    errors = []
    try:
        data = yaml.safe_load(head[1]) if head else {}
        if not isinstance(data, dict):
            errors.append({"message": "The metadata is no mapping"})
        elif payload.get("repoType") == "space" and data.get("sdk") not in ("gradio", "static", "docker"):
            errors.append({"message": '"sdk" must be one of [gradio, docker, static]'})
    except yaml.YAMLError as error:
        errors.append({"message": str(error)})
    return JSONResponse({"errors": errors, "warnings": []}, 400 if errors else 200)


def refs(repo: Repo) -> Response:
    """Branches and tags."""
    return JSONResponse({"branches": refs_of(repo, "heads"), "tags": refs_of(repo, "tags"), "converts": []})


def commits(repo: Repo, commit: str, owner: str) -> Response:
    """What led to a commit, newest first."""
    return JSONResponse([{**one, "message": "", "authors": [{"user": owner}]} for one in repo.log(commit)])


def info(hub: "Hub", repo: Repo, kind: str, name: str, commit: str) -> Response:
    files = [
        {"rfilename": e.path, "size": e.size, "blobId": e.oid} for e in repo.tree(commit) if not e.is_folder
    ]
    log = repo.log(commit)
    answer = {
        "_id": "0", "id": name, "author": name.split("/")[0], "sha": commit, "siblings": files,
        "tags": [], "private": repo.info["private"], "gated": False, "disabled": False,
        "downloads": 0, "likes": 0, "lastModified": log[0]["date"], "createdAt": log[-1]["date"],
    }  # fmt: skip
    if kind == "spaces":
        answer |= {"sdk": repo.info["sdk"], "host": hub.hosts.get(name), "runtime": runtime(hub, name)}
    return JSONResponse(answer)


def runtime(hub: "Hub", name: str) -> dict[str, Any]:
    """Of a Space."""
    return {"stage": "RUNNING" if name in hub.hosts else "STOPPED", "hardware": {}}


def tree(hub: "Hub", request: Request, repo: Repo, commit: str, path: str) -> Response:
    entries = repo.tree(commit, path, request.query_params.get("recursive", "").lower() in ("1", "true"))
    if path and not entries:
        raise HubError(404, f"{path} does not exist", "EntryNotFound", commit)
    start = int(request.query_params.get("cursor", 0))
    more = len(entries) > start + PAGE
    link = {"Link": f'<{request.url.include_query_params(cursor=start + PAGE)}>; rel="next"'} if more else {}
    return JSONResponse([listed(e) for e in entries[start : start + PAGE]], headers=link)


def preupload(hub: "Hub", repo: Repo, revision: str, payload: dict[str, Any]) -> Response:
    commit = revision_of(repo, revision)
    there = {e.path: e.sha256 or e.oid for e in repo.tree(commit)}
    files = [
        {
            "path": file["path"],
            "uploadMode": "lfs" if repo.is_large(file["path"], file["size"], commit) else "regular",
            "shouldIgnore": False,
            "oid": there.get(file["path"]),
        }
        for file in payload["files"]
    ]
    return JSONResponse({"files": files, "commitOid": commit})


def commit(
    hub: "Hub", request: Request, repo: Repo, kind: str, name: str, branch: str, body: bytes
) -> Response:
    files, deleted, header = {}, [], {}
    for line in body.splitlines():
        key, value = (item := json.loads(line))["key"], item["value"]
        if key == "header":
            header = value
        elif key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            stored = hub.store.large(value["oid"])
            if not stored.exists():
                raise HubError(400, f"LFS object {value['oid']} of {value['path']} was never uploaded")
            files[value["path"]] = pointer(value["oid"], stored.stat().st_size)
        else:
            deleted.append(value["path"].rstrip("/"))
    if large := [path for path, content in files.items() if len(content) > PLAIN_LIMIT]:
        raise HubError(400, f"{large[0]} is larger than 10 MB and no LFS file")
    with hub.store.lock:
        tip = revision_of(repo, branch)
        if header.get("parentCommit") not in (None, tip):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        there = {e.path: e.oid for e in repo.tree(tip)}
        files = {path: content for path, content in files.items() if there.get(path) != blob_id(content)}
        if files or deleted:
            tip = repo.commit(branch, header["summary"], files, deleted)
    prefix = "" if kind == "models" else f"{kind}/"
    url = f"{origin(request)}/{prefix}{name}/commit/{tip}"
    return JSONResponse({"success": True, "commitOid": tip, "commitUrl": url, "hookOutput": ""})


def set_ref(hub: "Hub", request: Request, repo: Repo, verb: str, rest: str, body: bytes) -> Response:
    """Create or delete a tag (of the revision `rest`) or a branch (`rest`)."""
    payload, refs = json.loads(body or b"{}"), "tags" if verb == "tag" else "heads"
    deletes = request.method == "DELETE"
    name = rest if deletes or verb == "branch" else payload["tag"]
    if deletes != (name in repo.refs(refs)):
        if deletes:
            raise HubError(404, f"There is no {verb} {name}", "RevisionNotFound")
        raise HubError(409, f"Reference already exists: {name}")
    start = rest if verb == "tag" else payload.get("startingPoint") or "main"
    repo.set_ref(refs, name, None if deletes else revision_of(repo, start))
    return JSONResponse({})


# ---- files


def file_content(hub: "Hub", request: Request, repo: Repo, revision: str, path: str) -> Response:
    commit = revision_of(repo, revision)
    parent = path.rpartition("/")[0]
    entry = next((e for e in repo.tree(commit, parent, recursive=False) if e.path == path), None)
    if entry is None or entry.is_folder:
        raise HubError(404, "Entry not found", "EntryNotFound", commit)
    headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
    if entry.sha256:
        headers |= {"X-Linked-Etag": f'"{entry.sha256}"', "X-Linked-Size": str(entry.size)}
        storage = origin(request).replace("127.0.0.1", "localhost")  # another host, as theirs is
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


def lfs_batch(hub: "Hub", request: Request, payload: dict[str, Any]) -> Response:
    """Where to put large files; none for those that are here."""
    objects = []
    for wanted in payload["objects"]:
        answer = {"oid": wanted["oid"], "size": wanted["size"]}
        if not hub.store.large(wanted["oid"]).exists():
            grant = uuid4().hex
            hub.grants.add(grant)
            put = f"{origin(request)}/_lfs/{wanted['oid']}?grant={grant}"
            verify = f"{origin(request)}/_lfs/{wanted['oid']}/verify"
            answer["actions"] = {
                "upload": {"href": put, "header": {}},
                "verify": {"href": verify, "header": {}},
            }
        objects.append(answer)
    return JSONResponse({"transfer": "basic", "objects": objects})


async def lfs_file(hub: "Hub", request: Request, oid: str, verify: bool) -> Response:
    """Give, take or confirm the content of a large file."""
    stored = hub.store.large(oid)
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
    if request.query_params.get("grant") not in hub.grants:
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


def revision_of(repo: Repo, revision: str) -> str:
    try:
        return repo.resolve(revision)
    except MissingRevisionError:
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound") from None


def refs_of(repo: Repo, kind: str) -> list[dict[str, str]]:
    refs = repo.refs(kind).items()
    return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit} for name, commit in refs]


def listed(entry: Entry) -> dict[str, Any]:
    if entry.is_folder:
        return {"type": "directory", "oid": entry.oid, "size": 0, "path": entry.path}
    answer = {"type": "file", "oid": entry.oid, "size": entry.size, "path": entry.path}
    large = {
        "oid": entry.sha256,
        "size": entry.size,
        "pointerSize": len(pointer(entry.sha256 or "", entry.size)),
    }
    return answer | ({"lfs": large} if entry.sha256 else {})


def origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"

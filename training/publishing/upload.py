"""From content to a version on the Hub: one commit, then the tag; done again it does nothing or continues.

Large files travel first, in parts, and what has arrived is not sent twice. Only the commit makes them part of
the repository, and only when that holds exactly what was meant does the tag appear.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import httpx2
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils.sha import git_hash

from training.publishing.content import Publication
from training.publishing.errors import PublishError
from training.publishing.names import Repository

PART = 32  # files whose upload is one part
MADE_BY_HUB = ".gitattributes"  # it comes with a new repository and belongs to the Hub
Say = Callable[[str], None]
Files = Mapping[str, CommitOperationAdd]  # path in the repository -> content, with its size and SHA-256


def check_login(api: HfApi, namespace: str) -> None:
    """PublishError unless somebody is logged in who may write to the namespace."""
    with as_publish_errors(f"for {namespace}"):
        user = api.whoami()
    allowed = {user["name"], *(organisation["name"] for organisation in user.get("orgs", []))}
    if namespace not in allowed:
        raise PublishError(
            f"You are logged in as {user['name']} and may not publish for {namespace}: use --namespace "
            f"with one of {', '.join(sorted(allowed))}, or log in as somebody else."
        )
    if user.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise PublishError("Your token may only read: log in with one that may write, `hf auth login`.")


def existing(repositories: Iterable[Repository]) -> set[Repository]:
    """Those of the repositories that are on the Hub; none when it does not answer, as publishing will say."""
    api, found = HfApi(), set()
    with suppress(httpx2.TransportError, OSError, ValueError):
        found |= {one for one in repositories if api.repo_exists(one[1], repo_type=one[0])}
    return found


def publish(api: HfApi, publication: Publication, version: str, private: bool, say: Say) -> str:
    """Bring a repository to this version; its address. PublishError says why not.

    A version that is there with the same content is left alone; with other content it is refused.
    """
    repo, kind = publication.repo, publication.kind
    with as_publish_errors(f"{repo}"):
        for needed in publication.needs:
            if not _is_published(api, *needed.split("@")):
                raise PublishError(f"{needed} must be published before: publish 'all', or 'adapter' first.")
        for named in publication.names:
            if not _is_published(api, *named.split("@")):
                say(f"{repo} names {named}, which is not published yet: publish 'adapter' too.")
        sdk = "gradio" if kind == "space" else None
        api.create_repo(repo, repo_type=kind, private=private, exist_ok=True, space_sdk=sdk)
        if private and not api.repo_info(repo, repo_type=kind).private:
            raise PublishError(
                f"{repo} is there and public: make it private on the Hub, or leave out --private."
            )
        refs = api.list_repo_refs(repo, repo_type=kind)
        tags = {ref.name: ref.target_commit for ref in refs.tags}
        files = {path: CommitOperationAdd(path, content) for path, content in publication.files.items()}
        if version in tags:
            _compare_tagged(api, publication, version, files)
            say(f"{kind} {repo} {version} is published already, with this content.")
        else:
            commit = _earlier(api, publication, version, files)
            if commit is None:
                tip = {ref.name: ref.target_commit for ref in refs.branches}["main"]
                commit = _bring_up(api, publication, version, files, tip, say)
            _tag(api, publication, version, commit, files)
            say(f"{kind} {repo} {version} is published.")
    prefix = {"model": "", "dataset": "datasets/", "space": "spaces/"}[kind]
    return f"{api.endpoint}/{prefix}{repo}/tree/{version}"


def _is_same(mine: CommitOperationAdd, there: RepoFile) -> bool:
    """Whether the Hub's file has our content."""
    if there.size != mine.upload_info.size:
        return False
    if there.lfs is not None:
        return there.lfs.sha256 == mine.upload_info.sha256.hex()
    with mine.as_file() as file:
        return there.blob_id == git_hash(file.read())


def _differences(
    api: HfApi, publication: Publication, revision: str, files: Files
) -> tuple[list[str], list[str]]:
    """(files to add or change, files to delete) to make a revision what is meant."""
    entries = api.list_repo_tree(
        publication.repo, revision=revision, recursive=True, repo_type=publication.kind
    )
    there = {entry.path: entry for entry in entries if isinstance(entry, RepoFile)}
    add = [path for path, mine in files.items() if path not in there or not _is_same(mine, there[path])]
    return add, [path for path in there if path not in files and path != MADE_BY_HUB]


def _compare_tagged(api: HfApi, publication: Publication, version: str, files: Files) -> None:
    add, delete = _differences(api, publication, version, files)
    if add or delete:
        other = sorted([*add, *delete])
        raise PublishError(
            f"{publication.repo} {version} is published with other content ({', '.join(other[:3])}"
            f"{' and more' if len(other) > 3 else ''}), and a version never changes: give a new --version."
        )


def _earlier(api: HfApi, publication: Publication, version: str, files: Files) -> str | None:
    """The commit that an earlier attempt made for this version, if it holds what is meant."""
    commits = api.list_repo_commits(publication.repo, repo_type=publication.kind)
    for commit in (one.commit_id for one in commits if one.title == version):
        if _differences(api, publication, commit, files) == ([], []):
            return commit
    return None


def _tag(api: HfApi, publication: Publication, version: str, commit: str, files: Files) -> None:
    try:
        api.create_tag(publication.repo, tag=version, revision=commit, repo_type=publication.kind)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
        _compare_tagged(api, publication, version, files)  # somebody was quicker, with the same content?


def _bring_up(
    api: HfApi,
    publication: Publication,
    version: str,
    files: Files,
    tip: str,
    say: Say,
) -> str:
    """Make the tip of main what is meant, in one commit on `tip` if need be; the commit that is it."""
    repo, kind = publication.repo, publication.kind
    add, delete = _differences(api, publication, tip, files)
    if not add and not delete:
        return tip  # an earlier attempt came this far
    additions = [files[path] for path in add]
    for start in range(0, len(additions), PART):
        part = additions[start : start + PART]
        api.preupload_lfs_files(repo, additions=part, repo_type=kind, free_memory=False)
        if len(additions) > PART:
            say(f"{kind} {repo}: {start + len(part)} of {len(additions)} files are there.")
    deletions = [CommitOperationDelete(path) for path in delete]
    done = api.create_commit(
        repo, [*additions, *deletions], commit_message=version, repo_type=kind, parent_commit=tip
    )
    add, delete = _differences(api, publication, done.oid, files)
    if add or delete:
        raise PublishError(
            f"{repo} did not arrive as it was sent ({', '.join([*add, *delete][:3])}): no version was made. "
            "Run the same command again."
        )
    return done.oid


def _is_published(api: HfApi, repo: str, version: str) -> bool:
    return api.repo_exists(repo) and version in {ref.name for ref in api.list_repo_refs(repo).tags}


# ---- errors


@contextmanager
def as_publish_errors(what: str) -> Iterator[None]:
    """Turn what the client library raises into a PublishError of one sentence, without the token."""
    try:
        yield
    except (httpx2.TransportError, OSError, RuntimeError, ValueError) as error:
        # The client wraps a failed upload in a RuntimeError, a refused card in a ValueError.
        cause = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        raise PublishError(_sentence(what, cause)) from error


def _sentence(what: str, error: BaseException) -> str:
    again = "run the same command again, it continues from where it stopped"
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing can be published: unset it."
    if isinstance(error, LocalTokenNotFoundError):
        return "You are not logged in: run `hf auth login`, or set HF_TOKEN."
    if isinstance(error, HfHubHTTPError):
        return _refusal(what, error, again)
    if isinstance(error, httpx2.TransportError):
        return f"The connection broke while publishing {what}: {again}."
    if isinstance(error, FileNotFoundError):
        return f"{error.filename} went away while publishing {what}: {again}."
    return f"{what} could not be published ({_first_line(error)}): {again}."


def _refusal(what: str, error: Any, again: str) -> str:
    code, wait = error.response.status_code, error.response.headers.get("Retry-After", "")
    if code == 401:
        return "The Hub does not know your token: log in again with `hf auth login`, or correct HF_TOKEN."
    if code == 403:
        return f"Your token may not write to {what}: use one that may, or another --namespace."
    if code in (409, 412):
        return f"Somebody else changed {what} at the same time: {again}."
    if code == 429 or code >= 500:
        when = f" in {wait} seconds" if wait.isdigit() else " later"
        return f"The Hub is busy (status {code}): no version of {what} was made. Try again{when}."
    return f"{what} was refused (status {code}, {_first_line(error)})."


def _first_line(error: BaseException) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return re.sub(r"hf_\w+", "hf_...", text).strip().rstrip(".")

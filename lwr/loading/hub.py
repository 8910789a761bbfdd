"""Files of one revision of a Hugging Face repository: fetched once, verified, every fault one sentence.

`fetch` asks the Hub what a revision means today, downloads what the cache lacks, and compares each file with
the hash that the Hub has of it. Without a network it takes what the cache holds, verifies that and says so.
"""

import errno
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT = 10.0  # seconds until a Hub that does not answer counts as out of reach


class HubError(ValueError):
    """A repository, version or file that cannot be had; one sentence: what is wrong, and what to do."""


class DamagedError(HubError):
    """Files that are not what the Hub says they are. They have been deleted."""


@dataclass(frozen=True)
class Fetched:
    """A revision on this machine."""

    folder: Path
    name: str  # "NAMESPACE/NAME@REVISION", a version tag or a commit: it means the same files tomorrow
    notes: tuple[str, ...]  # for the user: a branch that was resolved, no network
    newer: str | None  # "NAMESPACE/NAME@vX.Y.Z" when a later version is published; never taken unasked


@dataclass(frozen=True)
class Pin:
    """A repository and a revision of it."""

    repo: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Pin":
        """ "NAMESPACE/NAME@REVISION", or without a revision."""
        repo, _, revision = text.partition("@")
        return cls(repo, revision or None)

    @property
    def is_fixed(self) -> bool:
        """Whether the revision is a version or a commit, which nobody moves."""
        return bool(self.revision and (VERSION.fullmatch(self.revision) or COMMIT.fullmatch(self.revision)))

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision or 'main'}"


def is_repo(name: str) -> bool:
    """Whether `name` may be a repository of the Hub, "NAMESPACE/NAME"."""
    return name.count("/") == 1 and not name.startswith((".", "/")) and not name.endswith("/")


def fetch(pin: Pin, patterns: Sequence[str] | None = None) -> Fetched:
    """The files of a revision that match `patterns` (all of them: None), from the Hub or from its cache.

    `pin.revision` is a version tag, a branch or a commit; None is the default branch. Raises HubError.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with _readable_errors(pin):
        refs, trouble = _refs(pin)
        if refs is not None:
            _check_revision(pin, refs)
        wanted = {"revision": pin.revision, "allow_patterns": patterns, "local_files_only": refs is None}
        try:
            folder = Path(snapshot_download(pin.repo, **wanted))
        except LocalEntryNotFoundError as error:
            if refs is not None:
                raise
            raise HubError(f"{trouble}, and {pin} is not on this machine: try again later.") from error
        _verify(folder, pin, refs is not None)
    commit = folder.name
    known = str(pin) if pin.is_fixed else f"{pin} (commit {commit})"
    notes = [] if trouble is None else [f"{trouble}: the copy of {known} on this machine was used."]
    fixed, newer = pin.is_fixed, None
    if refs is not None:
        fixed = fixed or pin.revision in refs.tags
        if (pin.revision or "main") in refs.branches and not fixed:
            use = "ask for that one to keep it"
            notes.append(f"{pin} is a branch: its commit {commit} of today was used; {use}.")
        newer = _newer(pin, refs)
    return Fetched(folder, f"{pin.repo}@{pin.revision if fixed else commit}", tuple(notes), newer)


@dataclass(frozen=True)
class _Refs:
    """Names that a repository has today."""

    branches: frozenset[str]
    tags: frozenset[str]

    @property
    def versions(self) -> list[str]:
        """The tags that are versions, the latest last."""
        return sorted(filter(VERSION.fullmatch, self.tags), key=_order)


def _refs(pin: Pin) -> tuple[_Refs | None, str | None]:
    """(branches and tags, None), or (None, why the Hub cannot be asked)."""
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status, validate_repo_id

    validate_repo_id(pin.repo)
    url = f"{constants.ENDPOINT}/api/models/{pin.repo}/refs"
    try:  # as HfApi.list_repo_refs does, which would wait for ever on a network that swallows what it is sent
        answer = get_session().get(url, headers=build_hf_headers(), timeout=TIMEOUT)
        hf_raise_for_status(answer)
    except (httpx2.TransportError, OfflineModeIsEnabled):
        return None, "The Hub cannot be reached"
    except HfHubHTTPError as error:
        code = error.response.status_code
        if code == 429 or code >= 500:
            return None, f"The Hub is busy ({_status(error)})"
        raise
    names = [frozenset(ref["name"] for ref in answer.json()[kind]) for kind in ("branches", "tags")]
    return _Refs(*names), None


def _check_revision(pin: Pin, refs: _Refs) -> None:
    if pin.revision is None or pin.revision in refs.branches | refs.tags or COMMIT.fullmatch(pin.revision):
        return
    versions = refs.versions
    listed = f"{'there are' if len(versions) <= 5 else 'its latest are'} {', '.join(versions[-5:])}"
    there = listed if versions else "it has no version yet"
    raise HubError(f"{pin.repo} has no revision {pin.revision!r}: {there}. Ask for one that is there.")


def _newer(pin: Pin, refs: _Refs) -> str | None:
    """The latest version, if it is later than the pinned one."""
    if not refs.versions or not VERSION.fullmatch(pin.revision or ""):
        return None
    latest = refs.versions[-1]
    return f"{pin.repo}@{latest}" if _order(latest) > _order(pin.revision) else None


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, VERSION.fullmatch(version).groups()))


# ---- what arrived


def _verify(folder: Path, pin: Pin, online: bool) -> None:
    """Delete and refuse each file whose content is not what the Hub published."""
    from huggingface_hub import HfApi

    if not folder.exists():  # the revision has no file that was asked for
        return
    if online:
        found = HfApi().verify_repo_checksums(pin.repo, revision=folder.name)
        damaged = [mismatch["path"] for mismatch in found.mismatches]
    else:
        links = (path for path in folder.rglob("*") if path.is_symlink())
        damaged = [str(path.relative_to(folder)) for path in links if not _fits_name(path.resolve())]
    for name in damaged:
        (folder / name).resolve().unlink(missing_ok=True)
        (folder / name).unlink(missing_ok=True)
    if damaged:
        raise DamagedError(
            f"{', '.join(sorted(damaged))} of {pin} is not what the Hub published (wrong hash): it was "
            "not used and has been deleted. Try again to fetch it again."
        )


def _fits_name(blob: Path) -> bool:
    """Whether a cached file has the hash that is its name: SHA-256 of a large file, git's of another.

    The library's own verification asks the Hub, which nobody can offline. Where the cache holds plain copies
    (no symbolic links, as on some Windows) no file is named after its hash.
    """
    from huggingface_hub.utils.sha import git_hash, sha_fileobj

    if not blob.exists():
        return False
    if len(blob.name) != 64:
        return git_hash(blob.read_bytes()) == blob.name
    with blob.open("rb") as file:
        return sha_fileobj(file).hex() == blob.name


# ---- what may go wrong


@contextmanager
def _readable_errors(pin: Pin) -> Iterator[None]:
    """Turn what the client library raises into a HubError of one sentence."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        yield
    except HubError:
        raise
    except HFValidationError as error:
        raise HubError(f"{pin.repo!r} is no name of a repository: use NAMESPACE/NAME.") from error
    except (LocalEntryNotFoundError, httpx2.TransportError) as error:
        status = _status(error)
        why, when = "cannot be reached", "when you are online"
        if status is not None:
            why, when = f"is busy ({status})", "later"
        raise HubError(f"{pin} is not on this machine and the Hub {why}: try again {when}.") from error
    except HfHubHTTPError as error:
        raise HubError(_refusal(pin, error)) from error
    except OSError as error:
        raise HubError(_disk(pin, error)) from error


def _refusal(pin: Pin, error: Any) -> str:
    code, said = error.response.status_code, error.response.headers.get("X-Error-Message", "")
    if "credentials" in said:
        return "The Hub does not know your token: log in again with `hf auth login`, or correct HF_TOKEN."
    if error.response.headers.get("X-Error-Code") == "RevisionNotFound":
        return f"{pin.repo} has no revision {pin.revision!r}: ask for one that is there."
    if error.response.headers.get("X-Error-Code") == "GatedRepo":
        accept = "accept its conditions on its page, then log in with `hf auth login` and try again"
        return f"{pin.repo} is gated: {accept}."
    if code in (401, 403, 404):
        check = "check the name, and log in with `hf auth login` if it is yours"
        return f"There is no repository {pin.repo}, or it is private: {check}."
    return f"The Hub would not give {pin} ({_status(error)}): try again later."


def _disk(pin: Pin, error: OSError) -> str:
    from huggingface_hub.constants import HF_HUB_CACHE as CACHE

    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        free = "free some, or set HF_HUB_CACHE to a folder on a larger disk, and try again"
        return f"There is no room for {pin} in {CACHE}: {free}."
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
        return f"{CACHE} is no folder to write in: set HF_HUB_CACHE to one of yours."
    if "Consistency" in str(error):
        return f"A file of {pin} arrived incomplete and was not used: try again."
    return f"{pin} could not be fetched ({str(error).partition(chr(10))[0]}): try again."


def _status(error: Any) -> str | None:
    """The HTTP status of the answer behind an error and when to come back, if there was one."""
    while error is not None:
        if getattr(error, "response", None) is not None:
            seconds = error.response.headers.get("Retry-After", "")
            wait = f", come back in {seconds} seconds" if seconds.isdigit() else ""
            return f"status {error.response.status_code}{wait}"
        error = error.__cause__
    return None

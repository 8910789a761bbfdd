"""Where the tests' Hub keeps things: a bare git repository for each repo, large files by their SHA-256.

A large file is in git as a git-lfs pointer, its content in `lfs/`, as on the real Hub.
"""

import fnmatch
import functools
import hashlib
import json
import re
import subprocess
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLAIN_LIMIT = 10_000_000  # bytes, of a file that is no LFS file
LFS_SUFFIXES = ("*.safetensors", "*.parquet", "*.bin", "*.tar", "*.zip", "*.ckpt", "*.pt", "*.arrow", "*.npz")
ATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LFS_SUFFIXES)
POINTER = re.compile(rb"version https://git-lfs[^\n]*\noid sha256:([0-9a-f]{64})\nsize (\d+)\n")


class MissingRevisionError(KeyError):
    """No branch, tag or commit of that name."""


@dataclass(frozen=True)
class Entry:
    """A file or folder of a tree; `sha256` and `size` are those of the large file behind a pointer."""

    path: str
    is_folder: bool
    oid: str  # git's
    size: int
    sha256: str | None = None


class Store:
    """All repos and large files under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = threading.RLock()
        (root / "lfs").mkdir(parents=True, exist_ok=True)

    def large(self, sha256: str) -> Path:
        """Where the large file of that hash lies, or would."""
        return self.root / "lfs" / sha256

    def repo(self, kind: str, name: str) -> "Repo | None":
        """The repo `name` ("NAMESPACE/NAME") of a kind ("models", "datasets", "spaces"), if it is there."""
        folder = self.root / kind / f"{name}.git"
        return Repo(self, folder) if folder.is_dir() else None

    def create(self, kind: str, name: str, info: Mapping[str, Any], readme: str | None) -> "Repo":
        """A new repo with the first commit that the Hub makes."""
        folder = self.root / kind / f"{name}.git"
        folder.mkdir(parents=True)
        git(folder, "init", "--bare", "--quiet", "--initial-branch=main")
        (folder / "info.json").write_text(json.dumps(dict(info)))
        repo = Repo(self, folder)
        files = {".gitattributes": ATTRIBUTES.encode()} | ({"README.md": readme.encode()} if readme else {})
        repo.commit("main", "initial commit", files, [])
        return repo


class Repo:
    """One git repository."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder

    @property
    def info(self) -> dict[str, Any]:
        """What the repo was created with: private, sdk."""
        return json.loads((self.folder / "info.json").read_text())

    def refs(self, kind: str) -> dict[str, str]:
        """{name: commit} of "heads" or "tags"."""
        form = "--format=%(refname:lstrip=2) %(objectname)"
        lines = git(self.folder, "for-each-ref", form, f"refs/{kind}").decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines)

    def resolve(self, revision: str) -> str:
        """The commit of a branch, tag or commit."""
        for kind in ("heads", "tags"):
            ref = self.folder / "refs" / kind / revision
            if ref.is_file():
                return ref.read_text().strip()
        if re.fullmatch(r"[0-9a-f]{40}", revision) and _is_commit(self.folder, revision):
            return revision
        raise MissingRevisionError(revision)

    def set_ref(self, kind: str, name: str, commit: str | None) -> None:
        """Point "heads" or "tags" `name` at a commit; None removes it."""
        words = ["-d", f"refs/{kind}/{name}"] if commit is None else [f"refs/{kind}/{name}", commit]
        git(self.folder, "update-ref", *words)

    def tree(self, commit: str, path: str = "", recursive: bool = True) -> list[Entry]:
        """The entries under `path`."""
        entries = []
        for line in _listing(self.folder, commit, path, recursive).decode().split("\0")[:-1]:
            columns, _, name = line.partition("\t")
            _, kind, oid, size = columns.split()
            if name != path:
                entries.append(Entry(name, kind == "tree", oid, 0 if size == "-" else int(size)))
        return self._with_large(entries)

    def blob(self, oid: str) -> bytes:
        """The content of a file in git."""
        return _blob(self.folder, oid)

    def commit(self, branch: str, message: str, files: Mapping[str, bytes], deleted: Iterable[str]) -> str:
        """One commit on top of a branch."""
        parent = self.refs("heads").get(branch)
        parts = [
            f"commit refs/heads/{branch}\ncommitter hub <hub@localhost> now\n".encode(),
            _data(message.encode()),
        ]
        parts.append(f"from {parent}\n".encode() if parent else b"")
        parts += [f"D {_quoted(path)}\n".encode() for path in deleted]
        for path, content in files.items():
            parts += [f"M 100644 inline {_quoted(path)}\n".encode(), _data(content)]
        stream = b"".join([*parts, b"\ndone\n"])
        git(self.folder, "fast-import", "--quiet", "--done", "--date-format=now", input=stream)
        return self.resolve(branch)

    def log(self, commit: str) -> list[dict[str, str]]:
        """The commits that led to this one, newest first."""
        form = "--format=%H%x00%cd%x00%s"
        words = ["log", form, "--date=format:%Y-%m-%dT%H:%M:%S.000Z", commit]
        lines = git(self.folder, *words).decode().splitlines()
        return [dict(zip(("id", "date", "title"), line.split("\0"), strict=True)) for line in lines]

    def is_large(self, path: str, size: int, commit: str) -> bool:
        """Whether a file of that name and size belongs into LFS."""
        named = next((e for e in self.tree(commit, recursive=False) if e.path == ".gitattributes"), None)
        rules = self.blob(named.oid).decode().splitlines() if named else []
        patterns = [rule.split()[0] for rule in rules if "filter=lfs" in rule]
        hit = any(fnmatch.fnmatch(path.rsplit("/", 1)[-1], p) or fnmatch.fnmatch(path, p) for p in patterns)
        return hit or size > PLAIN_LIMIT

    def _with_large(self, entries: list[Entry]) -> list[Entry]:
        """Pointers replaced by what they point to."""
        maybe = [e for e in entries if not e.is_folder and 100 < e.size < 200]
        if not maybe:
            return entries
        pointed: dict[str, tuple[str, int]] = {}
        for entry in maybe:
            if found := POINTER.match(self.blob(entry.oid)):
                pointed[entry.oid] = (found[1].decode(), int(found[2]))
        return [
            Entry(e.path, False, e.oid, pointed[e.oid][1], pointed[e.oid][0]) if e.oid in pointed else e
            for e in entries
        ]


def pointer(sha256: str, size: int) -> bytes:
    """What git holds of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def blob_id(content: bytes) -> str:
    """Git's name for a file of this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def git(folder: Path, *words: str, input: bytes | None = None) -> bytes:
    """Run git in a repository and return what it prints."""
    done = subprocess.run(["git", *words], cwd=folder, input=input, capture_output=True)
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, words, done.stdout, done.stderr)
    return done.stdout


# What a commit or blob holds never changes: git is asked once.


@functools.cache
def _is_commit(folder: Path, commit: str) -> bool:
    try:
        git(folder, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    except subprocess.CalledProcessError:
        return False
    return True


@functools.cache
def _listing(folder: Path, commit: str, path: str, recursive: bool) -> bytes:
    words = ["ls-tree", "-l", "-z", *(["-r", "-t"] if recursive else []), commit]
    return git(folder, *words, *([f"{path}/"] if path else []))


@functools.lru_cache(10_000)
def _blob(folder: Path, oid: str) -> bytes:
    return git(folder, "cat-file", "blob", oid)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

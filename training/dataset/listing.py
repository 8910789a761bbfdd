"""The photos of a source as plain data that any worker can read.

Loose pictures and tar shards are read where they lie. Rows of Parquet and of the Hub are first put, as they
are, into one file in the build's folder, once.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from training.data.shards import Picture, Skipped, Span, open_source, reason
from training.data.storage import place, whole_file, write_text
from training.dataset.curate import Candidate
from training.dataset.recipe import Recipe

_PHOTOS, _LIST = "photos.bin", "photos.json"


def list_photos(source: str, recipe: Recipe, folder: Path) -> tuple[list[Candidate], list[Skipped]]:
    """All photos of a source, and what could not be read; `folder` keeps those that lie in no file.

    Raises FileNotFoundError with a sentence when there is no such source, and OSError when `folder` is full.
    """
    if (folder / _LIST).exists():
        kept = json.loads((folder / _LIST).read_text(encoding="utf-8"))
        return [_revived(entry) for entry in kept["photos"]], [Skipped(*pair) for pair in kept["lost"]]
    pictures, _ = open_source(source, None)
    candidates: list[Candidate] = []
    lost: list[Skipped] = []
    with _Spool(folder / _PHOTOS) as spool:
        for found in pictures:
            if isinstance(found, Picture):
                try:
                    candidates.append(_candidate(found, recipe, spool))
                    continue
                except _LostError as error:
                    found = Skipped(found.name, str(error))
            lost.append(found)
    if spool.used:  # a list without spool is quick to make again, and notices what has changed
        kept = {
            "photos": [_plain(candidate) for candidate in candidates],
            "lost": [[*_pair(x)] for x in lost],
        }
        write_text(folder / _LIST, json.dumps(kept))
    return candidates, lost


def fingerprint(candidates: list[Candidate]) -> str:
    """A digest of which photos there are, whatever they lie in."""
    rows = [(c.image_id, c.photo_id, c.author, c.license, c.basis, c.source, c.size) for c in candidates]
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()[:16]


class _LostError(Exception):
    """A photo whose bytes cannot be had."""


class _Spool:
    """A file to which the bytes of photos are appended; it is made at the first."""

    def __init__(self, target: Path) -> None:
        self._target, self._end = target, 0
        self.used = False

    def __enter__(self) -> "_Spool":
        return self

    def put(self, data: bytes) -> Span:
        if not self.used:
            self._whole = whole_file(self._target)
            self._file = self._whole.__enter__().open("wb")
            self.used = True
        self._file.write(data)
        self._end += len(data)
        return Span(self._target, self._end - len(data), len(data))

    def __exit__(self, *failure: object) -> None:
        if self.used:
            self._file.close()
            self._whole.__exit__(*failure)


def _candidate(picture: Picture, recipe: Recipe, spool: _Spool) -> Candidate:
    read = picture.read
    if not isinstance(read, Span):
        try:
            data = read()
        except Exception as error:  # HTTP clients and file systems: no common base
            raise _LostError(reason(error)) from error
        read = spool.put(data)
    size = read.size
    if size is None:
        try:
            size = read.path.stat().st_size
        except OSError as error:
            raise _LostError(reason(error)) from error
    provenance = picture.provenance
    return Candidate(
        image_id=picture.id,
        photo_id=picture.photo,
        name=picture.name,
        author=provenance.get("author") or recipe.author or "",
        license=provenance.get("license") or provenance.get("licence") or recipe.license or "",
        basis=provenance.get("licence_basis", ""),
        source=_origin(provenance) or recipe.source or "",
        size=size,
        read=read,
    )


def _origin(provenance: Mapping[str, str]) -> str:
    """Where a photo is from: its page if that is known, else the collection and the file in it."""
    inside = "/".join(part for part in (provenance.get("source"), provenance.get("source_path")) if part)
    return provenance.get("source_url") or inside


def _pair(lost: Skipped) -> Iterator[str]:
    yield from (lost.name, lost.reason)


def _plain(candidate: Candidate) -> dict[str, object]:
    read = candidate.read
    return asdict(candidate) | {"read": [str(read.path), read.start, read.size]}


def _revived(entry: dict[str, object]) -> Candidate:
    path, start, size = entry["read"]
    return Candidate(**entry | {"read": Span(place(path), start, size)})

"""Which photos a command line names: files, folders, and what is left out of them, with a remark."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

RESULT = re.compile(r"\.restored(-\d+)?\.\w+$", re.IGNORECASE)  # the end of the names that we give
_SHOWN = 3  # names in a remark


@dataclass(frozen=True)
class Named:
    """One photo, or an argument in which there is none."""

    path: str  # as the user knows it
    below: str = ""  # its folder below the folder that was named: results are mirrored there
    error: str = ""  # a sentence: nothing to restore here


@dataclass
class Inputs:
    """What the arguments name, in order."""

    photos: list[Named] = field(default_factory=list)
    count: int = 0  # of photos with those that are named again
    remarks: list[str] = field(default_factory=list)  # sentences on what was left out


def find(arguments: Sequence[str], suffixes: frozenset[str], recursive: bool = False) -> Inputs:
    """The photos: files as they are, folders by the photos in them, sorted by name.

    Of a folder: files whose suffix (in lower case) is in `suffixes`, without hidden ones and without our own
    results; `recursive` takes its subfolders too. Of several files, a result whose source lies beside it is
    left out, as a shell's `*` names it too; when all of them are results, they are meant.
    """
    found = Inputs()
    meant = all(RESULT.search(argument) for argument in arguments)
    left_out: list[str] = []
    stems: dict[str, set[str]] = {}
    for argument in arguments:
        if argument and os.path.isdir(argument):
            _search(argument, suffixes, recursive, found, len(arguments) == 1)
        elif not argument:
            found.photos.append(Named(argument, error="An empty text is no name of a photo; name a file."))
        elif not meant and is_result(argument, suffixes, stems):
            left_out.append(argument)
        else:
            found.photos.append(Named(argument))
    found.count, found.photos = len(found.photos), _once(found)
    if left_out:
        one = "it" if len(left_out) == 1 else "them"
        found.remarks.append(
            f"Left out {_listed(left_out, 'result')} of earlier runs: name {one} alone to include {one}."
        )
    return found


def is_result(path: str, suffixes: frozenset[str], stems: dict[str, set[str]]) -> bool:
    """Is this NAME.restored.png, or alike, beside a photo NAME.*? `stems` keeps the NAMEs of each folder."""
    end = RESULT.search(path)
    if end is None:
        return False
    folder, name = os.path.split(path[: end.start()])
    if folder not in stems:
        try:
            photos = [Path(one) for one in os.listdir(folder or ".")]
        except OSError:
            photos = []
        stems[folder] = {one.stem for one in photos if one.suffix.lower() in suffixes}
    return name in stems[folder]


def _search(folder: str, suffixes: frozenset[str], recursive: bool, found: Inputs, alone: bool) -> None:
    """Add the photos of a folder, or one sentence that there are none.

    A shell's `*` also names the folder of earlier results: unless it is named `alone`, that is no error.
    """
    photos, results, others, subfolders = [], [], [], False
    unreadable: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        subfolders = subfolders or bool(folders)
        for name in sorted(name for name in names if not name.startswith(".")):
            path = os.path.join(place, name)
            known = os.path.splitext(name)[1].lower() in suffixes
            kind = others if not known else results if RESULT.search(name) else photos
            kind.append(Named(path, below=os.path.relpath(place, folder)))
        if not recursive:
            break
    found.photos += photos
    found.photos += [_unreadable(error) for error in unreadable]
    if results:
        listed = _listed([one.path for one in results], "result")
        found.remarks.append(f"{folder}: left out {listed} of earlier runs.")
    if others:
        listed = _listed([one.path for one in others], "file")
        found.remarks.append(f"{folder}: left out {listed} of a kind that is not read.")
    if not photos and not unreadable and (alone or not results):
        use = "; --recursive looks into its subfolders" if subfolders and not recursive else ""
        use = use or ("; name results to include them" if results else "; name another one, or photos")
        found.photos.append(Named(folder, error=f"{folder} is a folder without photos{use}."))


def _once(found: Inputs) -> list[Named]:
    """The photos, each at its first place, with a remark on those that are named again."""
    first: dict[str, Named] = {}
    again = [one for one in found.photos if first.setdefault(os.path.abspath(one.path), one) is not one]
    if again:
        found.remarks.append(f"{_listed([one.path for one in again], 'photo')} named again: taken once.")
    return list(first.values())


def _unreadable(error: OSError) -> Named:
    where = str(error.filename)
    return Named(where, error=f"{where} cannot be read ({error.strerror}); check its permissions.")


def _listed(paths: list[str], kind: str) -> str:
    """ "2 results (a.restored.png, b.restored.png)"."""
    names = ", ".join(map(os.path.basename, paths[:_SHOWN])) + (", ..." if len(paths) > _SHOWN else "")
    return f"{len(paths)} {kind}{'s' * (len(paths) > 1)} ({names})"

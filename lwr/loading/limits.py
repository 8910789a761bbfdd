"""What memory this process may still take: limits of the session and of the container, and what is free.

Imports no torch, so that a limit below what torch itself takes is seen before it is loaded. What Linux does
not say on another system counts as no limit.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC, CGROUPS = Path("/proc/self"), Path("/sys/fs/cgroup")
# Bytes of address space, and of writable memory in it, that the program takes with its weights and for the
# smallest photo, and more of both for each thread of torch's: stack and heap of its own.
ADDRESSES, DATA, THREAD = 1_500_000_000, 650_000_000, 140_000_000
RESIDENT = 650_000_000
FREE = "free"
SIGNS = ("memory", "bad_alloc", "could not create a primitive", "failed to map segment", "start new thread")
# Of address space: bytes that lie unused, and how much more than memory a photo takes (as measured for 64
# megapixels, 0.55 GB and 0.89 GB).
SPREAD, SPREADING = 100_000_000, 1.6
# Of freed memory, bytes that are kept, and of one piece (the most that glibc takes); numbers in its malloc.h
KEPT, LARGEST_KEPT = 1 << 29, 1 << 25
SPARINGLY = 1 << 22  # where memory is what counts
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@dataclass(frozen=True)
class Room:
    """Memory that may still be taken, by one of the limits."""

    left: int  # bytes, 0 or more
    limit: int  # bytes in all
    name: str  # as a sentence names the limit: "ulimit -v"


def room() -> Room | None:
    """The narrowest of all limits and of what is free; None where nothing is known."""
    return min(_rooms(), key=lambda one: one.left, default=None)


def limited_room() -> Room | None:
    """The narrowest of what session and container set; None where they set none."""
    return min((one for one in _rooms() if one.name != FREE), key=lambda one: one.left, default=None)


def too_little_to_start() -> str | None:
    """A sentence when not even the program itself fits."""
    more = THREAD * (_threads() - 1)
    for one, needed in ((_addresses(), ADDRESSES + more), (_data(), DATA + more)):
        if one is not None and one.limit < needed:
            return _too_small(one, needed)
    container = _cgroup()
    if container is not None and container.left < RESIDENT:
        return _too_small(container, container.limit - container.left + RESIDENT)
    return None


def _too_small(limit: Room, needed: int) -> str:
    return (
        f"This session may take {_gigabytes(limit.limit)} of memory ({limit.name}), and the program needs at "
        f"least {_gigabytes(needed, up=True)}: raise the limit."
    )


def too_little_for(what: str, needed: int, spare: int = 0) -> str | None:
    """A sentence when `needed` bytes for `what` are more than there is.

    `spare`: bytes that this process has already and will use again.
    """
    there = room()
    if there is None or there.left + spare >= needed:
        return None
    left = _gigabytes(there.left + spare)
    source = "free" if there.name == FREE else f"left of the {_gigabytes(there.limit)} of {there.name}"
    return (
        f"{what} take {_gigabytes(needed, up=True)} of memory, and {left} are {source}: give more memory, or "
        "make the photo or the scale smaller."
    )


def is_too_little(error: BaseException) -> bool:
    """Whether it came because memory could not be had; libraries say so in many ways."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return any(sign in str(error) for sign in SIGNS)


def keep_freed(most: int = KEPT) -> None:
    """Let the C library keep freed memory, `most` bytes, for what comes next, until `give_back`.

    Otherwise each operation of a pass asks the system for pages, which it clears first.
    Only programs of ours do so; not in a session with little memory, or where the user has decided.
    """
    room, decided = limited_room(), any(name.startswith("MALLOC_") for name in os.environ)
    if sys.platform != "linux" or decided or (room is not None and room.limit < 8 * KEPT):
        return
    choose = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if choose is not None:
        choose(M_TRIM_THRESHOLD, most)
        choose(M_MMAP_THRESHOLD, min(most, LARGEST_KEPT))


def give_back() -> None:
    """Return to the system what the C library keeps of freed memory; some 0.1 seconds."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)


def _rooms() -> Iterator[Room]:
    for one in (_addresses(), _data(), _cgroup(), _free()):
        if one is not None:
            yield one


def _addresses() -> Room | None:
    room = _of_limit("RLIMIT_AS", "VmSize", "ulimit -v")
    return room and Room(int(max(0, room.left - SPREAD) / SPREADING), room.limit, room.name)


def _data() -> Room | None:
    return _of_limit("RLIMIT_DATA", "VmData", "ulimit -d")


def _of_limit(limit: str, used: str, name: str) -> Room | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    most, _ = resource.getrlimit(getattr(resource, limit))
    if most == resource.RLIM_INFINITY:
        return None
    return Room(max(0, most - _status().get(used, 0)), most, name)


def _status() -> dict[str, int]:
    """Bytes by name from /proc/self/status."""
    lines = (line.split() for line in _text(PROC / "status").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1:] == ["kB"]}


def _cgroup() -> Room | None:
    """The container's limit: the narrowest of this process's group and of those around it."""
    found = []
    for line in _text(PROC / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, names = CGROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            base = CGROUPS / "memory"
        else:
            continue
        inside = base / path.lstrip("/")  # in a container the path may be the host's, and not here
        for folder in (inside, *inside.parents):
            found += _group(folder, *names)
            if folder == base:
                break
    return min(found, key=lambda one: one.left, default=None)


def _group(folder: Path, most: str, used: str, reclaimable: str) -> list[Room]:
    limit, taken = _number(folder / most), _number(folder / used)
    if limit is None or taken is None or limit >= 2**60:
        return []
    rows = (line.split() for line in _text(folder / "memory.stat").splitlines())
    cached = next((int(row[1]) for row in rows if row[0] == reclaimable), 0)
    return [Room(max(0, limit - taken + cached), limit, "the container's limit")]


def _free() -> Room | None:
    lines = (line.split() for line in _text(Path("/proc/meminfo")).splitlines())
    known = {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1}
    if "MemAvailable" not in known:
        return None
    return Room(known["MemAvailable"] + known.get("SwapFree", 0), known["MemTotal"], FREE)


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""


def _threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(asked) if asked.isdigit() else os.cpu_count() or 1)


def _gigabytes(size: int, up: bool = False) -> str:
    """Rounded up or down: a limit is never said to be enough when it is not."""
    unit, name = (100_000_000, "GB") if size >= 100_000_000 else (1_000_000, "MB")
    count = -(-size // unit) if up else size // unit
    return f"{count / 10:g} GB" if name == "GB" else f"{count} MB"

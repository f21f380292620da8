"""How much memory this process may still take, and whether the kernel killed for want of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED = 1 << 60
"""Version 1 of control groups writes an absurd number for no limit."""


@dataclass(frozen=True)
class FreeMemory:
    """What is free, and what sets the bound."""

    size_bytes: int
    bound: str
    """`machine`, or the control group whose limit is nearest."""


@dataclass(frozen=True)
class SystemFiles:
    """Where Linux tells of memory; a test points elsewhere."""

    proc: Path = Path("/proc")
    groups: Path = Path("/sys/fs/cgroup")


def free_memory(files: SystemFiles = SystemFiles()) -> FreeMemory | None:
    """What the machine has available, or less where a control group (a container, a job) allows less; None off Linux.

    Pages that the kernel can drop at once (unmapped cache) count as free, in the machine as in the group.
    """
    meminfo = files.proc / "meminfo"
    if not meminfo.exists():
        return None
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    bounds = [FreeMemory(1024 * int(fields["MemAvailable"].split()[0]), "machine")]
    for folder in _group_folders(files):
        limit = _number(folder, "memory.max", "memory.limit_in_bytes")
        used = _number(folder, "memory.current", "memory.usage_in_bytes")
        if limit is not None and used is not None and limit < _UNLIMITED:
            stat = _counters(folder / "memory.stat")
            cached = stat.get("total_inactive_file", stat.get("inactive_file", 0))
            bounds.append(FreeMemory(max(0, limit - used + cached), f"control group {folder}"))
    return min(bounds, key=lambda bound: bound.size_bytes)


def oom_kills(files: SystemFiles = SystemFiles()) -> int:
    """Processes that the kernel killed for want of memory: of this control group, or of the machine where the group
    does not count. Only a change between two calls means anything."""
    for folder in _group_folders(files):
        for name in ("memory.events", "memory.oom_control"):
            if (count := _counters(folder / name).get("oom_kill")) is not None:
                return count
    return _counters(files.proc / "vmstat").get("oom_kill", 0)


def _group_folders(files: SystemFiles) -> Iterator[Path]:
    """The memory control groups of this process, the innermost first."""
    listing = files.proc / "self" / "cgroup"
    for line in listing.read_text().splitlines() if listing.exists() else ():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = files.groups / controllers
        folder = root / path.lstrip("/")
        for one in (folder, *folder.parents):
            if one.is_dir() and (one == root or root in one.parents):
                yield one


def _number(folder: Path, *names: str) -> int | None:
    """The number in the first of these files that there is; None for `max`, which is no limit."""
    for name in names:
        if (path := folder / name).exists():
            text = path.read_text().strip()
            return int(text) if text.isdecimal() else None
    return None


def _counters(path: Path) -> dict[str, int]:
    """Lines of a name and a number."""
    if not path.exists():
        return {}
    pairs = (line.split() for line in path.read_text().splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}

"""Free memory within control groups of both versions, read from files laid out as the kernel does."""

from pathlib import Path

import pytest

from tasks.hardware.free_memory import SystemFiles, free_memory, oom_kills

GIB = 1 << 30
MEMINFO = f"MemTotal: {16 * GIB // 1024} kB\nMemFree: 100 kB\nMemAvailable: {8 * GIB // 1024} kB\n"


@pytest.fixture
def files(tmp_path: Path) -> SystemFiles:
    (tmp_path / "proc" / "self").mkdir(parents=True)
    (tmp_path / "proc" / "meminfo").write_text(MEMINFO)
    (tmp_path / "proc" / "vmstat").write_text("nr_free_pages 5\noom_kill 7\n")
    return SystemFiles(tmp_path / "proc", tmp_path / "groups")


def fill(folder: Path, **contents: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n")


def test_without_a_limit_it_is_what_the_machine_has(files):
    found = free_memory(files)
    assert found is not None
    assert (found.size_bytes, found.bound) == (8 * GIB, "machine")
    assert oom_kills(files) == 7


def test_the_nearest_limit_of_a_nested_group_counts_and_its_cache_is_free(files):
    (files.proc / "self" / "cgroup").write_text("0::/slice/job\n")
    fill(files.groups / "slice", memory__max=6 * GIB, memory__current=3 * GIB, memory__stat=f"inactive_file {GIB}")
    fill(files.groups / "slice" / "job", memory__max="max", memory__current=3 * GIB)
    (files.groups / "slice" / "job" / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    found = free_memory(files)
    assert found is not None
    assert found.size_bytes == 4 * GIB
    assert found.bound.endswith("slice")
    assert oom_kills(files) == 2


def test_version_one_limits_and_counts_too(files):
    (files.proc / "self" / "cgroup").write_text("9:name=systemd:/\n4:memory:/box\n3:cpuset:/\n0::/\n")
    box = files.groups / "memory" / "box"
    fill(files.groups / "memory", memory__limit_in_bytes=9223372036854771712, memory__usage_in_bytes=5 * GIB)
    fill(box, memory__limit_in_bytes=2 * GIB, memory__usage_in_bytes=GIB, memory__stat="total_inactive_file 4096")
    (box / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    found = free_memory(files)
    assert found is not None
    assert found.size_bytes == GIB + 4096
    assert oom_kills(files) == 4


def test_in_a_container_that_sees_only_its_own_group_the_root_counts(files):
    (files.proc / "self" / "cgroup").write_text("4:memory:/docker/0123\n")
    fill(files.groups / "memory", memory__limit_in_bytes=GIB, memory__usage_in_bytes=0)
    found = free_memory(files)
    assert found is not None
    assert found.size_bytes == GIB


def test_elsewhere_than_on_linux_nothing_is_known(tmp_path):
    assert free_memory(SystemFiles(tmp_path, tmp_path)) is None


def test_this_machine_has_some():
    found = free_memory()
    assert found is None or found.size_bytes > 0

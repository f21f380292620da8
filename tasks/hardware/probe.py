"""Measuring the machine in a second or two: matrix products, memory, disk, device transfer, all-reduce."""

import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import distributed

from tasks.hardware.ceilings import Ceilings
from tasks.hardware.contention import CpuClock

Found = TypeVar("Found")

_VERSION = 1
"""Raised when the probe begins to measure otherwise: figures kept under an older one are measured again."""
_SPAN_S = 0.15
"""Each figure is the best of what fits into this time, after a first go that warms up."""
_SIZES = {"cpu": 1536, "cuda": 8192}
"""Rows of the square matrices: enough for each device's full speed."""
_TRIAD_ELEMENTS = {"cpu": 1 << 24, "cuda": 1 << 28}
"""64 MB an array in float32 on a processor: several times its last cache, as STREAM asks."""
_FILE_BYTES = 64 << 20
_TRANSFER_BYTES = 256 << 20
_REDUCED_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 26}


def probe(device: torch.device, *, threads: int, folder: Path, cache: Path) -> Ceilings:
    """The ceilings of this machine: from `cache`, a folder, if it was measured before, else measured now.

    What was measured while others used the processor is measured again, and the better of the figures kept.
    Call it on every rank; the first rank decides and measures what one rank can do alone, then all of them measure the
    all-reduce together. `folder` is where the disk is read: a file is made there and gone at once. Neither the random
    state nor the number of threads nor any setting of torch is other afterwards.
    """
    rank, ranks = _rank_and_ranks()
    path = _kept_at(cache, device, threads=threads, ranks=ranks)
    known = _of_first_rank(Ceilings.load(path) if rank == 0 else None)
    if known is not None and known.is_sound(os.cpu_count() or 1):
        return known
    alone = _of_first_rank(_measure_alone(device, threads, folder) if rank == 0 else None)
    assert alone is not None
    if ranks > 1:
        alone = _of_first_rank(replace(alone, ranks=ranks, all_reduce_gb_s=_all_reduce_gb_s(device)))
    if known is not None:
        alone = alone.better_of(known)
    if rank == 0:
        alone.save(path)
    return alone


def forget(device: torch.device, *, threads: int, ranks: int, cache: Path) -> None:
    """Let the next run measure this machine anew."""
    _kept_at(cache, device, threads=threads, ranks=ranks).unlink(missing_ok=True)


def _kept_at(cache: Path, device: torch.device, *, threads: int, ranks: int) -> Path:
    return cache / "hardware" / f"{machine_key(device, threads=threads, ranks=ranks)}.json"


def machine_key(device: torch.device, *, threads: int, ranks: int) -> str:
    """Digest of what the figures depend on: the device's name, torch, threads, ranks and the float32 mode."""
    parts = [_VERSION, device_name(device), platform.node(), torch.__version__, threads, ranks]
    return hashlib.sha256(json.dumps([*parts, torch.get_float32_matmul_precision()]).encode()).hexdigest()[:16]


def device_name(device: torch.device) -> str:
    """As its maker calls it, with the number of cores for a processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def _measure_alone(device: torch.device, threads: int, folder: Path) -> Ceilings:
    before, clock = torch.get_num_threads(), CpuClock.read()
    torch.set_num_threads(threads)
    try:
        with torch.no_grad():
            fp32, bf16 = (_matmul_gflops(device, dtype) for dtype in (torch.float32, torch.bfloat16))
            triad = _triad_gb_s(device)
            one: tuple[float | None, float | None] = (None, None)
            if device.type == "cpu":
                torch.set_num_threads(1)
                one = (_matmul_gflops(device, torch.float32), _matmul_gflops(device, torch.bfloat16))
            to_device, from_device = _transfer_gb_s(device) if device.type == "cuda" else (None, None)
    finally:
        torch.set_num_threads(before)
    busy_cores = clock.busy_cores(CpuClock.read()) if device.type == "cpu" else 0.0
    cold, cached = disk_read_mb_s(folder)
    return Ceilings(
        device=device_name(device),
        threads=threads,
        ranks=1,
        fp32_gflops=fp32,
        bf16_gflops=bf16,
        fp32_gflops_per_thread=one[0],
        bf16_gflops_per_thread=one[1],
        memory_gb_s=triad,
        disk_read_mb_s=cold,
        disk_cached_mb_s=cached,
        to_device_gb_s=to_device,
        from_device_gb_s=from_device,
        all_reduce_gb_s=None,
        busy_cores=round(busy_cores, 2),
    )


def _matmul_gflops(device: torch.device, dtype: torch.dtype) -> float:
    size = _SIZES[device.type]
    source = torch.Generator(device).manual_seed(0)  # of our own: training's random state stays as it is
    a, b = (torch.randn(size, size, generator=source, device=device).to(dtype) for _ in range(2))
    out = torch.zeros(size, size, device=device, dtype=dtype)
    return 2 * size**3 / _best_s(lambda: torch.matmul(a, b, out=out), device) / 1e9


def _triad_gb_s(device: torch.device) -> float:
    count = _TRIAD_ELEMENTS[device.type]
    a, b, c = (torch.full((count,), value, device=device) for value in (0.0, 1.0, 2.0))
    return 3 * 4 * count / _best_s(lambda: torch.add(b, c, alpha=3.0, out=a), device) / 1e9


def _transfer_gb_s(device: torch.device) -> tuple[float, float]:
    host = torch.ones(_TRANSFER_BYTES // 4, pin_memory=True)
    there = host.to(device)
    seconds = (_best_s(lambda: there.copy_(host), device), _best_s(lambda: host.copy_(there), device))
    return _TRANSFER_BYTES / seconds[0] / 1e9, _TRANSFER_BYTES / seconds[1] / 1e9


def _all_reduce_gb_s(device: torch.device) -> float:
    """Repeated equally often on every rank, for a rank that stopped by the clock would leave the others waiting."""
    values = torch.ones(_REDUCED_ELEMENTS[device.type], device=device)
    seconds = min(_timed_s(lambda: distributed.all_reduce(values), device) for _ in range(6))
    ranks = distributed.get_world_size()
    return 4 * len(values) * 2 * (ranks - 1) / ranks / seconds / 1e9


def disk_read_mb_s(folder: Path) -> tuple[float, float]:
    """Megabytes per second of reading a fresh file in a folder: from the disk, and from the page cache."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        chunk = os.urandom(1 << 20)
        for _ in range(_FILE_BYTES >> 20):
            file.write(chunk)
        os.fsync(file.fileno())
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        cold, cached = (_read_s(file.fileno()) for _ in range(2))
    return _FILE_BYTES / cold / 1e6, _FILE_BYTES / cached / 1e6


def _read_s(handle: int) -> float:
    os.lseek(handle, 0, os.SEEK_SET)
    buffer = bytearray(1 << 20)
    began = time.perf_counter()
    while os.readv(handle, [buffer]):
        pass
    return time.perf_counter() - began


def _best_s(work: Callable[[], object], device: torch.device) -> float:
    _timed_s(work, device)
    best, ends = float("inf"), time.perf_counter() + _SPAN_S
    while best == float("inf") or time.perf_counter() < ends:
        best = min(best, _timed_s(work, device))
    return best


def _timed_s(work: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _rank_and_ranks() -> tuple[int, int]:
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def _of_first_rank(value: Found) -> Found:
    """The first rank's value, on every rank."""
    values = [value]
    if _rank_and_ranks()[1] > 1:
        distributed.broadcast_object_list(values, src=0)
    return values[0]

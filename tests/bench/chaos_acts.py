"""What chaos does to a run: kill one of its processes or servers, fill the disk, move the clock, cut the network."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from chaos_proxy import Proxy, free_port

from flows.home import kernel_digest
from flows.servers import read_address

DISK_MB = 1500
CLOCK = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long shift(void) {
    const char *text = getenv("CHAOS_CLOCK_S");
    return text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift();
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *into) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (into) *into = now.tv_sec;
    return now.tv_sec;
}
"""
CLOCK_SHIFTS_S = (-86_400, -3_600, 3_600, 86_400)
OURS = ("PREFECT_", "MLFLOW_", "GRISTMILL_", "NUMBA_", "HF_")


@dataclass
class World:
    """What surrounds the runs."""

    env: dict[str, str]
    clock: Path | None
    """A library that moves the clock; None without a C compiler."""
    can_mount: bool
    arguments: tuple[str, ...]
    """Of every command besides."""
    kernels: Path
    """Compiled kernels, the same as of the tests: compiling takes longer than a run."""
    server: "MlflowServer | None" = None
    """MLflow behind a proxy, where the round has one."""
    mounted: set[Path] = field(default_factory=set)

    def new_home(self, home: Path, *, served: bool) -> Path:
        """An empty home, on a small disk of its own where that can be had, perhaps with an MLflow server."""
        home.mkdir()
        if self.can_mount:
            mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(home)]
            subprocess.run(mount, check=True)
            self.mounted.add(home)
        if served:
            self.server = MlflowServer(home, self.env)
            self.env["MLFLOW_TRACKING_URI"] = self.server.url
        return home

    def drop_home(self, home: Path) -> None:
        """Free what a home takes."""
        if self.server is not None:
            self.server.close()
            self.server = None
            del self.env["MLFLOW_TRACKING_URI"]
        if home in self.mounted:
            subprocess.run(["umount", "--lazy", str(home)], check=True)
            self.mounted.discard(home)
        shutil.rmtree(home, ignore_errors=True)


class MlflowServer:
    """MLflow on a home's database, reached through a proxy that can be cut."""

    def __init__(self, home: Path, env: dict[str, str]) -> None:
        self.port = free_port()
        self._command = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", "1", "--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"),
            *("--artifacts-destination", str(home / "mlflow-artifacts")),
        ]
        self._env = env | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.start()
        self.proxy = Proxy(self.port)
        self.url = f"http://127.0.0.1:{self.proxy.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen(
            self._command, env=self._env, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
        )
        while self.process.poll() is None:
            with suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health", timeout=5).close()
                return
            time.sleep(0.1)
        raise SystemExit("chaos: the MLflow server does not start")

    def kill(self) -> None:
        """SIGKILL the server with all its processes."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End server and proxy."""
        self.proxy.close()
        self.kill()


@dataclass(frozen=True)
class Act:
    """A kind of disturbance."""

    name: str
    strike: Callable[[World, psutil.Process, Path], bool]
    """Do it to a command's process and home; False where there is nothing yet to do it to."""
    is_ready: Callable[[World, psutil.Process, Path], bool] = lambda world, flow, home: True
    """Whether the time until it is done begins."""
    stage: str | None = None
    """The stage that it disturbs; None for any."""
    needs_server: bool = False
    arguments: tuple[str, ...] = ()
    """What the command is given besides; nothing that is part of the recipe."""
    environment: Callable[[World, random.Random], dict[str, str]] = lambda world, chance: {}
    mend: Callable[[World, Path], None] = lambda world, home: None
    missing: Callable[[World], str | None] = lambda world: None
    """Why it cannot be done on this machine."""


@contextmanager
def open_world(folder: Path, *arguments: str) -> Iterator[World]:
    """The environment of the runs, without servers or homes of the caller's, and arguments of every command."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])])
    kernels = Path(__file__).parents[2] / ".pytest_cache" / "numba" / kernel_digest()
    env = kept | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "NUMBA_CACHE_DIR": str(kernels)}
    world = World(env, clock=_compile(folder), can_mount=_can_mount(folder), arguments=arguments, kernels=kernels)
    try:
        yield world
    finally:
        if world.server is not None:
            world.server.close()
        for home in list(world.mounted):
            subprocess.run(["umount", "--lazy", str(home)], check=True)


def _compile(folder: Path) -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(CLOCK)
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], capture_output=True, check=False
    )
    return library if done.returncode == 0 else None


def _can_mount(folder: Path) -> bool:
    if os.getuid() != 0 or shutil.which("mount") is None:
        return False
    probe = folder / "probe"
    probe.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(probe)]
    mounts = subprocess.run(mount, capture_output=True, check=False)
    return mounts.returncode == 0 and subprocess.run(["umount", str(probe)], check=False).returncode == 0


def _kill_flow(world: World, flow: psutil.Process, home: Path) -> bool:
    flow.kill()
    return True


def _child(flow: psutil.Process, marks: tuple[str, ...], without: str) -> psutil.Process | None:
    with suppress(psutil.NoSuchProcess):
        for child in flow.children(recursive=True):
            line = " ".join(child.cmdline())
            if all(mark in line for mark in marks) and without not in line:
                return child
    return None


def _on_child(name: str, stage: str, *marks: str, without: str = "\0", arguments: tuple[str, ...] = ()) -> Act:
    """SIGKILL of a process of the command whose line has these marks."""

    def is_ready(world: World, flow: psutil.Process, home: Path) -> bool:
        return _child(flow, marks, without) is not None

    def strike(world: World, flow: psutil.Process, home: Path) -> bool:
        child = _child(flow, marks, without)
        with suppress(psutil.NoSuchProcess):
            if child is not None:
                child.kill()
                return True
        return False

    return Act(name, strike, is_ready, stage, arguments=arguments)


def _kill_prefect(world: World, flow: psutil.Process, home: Path) -> bool:
    address = read_address(home / "prefect" / "server.json")
    if address is None or address.pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(address.pid, signal.SIGKILL)
        return True
    return False


def _kill_mlflow(world: World, flow: psutil.Process, home: Path) -> bool:
    assert world.server is not None
    world.server.kill()
    threading.Thread(target=world.server.start).start()
    return True


def _cut_network(world: World, flow: psutil.Process, home: Path) -> bool:
    assert world.server is not None
    world.server.proxy.cut(3.0)
    return True


def _fill_disk(world: World, flow: psutil.Process, home: Path) -> bool:
    with suppress(OSError), (home / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 20))
    return True


def _move_clock(world: World, chance: random.Random) -> dict[str, str]:
    return {"LD_PRELOAD": str(world.clock), "CHAOS_CLOCK_S": str(chance.choice(CLOCK_SHIFTS_S))}


ACTS = (
    Act("flow", _kill_flow),
    _on_child("training", "train", "tasks.training.agent"),
    _on_child("rank", "train", "tasks.training.worker", without="tasks.training.agent"),
    _on_child("data_process", "shard", "multiprocessing.spawn", arguments=("--set", "run.engine=dask")),
    Act("prefect", _kill_prefect),
    Act("mlflow", _kill_mlflow, needs_server=True),
    Act("network", _cut_network, needs_server=True),
    Act(
        "disk",
        _fill_disk,
        mend=lambda world, home: (home / "filler").unlink(missing_ok=True),
        missing=lambda world: None if world.can_mount else "only root can mount a small disk",
    ),
    Act(
        "clock",
        _kill_flow,
        environment=_move_clock,
        missing=lambda world: None if world.clock else "no C compiler",
    ),
)

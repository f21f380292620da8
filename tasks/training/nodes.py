"""Training over several machines on one file system: the first tells the others of each training that begins."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from tasks.artifacts.digest import write_atomic

FOLDER = "nodes"
_RANKS_OF_NODES = ("SLURM_NODEID", "JOB_COMPLETION_INDEX", "LWS_WORKER_INDEX", "NODE_RANK")
"""Where Slurm, Kubernetes' indexed jobs, LeaderWorkerSet and others say which machine this is."""


class Announcement(BaseModel):
    """A training that waits for the other machines."""

    model_config = ConfigDict(frozen=True)
    run_id: str
    attempt: str
    """Another one each time training is started."""
    job: Path

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """What was announced; None where nothing is."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None


def announcement_path(home: Path, rendezvous: str) -> Path:
    """Where machines that meet at a place look for what to do."""
    return home / FOLDER / f"{rendezvous.replace(':', '_').replace('/', '_')}.json"


@contextmanager
def announced(path: Path, announcement: Announcement) -> Iterator[None]:
    """While training runs, the other machines find it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, announcement.model_dump_json(indent=1))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def node_rank() -> int | None:
    """Which machine this is, where a scheduler says so."""
    found = next((os.environ[name] for name in _RANKS_OF_NODES if os.environ.get(name, "").isdecimal()), None)
    return None if found is None else int(found)


def host_and_port(rendezvous: str) -> tuple[str, int]:
    """HOST:PORT in its parts, an IPv6 address without its brackets."""
    host, _, port = rendezvous.rpartition(":")
    return host.strip("[]"), int(port)

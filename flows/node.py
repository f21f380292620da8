"""gristmill node: take part in trainings of another machine."""

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pydantic import ValidationError

from flows.command_help import amount
from flows.console import say
from flows.home import Home, open_home
from flows.manual import NODE
from params.errors import ParameterError, TrainingError
from params.load import refusal
from params.run import RunParams
from tasks.artifacts.record import run_records
from tasks.training.nodes import Announcement, announcement_path, node_rank

if TYPE_CHECKING:
    from tasks.training.job import Job

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
_POLL_S = 0.5


def add_parser(commands: Commands) -> None:
    """The command's arguments."""
    added = commands.add_parser(
        "node",
        help="take part in another machine's training",
        description=NODE,
    )
    added.add_argument("rendezvous", metavar="HOST:PORT", help="run.rendezvous of the run")
    added.add_argument("--rank", type=int, metavar="K", help="1, 2 … below run.nodes (default: as the scheduler says)")
    added.add_argument("--wait-minutes", type=amount, default=60.0, metavar="N", help="for the first training (60)")
    added.add_argument("--home", type=Path, metavar="DIR", help="the run's home folder, on the shared file system")
    added.set_defaults(command=node)


def node(arguments: argparse.Namespace) -> int:
    """Join each training that is announced, until the run has ended."""
    home = open_home(arguments.home)
    rank = arguments.rank if arguments.rank is not None else node_rank()
    if rank is None or rank < 1:
        raise ParameterError(
            f"this machine's rank is {rank}; name it with --rank, from 1 (0 is the machine of gristmill run)"
        )
    try:
        RunParams(rendezvous=arguments.rendezvous)
    except ValidationError as error:
        raise refusal(error, "run") from None
    path = announcement_path(home.root, arguments.rendezvous)
    ends = time.monotonic() + 60 * arguments.wait_minutes
    joined: Announcement | None = None
    say(f"waits for a training at {arguments.rendezvous}")
    while joined is None or not _has_ended(home, joined.run_id):
        found = Announcement.read(path)
        if found is not None and found != joined:
            joined = found
            _take_part(home, found, rank)
        elif joined is None and time.monotonic() > ends:
            raise TrainingError(
                f"no training was announced in {path} within {arguments.wait_minutes:g} minutes; start gristmill run "
                f"with run.rendezvous={arguments.rendezvous} on the same home"
            )
        time.sleep(_POLL_S)
    say(f"run {joined.run_id} has ended")
    return 0


def _take_part(home: Home, announcement: Announcement, rank: int) -> None:
    """Run this machine's ranks of a training to its end, whatever that is: the first machine tells of it."""
    from tasks.training.job import Job
    from tasks.training.launch import end_training, start_training

    job = Job.load(announcement.job)
    _check(job, rank)
    output = home.logs / f"node-{rank}-{announcement.attempt}.log"
    say(f"joins run {announcement.run_id} as machine {rank} of {job.settings.nodes}; output in {output}")
    with output.open("wb") as file:
        process = start_training(job, announcement.job, file, node_rank=rank)
        try:
            code = process.wait()
        finally:
            end_training(process)
    say(f"left run {announcement.run_id} with code {code}")


def _check(job: "Job", rank: int) -> None:
    if rank >= job.settings.nodes:
        raise ParameterError(f"rank {rank}: the run has run.nodes={job.settings.nodes}, so ranks end at that less one")


def _has_ended(home: Home, run_id: str) -> bool:
    """Whether the run says so; one that was killed is started again, and this machine waits for that."""
    return any(record.run_id == run_id and record.ended_at is not None for record in run_records(home.store))

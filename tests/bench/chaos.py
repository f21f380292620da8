"""Kill what can be killed, at random instants, start the same command again, and compare: make chaos KILLS=100.

Each round is one recipe in a home of its own: some disturbances, each after a random part of the time that an
undisturbed run takes, then the command once more, until it ends well. The last line counts what must not happen:

    CHAOS kills=100 same_digests=20/20 lost_documents=0 stuck_runs=0 orphans=0 half_versions=0

The exit code is 1 where anything did. SEED=… repeats the same choices (the instants depend on the machine's speed).
"""

import argparse
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from chaos_acts import ACTS, Act, World, open_world
from chaos_text import write_text

from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord, run_records
from tasks.artifacts.store import Store

PER_ROUND = 5
SERVED_SHARE = 0.3
"""Of the rounds: with an MLflow server."""
LIMIT_S = 900.0
"""A command that takes longer is stuck."""
GRACE_S = 20.0
"""Within so many seconds after a command's end its processes are gone; Prefect's server takes ten."""
SETTINGS = {
    "train.stop.max_steps": "30",
    "train.eval_every_steps": "10",
    "run.checkpoint_every_s": "0.2",
    "run.compile": "false",
    "run.ranks": "1",
    "ingest.shard_mb": "0.05",
    "clean.words.min_alpha_words": "null",
}


@dataclass
class Findings:
    """What the rounds came to."""

    kills: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    same: int = 0
    lost_documents: int = 0
    stuck_runs: int = 0
    orphans: int = 0
    half_versions: int = 0
    recovery_s: dict[str, list[float]] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The last line."""
        return (
            f"CHAOS kills={self.kills.total()} same_digests={self.same}/{self.rounds} "
            f"lost_documents={self.lost_documents} stuck_runs={self.stuck_runs} orphans={self.orphans} "
            f"half_versions={self.half_versions}"
        )

    @property
    def is_good(self) -> bool:
        """Whether nothing happened that must not."""
        bad = self.lost_documents + self.stuck_runs + self.orphans + self.half_versions
        return self.same == self.rounds and bad == 0


def main() -> int:
    """Disturb as often as asked; 0 where nothing came of it."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--kills", type=int, default=20)
    arguments.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments.add_argument("--only", choices=[act.name for act in ACTS], action="append", help="these kinds alone")
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that mounts and servers are taken down
    chance, found = random.Random(given.seed), Findings()
    say(f"chaos: {given.kills} kills, seed {given.seed}")
    with tempfile.TemporaryDirectory(prefix="gristmill-chaos-", ignore_cleanup_errors=True) as folder, ExitStack() as s:
        work = Path(folder)
        world = s.enter_context(open_world(work))
        acts = [act for act in ACTS if not given.only or act.name in given.only]
        for act in acts:
            if reason := act.missing(world):
                say(f"chaos: {act.name} is left out: {reason}")
        acts = [act for act in acts if not act.missing(world)]
        write_text(work / "text")
        reference, normal_s = undisturbed(work, world)
        while (left := given.kills - found.kills.total()) > 0:
            one_round(work, world, Plan(acts, chance, min(left, PER_ROUND), normal_s, reference), found)
    for kind, seconds in sorted(found.recovery_s.items()):
        print(f"BENCH chaos.recovery.{kind} {sum(seconds) / len(seconds):.1f} s")
    print(found.line)
    return 0 if found.is_good else 1


@dataclass(frozen=True)
class Plan:
    """What a round does."""

    acts: list[Act]
    chance: random.Random
    num_kills: int
    normal_s: float
    reference: dict[str, Manifest]


def undisturbed(work: Path, world: World) -> tuple[dict[str, Manifest], float]:
    """The results to compare with, and how long they take once kernels are compiled."""
    home = work / "reference"
    finish(start(work, home, world))
    shutil.rmtree(home / "store")
    began = time.monotonic()
    finish(start(work, home, world))
    seconds = time.monotonic() - began
    say(f"chaos: an undisturbed run takes {seconds:.0f} s")
    return results(home), seconds


def one_round(work: Path, world: World, plan: Plan, found: Findings) -> None:
    """Disturb, finish, compare."""
    served = any(act.needs_server for act in plan.acts) and plan.chance.random() < SERVED_SHARE
    served |= all(act.needs_server for act in plan.acts)
    acts = [act for act in plan.acts if served or not act.needs_server]
    home = world.new_home(work / f"round-{found.rounds}", served=served)
    shutil.copytree(work / "reference" / "cache", home / "cache")
    done = 0
    while done < plan.num_kills:
        act = plan.chance.choice(acts)
        process = start(work, home, world, *act.arguments, **act.environment(world, plan.chance))
        hit = disturb(process, act, world, home, plan.chance.uniform(0.05, 0.9) * plan.normal_s)
        came = wait(process)
        act.mend(world, home)
        done += hit
        found.kills[act.name] += hit
        found.stuck_runs += came is None
        found.orphans += report_orphans(home, world)
        said = "hit" if hit else "came too late"
        say(f"chaos: round {found.rounds}: {act.name} {said}; the command ended with {came}")
        if came == 0:  # it outlived that, or was quicker: nothing is left to disturb here
            break
    began = time.monotonic()
    finish(start(work, home, world))
    found.recovery_s.setdefault(act.name, []).append(time.monotonic() - began)
    compare(home, plan.reference, found)
    found.orphans += report_orphans(home, world)
    found.rounds += 1
    world.drop_home(home)


def start(work: Path, home: Path, world: World, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """The command."""
    values = SETTINGS | {"survey.sources": f"[{{name: text, path: '{work / 'text'}'}}]"}
    settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    home.mkdir(parents=True, exist_ok=True)
    output = (work / f"{home.name}.log").open("ab")
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "run", "tiny", "--home", str(home), *settings, *arguments],
        env=world.env | environment,
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )


def wait(process: subprocess.Popen[bytes]) -> int | None:
    """The exit code, or None where it was stuck and had to be killed."""
    try:
        return process.wait(LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for a run that nobody disturbs."""
    code = wait(process)
    if code != 0:
        home = process.args[process.args.index("--home") + 1]  # type: ignore[index,union-attr]
        log = Path(f"{home}.log")
        raise SystemExit(
            f"chaos: an undisturbed command ended with {code}; its output ends:\n{log.read_text()[-4000:]}"
        )


def disturb(process: subprocess.Popen[bytes], act: Act, world: World, home: Path, delay_s: float) -> bool:
    """Wait so long, then do it; whether there was something to do it to."""
    deadline = time.monotonic() + delay_s
    while time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            if act.strike(world, psutil.Process(process.pid), home):
                return True
        time.sleep(0.05)  # there is no such process yet
    return False


def results(home: Path) -> dict[str, Manifest]:
    """What the last run made or reused."""
    store, record = Store(home / "store"), records(home)[-1]
    found = {stage: store.find(stage, done.fingerprint) for stage, done in record.stages.items()}
    return {stage: manifest for stage, manifest in found.items() if manifest is not None}


def records(home: Path) -> list[RunRecord]:
    return sorted(run_records(home / "store"), key=lambda record: record.run_id)


def compare(home: Path, reference: dict[str, Manifest], found: Findings) -> None:
    """Count differences from the undisturbed run, and what is not closed."""
    made = results(home)
    wrong = [stage for stage, manifest in reference.items() if made[stage].digest != manifest.digest]
    found.same += not wrong
    damaged = [damage for manifest in made.values() for damage in Store(home / "store").verify(manifest)]
    for stage, manifest in reference.items():
        wanted, counts = manifest.metrics.counts, made[stage].metrics.counts
        found.lost_documents += abs(wanted.get("docs_in", 0) - counts.get("docs_in", 0))
        found.lost_documents += abs(wanted.get("docs_kept", 0) - counts.get("docs_kept", 0))
    running = [record.run_id for record in records(home) if record.status == "running"]
    running += query(home / "prefect" / "prefect.db", "select name from flow_run where state_type = 'RUNNING'")
    running += query(home / "mlflow.db", "select name from runs where status = 'RUNNING'")
    versions = query(home / "mlflow.db", "select source from model_versions where current_stage != 'Deleted_Internal'")
    found.stuck_runs += len(running)
    found.half_versions += abs(len(versions) - 1)
    for what, which in (("other bytes", wrong), ("damaged", damaged), ("still running", running)):
        if which:
            say(f"chaos: round {found.rounds}: {what}: {which}")


def query(database: Path, sql: str) -> list[str]:
    """First column of the rows; none where there is no such database."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return [str(row[0]) for row in connection.execute(sql)]


def report_orphans(home: Path, world: World) -> int:
    """Processes of a home that outlive its command by more than a grace; they are killed."""
    deadline = time.monotonic() + GRACE_S
    while (left := processes_of(home)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in left:
        say(f"chaos: orphan {process.pid}: {' '.join(process.cmdline())[:200]}")
        process.send_signal(signal.SIGKILL)
    return len(left)


def processes_of(home: Path) -> list[psutil.Process]:
    """Living processes that work on a home."""
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get("GRISTMILL_HOME") == str(home) or str(home) in process.cmdline()
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

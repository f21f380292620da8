"""Kill what can be killed, at random instants, start the same command again, and compare: make chaos KILLS=100.

Each round is one recipe in a home of its own: some disturbances, each after a random part of the time that is left of
an undisturbed run, each answered by the same command at once, until it ends well. The last line counts what must not
happen:

    CHAOS kills=100 same_digests=20/20 lost_documents=0 stuck_runs=0 orphans=0 half_versions=0

The exit code is 1 where anything did, or where it was stopped (Ctrl-C, SIGTERM) before its last round. `--seed` repeats
the same choices (the instants depend on the machine's speed).
"""

import argparse
import math
import random
import shutil
import signal
import sqlite3
import statistics
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
from chaos_watch import GRACE_S, Strike, Suspects, say

from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord, run_records
from tasks.artifacts.store import Store

PER_ROUND = 5
MAX_ROUNDS_PER_KILL = 3
SERVED_SHARE = 0.3
"""Of the rounds: with an MLflow server."""
LIMIT_S = 900.0
"""A command that takes longer is stuck, unless the machine is so busy that an undisturbed one takes a fifth of it."""
WITHOUT_COMPILING = 0.5
"""Of a run that has to compile its kernels."""
START_SHARE = 0.25
"""Of the time of an undisturbed run: what a command takes until it works."""
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
    normal_s: float = math.inf
    """What an undisturbed run takes, as far as one knows: others may begin or end to use the machine."""

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
    arguments.add_argument("--until", metavar="STAGE", help="runs end with this stage: quicker, and without a version")
    given = arguments.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chance, found = random.Random(given.seed), Findings()
    say(f"chaos: {given.kills} kills, seed {given.seed}")
    with tempfile.TemporaryDirectory(prefix="gristmill-chaos-", ignore_cleanup_errors=True) as folder, ExitStack() as s:
        work = Path(folder)
        world = s.enter_context(open_world(work, *(("--until", given.until) if given.until else ())))
        acts = [act for act in ACTS if not given.only or act.name in given.only]
        for act in acts:
            if reason := act.missing(world):
                say(f"chaos: {act.name} is left out: {reason}")
        acts = [act for act in acts if not act.missing(world)]
        write_text(work / "text")
        reference, found.normal_s = undisturbed(work, world)
        is_whole = False
        with suppress(KeyboardInterrupt):  # what came of the rounds until then is said all the same
            while (left := given.kills - found.kills.total()) > 0 and found.rounds < MAX_ROUNDS_PER_KILL * given.kills:
                one_round(work, world, Plan(acts, chance, min(left, PER_ROUND), reference), found)
            is_whole = True
    for kind, seconds in sorted(found.recovery_s.items()):
        print(f"BENCH chaos.recovery.{kind} {statistics.median(seconds):.1f} s")
        say(f"chaos: {kind}: {found.kills[kind]} kills, work went on after {min(seconds):.1f} to {max(seconds):.1f} s")
    print(found.line)
    return 0 if found.is_good and is_whole else 1


@dataclass(frozen=True)
class Plan:
    """What a round does."""

    acts: list[Act]
    chance: random.Random
    num_kills: int
    reference: dict[str, Manifest]


def undisturbed(work: Path, world: World) -> tuple[dict[str, Manifest], float]:
    """The results to compare with, and how long they take once kernels are compiled."""
    home, had_kernels = work / "reference", any(world.kernels.glob("**/*.nbc"))
    began = time.monotonic()
    finish(start(work, home, world))
    seconds = time.monotonic() - began
    say(f"chaos: an undisturbed run takes {seconds:.0f} s{'' if had_kernels else ', with kernels to compile'}")
    return results(home), seconds * (1.0 if had_kernels else WITHOUT_COMPILING)


def one_round(work: Path, world: World, plan: Plan, found: Findings) -> None:
    """Disturb, finish, compare."""
    served = any(act.needs_server for act in plan.acts) and plan.chance.random() < SERVED_SHARE
    served |= all(act.needs_server for act in plan.acts)
    acts = [act for act in plan.acts if served or not act.needs_server]
    home = world.new_home(work / f"round-{found.rounds}", served=served)
    shutil.copytree(work / "reference" / "cache", home / "cache")
    strikes: list[Strike] = []
    left_s, suspects, came = found.normal_s, Suspects(home), None
    while len(strikes) < plan.num_kills and (possible := [act for act in acts if not is_over(home, act)]):
        act = plan.chance.choice(possible)
        process = start(work, home, world, *act.arguments, **act.environment(world, plan.chance))
        delay_s = plan.chance.uniform(0.05, 0.95) * (left_s if act.stage is None else 0.2 * found.normal_s)
        strike = disturb(process, act, world, home, delay_s)
        came = wait(process, *strikes, strike, limit_s=max(LIMIT_S, 5 * found.normal_s))
        act.mend(world, home)
        strikes += [strike] if strike is not None else []
        found.stuck_runs += came is None
        found.orphans += suspects.report()
        found.normal_s *= 0.7 if strike is None else 1.02
        said = "hit" if strike is not None else "came too late"
        say(f"chaos: round {found.rounds}: {act.name} {said}; the command ended with {came}")
        if came == 0:  # it outlived that, or was quicker: nothing is left to disturb here
            break
        left_s = min(found.normal_s, max(left_s - delay_s, 0.0) + START_SHARE * found.normal_s)
    if came != 0:
        finish(start(work, home, world), *strikes)
    for strike in strikes:
        found.kills[strike.act.name] += 1
        found.recovery_s.setdefault(strike.act.name, []).append(strike.recovery_s)
    compare(home, plan.reference, found)
    found.orphans += suspects.report(grace_s=GRACE_S)
    found.rounds += 1
    world.drop_home(home)


def is_over(home: Path, act: Act) -> bool:
    """Whether the stage that an act disturbs is done."""
    return act.stage is not None and any(home.glob(f"store/{act.stage}/*/manifest.json"))


def start(work: Path, home: Path, world: World, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
    """The command."""
    values = SETTINGS | {"survey.sources": f"[{{name: text, path: '{work / 'text'}'}}]"}
    settings = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    home.mkdir(parents=True, exist_ok=True)
    output = (work / f"{home.name}.log").open("ab")
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "flows.cli",
            "run",
            "tiny",
            "--home",
            str(home),
            *settings,
            *world.arguments,
            *arguments,
        ],
        env=world.env | environment,
        cwd=work,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    )


def wait(process: subprocess.Popen[bytes], *strikes: Strike | None, limit_s: float) -> int | None:
    """The exit code, or None where it was stuck and had to be killed; strikes are told when work goes on."""
    deadline = time.monotonic() + limit_s
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
        for strike in filter(None, strikes):
            strike.look()
    if (code := process.poll()) is None:
        process.kill()
        process.wait()
    for strike in filter(None, strikes):
        strike.look(is_over=code == 0)
    return code


def finish(process: subprocess.Popen[bytes], *strikes: Strike) -> None:
    """Wait for a run that nobody disturbs."""
    code = wait(process, *strikes, limit_s=5 * LIMIT_S)
    if code != 0:
        home = process.args[process.args.index("--home") + 1]  # type: ignore[index,union-attr]
        log = Path(f"{home}.log")
        raise SystemExit(
            f"chaos: an undisturbed command ended with {code}; its output ends:\n{log.read_text()[-4000:]}"
        )


def disturb(process: subprocess.Popen[bytes], act: Act, world: World, home: Path, delay_s: float) -> Strike | None:
    """Wait until there is something to do it to, and so long, then do it; None where it came too late."""
    log = home.with_name(f"{home.name}.log")
    deadline = None
    while process.poll() is None:
        with suppress(psutil.NoSuchProcess):
            flow = psutil.Process(process.pid)
            if deadline is None and act.is_ready(world, flow, home):
                deadline = time.monotonic() + delay_s
            if deadline is not None and time.monotonic() >= deadline:
                size, at = log.stat().st_size, time.monotonic()
                if act.strike(world, flow, home):
                    return Strike(act, log, size, at)
        time.sleep(0.02 if act.stage is None else 0.1)
    return None


def results(home: Path) -> dict[str, Manifest]:
    """What the last run that went to its end made or reused."""
    store, record = Store(home / "store"), [record for record in records(home) if record.status == "completed"][-1]
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
    wanted_versions = 1 if "release" in reference else 0
    found.stuck_runs += len(running)
    found.half_versions += abs(len(versions) - wanted_versions)
    for what, which in (("other bytes", wrong), ("damaged", damaged), ("still running", running)):
        if which:
            say(f"chaos: round {found.rounds}: {what}: {which}")


def query(database: Path, sql: str) -> list[str]:
    """First column of the rows; none where there is no such database."""
    if not database.exists():
        return []
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return [str(row[0]) for row in connection.execute(sql)]


if __name__ == "__main__":
    sys.exit(main())

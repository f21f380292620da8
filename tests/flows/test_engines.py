"""Data stages on Ray and on Dask: the same bytes as on threads, on real local clusters."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from flows.servers import read_address

PREPARE = """
import json, sys
from prefect import flow
from flows.runs import begin_run
from params.load import load_params
from tasks.clean import clean
from tasks.decontaminate import decontaminate
from tasks.dedup import dedup
from tasks.ingest import ingest
from tasks.shard import shard
from tasks.split import split
from tasks.survey import survey
from tasks.train_tokenizer import train_tokenizer

@flow(persist_result=False)
def prepare(overrides):
    p = load_params("tiny", overrides)
    with begin_run(p, "tiny", overrides) as run:
        unique = dedup(p.dedup, clean(p.clean, ingest(p.ingest, survey(p.survey, run=run), run=run), run=run), run=run)
        splits = decontaminate(p.decontaminate, split(p.split, unique, run=run), run=run)
        shard(p.shard, train_tokenizer(p.train_tokenizer, splits, run=run), splits, run=run)
        print(json.dumps({name: made.digest for name, made in run.manifests.items()}))

if __name__ == "__main__":
    prepare(json.loads(sys.argv[1]))
"""
MAP = """
import json, logging, os, sys
from pathlib import Path
from prefect import flow, task
from params.run import RunParams
from tasks.engine import Engine

class Unpicklable:
    def __reduce__(self):
        raise TypeError("this must stay here")

def unit(number):
    logging.getLogger("tasks.test").warning("%d is odd", number % 2)
    return number * number, os.getpid()

@task
def stage(held, *, engine):
    return engine.map(unit, range(100), name="square")

@flow
def squares(name):
    with Engine(RunParams(engine=name), num_workers=2, scratch=Path(sys.argv[2])) as engine:
        return stage(Unpicklable(), engine=engine)

if __name__ == "__main__":
    logging.getLogger("tasks").addHandler(logging.StreamHandler())
    made = squares(sys.argv[1])
    print(json.dumps([[square for square, _ in made], os.getpid() in [pid for _, pid in made]]))
"""
STAGES = ("ingest", "clean", "dedup", "split", "decontaminate", "shard")


@pytest.mark.parametrize("engine", ["ray", "dask"])
def test_a_cluster_works_on_items_in_its_own_processes_and_hands_back_what_they_warn_of(engine, shell, tmp_path: Path):
    address = read_address(shell.home / "prefect" / "server.json")
    env = shell.env | {
        "PREFECT_API_URL": address.api,
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    script = tmp_path / "squares.py"
    script.write_text(MAP)
    command = [sys.executable, str(script), engine, str(tmp_path / "scratch")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=1800)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[number * number for number in range(100)], False]
    assert sorted(done.stderr.splitlines()) == ["0 is odd", "1 is odd"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["squares.py"]


@pytest.fixture
def start(shell, finished, corpus: Path, tmp_path: Path):
    """Start the data stages on an engine, with a store of their own and the servers and kernels of the session."""
    env = shell.env | {
        "PREFECT_API_URL": read_address(shell.home / "prefect" / "server.json").api,
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "MLFLOW_TRACKING_URI": f"sqlite:///{shell.home / 'mlflow.db'}",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    script = tmp_path / "prepare.py"
    script.write_text(PREPARE)

    def begin(**settings: object) -> subprocess.Popen[str]:
        overrides = {
            "survey.sources": [{"name": "text", "path": str(corpus)}],
            "clean.words.min_alpha_words": None,
            "run": {"home": str(tmp_path / "home"), "workers": 2, **settings},
        }
        command = [sys.executable, str(script), json.dumps(overrides)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)

    return begin


def digests_on_threads(home: Path) -> dict[str, str]:
    """What the finished run of the session made."""
    (record,) = list((home / "store" / "runs").glob("*.json"))[:1]
    made = json.loads(record.read_text())["stages"]
    folders = {stage: home / "store" / stage / made[stage]["fingerprint"] for stage in STAGES}
    return {stage: json.loads((folder / "manifest.json").read_text())["digest"] for stage, folder in folders.items()}


@pytest.mark.parametrize("engine", ["ray", "dask"])
@pytest.mark.slow
def test_a_cluster_makes_the_same_bytes_as_threads_and_says_nothing(engine: str, start, shell, tmp_path: Path):
    with start(engine=engine) as process:
        out, err = process.communicate(timeout=1800)
    assert process.returncode == 0, err
    made = json.loads(out)
    assert {stage: made[stage] for stage in STAGES} == digests_on_threads(shell.home)
    assert err == ""
    assert list((tmp_path / "home" / "store" / "runs").glob("*.unit*")) == []


@pytest.mark.parametrize("engine", ["ray", "dask"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_a_run_that_is_cancelled_or_killed_leaves_no_process_of_its_cluster(engine, number, start, tmp_path: Path):
    process = start(engine=engine)
    cluster = wait_for_children(process, engine)
    process.send_signal(number)
    process.communicate(timeout=1800)
    assert process.returncode != 0
    _, alive = psutil.wait_procs(cluster, timeout=1800)
    assert alive == []


def wait_for_children(process: subprocess.Popen[str], engine: str) -> list[psutil.Process]:
    """The processes of a cluster, once they are there."""
    mark = {"ray": "raylet", "dask": "multiprocessing.spawn"}[engine]
    while process.poll() is None:
        children = psutil.Process(process.pid).children(recursive=True)
        if any(mark in command_of(child) for child in children):
            return children
    raise AssertionError(process.communicate())


def command_of(process: psutil.Process) -> str:
    """Its command line; none where it has ended by now."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie is one, too
        return ""

"""The bridge between a stage's work and the store."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from params.base import Params
from params.errors import DamagedError, StoreError
from params.run import RunParams
from tasks.artifacts.manifest import Manifest, Metrics, Timing
from tasks.artifacts.record import RunRecord
from tasks.artifacts.remote import RemoteStore
from tasks.artifacts.sharing import Sharing
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.stage import Stage, stage, summary


class Text(Params):
    """What to write."""

    text: str = "abc"


@pytest.fixture
def calls() -> list[str]:
    return []


@pytest.fixture
def write(calls: list[str]) -> Stage:
    @stage(version=1)
    def write(params: Text, *, out: Path, run: Run) -> Metrics:
        """Write a text."""
        calls.append("write")
        (out / "text").write_text(params.text.strip())
        (out / "logs").mkdir()
        (out / "logs" / "pid").write_text(str(os.getpid()))
        return Metrics(counts={"characters": len(params.text)})

    return write


@pytest.fixture
def double(calls: list[str]) -> Stage:
    @stage(version=1)
    def double(params: Text, written: Manifest, *, out: Path, run: Run) -> Metrics:
        """Write it twice."""
        calls.append("double")
        (out / "text").write_text(2 * (written.folder / "text").read_text())
        return Metrics()

    return double


def make(one: Stage, params: Params, *inputs: Manifest, run: Run) -> Manifest:
    """What the stage's Prefect task does, without Prefect."""
    one._run(params, *inputs, run=run)
    return run.manifests[one.name]


def test_a_stage_takes_its_name_from_its_work_and_its_inputs_from_the_signature(double: Stage):
    assert double.name == "double"
    assert double.input_names == ["written"]


def test_the_second_call_reuses_the_first_ones_result(run: Run, write: Stage, calls: list[str]):
    first, second = make(write, Text(), run=run), make(write, Text(), run=run)
    assert calls == ["write"]
    assert first == second
    assert run.record.stages["write"].reused
    assert (first.folder / "text").read_text() == "abc"


def test_what_has_to_follow_a_result_does_so_whenever_a_run_has_it(run: Run, calls: list[str]):
    def count(params: Text, made: Manifest, *, run: Run) -> None:
        calls.append(f"{params.text} {run.store.find('write', made.fingerprint) == made}")

    @stage(version=1, after=count)
    def write(params: Text, *, out: Path, run: Run) -> Metrics:
        return Metrics()

    make(write, Text(), run=run)
    make(write, Text(), run=run)
    assert calls == ["abc True", "abc True"]


def test_other_parameters_make_another_result(run: Run, write: Stage, calls: list[str]):
    first, second = make(write, Text(), run=run), make(write, Text(text="x"), run=run)
    assert calls == ["write", "write"]
    assert first.fingerprint != second.fingerprint


def test_a_change_that_makes_the_same_bytes_stops_the_ripple(run: Run, write: Stage, double: Stage, calls: list[str]):
    make(double, Text(), make(write, Text(text="abc"), run=run), run=run)
    make(double, Text(), make(write, Text(text="abc "), run=run), run=run)
    assert calls == ["write", "double", "write"]


def test_settings_of_the_machine_change_nothing(run: Run, write: Stage, calls: list[str]):
    make(write, Text(), run=run)
    elsewhere = Run(run.store, RunParams(workers=7, device="cpu"), RunRecord.begin("other", {}))
    make(write, Text(), run=elsewhere)
    assert calls == ["write"]


@pytest.mark.parametrize("harm", ["shorten", "lose", "unseal"])
def test_a_damaged_result_is_made_anew(run: Run, write: Stage, calls: list[str], harm: str):
    made = make(write, Text(), run=run)
    run.store.release()
    {
        "shorten": lambda: (made.folder / "text").write_text(""),
        "lose": lambda: (made.folder / "text").unlink(),
        "unseal": lambda: (made.folder / "manifest.json").unlink(),
    }[harm]()
    again = make(write, Text(), run=run)
    assert calls == ["write", "write"]
    assert again.digest == made.digest
    assert run.store.verify(again) == []


def test_a_result_in_use_cannot_be_removed_until_the_run_ends(run: Run, write: Stage):
    made = make(write, Text(), run=run)
    assert Store(run.store.root).remove_unused(made.folder) is None
    run.store.release()
    assert Store(run.store.root).remove_unused(made.folder)


def test_work_that_fails_seals_nothing_and_leaves_its_draft(run: Run):
    @stage(version=1)
    def fail(params: Text, *, out: Path, run: Run) -> Metrics:
        (out / "half").write_text("x")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        make(fail, Text(), run=run)
    assert list(run.store.results()) == []
    assert [path.suffix for path in run.store.drafts()] == [".partial"]


def test_lost_documents_are_never_sealed(run: Run):
    @stage(version=1)
    def lose(params: Text, *, out: Path, run: Run) -> Metrics:
        return Metrics(counts={"docs_in": 2, "docs_kept": 1, "docs_rejected": 0})

    with pytest.raises(AssertionError, match="lose: 2 documents came in, 1 went out"):
        make(lose, Text(), run=run)
    assert list(run.store.results()) == []


def test_a_plan_says_what_would_run_and_makes_nothing(run: Run, write: Stage, double: Stage, calls: list[str]):
    plan: list = []
    planning = Run(run.store, run.settings, run.record, plan=plan)
    double(Text(), write(Text(), run=planning), run=planning)
    assert [(step.stage, step.would_run, step.reasons) for step in plan] == [
        ("write", True, ("never made before",)),
        ("double", True, ("after write: reused if they make the same bytes as before",)),
    ]
    assert calls == []


def test_a_plan_after_the_run_reuses_everything(run: Run, write: Stage, double: Stage, calls: list[str]):
    make(double, Text(), make(write, Text(), run=run), run=run)
    plan: list = []
    planning = Run(run.store, run.settings, run.record, plan=plan)
    double(Text(), write(Text(), run=planning), run=planning)
    assert [(step.stage, step.would_run, step.reasons) for step in plan] == [
        ("write", False, ()),
        ("double", False, ()),
    ]


def test_the_identity_stands_in_for_the_parameters(run: Run, calls: list[str]):
    @stage(version=1, identity=lambda params, run: Text(text=params.text.lower()))
    def read(params: Text, *, out: Path, run: Run) -> Metrics:
        calls.append(params.text)
        return Metrics()

    make(read, Text(text="A"), run=run)
    make(read, Text(text="a"), run=run)
    assert calls == ["A"]


def test_a_summary_says_what_was_made_how_fast_and_whether_it_was_reused():
    manifest = Manifest(
        stage="clean",
        version=1,
        fingerprint="0123456789abcdef",
        digest="",
        params={},
        inputs={},
        files=(),
        metrics=Metrics(counts={"docs_in": 1234567}, speed=(84.0, "MB")),
        timing=Timing(work_s=2.0),
    )
    assert summary(manifest, reused=True, wall_s=0.1) == "clean: 1,234,567 docs in; reused 01234567"
    assert summary(manifest, reused=False, wall_s=2.04) == "clean: 1,234,567 docs in; 2.0 s, 42 MB/s"
    said = manifest.model_copy(update={"metrics": Metrics(counts={"docs_in": 3}, headline="three poems")})
    assert summary(said, reused=False, wall_s=2.0) == "clean: three poems; 2.0 s"


SLOW = """
import sys
from pathlib import Path
from params.base import Params
from params.run import RunParams
from tasks.artifacts.manifest import Metrics
from tasks.artifacts.record import RunRecord
from tasks.artifacts.remote import RemoteStore
from tasks.artifacts.sharing import Sharing
from tasks.artifacts.store import Store
from tasks.context import Run
from tasks.stage import stage

@stage(version=1)
def slow(params: Params, *, out: Path, run: Run) -> Metrics:
    for unit in range(3):
        path = out / f"unit-{unit}"
        if not path.exists():
            print("begins unit", unit, flush=True)
            sys.stdin.readline()
            path.write_text("x" * 1000)
    return Metrics()

run = Run(Store(Path(sys.argv[1])), RunParams(), RunRecord.begin("test", {}))
slow._say_waiting = lambda holder: print("waits for", holder, flush=True)
print(slow._run(Params(), run=run).name, flush=True)
"""


@pytest.fixture
def start(tmp_path: Path):
    """Start a process that makes a stage of three units, one at every line of its standard input."""
    started: list[subprocess.Popen] = []

    def begin() -> subprocess.Popen:
        command = [sys.executable, "-c", SLOW, str(tmp_path)]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.stdin.close()
        process.stdout.close()
        process.wait()


def test_two_processes_that_want_the_same_result_make_it_once(start):
    maker = start()
    assert maker.stdout.readline() == "begins unit 0\n"
    waiter = start()
    assert waiter.stdout.readline() == f"waits for process {maker.pid}\n"
    maker.stdin.write("\n\n\n")
    maker.stdin.flush()
    assert maker.stdout.read() == "begins unit 1\nbegins unit 2\nCompleted\n"
    assert waiter.stdout.read() == "Reused\n"


def test_when_the_maker_is_killed_the_waiter_goes_on_from_its_draft(start):
    maker = start()
    assert maker.stdout.readline() == "begins unit 0\n"
    maker.stdin.write("\n")
    maker.stdin.flush()
    assert maker.stdout.readline() == "begins unit 1\n"
    waiter = start()
    assert waiter.stdout.readline() == f"waits for process {maker.pid}\n"
    os.kill(maker.pid, signal.SIGKILL)
    waiter.stdin.write("\n\n")
    waiter.stdin.flush()
    assert waiter.stdout.read() == "begins unit 1\nbegins unit 2\nCompleted\n"


def test_a_full_disk_is_named_with_the_remedy_and_the_next_call_goes_on(tmp_path: Path, write: Stage):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.getuid() != 0 or shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    run = Run(Store(disk / "store"), RunParams(), RunRecord.begin("test", {}))
    try:
        with pytest.raises(
            StoreError,
            match=r"write: no space left in .* about 1.0 MB are missing.*gristmill gc.* finished stages are kept",
        ):
            make(write, Text(text="x" * 100_000), run=run)
        run.store.remove(*run.store.drafts())
        assert make(write, Text(text="x"), run=run).metrics.counts == {"characters": 1}
        run.store.release()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def sharing_run(root: Path, shared: Path) -> Run:
    """A run of a home that shares its results."""
    store = Store(root / "store", Sharing(RemoteStore(f"file://{shared}", patience_s=0)))
    return Run(store, RunParams(workers=2), RunRecord.begin("test", {}))


def test_a_second_home_makes_nothing_that_the_shared_store_has(
    tmp_path: Path, write: Stage, double: Stage, calls: list[str]
):
    one, two = (sharing_run(tmp_path / name, tmp_path / "shared") for name in ("one", "two"))
    made = make(double, Text(), make(write, Text(), run=one), run=one)
    written = make(write, Text(), run=two)
    found = make(double, Text(), written, run=two)
    assert calls == ["write", "double"]
    assert found.digest == made.digest
    assert two.record.stages["double"].reused
    assert not (written.place / "text").exists()  # nothing has read it
    assert (found.folder / "text").read_text() == "abcabc"
    assert len(two.store.shared.store.records()) == 2


def test_a_planning_run_finds_what_the_shared_store_has_and_takes_nothing(tmp_path: Path, write: Stage):
    make(write, Text(), run=sharing_run(tmp_path / "one", tmp_path / "shared"))
    plan = sharing_run(tmp_path / "two", tmp_path / "shared")
    plan.plan = []
    found = write(Text(), run=plan)
    assert [(step.stage, step.would_run) for step in plan.plan] == [("write", False)]
    assert not found.is_pending
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("harm", ["change", "lose"])
def test_an_input_damaged_in_the_shared_store_is_made_anew_and_mended_there(
    tmp_path: Path, write: Stage, double: Stage, calls: list[str], harm: str, caplog: pytest.LogCaptureFixture
):
    made = make(write, Text(), run=sharing_run(tmp_path / "one", tmp_path / "shared"))
    stored = tmp_path / "shared" / "write" / made.fingerprint / made.files[-1].sha256
    assert made.files[-1].path == "text"
    stored.write_text("abd") if harm == "change" else stored.unlink()
    two = sharing_run(tmp_path / "two", tmp_path / "shared")
    twice = make(double, Text(), make(write, Text(), run=two), run=two)
    assert calls == ["write", "double", "write", "double"]
    assert (twice.folder / "text").read_text() == "abcabc"
    assert f"{stored}: " in caplog.text
    three = sharing_run(tmp_path / "three", tmp_path / "shared")
    assert make(write, Text(), run=three).file("text").read_text() == "abc"
    assert calls == ["write", "double", "write", "double"]


def test_damage_to_a_result_that_comes_out_otherwise_ends_the_run_and_the_next_goes_through(
    tmp_path: Path, double: Stage, calls: list[str]
):
    @stage(version=1)
    def write(params: Text, *, out: Path, run: Run) -> Metrics:
        """Write what no two machines write alike."""
        calls.append("write")
        (out / "text").write_text(f"abc{len(calls)}")
        return Metrics()

    made = make(write, Text(), run=sharing_run(tmp_path / "one", tmp_path / "shared"))
    (tmp_path / "shared" / "write" / made.fingerprint / made.files[0].sha256).unlink()
    two = sharing_run(tmp_path / "two", tmp_path / "shared")
    with pytest.raises(DamagedError, match="run the same command again, and write is made and stored anew"):
        make(double, Text(), make(write, Text(), run=two), run=two)
    two.store.release()
    again = sharing_run(tmp_path / "two", tmp_path / "shared")
    written = make(write, Text(), run=again)
    assert written.digest != made.digest
    make(double, Text(), written, run=again)
    three = sharing_run(tmp_path / "three", tmp_path / "shared")
    assert make(write, Text(), run=three).digest == written.digest


def test_a_result_damaged_here_comes_whole_from_the_shared_store(tmp_path: Path, write: Stage, calls: list[str]):
    first = sharing_run(tmp_path / "one", tmp_path / "shared")
    made = make(write, Text(), run=first)
    first.store.release()
    (made.folder / "text").unlink()
    again = make(write, Text(), run=sharing_run(tmp_path / "one", tmp_path / "shared"))
    assert calls == ["write"]
    assert (again.folder / "text").read_text() == "abc"

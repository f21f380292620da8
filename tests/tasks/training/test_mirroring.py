"""The newest checkpoint in a store that homes share, without training: what is copied, and what is taken over."""

import json
import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.artifacts.digest import digest_file
from tasks.artifacts.remote import RemoteStore
from tasks.artifacts.unfinished import UnfinishedWork
from tasks.training.checkpoint import problem_of, seal
from tasks.training.mirroring import shared_training, take_over, take_snapshot

MADE_BY = {"gristmill": "1"}


@pytest.fixture
def work(tmp_path: Path) -> UnfinishedWork:
    return RemoteStore(f"file://{tmp_path}/shared", patience_s=0).unfinished("train", "0" * 32)


def draft(home: Path, *steps: int) -> Path:
    """A folder of training with checkpoints, best weights and curves."""
    out = home / "store" / "train" / f"{'0' * 32}.partial"
    for step in steps:
        temporary = out / "checkpoints" / f"step-{step:09d}.tmp"
        temporary.mkdir(parents=True)
        (temporary / "weights.safetensors").write_bytes(b"weights %d" % step)
        (temporary / "progress.json").write_text(json.dumps({"step": step}))
        seal(temporary, temporary.with_suffix(""))
    for name in ("best/best.safetensors", "logs/metrics.jsonl", "logs/output.log", "micro_blocks.json", "rank-0.lock"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(name)
    return out


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_snapshot_has_what_training_goes_on_from_and_stays_when_a_checkpoint_is_rotated_out(tmp_path: Path):
    out, still = draft(tmp_path, 10, 20), tmp_path / "still"
    (out / "checkpoints" / "step-000000030.tmp").mkdir()  # under the pen
    assert take_snapshot(out, still) == 20
    files = {"weights.safetensors", "progress.json", "seal.json"}
    checkpoints = {f"checkpoints/step-0000000{step}/{name}" for step in (10, 20) for name in files}
    assert names(still) == checkpoints | {"best/best.safetensors", "logs/metrics.jsonl", "micro_blocks.json"}
    (out / "checkpoints" / "step-000000020" / "weights.safetensors").unlink()
    (out / "logs" / "metrics.jsonl").write_text("longer by now")
    assert problem_of(still / "checkpoints" / "step-000000020") is None
    assert (still / "logs" / "metrics.jsonl").read_text() == "logs/metrics.jsonl"


def test_an_empty_home_takes_over_what_another_has_left_and_one_that_came_further_does_not(
    work: UnfinishedWork, tmp_path: Path
):
    first, still = draft(tmp_path / "one", 10, 20), tmp_path / "still"
    take_snapshot(first, still)
    assert work.put(still, step=20, made_by=MADE_BY)
    second = tmp_path / "two" / "store" / "train" / first.name
    second.mkdir(parents=True)
    assert take_over(work, second, made_by={"gristmill": "2"}) is None  # other code
    assert take_over(work, second, made_by=MADE_BY) == 20
    assert names(second) == names(still)
    assert all(digest_file(second / name) == digest_file(still / name) for name in names(still))
    assert [path.name for path in second.parent.iterdir()] == [second.name]
    assert take_over(work, second, made_by=MADE_BY) is None  # it has that already
    assert take_over(work, draft(tmp_path / "three", 30), made_by=MADE_BY) is None


def test_a_damaged_copy_is_said_and_training_begins_with_what_is_here(
    work: UnfinishedWork, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    take_snapshot(draft(tmp_path / "one", 10), tmp_path / "still")
    work.put(tmp_path / "still", step=10, made_by=MADE_BY)
    for path in (tmp_path / "shared").rglob("*"):
        if path.is_file() and path.name != "state.json":
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    second = tmp_path / "two" / "store" / "train" / f"{'0' * 32}.partial"
    second.mkdir(parents=True)
    assert take_over(work, second, made_by=MADE_BY) is None
    assert "is damaged" in caplog.text
    assert names(second.parent) == set()


def test_copies_are_made_beside_the_block_and_a_store_that_is_away_is_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    blocked = tmp_path / "shared"
    blocked.write_text("no folder")
    work = RemoteStore(f"file://{blocked}", patience_s=0).unfinished("train", "0" * 32)
    out = draft(tmp_path / "one", 10)
    with caplog.at_level(logging.INFO), shared_training(work, out, every_s=0.01, made_by=MADE_BY):
        _wait_until(lambda: "training goes on, its checkpoints are on this machine alone" in caplog.text)
        blocked.unlink()
        _wait_until(lambda: "the checkpoint of step 10 is in the shared store" in caplog.text)
    assert caplog.text.count("on this machine alone") == 1
    found = work.find()
    assert found is not None
    assert found.step == 10
    assert not out.with_suffix(".mirror").exists()


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 1800
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)

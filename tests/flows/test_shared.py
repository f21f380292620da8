"""gristmill verify --store and gc --store, on a store in a folder."""

import os
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from flows.cli import main
from params.run import RunParams
from tasks.artifacts.manifest import Manifest, Metrics, Recipe, Timing
from tasks.artifacts.record import RunRecord
from tasks.artifacts.remote import RemoteStore
from tasks.artifacts.sharing import Sharing
from tasks.artifacts.store import Store
from tasks.context import Run


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteStore:
    """An empty store, named by the environment."""
    monkeypatch.setenv("GRISTMILL_STORE", f"file://{tmp_path}/shared")
    monkeypatch.setenv("GRISTMILL_HOME", str(tmp_path / "home"))
    return RemoteStore(f"file://{tmp_path}/shared", patience_s=0)


def begin(home: Path, shared: RemoteStore) -> Run:
    return Run(Store(home / "store", Sharing(shared)), RunParams(), RunRecord.begin("tiny", {}))


def make(run: Run, stage: str, text: str) -> Manifest:
    """A result that a run made and gave to the shared store."""
    recipe = Recipe(stage=stage, version=1, params={"text": text})
    with run.store.lock(recipe):
        draft = run.store.draft(recipe, {})
        (draft / "text").write_text(text)
        made = run.store.seal(recipe, draft, Metrics(), timing=Timing(), made_by={})
    run.finish(made, reused=False, wall_s=1.0)
    return made


def stored(shared: RemoteStore) -> list[tuple[str, str]]:
    return [(result.stage, result.fingerprint) for result in shared.listing()]


def make_old(folder: Path) -> None:
    for path in folder.rglob("*"):
        os.utime(path, (0, 0))


def test_verify_reads_the_shared_store_names_the_damaged_file_and_removes_its_result(
    shared: RemoteStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run = begin(tmp_path / "one", shared)
    sound, damaged = make(run, "clean", "good"), make(run, "clean", "bad")
    assert main(["verify", "--store"]) == 0
    assert f"2 results in file://{tmp_path}/shared read, 0 damaged, 0 unfinished" in capsys.readouterr().out
    path = tmp_path / "shared" / "clean" / damaged.fingerprint / damaged.files[0].sha256
    path.write_text("mad")
    assert main(["verify", "--store"]) == 1
    said = capsys.readouterr()
    assert f"{path}: its SHA-256 differs from the seal of text" in said.out
    assert "gristmill verify --store --remove" in said.err
    assert main(["verify", "--store", f"file://{tmp_path}/shared", "--remove"]) == 0
    assert stored(shared) == [("clean", sound.fingerprint)]


def test_gc_removes_from_the_shared_store_what_is_old_and_no_run_of_any_home_refers_to(
    shared: RemoteStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    one, two = (begin(tmp_path / name, shared) for name in ("one", "two"))
    first, second = make(one, "clean", "first"), make(two, "clean", "second")
    for run in (one, two):
        run.store.shared.finish(run.record.ended("completed"))
    old, young = make(begin(tmp_path / "three", shared), "clean", "old"), make(two, "dedup", "young")
    for record in (tmp_path / "shared" / "runs").glob("*.json"):
        if record.stem not in (one.record.run_id, two.record.run_id):
            record.unlink()
    two.store.shared.finish(two.record.model_copy(update={"stages": {"clean": two.record.stages["clean"]}}))
    for made in (first, second, old):
        make_old(tmp_path / "shared" / "clean" / made.fingerprint)
    before = stored(shared)
    assert main(["gc", "--store", "--dry-run"]) == 0
    assert f"would remove file://{tmp_path}/shared/clean/{old.fingerprint}" in capsys.readouterr().out
    assert stored(shared) == before
    assert main(["gc", "--store"]) == 0
    kept = {("clean", first.fingerprint), ("clean", second.fingerprint), ("dedup", young.fingerprint)}
    assert set(stored(shared)) == kept


def test_gc_lists_the_shared_store_once(shared: RemoteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for stage in ("clean", "dedup"):
        make(begin(tmp_path / "one", shared), stage, "x")
    listed, find = list[str](), LocalFileSystem.find

    def remembered(self: LocalFileSystem, path: str, *rest: Any, **options: Any) -> Any:
        listed.append(str(Path(path).relative_to(tmp_path / "shared")))
        return find(self, path, *rest, **options)

    monkeypatch.setattr(LocalFileSystem, "find", remembered)
    assert main(["gc", "--store"]) == 0
    assert sorted(listed) == [".", "runs"]


def test_gc_of_a_home_leaves_the_shared_store_alone(shared: RemoteStore, tmp_path: Path):
    run = begin(tmp_path / "home", shared)
    make(run, "clean", "x")
    (tmp_path / "home" / "store" / "runs" / f"{run.record.run_id}.json").unlink()
    make_old(tmp_path / "shared")
    before = stored(shared)
    run.store.release()
    assert main(["gc"]) == 0
    assert list(Store(tmp_path / "home" / "store").results()) == []
    assert stored(shared) == before


def test_a_store_that_is_not_named_is_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.delenv("GRISTMILL_STORE", raising=False)
    assert main(["verify", "--store"]) == 2
    assert "--store without a URL needs GRISTMILL_STORE" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["s3://me:open-sesame@host/mill", "/plain/folder"])
def test_a_url_with_a_password_or_none_is_refused_and_the_password_not_told(
    url: str, capsys: pytest.CaptureFixture[str]
):
    assert main(["verify", "--store", url]) == 2
    assert "open-sesame" not in capsys.readouterr().err


def test_status_and_runs_name_the_shared_store_and_what_one_side_has_alone(
    shared: RemoteStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    mine, theirs = begin(tmp_path / "home", shared), begin(tmp_path / "other", shared)
    make(mine, "clean", "both")
    make(theirs, "train", "x" * 200_000)
    taken = make(theirs, "export", "y" * 100_000)
    recipe = Recipe(stage="export", version=1, params={"text": "y" * 100_000})
    with mine.store.lock(recipe):
        assert mine.store.adopt(recipe).digest == taken.digest  # its manifest is here, its file is not
    make(Run(Store(tmp_path / "home" / "store"), RunParams(), mine.record), "split", "nobody else's")
    sizes = {result.stage: result.size_bytes for result in shared.listing()}
    alone = f"only there: 2 (export, train), {(sizes['train'] + 100_000) / 1e6:.1f} MB"
    whole = f"file://{tmp_path}/shared: 3 results, {sum(sizes.values()) / 1e6:.1f} MB"
    for command, code in (("status", 1), ("runs", 0)):  # no stack is up
        assert main([command]) == code
        said = " ".join(capsys.readouterr().out.split())
        assert all(line in said for line in (whole, alone, "only here: 1 (split)")), said


def test_status_says_that_a_store_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("GRISTMILL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRISTMILL_STORE", "s3://team/mill")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "open-sesame")
    assert main(["status"]) == 1
    said = capsys.readouterr().out
    assert "s3://team/mill cannot be read: " in said
    assert "open-sesame" not in said


def test_gc_removes_trainings_under_way_that_nobody_goes_on_with(
    shared: RemoteStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    done = make(begin(tmp_path / "one", shared), "train", "sealed")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "weights").write_text("12")
    for fingerprint in (done.fingerprint, "0" * 32, "1" * 32):
        shared.unfinished("train", fingerprint).put(tmp_path / "state", step=1, made_by={})
    make_old(tmp_path / "shared" / "unfinished" / "train" / ("0" * 32))
    assert main(["gc", "--store"]) == 0
    removed = capsys.readouterr().out
    assert all(f"unfinished/train/{fingerprint}" in removed for fingerprint in (done.fingerprint, "0" * 32))
    assert [work.fingerprint for work in shared.contents().unfinished] == ["1" * 32]

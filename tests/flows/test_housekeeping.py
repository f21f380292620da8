"""verify, gc and runs, on stores made by hand."""

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from flows import cli
from flows.home import locate_home
from params.base import Params
from tasks.artifacts.lock import locked
from tasks.artifacts.manifest import Manifest, Metrics, Timing, recipe_of
from tasks.artifacts.record import RunRecord, run_records
from tasks.artifacts.store import Store


class Knob(Params):
    """One parameter."""

    turns: int


@pytest.fixture
def store(tmp_path: Path, monkeypatch) -> Store:
    monkeypatch.setenv("GRISTMILL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # of a fixture that other tests share
    return Store(locate_home().store)


@pytest.fixture
def make(store: Store) -> Callable[..., Manifest]:
    def seal(turns: int, stage: str = "clean") -> Manifest:
        recipe = recipe_of(stage, 1, Knob(turns=turns), {})
        with store.lock(recipe):
            draft = store.draft(recipe, {})
            (draft / "data").write_text(str(turns) * 1000)
            return store.seal(recipe, draft, Metrics(), timing=Timing(), made_by={})

    return seal


def record(store: Store, run_id: str, *results: Manifest, status: str = "completed", **more) -> RunRecord:
    made = RunRecord(run_id=run_id, preset="tiny", started_at="2026-01-01T00:00:00+00:00", status=status, **more)
    for result in results:
        made = made.with_stage(result, reused=False, wall_s=1.0)
    made.save(store.root)
    return made


def left(store: Store) -> set[str]:
    return {result.fingerprint for result in store.results()}


@pytest.fixture(autouse=True)
def without_traces(monkeypatch):
    """open_home sets what is not set: let pytest put every one of them back."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def test_gc_removes_what_no_run_refers_to(store, make, capsys):
    kept, lost = make(1), make(2)
    record(store, "20260101-000000-aaaa", kept)
    assert cli.main(["gc"]) == 0
    assert left(store) == {kept.fingerprint}
    said = capsys.readouterr().out
    assert f"removed {lost.folder}" in said
    assert re.search(r"\d+\.\d MB freed, 0 run records forgotten, 1 kept", said)


def test_gc_keeps_what_an_index_stands_on_though_no_run_refers_to_it(store, make):
    older, newest, _ = make(1, "dedup"), make(2, "dedup"), make(3, "dedup")
    (newest.folder / "index").mkdir()
    (newest.folder / "index" / "segments.json").write_text(json.dumps([older.fingerprint, None]))
    links = [{"documents": "d", "params": "p", "fingerprint": r.fingerprint, "digest": "e"} for r in (older, newest)]
    (store.root / "indexes").mkdir()
    (store.root / "indexes" / "news.json").write_text(json.dumps({"name": "news", "terms": {}, "links": links}))
    assert cli.main(["gc"]) == 0
    assert left(store) == {older.fingerprint, newest.fingerprint}


def test_a_dry_run_says_the_same_and_removes_nothing(store, make, capsys):
    lost = make(2)
    assert cli.main(["gc", "--dry-run"]) == 0
    assert left(store) == {lost.fingerprint}
    assert f"would remove {lost.folder}" in capsys.readouterr().out


def test_gc_leaves_alone_what_a_run_under_way_uses(store, make, capsys):
    used = make(1)
    user = Store(store.root)
    user.hold(used)
    assert cli.main(["gc"]) == 0
    assert left(store) == {used.fingerprint}
    assert f"in use, kept: {used.folder}" in capsys.readouterr().out
    user.release()
    assert cli.main(["gc"]) == 0
    assert left(store) == set()


def test_gc_asked_for_drafts_removes_them_but_not_one_under_work(store, make):
    recipes = [recipe_of("train", 1, Knob(turns=turns), {}) for turns in (1, 2)]
    abandoned, worked_on = (store.draft(recipe, {}) for recipe in recipes)
    leftover = make(3)
    leftover.folder.replace(leftover.folder.with_suffix(".removed"))
    with store.lock(recipes[1]):
        assert cli.main(["gc", "--drafts"]) == 0
    assert not abandoned.exists()
    assert worked_on.exists()
    assert store.removed() == []


def test_gc_keeps_the_drafts_of_interrupted_runs_unless_asked(store):
    draft = store.draft(recipe_of("train", 1, Knob(turns=1), {}), {})
    assert cli.main(["gc"]) == 0
    assert draft.exists()


def test_keep_runs_forgets_all_but_the_newest_and_what_only_they_stood_on(store, make):
    old, shared, new = make(1), make(2), make(3, stage="dedup")
    record(store, "20260101-000000-aaaa", old)
    record(store, "20260102-000000-bbbb", shared, new)
    assert cli.main(["gc", "--keep-runs", "1"]) == 0
    assert [found.run_id[:8] for found in run_records(store.root)] == ["20260102"]
    assert left(store) == {new.fingerprint, shared.fingerprint}


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own queries
def test_keep_runs_keeps_a_run_under_way_and_one_whose_model_bears_an_alias(store, make):
    from mlflow import MlflowClient

    locate_home().root.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(locate_home().mlflow_uri)
    client.create_registered_model("m")
    for _ in range(2):
        client.create_model_version("m", source="s")
    client.set_registered_model_alias("m", "champion", "1")
    record(store, "20260101-000000-champ", make(1), model_version="models:/m/1")
    record(store, "20260102-000000-plain", make(2), model_version="models:/m/2")
    record(store, "20260103-000000-lives", make(3), status="running")
    record(store, "20260104-000000-newest", make(4))
    with locked(store.root / "runs" / "20260103-000000-lives.lock"):
        assert cli.main(["gc", "--keep-runs", "1"]) == 0
    assert [found.run_id[16:] for found in run_records(store.root)] == ["champ", "lives", "newest"]
    assert len(left(store)) == 3


def test_keep_runs_forgets_nothing_while_the_registry_that_knows_the_aliases_is_down(store, make, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    record(store, "20260101-000000-champ", make(1), model_version="models:/m/1")
    record(store, "20260104-000000-newest", make(2))
    assert cli.main(["gc", "--keep-runs", "1"]) == 1
    said = capsys.readouterr().err
    assert "MLflow at http://127.0.0.1:9 failed in the middle" in said
    assert "the same command goes on from there once it answers" in said
    assert len(list(run_records(store.root))) == len(left(store)) == 2


def test_gc_of_a_home_that_is_not_there_does_nothing(store, capsys):
    assert cli.main(["gc"]) == 0
    assert not store.root.exists()
    assert "0.0 MB freed" in capsys.readouterr().out


def test_verify_reads_every_file_and_is_content(store, make, capsys):
    make(1)
    make(2)
    assert cli.main(["verify"]) == 0
    assert capsys.readouterr().out == "2 files of 2 results read, 0 results damaged\n"


def test_verify_names_the_damage_and_the_remedy_which_works(store, make, capsys):
    sound, damaged = make(1), make(2)
    (damaged.folder / "data").write_text("3" * 1000)
    assert cli.main(["verify"]) == 1
    out, err = capsys.readouterr()
    assert f"{damaged.folder / 'data'}: its SHA-256 differs from the seal" in out
    assert "gristmill verify --remove" in err
    assert cli.main(["verify", "--remove"]) == 0
    assert left(store) == {sound.fingerprint}


def test_verify_of_one_stage_leaves_the_others_unread(store, make, capsys):
    make(1)
    (make(2, stage="dedup").folder / "data").unlink()
    assert cli.main(["verify", "--stage", "clean"]) == 0
    assert "1 files of 1 results" in capsys.readouterr().out


def test_runs_are_listed_oldest_first_with_status_and_model(store, make, capsys):
    record(store, "20260101-000000-aaaa", make(1), model_version="models:/m/1")
    record(store, "20260102-000000-bbbb", status="running")
    assert cli.main(["runs"]) == 0
    first, second = (line for line in capsys.readouterr().out.splitlines() if "2026010" in line)
    assert "completed" in first
    assert "m/1" in first
    assert "killed" in second


def test_a_run_under_way_is_shown_as_running_and_is_not_forgotten(store, capsys):
    record(store, "20260101-000000-aaaa", status="running")
    with locked(store.root / "runs" / "20260101-000000-aaaa.lock"):
        assert cli.main(["runs", "list"]) == 0
        assert "running" in capsys.readouterr().out
        assert cli.main(["runs", "delete", "2026"]) == 1
    assert "is under way; end it first" in capsys.readouterr().err
    assert len(list(run_records(store.root))) == 1


def test_a_run_is_shown_with_where_its_results_lie(store, make, capsys):
    kept, lost = make(1), make(2, stage="dedup")
    record(store, "20260101-000000-aaaa", kept, lost, overrides={"train": {"seed": 7}})
    store.remove(lost.folder)
    assert cli.main(["runs", "show", "20260101"]) == 0
    said = capsys.readouterr().out
    assert str(kept.folder) in said
    assert f"{lost.folder} (removed)" in said
    assert "{'train': {'seed': 7}}" in said


def test_a_deleted_run_frees_its_results_for_gc(store, make):
    record(store, "20260101-000000-aaaa", make(1))
    assert cli.main(["runs", "delete", "20260101-000000-aaaa"]) == 0
    assert list(run_records(store.root)) == []
    assert cli.main(["gc"]) == 0
    assert left(store) == set()


def test_a_beginning_that_fits_several_runs_is_refused(store, capsys):
    record(store, "20260101-000000-aaaa")
    record(store, "20260101-000000-bbbb")
    assert cli.main(["runs", "delete", "20260101"]) == 2
    assert "2 runs begin with '20260101'" in capsys.readouterr().err

"""Work under way in a shared store, on a real S3 server and in a folder: whole or not used."""

import json
from pathlib import Path
from typing import Any

import pytest

from params.errors import StoreError
from tasks.artifacts.manifest import Manifest, Metrics, Recipe, Timing
from tasks.artifacts.record import RunRecord
from tasks.artifacts.remote import RemoteStore
from tasks.artifacts.sharing import Sharing
from tasks.artifacts.store import Store

MADE_BY = {"gristmill": "1"}


@pytest.fixture(params=["s3", "file"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> RemoteStore:
    if request.param == "file":
        return RemoteStore(f"file://{tmp_path}/shared", patience_s=0)
    request.getfixturevalue("s3")
    return RemoteStore("s3://corpus/mill", {"endpoint_url": request.getfixturevalue("s3_server")}, patience_s=0)


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / "part").mkdir(parents=True, exist_ok=True)
        (folder / "part" / name).write_text(text)
    return folder


def read(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_newest_state_replaces_the_one_before_and_comes_back_as_it_was(remote: RemoteStore, tmp_path: Path):
    work = remote.unfinished("train", "0" * 32)
    assert work.find() is None
    assert work.put(write(tmp_path / "one", stays="same", goes="old"), step=1, made_by=MADE_BY)
    assert work.put(write(tmp_path / "two", stays="same", comes="new"), step=2, made_by=MADE_BY)
    assert not work.put(tmp_path / "one", step=1, made_by=MADE_BY)  # of a home that lags behind
    found = remote.unfinished("train", "0" * 32).find()
    assert found is not None
    assert (found.step, found.made_by) == (2, MADE_BY)
    work.fetch(found, tmp_path / "three")
    assert read(tmp_path / "three") == {"part/stays": "same", "part/comes": "new"}
    assert remote.listing() == []
    (listed,) = remote.contents().unfinished
    state = len(found.model_dump_json(indent=1))
    assert (listed.stage, listed.fingerprint, listed.size_bytes) == ("train", "0" * 32, len("same" + "new") + state)
    work.remove()
    assert work.find() is None
    assert remote.contents().unfinished == []


@pytest.mark.parametrize(("harm", "said"), [("change", "is damaged"), ("lose", "is missing")])
def test_what_is_not_whole_is_not_taken(tmp_path: Path, harm: str, said: str):
    work = RemoteStore(f"file://{tmp_path}/shared", patience_s=0).unfinished("train", "0" * 32)
    work.put(write(tmp_path / "one", weights="1234"), step=1, made_by=MADE_BY)
    found = work.find()
    assert found is not None
    stored = tmp_path / "shared" / "unfinished" / "train" / ("0" * 32) / found.files[0].sha256
    stored.unlink() if harm == "lose" else stored.write_text("12x4")
    with pytest.raises(StoreError, match=rf"part/weights {said}"):
        work.fetch(found, tmp_path / "two")
    assert not (tmp_path / "two" / "part" / "weights").exists()


def test_files_without_their_state_and_states_that_lead_outside_count_for_nothing(tmp_path: Path):
    work = RemoteStore(f"file://{tmp_path}/shared", patience_s=0).unfinished("train", "0" * 32)
    work.put(write(tmp_path / "one", weights="1234"), step=1, made_by=MADE_BY)
    state = tmp_path / "shared" / "unfinished" / "train" / ("0" * 32) / "state.json"
    text = state.read_text()
    for damaged in (text[: len(text) // 2], text.replace("part/weights", "../../weights")):
        state.write_text(damaged)
        assert work.find() is None
    state.unlink()  # put last: an upload that was killed has left the rest
    assert work.find() is None


def test_once_the_result_is_there_its_unfinished_work_is_gone(tmp_path: Path):
    remote = RemoteStore(f"file://{tmp_path}/shared", patience_s=0)
    sharing, store, record = Sharing(remote), Store(tmp_path / "home"), RunRecord.begin("tiny", {})
    recipe = Recipe(stage="train", version=1, params={})
    sharing.unfinished("train", recipe.fingerprint).put(write(tmp_path / "one", w="1"), step=1, made_by=MADE_BY)
    made = _seal(store, recipe)
    assert len(remote.contents().unfinished) == 1
    sharing.give(made, record)
    assert remote.contents().unfinished == []
    assert [result.is_whole for result in remote.listing()] == [True]


def _seal(store: Store, recipe: Recipe) -> Manifest:
    with store.lock(recipe):
        draft = store.draft(recipe, {})
        (draft / "model").write_text("weights")
        return store.seal(recipe, draft, Metrics(), timing=Timing(), made_by={})


def test_names_in_a_bucket_are_those_of_what_the_files_hold(s3: Any, s3_server: str, tmp_path: Path):
    remote = RemoteStore("s3://corpus/mill", {"endpoint_url": s3_server}, patience_s=0)
    remote.unfinished("train", "f" * 32).put(write(tmp_path / "one", a="same", b="same"), step=3, made_by=MADE_BY)
    found = s3.list_objects_v2(Bucket="corpus", Prefix="mill/unfinished/")["Contents"]
    names = sorted(item["Key"].removeprefix(f"mill/unfinished/train/{'f' * 32}/") for item in found)
    assert len(names) == 2
    body = s3.get_object(Bucket="corpus", Key=f"mill/unfinished/train/{'f' * 32}/state.json")["Body"].read()
    assert {file["sha256"] for file in json.loads(body)["files"]} | {"state.json"} == set(names)

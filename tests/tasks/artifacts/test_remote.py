"""A store that homes share, on a real S3 server and in a folder: whole results or none, whatever dies or is damaged."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from moto.core.responses import ActionAuthenticatorMixin
from moto.server import ThreadedMotoServer

from params.base import Params
from params.errors import DamagedError, StoreError
from tasks.artifacts.digest import digest_file
from tasks.artifacts.manifest import FileRecord, Manifest, Metrics, Recipe, Timing, digest_files, recipe_of
from tasks.artifacts.record import RunRecord
from tasks.artifacts.remote import MARK, RemoteStore
from tasks.artifacts.sharing import Sharing
from tasks.artifacts.store import Store
from tasks.files.connection import connect

FILES = {"kept/0.arrow": b"zero", "kept/1.arrow": b"one", "report.json": b"{}", "logs/time.txt": b"zero"}


class Knob(Params):
    """One parameter."""

    turns: int = 1


RECIPE = recipe_of("clean", 1, Knob(), {})
AT = f"clean/{RECIPE.fingerprint}"


def seal(store: Store, files: dict[str, bytes] = FILES, recipe: Recipe = RECIPE) -> Manifest:
    with store.lock(recipe):
        draft = store.draft(recipe, {})
        for name, data in files.items():
            (draft / name).parent.mkdir(exist_ok=True)
            (draft / name).write_bytes(data)
        return store.seal(recipe, draft, Metrics(), timing=Timing(), made_by={}, volatile=("logs/*",))


def adopt(root: Path, remote: RemoteStore, recipe: Recipe = RECIPE) -> Manifest | None:
    store = Store(root, Sharing(remote))
    with store.lock(recipe):
        return store.adopt(recipe)


def bytes_in(manifest: Manifest) -> dict[str, bytes]:
    return {file.path: (manifest.folder / file.path).read_bytes() for file in manifest.files}


@pytest.fixture
def s3_store(s3: Any, s3_server: str) -> RemoteStore:
    return RemoteStore("s3://corpus/mill/", {"endpoint_url": s3_server}, patience_s=0)


@pytest.fixture(params=["s3", "file", "memory"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RemoteStore]:
    """A shared store of each kind: one that puts whole files, one that renames them, one of the same process."""
    if request.param == "s3":
        yield request.getfixturevalue("s3_store")
        return
    yield RemoteStore({"file": f"file://{tmp_path}/shared", "memory": "memory://mill"}[request.param], patience_s=0)
    if request.param == "memory":
        fsspec.filesystem("memory").store.clear()


def keys(s3: Any) -> set[str]:
    found = s3.list_objects_v2(Bucket="corpus", Prefix="mill/").get("Contents", [])
    return {item["Key"].removeprefix("mill/") for item in found}


def test_what_one_home_gives_another_finds_with_the_same_digest_and_bytes(remote: RemoteStore, tmp_path: Path):
    made = seal(Store(tmp_path / "one"))
    remote.check()
    assert remote.find("clean", RECIPE.fingerprint) is None
    assert remote.push(made)
    assert not remote.push(made)
    found = adopt(tmp_path / "two", remote)
    assert found is not None
    assert (found.digest, bytes_in(found)) == (made.digest, FILES)
    again = Store(tmp_path / "two").find("clean", RECIPE.fingerprint)
    assert again is not None
    assert not again.is_away
    assert Store(tmp_path / "two").verify(again) == []


def test_only_what_is_read_is_fetched(remote: RemoteStore, tmp_path: Path):
    remote.push(seal(Store(tmp_path / "one")))
    found = adopt(tmp_path / "two", remote)
    assert found is not None

    def here() -> list[str]:
        return sorted(p.relative_to(found.place).as_posix() for p in found.place.rglob("*") if p.is_file())

    assert here() == ["away.json", "manifest.json"]
    assert [path.read_bytes() for path in found.paths("kept/*.arrow")] == [b"zero", b"one"]
    assert here() == ["away.json", "kept/0.arrow", "kept/1.arrow", "manifest.json"]
    assert (found.is_here("kept/*.arrow"), found.is_here("logs/*")) == (True, False)
    store = Store(tmp_path / "two")
    assert store.is_complete(found)
    assert store.verify(found) == []
    assert found.file("logs/time.txt").read_bytes() == b"zero"


def test_files_without_a_store_in_the_settings_come_from_where_they_were_found(remote: RemoteStore, tmp_path: Path):
    remote.push(seal(Store(tmp_path / "one")))
    adopt(tmp_path / "two", remote)
    found = Store(tmp_path / "two").find("clean", RECIPE.fingerprint)
    assert found is not None
    assert bytes_in(found) == FILES


def test_the_manifest_is_put_last_and_files_are_named_by_what_they_hold(s3: Any, s3_store: RemoteStore, tmp_path: Path):
    made = seal(Store(tmp_path / "one"))
    s3_store.push(made)
    assert keys(s3) == {f"{AT}/manifest.json", *(f"{AT}/{file.sha256}" for file in made.files)}
    assert len({file.sha256 for file in made.files}) == 3  # two files hold the same
    written = [item["LastModified"] for item in s3.list_objects_v2(Bucket="corpus", Prefix=f"mill/{AT}/")["Contents"]]
    assert s3.head_object(Bucket="corpus", Key=f"mill/{AT}/manifest.json")["LastModified"] == max(written)


PUSH = """
import sys
from pathlib import Path
from tasks.artifacts.remote import RemoteStore
from tasks.artifacts.store import Store
made = Store(Path(sys.argv[1])).find("clean", sys.argv[2])
RemoteStore("s3://corpus/mill", {"endpoint_url": sys.argv[3]}).push(made)
"""


def test_a_process_killed_while_it_uploads_leaves_no_result_and_the_next_goes_on(
    s3: Any, s3_server: str, s3_store: RemoteStore, tmp_path: Path
):
    store = Store(tmp_path / "one")
    made = seal(store, {**{f"{number:02}": str(number).encode() for number in range(30)}, "zz": b"last"})
    (made.folder / "zz").unlink()
    os.mkfifo(made.folder / "zz")  # whoever uploads it waits here until it is killed
    command = [sys.executable, "-c", PUSH, str(store.root), RECIPE.fingerprint, s3_server]
    with subprocess.Popen(command) as process:
        while len(keys(s3)) < 15:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    (made.folder / "zz").unlink()
    (made.folder / "zz").write_bytes(b"last")
    assert f"{AT}/manifest.json" not in keys(s3)
    assert adopt(tmp_path / "two", s3_store) is None
    assert s3_store.push(made)
    found = adopt(tmp_path / "two", s3_store)
    assert found is not None
    assert bytes_in(found) == bytes_in(made)


FETCH = """
import sys
from pathlib import Path
from tasks.artifacts.store import Store
Store(Path(sys.argv[1])).find("clean", sys.argv[2]).folder
"""


def test_a_process_killed_while_it_fetches_leaves_whole_files_only_and_the_next_goes_on(tmp_path: Path):
    shared = RemoteStore(f"file://{tmp_path}/shared")
    made = seal(Store(tmp_path / "one"), {f"{number:02}": str(number).encode() * 1000 for number in range(20)})
    shared.push(made)
    asked, blocked = threading.Event(), {made.files[12].sha256}

    class Handler(BaseHTTPRequestHandler):
        """Serves the shared folder; of a blocked file it gives the first half, and then waits for the other end."""

        def do_GET(self) -> None:
            path = tmp_path / "shared" / self.path.lstrip("/")
            data = path.read_bytes() if path.is_file() else b""
            self.send_response(200 if data else 404)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if path.name in blocked:
                self.wfile.write(data[: len(data) // 2])
                self.wfile.flush()
                asked.set()
                self.connection.recv(1)
                return
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        over_http = RemoteStore(f"http://127.0.0.1:{server.server_port}")
        found = adopt(tmp_path / "two", over_http)
        assert found is not None
        command = [sys.executable, "-c", FETCH, str(tmp_path / "two"), RECIPE.fingerprint]
        with subprocess.Popen(command) as process:
            assert asked.wait(1800)
            process.send_signal(signal.SIGKILL)
        sealed = {file.path: file.sha256 for file in made.files}
        here = {path.name: digest_file(path) for path in found.place.iterdir() if not path.name.endswith(".json")}
        assert here.items() < sealed.items()
        assert found.place.joinpath("away.json").exists()
        blocked.clear()
        assert bytes_in(found) == bytes_in(made)
        server.shutdown()
    assert not found.place.with_suffix(".fetched").exists()


@pytest.mark.parametrize("harm", ["change", "cut", "lose"])
def test_a_damaged_object_is_named_and_its_result_no_longer_found(
    s3: Any, s3_store: RemoteStore, tmp_path: Path, harm: str
):
    made = seal(Store(tmp_path / "one"))
    s3_store.push(made)
    name = f"{AT}/{next(file.sha256 for file in made.files if file.path == 'kept/1.arrow')}"
    if harm == "lose":
        s3.delete_object(Bucket="corpus", Key=f"mill/{name}")
    else:
        s3.put_object(Bucket="corpus", Key=f"mill/{name}", Body={"change": b"onE", "cut": b"on"}[harm])
    assert [name in problem for problem in s3_store.verify(made)] == [True]
    found = adopt(tmp_path / "two", s3_store)
    assert found is not None
    with pytest.raises(DamagedError, match=rf"s3://corpus/mill/{name}: .*kept/1\.arrow.*run the same command again"):
        _ = found.folder
    store = Store(tmp_path / "two", Sharing(s3_store))
    here = store.find("clean", RECIPE.fingerprint)
    assert here is not None
    assert not store.is_complete(here)
    assert f"{AT}/manifest.json" not in keys(s3)
    assert s3_store.push(made)  # whoever has it whole mends it
    assert s3_store.verify(made) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "it is no manifest"),
        ('"digest":"', "its file list does not match its digest"),
        ('"version":1', "it is the manifest of another recipe"),
    ],
)
def test_a_damaged_manifest_is_as_good_as_none(
    s3: Any, s3_store: RemoteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str, problem: str
):
    made = seal(Store(tmp_path / "one"))
    changed = {'"digest":"': '"digest":"0', '"version":1': '"version":2'}
    body = made.model_dump_json().replace(text, changed[text]) if text in changed else text
    s3.put_object(Bucket="corpus", Key=f"mill/{AT}/manifest.json", Body=body.encode())
    assert adopt(tmp_path / "two", s3_store) is None
    assert problem in caplog.text
    assert s3_store.push(made)


@pytest.mark.parametrize("path", ["../../escape", "/etc/escape", "manifest.json", "kept/../../escape"])
def test_a_manifest_from_elsewhere_cannot_name_a_file_outside_its_folder(
    s3: Any, s3_store: RemoteStore, tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str
):
    made = seal(Store(tmp_path / "one"))
    files = (FileRecord(path=path, size_bytes=3, sha256=made.files[0].sha256),)
    evil = made.model_copy(update={"files": files, "digest": digest_files(files)})
    s3.put_object(Bucket="corpus", Key=f"mill/{AT}/manifest.json", Body=evil.model_dump_json().encode())
    assert adopt(tmp_path / "two", s3_store) is None
    assert f"it names the file {path}" in caplog.text


def test_a_missing_bucket_is_named(s3: Any, s3_server: str):
    with pytest.raises(
        StoreError, match=r"s3://nowhere/mill: no such bucket or folder .*; make it, or check run.store"
    ):
        RemoteStore("s3://nowhere/mill", {"endpoint_url": s3_server}, patience_s=0).check()


def test_wrong_credentials_are_refused_at_once_and_never_told(s3: Any, s3_server: str):
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    connect.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "intruder")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "open-sesame")
        patch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0.0)  # the server asks who one is
        patch.setattr(ActionAuthenticatorMixin, "request_count", 1)
        with pytest.raises(StoreError, match=r"s3://corpus/mill: access denied .*AWS_ACCESS_KEY_ID") as error:
            RemoteStore("s3://corpus/mill", {"endpoint_url": s3_server}).check()
    assert "open-sesame" not in str(error.value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    connect.cache_clear()


def test_a_run_goes_on_without_a_store_that_is_gone_and_gives_the_rest_at_its_end(
    s3: Any, tmp_path: Path, free_port: int, caplog: pytest.LogCaptureFixture
):
    first = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port, verbose=False)
    first.start()
    remote = RemoteStore("s3://corpus/mill", {"endpoint_url": f"http://127.0.0.1:{free_port}"}, patience_s=0)
    sharing, store, record = Sharing(remote), Store(tmp_path / "one"), RunRecord.begin("tiny", {})
    recipes = [recipe_of(stage, 1, Knob(), {}) for stage in ("ingest", "clean", "dedup")]
    sharing.give(seal(store, recipe=recipes[0]), record)
    first.stop()
    for recipe in recipes[1:]:
        sharing.give(seal(store, recipe=recipe), record)
        assert sharing.find(recipe) is None
    assert [r.getMessage() for r in caplog.records if "nothing is lost" in r.getMessage()] == [
        r.getMessage() for r in caplog.records if r.levelname == "WARNING"
    ]
    left = sharing.finish(record)
    assert left is not None
    assert "not in s3://corpus/mill yet: clean, dedup" in left
    second = ThreadedMotoServer(ip_address="127.0.0.1", port=free_port, verbose=False)
    second.start()
    assert sharing.finish(record.ended("completed")) is None
    assert [(s.stage, s.is_whole) for s in remote.listing()] == [("clean", True), ("dedup", True), ("ingest", True)]
    assert [RunRecord.model_validate_json(text).status for text in remote.records()] == ["completed"]
    second.stop()


def test_a_listing_tells_whole_results_from_unfinished_ones_and_removal_takes_all(remote: RemoteStore, tmp_path: Path):
    made = seal(Store(tmp_path / "one"))
    remote.push(made)
    remote.condemn("clean", RECIPE.fingerprint)
    assert [(s.stage, s.fingerprint, s.is_whole) for s in remote.listing()] == [("clean", RECIPE.fingerprint, False)]
    remote.push(made)
    [stored] = remote.listing()
    assert stored.is_whole
    assert stored.size_bytes > sum(map(len, {b"zero", b"one", b"{}"}))
    assert stored.written_at is not None
    remote.remove("clean", RECIPE.fingerprint)
    assert remote.listing() == []


def test_the_mark_of_a_store_is_no_result(remote: RemoteStore, tmp_path: Path):
    remote.check()
    remote.put_record("20260101-000000-abcd", "{}")
    assert remote.listing() == []
    assert remote.records() == [b"{}"]
    assert MARK == "gristmill-store.json"

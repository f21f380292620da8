"""Sources behind URLs, on a real S3 server: the same files give the same as on disk; one clear error each."""

import gzip
import io
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from params.errors import SourceError
from params.ingest import IngestParams
from params.survey import SourceParams, SurveyParams
from tasks.artifacts.manifest import Manifest
from tasks.context import Run, source_root
from tasks.documents.shards import read_batches
from tasks.files.hashing import hash_files
from tasks.files.known_digests import KnownDigests
from tasks.files.listing import list_files
from tasks.files.places import locate
from tasks.files.remote import RemoteFile, RemoteRoot, list_remote
from tasks.ingest import ingest
from tasks.survey import survey

Seal = Callable[..., Manifest]


def table(texts: list[str]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"text": texts}), sink)
    return sink.getvalue()


FILES = {
    "a.jsonl.gz": gzip.compress(b'{"text": "one"}\n{"text": "two"}\n', mtime=0),
    "sub/rows.parquet": table(["three", "four"]),
    "sub/诗.txt": "床前明月光，疑是地上霜。".encode(),
    "b/skip.png": b"\x89PNG",
    "cut.txt.gz": gzip.compress(b"cut off", mtime=0)[:-3],
}


def put(s3: Any, files: dict[str, bytes] = FILES) -> None:
    s3.put_object(Bucket="corpus", Key="raw/", Body=b"")  # some tools mark folders so
    for name, data in files.items():
        s3.put_object(Bucket="corpus", Key=f"raw/{name}", Body=data)


def source(path: str, address: str, **options: Any) -> SourceParams:
    return SourceParams(name="raw", path=path, storage_options={"endpoint_url": address}, **options)


def documents(source: SourceParams, out: Path, run: Run, seal: Seal) -> tuple[str, list[dict[str, Any]]]:
    """The digest of the survey, and every kept and rejected row of ingest."""
    run.roots["raw"] = source_root(source)
    files = seal(out.name, lambda folder: survey.work(SurveyParams(sources=(source,)), out=folder, run=run))
    ingest.work(IngestParams(), files, out=out, run=run)
    rows = [row for path in sorted(out.glob("*/*.arrow")) for batch in read_batches(path) for row in batch.to_pylist()]
    return files.digest, rows


def test_a_corpus_on_s3_gives_the_same_documents_and_digest_as_on_disk(
    s3: Any, s3_server: str, tmp_path: Path, run: Run, seal: Seal
):
    put(s3)
    for name, data in FILES.items():
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / name).write_bytes(data)
    local = documents(SourceParams(name="raw", path=str(tmp_path / "raw")), tmp_path / "local", run, seal)
    remote = documents(source("s3://corpus/raw/", s3_server), tmp_path / "remote", run, seal)
    assert remote == local
    assert [row["text"] for row in local[1]] == ["one", "two", "three", "four", "床前明月光，疑是地上霜。", ""]


def test_a_url_of_one_file_is_that_file(s3: Any, s3_server: str, tmp_path: Path, run: Run, seal: Seal):
    put(s3)
    _, rows = documents(source("s3://corpus/raw/sub/rows.parquet", s3_server), tmp_path / "out", run, seal)
    assert [(row["path"], row["text"]) for row in rows] == [("rows.parquet", "three"), ("rows.parquet", "four")]


def test_patterns_mean_the_same_as_on_disk(s3: Any, s3_server: str):
    put(s3)
    root = RemoteRoot.of("s3://corpus/raw", {"endpoint_url": s3_server})
    listing = list_files(root, ("**/*.{txt,gz}",), ("sub/**",))
    assert listing.paths == ["a.jsonl.gz", "cut.txt.gz"]
    assert listing.suffixes == {".gz": 2, ".parquet": 1, ".txt": 1, ".png": 1}


def test_what_has_not_changed_is_not_downloaded_again_for_its_digest(s3: Any, s3_server: str, tmp_path: Path):
    put(s3, {"a.txt": b"one", "b.txt": b"two"})
    root = RemoteRoot.of("s3://corpus/raw", {"endpoint_url": s3_server})
    first = hash_files(root, list_files(root, ("**",), ()), 2, KnownDigests(tmp_path / "known.jsonl"))
    lines = (tmp_path / "known.jsonl").read_text().splitlines()
    assert len(lines) == 2
    forged = [json.dumps([*json.loads(line)[:3], "0" * 64]) for line in lines]
    (tmp_path / "known.jsonl").write_text("\n".join(forged) + '\n["torn')
    known = hash_files(root, list_files(root, ("**",), ()), 2, KnownDigests(tmp_path / "known.jsonl"))
    assert {file.sha256 for file in known} == {"0" * 64}
    s3.put_object(Bucket="corpus", Key="raw/a.txt", Body=b"new")
    again = hash_files(root, list_files(root, ("**",), ()), 2, KnownDigests(tmp_path / "known.jsonl"))
    assert again[0].sha256 not in ("0" * 64, first[0].sha256)
    assert again[1].sha256 == "0" * 64


def test_a_file_that_changed_or_vanished_after_the_survey_is_an_error(
    s3: Any, s3_server: str, tmp_path: Path, run: Run, seal: Seal
):
    put(s3, {"a.txt": b"one"})
    params = source("s3://corpus/raw", s3_server)
    run.roots["raw"] = source_root(params)
    files = seal("survey", lambda folder: survey.work(SurveyParams(sources=(params,)), out=folder, run=run))
    s3.put_object(Bucket="corpus", Key="raw/a.txt", Body=b"two")
    with pytest.raises(SourceError, match=r"s3://corpus/raw/a\.txt changed after it was listed"):
        ingest.work(IngestParams(), files, out=tmp_path / "out", run=run)
    s3.delete_object(Bucket="corpus", Key="raw/a.txt")
    with pytest.raises(SourceError, match=r"s3://corpus/raw/a\.txt can no longer be read"):
        ingest.work(IngestParams(), files, out=tmp_path / "out", run=run)


def test_a_store_that_vanishes_half_way_is_an_error(s3: Any, s3_server: str, tmp_path: Path):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    put(s3, {"a.txt": b"x"})  # the servers of one process share their buckets
    root = RemoteRoot.of("s3://corpus/raw", {"endpoint_url": f"http://{host}:{port}"})
    file = RemoteFile(root, "a.txt").open()
    server.stop()
    with pytest.raises(SourceError, match=r"cannot be reached or failed.*try again"):
        file.read(10)


@pytest.mark.parametrize("path", ["s3://no-such-bucket/raw", "s3://corpus/no/such/folder"])
def test_a_bucket_or_folder_that_does_not_exist_is_named(s3: Any, s3_server: str, path: str):
    with pytest.raises(SourceError, match=f"{path}: no such bucket, folder or file; check the path"):
        list_remote(RemoteRoot.of(path, {"endpoint_url": s3_server}))


def test_a_source_without_a_matching_file_says_what_the_store_holds(s3: Any, s3_server: str, tmp_path: Path, run: Run):
    put(s3)
    params = source("s3://corpus/raw", s3_server, include=("*.docx",))
    run.roots["raw"] = source_root(params)
    with pytest.raises(SourceError, match=r"no file in s3://corpus/raw matches \*\.docx; the folder holds 2 \.gz"):
        survey.work(SurveyParams(sources=(params,)), out=tmp_path, run=run)


def test_missing_credentials_and_a_refused_connection_say_what_to_do(s3: Any, monkeypatch: pytest.MonkeyPatch):
    options = {"endpoint_url": "http://127.0.0.1:9"}
    with pytest.raises(SourceError, match=r"cannot be reached or failed.*check the network and endpoint_url"):
        list_remote(RemoteRoot.of("s3://corpus/refused", options))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    with pytest.raises(SourceError, match=r"access denied.*AWS_ACCESS_KEY_ID.*anon: true"):
        list_remote(RemoteRoot.of("s3://corpus/credentials", options))


def test_an_option_that_the_store_does_not_know_is_refused(s3: Any, s3_server: str):
    with pytest.raises(SourceError, match=r"bogus.*check survey.sources storage_options"):
        list_remote(RemoteRoot.of("s3://corpus/raw", {"endpoint_url": s3_server, "bogus": 1}))


def test_a_protocol_without_its_package_or_without_any_is_named(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SourceError, match="nope"):
        list_remote(RemoteRoot.of("nope://corpus", {}))
    monkeypatch.setitem(sys.modules, "s3fs", None)  # as if it were not installed
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(
        SourceError, match=r"s3:// needs a package that is not installed; pip install 'gristmill\[s3\]'"
    ):
        list_remote(RemoteRoot.of("s3://corpus/without-package", {}))


@pytest.mark.parametrize(
    ("url", "command"),
    [
        ("gs://corpus/raw", "pip install gcsfs"),
        ("abfs://corpus/raw", "pip install adlfs"),
        ("sftp://host/raw", "pip install paramiko"),
        ("smb://host/share/raw", "pip install smbprotocol"),
        ("webdav://host/raw", "pip install webdav4"),
    ],
)
def test_what_a_protocol_lacks_is_told_with_the_command_that_installs_it(url: str, command: str):
    protocol = url.partition(":")[0]
    with pytest.raises(SourceError, match=f"{url}: {protocol}:// needs a package that is not installed; {command}$"):
        list_remote(RemoteRoot.of(url, {}))


def test_other_protocols_of_fsspec_work_alike(tmp_path: Path, run: Run, seal: Seal, caplog: pytest.LogCaptureFixture):
    memory = fsspec.filesystem("memory")
    memory.pipe({"/corpus/a.txt": b"one", "/corpus/sub/b.jsonl": b'{"text": "two"}\n'})
    with caplog.at_level(logging.WARNING):
        _, rows = documents(SourceParams(name="raw", path="memory://corpus"), tmp_path / "out", run, seal)
    memory.rm("/corpus", recursive=True)
    assert [(row["path"], row["text"]) for row in rows] == [("a.txt", "one"), ("sub/b.jsonl", "two")]
    assert not caplog.records


def test_a_file_url_is_a_local_path(tmp_path: Path):
    (tmp_path / "a b.txt").touch()
    root = source_root(SourceParams(name="x", path=f"file://{tmp_path}"))
    assert root == tmp_path
    assert locate(root, "a b.txt") == tmp_path / "a b.txt"


@pytest.fixture
def website(tmp_path: Path) -> Iterator[str]:
    """The address of a web server on a folder `texts`; it leads /texts to /texts/ and shows a page of links there."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.jsonl.gz").write_bytes(FILES["a.jsonl.gz"])

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_file_of_a_web_server_is_a_source_and_a_folder_of_one_is_not(website: str):
    root = RemoteRoot.of(f"{website}/texts/a.jsonl.gz", {})
    (entry,) = list_remote(root)
    assert (entry.path, entry.size_bytes) == ("", len(FILES["a.jsonl.gz"]))
    assert RemoteFile(root, "").open().read() == FILES["a.jsonl.gz"]
    with pytest.raises(SourceError, match=r"/texts: leads to http://.*/texts/, a folder of a web server.*name each"):
        list_remote(RemoteRoot.of(f"{website}/texts", {}))

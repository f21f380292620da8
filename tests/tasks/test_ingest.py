"""Ingest: every record ends up as a document or in quarantine, the same bytes however it was interrupted."""

import gzip
import io
import json
import logging
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

from params.errors import SourceError
from params.ingest import IngestParams
from params.survey import SourceParams, SurveyParams
from tasks.artifacts.manifest import Manifest
from tasks.context import Run
from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import read_batches
from tasks.ingest import ingest
from tasks.survey import survey

Seal = Callable[..., Manifest]
SMALL = IngestParams(shard_mb=0.002)


def surveyed(run: Run, seal: Seal, **source: object) -> Manifest:
    params = SurveyParams(sources=(SourceParams(name="raw", path="x", **source),))  # type: ignore[arg-type]
    return seal("survey", lambda out: survey.work(params, out=out, run=run))


def rows(folder: Path) -> list[dict[str, object]]:
    return [row for path in sorted(folder.glob("*.arrow")) for batch in read_batches(path) for row in batch.to_pylist()]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def corpus(tmp_path: Path, run: Run) -> Path:
    """Twenty text files of 400 bytes, and a file of JSON lines with 300 documents in 12 kB."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for n in range(20):
        (folder / f"t{n:02d}.txt").write_text(f"{n:04d}" * 100)
    lines = "".join(json.dumps({"text": f"document number {n:03d} 诗"}, ensure_ascii=False) + "\n" for n in range(300))
    (folder / "m.jsonl").write_text(lines, encoding="utf-8")
    run.roots["raw"] = folder
    return folder


def test_documents_carry_the_hash_of_their_text_and_where_they_stood(tmp_path: Path, run: Run, seal: Seal):
    folder = tmp_path / "raw"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.txt").write_text("床前明月光", encoding="utf-8")
    (folder / "b.jsonl").write_text('{"text": "one"}\n\n{"text": "two"}\n')
    run.roots["raw"] = folder
    out = tmp_path / "out"
    ingest.work(IngestParams(), surveyed(run, seal), out=out, run=run)
    found = [(row["source"], row["path"], row["position"], row["text"]) for row in rows(out / "kept")]
    assert found == [
        ("raw", "b.jsonl", 1, "one"),
        ("raw", "b.jsonl", 3, "two"),
        ("raw", "sub/a.txt", 0, "床前明月光"),
    ]
    assert [row["id"] for row in rows(out / "kept")] == [
        xxhash.xxh3_128(text.encode()).hexdigest() for text in ("one", "two", "床前明月光")
    ]


def test_what_is_no_document_is_quarantined_and_the_counts_add_up(tmp_path: Path, run: Run, seal: Seal):
    folder = tmp_path / "raw"
    folder.mkdir()
    good = '{"text": "good"}\n'
    (folder / "lines.jsonl").write_text(good + '{"text": null}\n{"text": \n' + good)
    (folder / "fake.jsonl.gz").write_text(good)
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(good.encode())[:-9])
    (folder / "fake.parquet").write_text(good)
    (folder / "empty.txt").touch()
    (folder / "binary.txt").write_bytes(bytes(range(128, 256)))
    (folder / "broken.txt").symlink_to("nowhere")
    pq.write_table(pa.table({"text": ["x", None]}), folder / "rows.parquet")
    run.roots["raw"] = folder
    out = tmp_path / "out"
    metrics = ingest.work(IngestParams(), surveyed(run, seal), out=out, run=run)
    rejected = [(row["path"], row["rule"], row["position"]) for row in rows(out / "rejected")]
    assert rejected == [
        ("binary.txt", "not_utf8", 0),
        ("broken.txt", "unreadable", 0),
        ("cut.jsonl.gz", "truncated_gzip", 2),
        ("empty.txt", "empty", 0),
        ("fake.jsonl.gz", "not_what_its_name_says", 1),
        ("fake.parquet", "not_what_its_name_says", 0),
        ("lines.jsonl", "missing_text", 2),
        ("lines.jsonl", "malformed_json", 3),
        ("rows.parquet", "missing_text", 2),
    ]
    assert all(row["detail"] for row in rows(out / "rejected"))
    assert [row["text"] for row in rows(out / "kept")] == ["good", "good", "good", "x"]
    counts = metrics.counts
    assert (counts["docs_in"], counts["docs_kept"], counts["docs_rejected"]) == (13, 4, 9)
    assert (counts["files"], counts["bytes_kept"]) == (8, 13)
    assert counts["rejected.not_what_its_name_says"] == 2


def test_shards_have_about_the_size_asked_for_and_a_large_file_is_cut(
    corpus: Path, tmp_path: Path, run: Run, seal: Seal
):
    out = tmp_path / "out"
    ingest.work(SMALL, surveyed(run, seal), out=out, run=run)
    names = sorted(path.name for path in (out / "kept").iterdir())
    # 300 documents of 23 bytes: 87 reach the 2,000 bytes of a part; then five text files of 400 bytes fill a shard
    parts = ["000000.arrow", "000000_0001.arrow", "000000_0002.arrow", "000000_0003.arrow"]
    assert names == [*parts, "000001.arrow", "000002.arrow", "000003.arrow", "000004.arrow"]
    assert sorted(path.name for path in (out / "rejected").iterdir()) == names
    sizes = [sum(batch.num_rows for batch in read_batches(out / "kept" / name)) for name in names]
    assert sizes == [87, 87, 87, 39, 5, 5, 5, 5]
    assert [row["position"] for row in rows(out / "kept")][:300] == list(range(1, 301))


def test_shards_have_the_schemas_of_documents(corpus: Path, tmp_path: Path, run: Run, seal: Seal):
    ingest.work(SMALL, surveyed(run, seal), out=tmp_path / "out", run=run)
    for side, schema in (("kept", DOCUMENT), ("rejected", REJECTED)):
        with pa.memory_map(str(tmp_path / "out" / side / "000001.arrow")) as source:
            assert pa.ipc.open_file(source).schema == schema


def test_workers_do_not_change_the_bytes(corpus: Path, tmp_path: Path, run: Run, seal: Seal):
    files = surveyed(run, seal)
    made = []
    for workers in (1, 4):
        run.settings = run.settings.model_copy(update={"workers": workers})
        ingest.work(SMALL, files, out=tmp_path / f"out{workers}", run=run)
        made.append(contents(tmp_path / f"out{workers}"))
    assert made[0] == made[1]
    assert all(name.endswith(".arrow") for name in made[0])


def test_an_interrupted_attempt_is_taken_up_and_gives_the_same_bytes(
    corpus: Path, tmp_path: Path, run: Run, seal: Seal
):
    files = surveyed(run, seal)
    counts = ingest.work(SMALL, files, out=tmp_path / "whole", run=run).counts
    whole = contents(tmp_path / "whole")
    draft = tmp_path / "draft"
    shutil.copytree(tmp_path / "whole", draft)
    for name in ("kept/000000_0002.arrow", "rejected/000000_0003.arrow", "kept/000003.arrow", "rejected/000004.arrow"):
        (draft / name).unlink()
    (draft / "kept" / "000003.arrow.tmp").write_bytes(b"half a sha")
    (draft / "rejected" / "000004.arrow.tmp").write_bytes(b"")
    assert ingest.work(SMALL, files, out=draft, run=run).counts == counts
    assert contents(draft) == whole


def test_a_finished_group_is_not_read_again(corpus: Path, tmp_path: Path, run: Run, seal: Seal):
    files = surveyed(run, seal)
    ingest.work(SMALL, files, out=tmp_path / "whole", run=run)
    draft = tmp_path / "draft"
    shutil.copytree(tmp_path / "whole", draft)
    (draft / "progress").mkdir()
    group = Counter({"raw/docs_in": 5, "raw/docs_kept": 5, "raw/bytes_kept": 2000})
    (draft / "progress" / "4.json").write_text(json.dumps(group))
    (corpus / "t19.txt").unlink()  # of the last group
    ingest.work(SMALL, files, out=draft, run=run)
    assert contents(draft) == contents(tmp_path / "whole")


def test_a_file_that_changed_after_the_survey_ends_the_run(corpus: Path, tmp_path: Path, run: Run, seal: Seal):
    files = surveyed(run, seal)
    (corpus / "t07.txt").write_text("other")
    with pytest.raises(SourceError, match=r"t07\.txt changed after the survey"):
        ingest.work(SMALL, files, out=tmp_path / "out", run=run)


def test_a_source_without_any_document_says_why(tmp_path: Path, run: Run, seal: Seal):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.jsonl").write_text('{"body": "x"}\n{"body": "y"}\n{\n')
    run.roots["raw"] = tmp_path / "raw"
    with pytest.raises(
        SourceError, match=r"'raw' gave no document: all 3 records.*2 missing_text, 1 malformed_json.*text_field"
    ):
        ingest.work(IngestParams(), surveyed(run, seal), out=tmp_path / "out", run=run)


def test_python_source_can_be_kept_instead_of_docstrings(tmp_path: Path, run: Run, seal: Seal):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.py").write_text('"""Doc."""\nx = 1\n')
    run.roots["raw"] = tmp_path / "raw"
    for python, text in (("docstrings", "Doc."), ("source", '"""Doc."""\nx = 1\n')):
        out = tmp_path / python
        files = seal(f"survey-{python}", lambda folder, how=python: _survey_python(folder, how, run))
        ingest.work(IngestParams(), files, out=out, run=run)
        assert [row["text"] for row in rows(out / "kept")] == [text]


def _survey_python(folder: Path, how: str, run: Run) -> None:
    source = SourceParams(name="raw", path="x", include=("*.py",), python=how)  # type: ignore[arg-type]
    survey.work(SurveyParams(sources=(source,)), out=folder, run=run)


def test_members_of_an_archive_carry_its_path_and_theirs(tmp_path: Path, run: Run, seal: Seal):
    (tmp_path / "raw").mkdir()
    with tarfile.open(tmp_path / "raw" / "a.tar.gz", "w:gz") as archive:
        for name, data in (
            ("x.txt", b"one"),
            ("sub/y.jsonl", b'{"text": "two"}'),
            ("z.png", b"x"),
            ("up/../../z.txt", b""),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    run.roots["raw"] = tmp_path / "raw"
    metrics = ingest.work(IngestParams(), surveyed(run, seal), out=tmp_path / "out", run=run)
    kept = [(row["path"], row["position"], row["text"]) for row in rows(tmp_path / "out" / "kept")]
    assert kept == [("a.tar.gz!/x.txt", 0, "one"), ("a.tar.gz!/sub/y.jsonl", 1, "two")]
    (refused,) = rows(tmp_path / "out" / "rejected")
    assert (refused["path"], refused["rule"]) == ("a.tar.gz!/up/../../z.txt", "unsafe_name")
    assert metrics.counts["members_skipped"] == 1
    assert metrics.counts["docs_in"] == 3


def test_encodings_are_counted_and_said(tmp_path: Path, run: Run, seal: Seal, caplog: pytest.LogCaptureFixture):
    (tmp_path / "raw").mkdir()
    text = "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。"
    for encoding in ("utf-8", "gb18030", "big5", "utf-16"):
        (tmp_path / "raw" / f"{encoding}.txt").write_bytes(text.encode(encoding))
    run.roots["raw"] = tmp_path / "raw"
    with caplog.at_level(logging.INFO, "tasks.ingest"):
        metrics = ingest.work(IngestParams(), surveyed(run, seal), out=tmp_path / "out", run=run)
    assert {row["text"] for row in rows(tmp_path / "out" / "kept")} == {text}
    found = {key: count for key, count in metrics.counts.items() if key.startswith("encoding.")}
    assert found == dict.fromkeys(("encoding.big5", "encoding.gb18030", "encoding.utf-16", "encoding.utf-8"), 1)
    assert "source raw: files by encoding: 1 big5, 1 gb18030, 1 utf-16, 1 utf-8" in caplog.text


def test_a_declared_encoding_reaches_the_reader(tmp_path: Path, run: Run, seal: Seal):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.txt").write_bytes("Все люди".encode("koi8-r"))
    run.roots["raw"] = tmp_path / "raw"
    ingest.work(IngestParams(), surveyed(run, seal, encoding="koi8-r"), out=tmp_path / "out", run=run)
    assert [row["text"] for row in rows(tmp_path / "out" / "kept")] == ["Все люди"]


def test_a_text_that_is_too_large_is_quarantined_or_split(tmp_path: Path, run: Run, seal: Seal):
    (tmp_path / "raw").mkdir()
    text = "".join(f"paragraph {n}\n\n" for n in range(100))
    (tmp_path / "raw" / "a.txt").write_text(text)
    (tmp_path / "raw" / "b.txt").write_text("small")
    run.roots["raw"] = tmp_path / "raw"
    files = surveyed(run, seal)
    limit = {"max_document_mb": 0.0005}
    ingest.work(IngestParams(**limit), files, out=tmp_path / "whole", run=run)
    (refused,) = rows(tmp_path / "whole" / "rejected")
    assert (refused["rule"], refused["threshold"]) == ("too_large", 0.0005)
    ingest.work(IngestParams(**limit, oversize="split"), files, out=tmp_path / "split", run=run)
    pieces = [row for row in rows(tmp_path / "split" / "kept") if row["path"] == "a.txt"]
    assert [piece["position"] for piece in pieces] == [1, 2, 3]  # 10 x 13 + 90 x 14 bytes in pieces of 500
    assert "".join(str(piece["text"]) for piece in pieces) == text


def test_an_interrupted_archive_goes_on_with_the_same_bytes(tmp_path: Path, run: Run, seal: Seal):
    (tmp_path / "raw").mkdir()
    with tarfile.open(tmp_path / "raw" / "a.tar", "w") as archive:
        for n in range(50):
            entry = tarfile.TarInfo(f"{n:02d}.txt")
            entry.size = 400
            archive.addfile(entry, io.BytesIO(f"{n:04d}".encode() * 100))
    run.roots["raw"] = tmp_path / "raw"
    files = surveyed(run, seal)
    ingest.work(SMALL, files, out=tmp_path / "whole", run=run)
    whole = contents(tmp_path / "whole")
    assert len(whole) == 20
    shutil.copytree(tmp_path / "whole", tmp_path / "draft")
    for path in sorted((tmp_path / "draft" / "kept").iterdir())[4:]:
        path.unlink()
    ingest.work(SMALL, files, out=tmp_path / "draft", run=run)
    assert contents(tmp_path / "draft") == whole

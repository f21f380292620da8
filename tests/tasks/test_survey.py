"""The survey: what it lists, what makes it run again, and what it says when there is nothing."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from params.errors import ParameterError, SourceError
from params.load import load_params
from params.survey import SourceParams, SurveyParams
from tasks.context import Run
from tasks.survey import survey


def sources(**roots: dict[str, object]) -> SurveyParams:
    return SurveyParams(sources=tuple(SourceParams(name=name, path="x", **rest) for name, rest in roots.items()))  # type: ignore[arg-type]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def fingerprint(params: SurveyParams, run: Run) -> str:
    return survey.recipe(params, (), run).fingerprint


def test_files_are_listed_by_source_then_path_with_their_digests(tmp_path: Path, run: Run):
    run.roots["second"] = write(tmp_path / "s", {"z.txt": "z", "a/诗.txt": "床前明月光", "a.txt": "a"})
    run.roots["first"] = write(tmp_path / "f", {"y.md": "y"})
    metrics = survey.work(sources(second={}, first={}), out=tmp_path, run=run)
    listed = rows(tmp_path / "files.jsonl")
    assert [(row["source"], row["path"]) for row in listed] == [
        ("second", "a.txt"),
        ("second", "a/诗.txt"),
        ("second", "z.txt"),
        ("first", "y.md"),
    ]
    text = "床前明月光".encode()
    assert listed[1]["size_bytes"] == len(text) == 15
    assert listed[1]["sha256"] == hashlib.sha256(text).hexdigest()
    assert metrics.counts == {
        "files": 4,
        "bytes": 18,
        "files.second": 3,
        "bytes.second": 17,
        "files.first": 1,
        "bytes.first": 1,
    }


def test_how_each_source_is_read_is_part_of_the_result(tmp_path: Path, run: Run):
    run.roots["a"] = write(tmp_path / "a", {"x.txt": "x"})
    survey.work(sources(a={"text_field": "body", "license": "MIT"}), out=tmp_path, run=run)
    expected = {"name": "a", "text_field": "body", "metadata_fields": [], "encoding": None}
    expected |= {"python": "docstrings", "license": "MIT"}
    assert rows(tmp_path / "sources.jsonl") == [expected]


def test_only_contents_and_the_way_of_reading_make_it_run_again(tmp_path: Path, run: Run):
    run.roots["a"] = write(tmp_path / "here", {"x.txt": "x", "y.txt": "y"})
    before = fingerprint(sources(a={}), run)
    assert fingerprint(sources(a={"include": ("{x,y}.txt",), "exclude": ("*.md",)}), run) == before
    run.roots["a"] = write(tmp_path / "elsewhere", {"x.txt": "x", "y.txt": "y"})
    assert fingerprint(sources(a={}), run) == before
    assert fingerprint(sources(a={"license": "MIT"}), run) != before
    assert fingerprint(sources(a={"text_field": "body"}), run) != before
    (tmp_path / "elsewhere" / "x.txt").write_text("X")
    assert fingerprint(sources(a={}), run) != before


def test_a_renamed_file_is_another_listing(tmp_path: Path, run: Run):
    run.roots["a"] = write(tmp_path / "a", {"x.txt": "x"})
    before = fingerprint(sources(a={}), run)
    (tmp_path / "a" / "x.txt").rename(tmp_path / "a" / "z.txt")
    assert fingerprint(sources(a={}), run) != before


def test_the_result_holds_what_the_fingerprint_was_taken_of(tmp_path: Path, run: Run):
    run.roots["a"] = write(tmp_path / "a", {"x.txt": "x"})
    fingerprint(sources(a={}), run)
    (tmp_path / "a" / "x.txt").write_text("changed a moment later")
    survey.work(sources(a={}), out=tmp_path, run=run)
    assert rows(tmp_path / "files.jsonl")[0]["sha256"] == hashlib.sha256(b"x").hexdigest()


def test_workers_do_not_change_the_bytes(tmp_path: Path, run: Run):
    run.roots["a"] = write(tmp_path / "a", {f"{n}.txt": str(n) for n in range(100)})
    made = []
    for workers in (1, 4):
        out = tmp_path / f"out{workers}"
        out.mkdir()
        run.settings = run.settings.model_copy(update={"workers": workers})
        survey.work(sources(a={}), out=out, run=run)
        made.append((out / "files.jsonl").read_bytes())
    assert made[0] == made[1]


def test_an_unreadable_file_is_listed_without_a_digest(tmp_path: Path, run: Run):
    run.roots["a"] = write(tmp_path / "a", {"x.txt": "x"})
    (tmp_path / "a" / "broken.txt").symlink_to("nowhere")
    survey.work(sources(a={}), out=tmp_path, run=run)
    assert [(row["path"], bool(row["sha256"])) for row in rows(tmp_path / "files.jsonl")] == [
        ("broken.txt", False),
        ("x.txt", True),
    ]


def test_a_root_that_does_not_exist_is_named(tmp_path: Path, run: Run):
    run.roots["news"] = tmp_path / "nowhere"
    with pytest.raises(SourceError, match=r"'news'.*nowhere does not exist; set survey\.sources path"):
        survey.work(sources(news={}), out=tmp_path, run=run)


def test_a_source_without_a_matching_file_says_what_the_folder_holds(tmp_path: Path, run: Run):
    run.roots["news"] = write(tmp_path / "n", {"a.docx": "x", "b.docx": "x", "c.PDF": "x"})
    (tmp_path / "n" / "out.txt").symlink_to(os.devnull)
    with pytest.raises(SourceError) as error:
        survey.work(sources(news={"include": ("**/*.txt",)}), out=tmp_path, run=run)
    for part in ("'news'", str(tmp_path / "n"), "**/*.txt", "2 .docx", "1 .pdf", "1 symbolic links"):
        assert part in str(error.value)


def test_two_sources_of_one_name_are_refused():
    source = SourceParams(name="a", path="x")
    with pytest.raises(ValidationError, match="two sources are named a"):
        SurveyParams(sources=(source, source))


def test_metadata_fields_and_encoding_make_it_run_again_and_options_of_the_store_do_not(tmp_path: Path, run: Run):
    run.roots["a"] = write(tmp_path / "a", {"x.txt": "x"})
    before = fingerprint(sources(a={}), run)
    assert fingerprint(sources(a={"storage_options": {"anon": True}}), run) == before
    assert fingerprint(sources(a={"metadata_fields": ("url",)}), run) != before
    assert fingerprint(sources(a={"encoding": "big5"}), run) != before
    survey.work(sources(a={"metadata_fields": ("url", "date"), "encoding": "BIG5"}), out=tmp_path, run=run)
    (row,) = rows(tmp_path / "sources.jsonl")
    assert (row["metadata_fields"], row["encoding"]) == (["url", "date"], "big5")


@pytest.mark.parametrize("encoding", ["utf-9", "hex", "rot13", ""])
def test_an_encoding_that_is_none_is_refused(encoding: str):
    with pytest.raises(ValidationError, match="is no text encoding"):
        SourceParams(name="a", path="x", encoding=encoding)


@pytest.mark.parametrize(
    "options", [{"secret": "x"}, {"key": "x"}, {"client_kwargs": {"aws_secret_access_key": "x"}}, {"SAS_TOKEN": "x"}]
)
def test_a_secret_in_the_parameters_is_refused(options: dict[str, object]):
    with pytest.raises(ValidationError, match=r"looks like a secret.*AWS_SECRET_ACCESS_KEY"):
        SourceParams(name="a", path="s3://bucket", storage_options=options)


def test_a_password_in_a_url_is_refused():
    with pytest.raises(ValidationError, match="holds a password"):
        SourceParams(name="a", path="https://user:pass@host/x.jsonl")
    SourceParams(name="a", path="s3://bucket/a@b:c/x")


@pytest.mark.parametrize("path", ["http://host/texts/", "https://host", "https://host/"])
def test_a_folder_of_a_web_server_is_refused_and_the_remedy_named(path: str):
    with pytest.raises(ValidationError, match=f"{path} is a folder of a web server.*name each file"):
        SourceParams(name="a", path=path)
    SourceParams(name="a", path="https://host/texts/a.txt")
    SourceParams(name="a", path="https://host/texts/?file=a.txt")
    SourceParams(name="a", path="s3://host/texts/")


@pytest.mark.parametrize(
    "source", [{"path": "https://u:TOP-SECRET@host/x"}, {"path": "s3://b", "storage_options": {"key": "TOP-SECRET"}}]
)
def test_a_secret_is_not_repeated_by_the_error(source: dict[str, object]):
    with pytest.raises(ParameterError, match="would be logged") as error:
        load_params("quickstart", {"survey": {"sources": [{"name": "a", **source}]}})
    assert "TOP-SECRET" not in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_a_survey_without_sources_is_refused():
    with pytest.raises(ValidationError, match="name at least one"):
        SurveyParams(sources=())


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint_url": "http://127.0.0.1:9000"},
        {"anon": True},
        {"token": "anon"},
        {"client_kwargs": {"region_name": "eu-west-1"}},
    ],
)
def test_what_is_no_secret_may_be_set(options: dict[str, object]):
    assert SourceParams(name="a", path="s3://bucket", storage_options=options).storage_options == options

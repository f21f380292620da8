"""Texts of the user's own as evaluation documents."""

import json

import pytest

from params.errors import EvaluationError
from tasks.evaluation.reading import read_documents

POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"

ENGLISH = "The mill grinds the grain into flour all day long, and in the morning the baker makes fresh bread of it."


def read(path, **changes):
    return read_documents(path, **{"text_field": "text", "max_documents": None, "max_bytes": None} | changes)


def test_rows_of_a_table_are_documents_with_their_language(tmp_path):
    path = tmp_path / "quiz.jsonl"
    rows = [{"content": ENGLISH}, {"content": POEM}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read(path, text_field="content")
    assert found.texts == [row["content"] for row in rows]
    assert found.languages == ["en", "zh"]
    assert found.sources == ["quiz", "quiz"]


def test_a_folder_of_text_files_is_read_up_to_the_limits(tmp_path):
    for name in "abcd":
        (tmp_path / f"{name}.txt").write_text(f"{name} {POEM}")
    found = read(tmp_path, max_documents=2, max_bytes=5)
    assert found.texts == ["a 床", "c 床"]


def test_a_missing_path_an_empty_file_and_a_wrong_column_are_told(tmp_path):
    with pytest.raises(EvaluationError, match="gone does not exist"):
        read(tmp_path / "gone")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(EvaluationError, match="has no text to evaluate on"):
        read(tmp_path / "empty.jsonl")
    (tmp_path / "rows.jsonl").write_text('{"content": "x"}\n')
    with pytest.raises(EvaluationError, match=r"no key 'text'.*name the column of the text with --text-field"):
        read(tmp_path / "rows.jsonl")

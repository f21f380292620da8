"""The test documents with gaps."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from params.errors import EvaluationError
from params.objective import SpanParams
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_writer
from tasks.drop_spans import DropSpansParams, drop_spans
from tasks.kinds.rows import held_out_rows
from tasks.kinds.seq2seq import Seq2Seq

LONG = "Water drives the wheel, the wheel turns the stone, and the stone grinds the grain to flour."
CHINESE = "水推动轮子，轮子转动石磨，石磨把谷子磨成面粉。"


def dropped(seal, tmp_path, run, *texts: str, max_documents: int | None = None):
    def fill(out: Path) -> None:
        others = {"source": "docs", "path": "x", "position": 0, "metadata": None, "language": None}
        rows = [{"id": text, "text": text, **others} for text in texts]
        with shard_writer(out / "test" / "000000.arrow", DOCUMENT) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT))

    params = DropSpansParams(spans=SpanParams(), max_words=32, max_documents=max_documents)
    return drop_spans.work(params, seal("splits", fill), out=tmp_path, run=run)


def test_each_test_document_that_is_long_enough_becomes_a_row(seal, run, tmp_path):
    made = dropped(seal, tmp_path, run, LONG, "too short", CHINESE)
    rows = held_out_rows(tmp_path, Seq2Seq().read)
    assert made.counts == {"rows": 2}
    assert len(rows) == 2
    assert all("<extra_id_0>" in asked for asked in rows.asked)
    assert all(wanted.startswith("<extra_id_0>") for wanted in rows.wanted)


def test_a_long_document_gives_its_beginning(seal, run, tmp_path):
    dropped(seal, tmp_path, run, " ".join(f"word{number}" for number in range(1_000)))
    row = json.loads((tmp_path / "held_out.jsonl").read_text())
    said = (row["source"] + row["target"]).replace("<", " <").split()
    assert sorted(word for word in said if word.startswith("word")) == sorted(f"word{n}" for n in range(32))


def test_text_without_a_document_that_is_long_enough_is_refused(seal, run, tmp_path):
    with pytest.raises(EvaluationError, match=r"no test document has the 8 words .* raise split.test"):
        dropped(seal, tmp_path, run, "too short", "太短")

"""The test documents with gaps."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from params.errors import EvaluationError
from params.objective import SpanParams
from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_writer
from tasks.drop_spans import DropSpansParams, drop_spans
from tasks.kinds.rows import held_out_rows
from tasks.kinds.seq2seq import Seq2Seq
from tasks.tokenizer.files import save_tokenizer
from tasks.tokenizer.special import SpecialTokens

LONG = "Water drives the wheel, the wheel turns the stone, and the stone grinds the grain to flour."
CHINESE = "水推动轮子，轮子转动石磨，石磨把谷子磨成面粉。"


@pytest.fixture
def tokenizer(seal):
    """Every byte is a token, and so are two sentinels."""

    def fill(out: Path) -> None:
        alphabet = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
        made = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
        made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        save_tokenizer(made, SpecialTokens(extra=("<extra_id_0>", "<extra_id_1>")), out, chat_template=None)

    return seal("train_tokenizer", fill)


@pytest.fixture
def dropped(seal, run, tokenizer, tmp_path):
    """Drops spans of texts."""

    def drop(*texts: str, context: int = 128):
        def fill(out: Path) -> None:
            others = {"source": "docs", "path": "x", "position": 0, "metadata": None, "language": None}
            rows = [{"id": text, "text": text, **others} for text in texts]
            with shard_writer(out / "test" / "000000.arrow", DOCUMENT) as writer:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT))

        params = DropSpansParams(spans=SpanParams(mean_span_length=8), context=context, max_documents=None)
        return drop_spans.work(params, tokenizer, seal("splits", fill), out=tmp_path, run=run)

    return drop


def test_each_test_document_that_is_long_enough_becomes_a_row(dropped, tmp_path):
    made = dropped(LONG, "too short", CHINESE)
    rows = held_out_rows(tmp_path, Seq2Seq().read)
    assert made.counts == {"rows": 2}
    assert len(rows) == 2
    assert all("<extra_id_0>" in asked for asked in rows.asked)
    assert all(wanted.startswith("<extra_id_0>") for wanted in rows.wanted)


@pytest.mark.parametrize("context", [64, 128])
def test_of_a_long_document_as_much_is_asked_as_the_context_holds(dropped, tmp_path, context):
    dropped(" ".join(f"w{number}" for number in range(100, 1_000)), context=context)
    row = json.loads((tmp_path / "held_out.jsonl").read_text())
    size = len(row["source"].replace("<extra_id_0>", "#").replace("<extra_id_1>", "#")) + 1  # with the end token
    assert context / 2 < size <= context


def test_text_without_a_document_that_is_long_enough_is_refused(dropped):
    with pytest.raises(EvaluationError, match=r"no test document has the 8 words .* raise split.test"):
        dropped("too short", "太短")

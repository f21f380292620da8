"""What the report of a tokenizer says, counted by hand."""

import pyarrow as pa
import pytest

from tasks.documents.schema import DOCUMENT
from tasks.documents.shards import shard_writer
from tasks.tokenizer.bpe import train_bpe
from tasks.tokenizer.encoder import Encoder
from tasks.tokenizer.files import save_tokenizer
from tasks.tokenizer.measuring import count_ids, describe, measure, script_of
from tasks.tokenizer.sample import Sample
from tasks.tokenizer.special import DEFAULT_TOKENS

LEARNED = ["abab abab abab zyzy zyzy"]
# tokens of each: abab | Ġabab; 3 bytes for each of two Han characters; a | b | Ġ x
HELD_OUT = [("abab abab", "en", "a"), ("明月", "zh", "b"), ("明月", None, "b"), ("ab c", None, "a")]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = train_bpe([LEARNED], vocab_size=258 + 6, min_frequency=2)
    save_tokenizer(tokenizer, DEFAULT_TOKENS, folder, chat_template=None)
    return Encoder(folder)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    path = tmp_path_factory.mktemp("sample") / "000000.arrow"
    texts, languages, sources = zip(*HELD_OUT, strict=True)
    rows = len(HELD_OUT)
    columns = [[f"{row:032x}" for row in range(rows)], sources, ["p"] * rows, [0] * rows]
    columns += [pa.array(texts, pa.large_string()), pa.nulls(rows, pa.string()), pa.array(languages, pa.string())]
    with shard_writer(path, DOCUMENT) as writer:
        writer.write_batch(pa.record_batch(columns, schema=DOCUMENT))
    return Sample([path], max_bytes=10_000)


def test_figures_by_language_else_by_script_and_by_source(encoder, sample):
    assert encoder.reference.encode("abab abab").tokens == ["abab", "Ġabab"]
    fit = measure(encoder, sample)
    assert fit.by_language["en"].summary() == {
        "docs": 1,
        "bytes": 9,
        "tokens": 2,
        "bytes_per_token": 4.5,
        "tokens_per_word": 1.0,
    }
    han = {"docs": 1, "bytes": 6, "tokens": 6, "bytes_per_token": 1.0, "tokens_per_han_character": 3.0}
    assert fit.by_language["zh"].summary() == fit.by_language["Han"].summary() == han
    assert fit.by_language["Latin"].summary()["tokens_per_word"] == 1.5  # ab, Ġ, c over two words
    assert {name: group.docs for name, group in fit.by_source.items()} == {"a": 2, "b": 2}
    assert fit.changed == []


def test_the_report_names_unused_and_longest_entries_and_single_bytes(encoder, sample):
    counts = count_ids(encoder, [LEARNED])
    report = describe(encoder, measure(encoder, sample), counts, sample)
    entries = {"ab": 0, "zy": 0, "abab": 1, "Ġzy": 0, "Ġabab": 2, "Ġzyzy": 2}
    assert {token: int(counts[encoder.reference.token_to_id(token)]) for token in entries} == entries
    assert report.longest[:2] == [" abab", " zyzy"]
    assert report.num_unused == 256 + 3
    assert report.unused[:3] == ["!", '"', "#"]
    assert report.single_byte_share == pytest.approx(14 / 17, abs=1e-4)  # all but abab, Ġabab and ab
    assert report.held_out["tokens"] == 17


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("The poem 静夜思", "Latin"),
        ("静夜思 by Li Bai: 床前明月光疑是地上霜", "Han"),
        ("Привет, мир", "other"),
        ("12 + 3", "other"),
        ("", "other"),
        ("かなだけ", "other"),
    ],
)
def test_a_text_belongs_to_the_script_of_most_of_its_letters(text, script):
    assert script_of(text) == script

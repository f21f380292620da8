"""The stage clean: what it keeps, what it rejects and why, and that nothing is lost."""

import json
from pathlib import Path

import matplotlib.image
import pyarrow as pa
import pytest
import xxhash

from params.clean import CharacterRules, CleanParams, WordRules
from params.errors import SourceError
from tasks.clean import clean
from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import read_batches, shard_name, shard_writer

PROSE = (
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a "
    "wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood, "
    "this truth is so well fixed in the minds of the surrounding families, that he is considered as the rightful "
    "property of some one or other of their daughters."
)
POEM = "静夜思\n\n床前明月光，疑是地上霜。\n举头望明月，低头思故乡。"
REPEATED = "\n".join([POEM] * 5)


def document(text: str, path: str = "a.txt") -> dict[str, object]:
    digest = xxhash.xxh3_128_hexdigest(text.encode())
    place = {"source": "books", "path": path, "position": 0}
    return {"id": digest, **place, "text": text, "metadata": None, "language": None}


def write_shards(folder: Path, *shards: list[str]) -> None:
    for index, texts in enumerate(shards):
        with shard_writer(folder / "kept" / shard_name(index), DOCUMENT) as writer:
            for text in texts:
                writer.write_batch(pa.RecordBatch.from_pylist([document(text)], schema=DOCUMENT))


def rows(folder: Path) -> list[dict[str, object]]:
    return [
        row for shard in sorted(folder.glob("*.arrow")) for batch in read_batches(shard) for row in batch.to_pylist()
    ]


@pytest.fixture
def ingested(seal):
    """`ingested([text, …], …)`: a sealed result with one shard per list."""
    return lambda *shards: seal("ingest", lambda folder: write_shards(folder, *shards))


def make(params, documents, out, run):
    out.mkdir(exist_ok=True)
    return clean.work(params, documents, out=out, run=run)


def test_clean_keeps_english_prose_and_a_short_chinese_poem(ingested, run, tmp_path):
    metrics = make(CleanParams(), ingested([PROSE], [POEM]), tmp_path / "out", run)
    assert [row["text"] for row in rows(tmp_path / "out" / "kept")] == [PROSE, POEM]
    assert metrics.counts == {
        "docs_in": 2,
        "docs_kept": 2,
        "docs_rejected": 0,
        "bytes_in": len((PROSE + POEM).encode()),
        "bytes_kept": len((PROSE + POEM).encode()),
        "bytes_rejected": 0,
        "bytes_removed": 0,
    }


def test_a_kept_document_has_clean_text_and_the_id_of_the_raw_text(ingested, run, tmp_path):
    raw = "\ufeff" + POEM.replace("\n", " \r\n") + "\u200b\r\n"
    make(CleanParams(), ingested([raw]), tmp_path / "out", run)
    assert rows(tmp_path / "out" / "kept") == [{**document(raw), "text": POEM, "language": "zh"}]


def test_a_rejected_document_keeps_its_raw_text_with_rule_value_and_threshold(ingested, run, tmp_path):
    make(CleanParams(), ingested([PROSE, "Too short.\r\n", "\u200b \n"]), tmp_path / "out", run)
    short, empty = rows(tmp_path / "out" / "rejected")
    reason = {"rule": "words.min_words", "value": 2.0, "threshold": 50.0, "detail": None}
    assert short == {**document("Too short.\r\n"), **reason}
    assert empty == {**document("\u200b \n"), **reason, "rule": "empty", "value": 0.0, "threshold": 1.0}


def test_counts_name_every_rule_that_was_broken(ingested, run, tmp_path):
    metrics = make(CleanParams(), ingested([PROSE, "Short.", ""], [REPEATED, "Short too."]), tmp_path / "out", run)
    assert metrics.counts["docs_in"] == metrics.counts["docs_kept"] + metrics.counts["docs_rejected"] == 5
    assert {name: count for name, count in metrics.counts.items() if name.startswith("rejected.")} == {
        "rejected.words.min_words": 2,
        "rejected.empty": 1,
        "rejected.repetition_unspaced.max_duplicate_paragraphs": 1,
    }


def test_without_any_text_left_the_error_counts_the_rules_and_names_a_remedy(ingested, run, tmp_path):
    documents = ingested(["a b", "c d", "", "好", "好的", "再见"])
    with pytest.raises(SourceError) as caught:
        make(CleanParams(), documents, tmp_path / "out", run)
    message = str(caught.value)
    assert "no text is left of 6 documents" in message
    assert "3 broke characters.min_characters (10), 2 broke words.min_words (50), 1 broke empty" in message
    assert "--set clean.characters.min_characters=" in message
    assert str(tmp_path / "out" / "rejected") in message


def test_only_empty_documents_are_told_without_a_useless_remedy(ingested, run, tmp_path):
    with pytest.raises(SourceError, match="2 broke empty") as caught:
        make(CleanParams(), ingested(["", " "]), tmp_path / "out", run)
    assert "--set" not in str(caught.value)


def test_no_document_at_all_is_an_error_of_the_source(ingested, run, tmp_path):
    with pytest.raises(SourceError, match="no document came in"):
        make(CleanParams(), ingested([]), tmp_path / "out", run)


def test_a_picture_shows_why_documents_were_dropped(ingested, run, tmp_path):
    make(CleanParams(), ingested([PROSE, "Short."]), tmp_path / "out", run)
    height, width, _ = matplotlib.image.imread(tmp_path / "out" / "logs" / "rejected.png").shape
    assert height > 100
    assert width > 500


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.arrow")}


def test_workers_do_not_change_the_bytes(ingested, run, tmp_path):
    documents = ingested([PROSE, "Short."], [POEM, REPEATED], [PROSE + " And more."], [POEM])
    made = []
    for workers in (1, 4):
        run.settings = run.settings.model_copy(update={"workers": workers})
        make(CleanParams(), documents, tmp_path / str(workers), run)
        made.append(contents(tmp_path / str(workers)))
    assert made[0] == made[1]


def test_an_interrupted_draft_goes_on_to_the_same_bytes(ingested, run, tmp_path):
    documents = ingested([PROSE, "Short."], [POEM, REPEATED], [PROSE + " And more."])
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = make(CleanParams(), documents, whole, run)
    make(CleanParams(), documents, broken, run)
    (broken / "kept" / shard_name(0)).unlink()
    (broken / "rejected" / shard_name(1)).unlink()
    (broken / "tally" / "000001.json").unlink()
    (broken / "kept" / f"{shard_name(1)}.tmp").write_bytes(b"half a shard")
    untouched = (broken / "kept" / shard_name(2)).stat().st_mtime_ns
    assert make(CleanParams(), documents, broken, run) == expected
    assert contents(broken) == contents(whole)
    assert not list(broken.rglob("*.tmp"))
    assert (broken / "kept" / shard_name(2)).stat().st_mtime_ns == untouched


def test_shards_have_the_schema_of_documents_also_when_empty(ingested, run, tmp_path):
    make(CleanParams(), ingested([PROSE], ["Short."], []), tmp_path / "out", run)
    for folder, schema in (("kept", DOCUMENT), ("rejected", REJECTED)):
        shards = sorted((tmp_path / "out" / folder).glob("*.arrow"))
        assert [shard.name for shard in shards] == [shard_name(index) for index in range(3)]
        for shard in shards:
            with pa.memory_map(str(shard)) as source:
                assert pa.ipc.open_file(source).schema.equals(schema)


def test_parameters_travel_to_the_recipe_as_json(ingested, run):
    params = CleanParams(words=WordRules(min_words=None), characters=CharacterRules(min_characters=4))
    recipe = clean.recipe(params, (ingested([PROSE]),), run)
    assert json.loads(json.dumps(recipe.params))["words"]["min_words"] is None


C4 = CleanParams(
    preset=["gopher", "c4", "fineweb"], words={"min_words": 5, "min_stop_words": 1}, c4={"min_sentences": 2}
)


def report_of(folder: Path) -> dict[str, dict]:
    return json.loads((folder / "report.json").read_text(encoding="utf-8"))


def test_lines_that_c4_removes_are_counted_and_the_bytes_add_up(ingested, run, tmp_path):
    page = f"Home | About\n\n{PROSE}\n\nPlease turn JavaScript on to see this page.\r\nShort one."
    metrics = make(C4, ingested([page, "Short."], [PROSE]), tmp_path / "out", run)
    assert [row["text"] for row in rows(tmp_path / "out" / "kept")] == [PROSE, PROSE]
    removed = report_of(tmp_path / "out")["removed"]
    assert removed["c4.terminal_punctuation"] == {"lines": 1, "bytes": len("Home | About\n")}
    assert removed["c4.line_phrases"] == {"lines": 1, "bytes": len("Please turn JavaScript on to see this page.\n")}
    assert removed["c4.min_words_per_line"] == {"lines": 1, "bytes": len("Short one.")}
    assert removed["c4.blanks"] == {"lines": 0, "bytes": 3}  # two blank lines, and the end of the line that is the last
    assert removed["normalization"] == {"lines": 0, "bytes": 1}
    counts = metrics.counts
    assert counts["bytes_in"] == counts["bytes_kept"] + counts["bytes_rejected"] + counts["bytes_removed"]
    assert counts["bytes_rejected"] == len("Short.")


def test_the_report_has_a_histogram_per_rule_and_a_count_per_source(ingested, run, tmp_path):
    make(CleanParams(), ingested([PROSE, "Too short."], [POEM]), tmp_path / "out", run)
    report = report_of(tmp_path / "out")
    rules = {rule["name"]: rule for rule in report["rules"]}
    words = rules["words.min_words"]
    assert (words["family"], words["threshold"], words["direction"]) == ("words", 50, "at_least")
    assert "Rae et al. 2021" in words["source"]
    # two words, and the 63 of the prose; the poem is not asked
    assert {edge: n for edge, n in zip(words["edges"], words["counts"], strict=True) if n} == {2.0: 1, 50.0: 1}
    assert sum(rules["characters.min_characters"]["counts"]) == 1
    assert sum(rules["empty"]["counts"]) == 3
    books = report["by_source"]["books"]
    assert (books["docs_in"], books["docs_kept"], books["rejected"]) == (3, 2, {"words.min_words": 1})


def test_the_report_is_the_same_for_any_cut_into_shards(seal, run, tmp_path):
    texts = [PROSE, "Short.", POEM, REPEATED]
    one = seal("ingest", lambda folder: write_shards(folder, texts))
    many = seal("split", lambda folder: write_shards(folder, *([text] for text in texts)))
    make(C4, one, tmp_path / "one", run)
    make(C4, many, tmp_path / "many", run)
    assert report_of(tmp_path / "one") == report_of(tmp_path / "many")


def test_odd_documents_are_rejected_with_a_reason(ingested, run, tmp_path):
    odd = {
        "": "empty",
        "\n \n\u3000\n": "empty",
        "word": "words.min_words",
        "字" * 1_000_000: "repetition_unspaced.max_top_ngram.3",
        "a" * 1_000_000: "words.min_words",
        "a " * 100_000: "repetition.max_top_ngram.2",
        "." * 1_000_000: "words.min_words",
    }
    make(CleanParams(), ingested([PROSE, *odd]), tmp_path / "out", run)
    assert [row["rule"] for row in rows(tmp_path / "out" / "rejected")] == list(odd.values())


def test_nul_bytes_are_removed_and_blank_lines_are_no_duplicates(ingested, run, tmp_path):
    spaced = PROSE.replace(". ", ".\n\n\n \n\n").replace("truth", "tr\x00uth")
    make(CleanParams(), ingested([spaced]), tmp_path / "out", run)
    assert [row["text"] for row in rows(tmp_path / "out" / "kept")] == [PROSE.replace(". ", ".\n\n\n")]

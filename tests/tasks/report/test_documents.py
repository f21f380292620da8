"""Lengths, languages and reasons, counted on the shards of a result."""

from tasks.report.documents import bin_labels, count_rejected, measure_documents, reasons_of


def test_lengths_languages_and_scripts_of_documents(pair):
    """Document n of 50 holds a sentence 1 + n² times; every third one is Chinese."""
    result = pair[0].results().results["ingest"]
    found = measure_documents(result, scripts=True)
    english, chinese = 38, 36  # bytes of UTF-8
    sizes = [(chinese if at % 3 == 0 else english) * (1 + at**2) for at in range(50)]
    assert (found.docs, found.bytes) == (50, sum(sizes))
    assert found.by_language["zh"] == sum(sizes[::3])
    assert found.lengths[1] == sum(32 <= size < 64 for size in sizes)
    assert sum(found.lengths) == 50
    assert found.scripts["han"] > 0
    assert (found.scripts["kana"], found.is_sample) == (0, False)


def test_the_edges_of_lengths_double():
    assert bin_labels()[:8] == ["16 B", "32 B", "64 B", "128 B", "256 B", "512 B", "1 kB", "2 kB"]


def test_rejected_documents_are_counted_by_source_and_rule(pair):
    result = pair[0].results().results["dedup"]
    found = count_rejected(result)
    assert found.total() == 10
    assert sum(count for (_, rule), count in found.items() if rule == "exact_duplicate") == 6


def test_reasons_come_with_the_most_frequent_first():
    counts = {"docs_in": 9, "rejected.language": 1, "rejected.words.min_words": 3, "near_duplicates": 2, "clusters": 4}
    assert list(reasons_of(counts).items()) == [("words.min_words", 3), ("near duplicates", 2), ("language", 1)]

"""Where results come from."""

from tasks.registry.lineage import ancestors, lineage


def write(text):
    return lambda folder: (folder / "data").write_text(text)


def test_every_ancestor_comes_once_and_before_what_was_made_of_it(workshop):
    root = workshop.seal("a", "lineage", write("a"))
    left = workshop.seal("b", "lineage", write("b"), {"root": root})
    right = workshop.seal("c", "lineage", write("c"), {"root": root, "left": left})
    last = workshop.seal("d", "lineage", write("d"), {"left": left, "right": right})
    assert [manifest.stage for manifest in ancestors([last, right], workshop.run.store)] == ["a", "b", "c", "d"]


def test_an_ancestor_that_was_collected_is_named_by_its_digest_only(workshop):
    lost = workshop.seal("e", "lost", write("e"))
    child = workshop.seal("f", "lost", write("f"), {"parent": lost})
    workshop.run.store.remove(lost.folder)
    assert [manifest.stage for manifest in ancestors([child], workshop.run.store)] == ["f"]
    files = workshop.release_inputs("lost", bits_per_byte=1.0)[0]
    (result,) = lineage([child], files)["results"]
    assert result["inputs"] == {"parent": lost.digest}

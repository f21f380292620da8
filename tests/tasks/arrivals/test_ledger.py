"""The ledger: which files came when, whatever happens between two looks."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from params.errors import StoreError
from tasks.arrivals.ledger import LEDGERS_FOLDER, Ledger, enter, load_ledger, read_listing


def line(name: str, sha: str = "0") -> str:
    return json.dumps({"source": "web", "path": name, "size_bytes": 1, "sha256": sha})


def files(ledger: Ledger, store: Path) -> list[list[str]]:
    return [[json.loads(text)["path"] for text in read_listing(store, "m", batch)] for batch in ledger.batches]


def look(store: Path, *names: str, terms: str = "t", seen: tuple[str, ...] = ()) -> Ledger:
    return enter(store, "m", [line(name) for name in names], terms=terms, seen=[line(name) for name in seen])


def test_what_arrives_later_is_a_batch_of_its_own(tmp_path):
    assert files(look(tmp_path, "a", "b"), tmp_path) == [["a", "b"]]
    assert files(look(tmp_path, "a", "b"), tmp_path) == [["a", "b"]]
    ledger = look(tmp_path, "a", "aa", "b", "c")
    assert files(ledger, tmp_path) == [["a", "b"], ["aa", "c"]]
    assert ledger.generation == 1
    assert load_ledger(tmp_path, "m") == ledger


def test_a_new_ledger_begins_with_what_the_champion_has_seen(tmp_path):
    assert files(look(tmp_path, "a", "b", "c", seen=("c", "a", "gone")), tmp_path) == [["a", "c"], ["b"]]


def test_files_that_go_leave_their_batch_and_all_are_compared_anew(tmp_path):
    look(tmp_path, "a", "b")
    before = look(tmp_path, "a", "b", "c")
    after = look(tmp_path, "a", "c")
    assert files(after, tmp_path) == [["a"], ["c"]]
    assert (before.generation, after.generation) == (1, 2)
    assert before.index != after.index
    assert after.batches[1].listing == before.batches[1].listing  # read once
    assert [batch.arrived_at for batch in after.batches] == [batch.arrived_at for batch in before.batches]
    assert not any(batch.done for batch in after.batches)


def test_a_file_that_changes_counts_as_gone_and_as_new(tmp_path):
    enter(tmp_path, "m", [line("a", "1"), line("b", "1")], terms="t", seen=())
    ledger = enter(tmp_path, "m", [line("a", "2"), line("b", "1")], terms="t", seen=())
    assert files(ledger, tmp_path) == [["b"], ["a"]]
    assert ledger.generation == 2


def test_other_parameters_begin_a_new_generation_of_the_same_batches(tmp_path):
    before = look(tmp_path, "a")
    after = look(tmp_path, "a", terms="other")
    assert (after.generation, after.batches[0].listing) == (2, before.batches[0].listing)


def test_the_index_of_any_model_name_is_a_valid_one(tmp_path):
    from params.dedup import DedupParams

    assert DedupParams(index=Ledger(name="my.model-v1.2", terms="t").index)


def test_a_torn_ledger_is_named_with_the_remedy(tmp_path):
    path = tmp_path / LEDGERS_FOLDER / "m.json"
    path.parent.mkdir()
    path.write_text("{")
    with pytest.raises(StoreError, match=r"(?s)m\.json: not a ledger .*remove the file"):
        load_ledger(tmp_path, "m")


@settings(max_examples=30)
@given(st.lists(st.sets(st.sampled_from("abcdef"), min_size=1), min_size=1, max_size=6))
def test_whatever_comes_and_goes_the_batches_hold_what_is_there_once(tmp_path_factory, days):
    store = tmp_path_factory.mktemp("store")
    for present in days:
        ledger = look(store, *sorted(present))
        held = [name for names in files(ledger, store) for name in names]
        assert sorted(held) == sorted(present)

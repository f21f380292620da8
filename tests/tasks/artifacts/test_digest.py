"""Digests and atomic writes."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.artifacts.digest import commit, digest_entries, digest_file, digest_value, write_atomic

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def test_a_value_is_digested_in_canonical_form():
    canonical = '{"a":"中","b":[1,2.5,null]}'.encode()
    assert digest_value({"b": [1, 2.5, None], "a": "中"}) == hashlib.sha256(canonical).hexdigest()


@given(st.dictionaries(st.text(), JSON, min_size=2))
def test_the_order_of_keys_does_not_change_a_digest(tree):
    assert digest_value(dict(reversed(tree.items()))) == digest_value(tree)


def test_a_value_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_value({"loss": float("nan")})


def test_a_file_is_digested_by_its_bytes(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert digest_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.permutations([("a", 1, "x"), ("b", 2, "y"), ("c/d", 3, "z")]))
def test_entries_may_come_in_any_order(entries):
    assert digest_entries(entries) == digest_entries([("a", 1, "x"), ("b", 2, "y"), ("c/d", 3, "z")])


@pytest.mark.parametrize("other", [("a", 2, "x"), ("b", 1, "x"), ("a", 1, "y")])
def test_path_size_and_hash_all_count(other):
    assert digest_entries([other]) != digest_entries([("a", 1, "x")])


def test_an_atomic_write_replaces_the_file_and_leaves_nothing_beside_it(tmp_path: Path):
    write_atomic(tmp_path / "f", "old")
    write_atomic(tmp_path / "f", "new 新")
    assert (tmp_path / "f").read_text(encoding="utf-8") == "new 新"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_commit_moves_a_folder(tmp_path: Path):
    (tmp_path / "draft").mkdir()
    (tmp_path / "draft" / "f").write_text("x")
    commit(tmp_path / "draft", tmp_path / "final")
    assert (tmp_path / "final" / "f").read_text() == "x"
    assert not (tmp_path / "draft").exists()

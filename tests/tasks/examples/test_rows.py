"""Rows that were learned from are known again, wherever they stand."""

from tasks.examples.rows import count_new, hash_row, read_hashes, write_hashes

ROWS = (
    {"prompt": "1月之后是几月？", "response": "2月。"},
    {"prompt": "a", "response": "b"},
    {"prompt": "a", "response": "c"},
)


def test_a_row_in_another_file_and_with_its_keys_in_another_order_is_no_new_one(tmp_path):
    write_hashes(tmp_path / "a.npy", map(hash_row, ROWS[:2]))
    write_hashes(tmp_path / "b.npy", map(hash_row, (ROWS[2], {"response": "b", "prompt": "a"}, ROWS[2])))
    known, present = read_hashes([tmp_path / "a.npy"]), read_hashes([tmp_path / "a.npy", tmp_path / "b.npy"])
    assert (len(known), len(present)) == (2, 3)
    assert count_new(present, known) == 1
    assert count_new(known, present) == 0
    assert count_new(known, read_hashes([])) == 2

"""Sections of an evaluation that nobody has written a view for."""

from tasks.report.tabulation import tables_of
from tasks.report.words import Words, said


def test_similar_parts_make_a_table_with_intervals_folded_in():
    tree = {
        "tasks": {"sums": {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6}, "rhymes": {"accuracy": 1.0}}
    }
    (found,) = tables_of(tree)
    assert [said(part, "en") for part in found.title] == ["tasks"]
    assert [said(part, "en") for part in found.head] == ["", "accuracy"]
    assert found.rows == (("sums", "0.5 (0.4 – 0.6)"), ("rhymes", "1"))


def test_plain_values_make_a_table_of_their_own_and_depth_is_followed():
    tree = {"memory": {"share": 0.25, "by_source": {"web": {"share": 0.5}, "books": {"share": 0}}}}
    first, second = tables_of(tree)
    assert first.rows == ((Words("share", "share"), "0.25"),)
    assert second.title == (Words("memory", "memory"), Words("by source", "按来源"))
    assert second.rows == (("web", "0.5"), ("books", "0"))


def test_parts_of_a_list_bear_the_name_that_each_begins_with():
    (found,) = tables_of({"confusion": [{"wanted": "<b>", "c": 1}, {"wanted": "c", "c": 2}]})
    assert [said(part, "en") for part in found.head] == ["wanted", "c"]
    assert found.rows == (("<b>", "1"), ("c", "2"))


def test_parts_of_a_list_without_a_name_of_their_own_are_numbered():
    (found,) = tables_of({"pairs": [{"text": "<b>", "bits": 1}, {"text": "<b>", "bits": 2}]})
    assert found.rows == (("1", "<b>", "1"), ("2", "<b>", "2"))

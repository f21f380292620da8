"""Cutting passages out of texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contamination.cutting import cut, merge

TEXT = "aaaa bbbb QUESTION cccc dddd"


def test_a_passage_goes_with_its_margin():
    made = cut(TEXT, [(10, 18)], margin=5, min_piece=1)
    assert made.pieces == ["aaaa ", " dddd"]
    assert made.removed == ["bbbb QUESTION cccc"]
    assert made.text == "aaaa\n\ndddd"


def test_the_margin_counts_characters_not_bytes():
    text = "磨坊主看风车，问题在此，风停了"
    start, end = (len(text[:at].encode()) for at in (7, 11))
    made = cut(text, [(start, end)], margin=2, min_piece=1)
    assert made.pieces == ["磨坊主看风", "停了"]
    assert made.removed == ["车，问题在此，风"]


def test_a_short_piece_goes_with_the_cuts_around_it():
    made = cut("xxxxxxxxxx Q ab Q yyyyyyyyyy", [(11, 12), (16, 17)], margin=0, min_piece=5)
    assert made.removed == ["Q ab Q"]
    assert made.num_pieces == 3
    assert made.text == "xxxxxxxxxx\n\nyyyyyyyyyy"


@pytest.mark.parametrize("spans", [[(0, 28)], [(12, 14)]])
def test_nothing_may_be_left(spans: list[tuple[int, int]]):
    made = cut(TEXT, spans, margin=20, min_piece=1)
    assert (made.pieces, made.removed) == ([], [TEXT])


def test_spans_that_touch_are_one():
    assert merge([(5, 7), (0, 2), (2, 4), (6, 9)]) == [(0, 4), (5, 9)]


@given(st.text(min_size=1), st.data(), st.integers(0, 5), st.integers(1, 5))
def test_no_character_is_lost_and_no_span_stays(text: str, data: st.DataObject, margin: int, min_piece: int):
    text = text.encode(errors="replace").decode()
    ends = st.integers(0, len(text))
    chosen = data.draw(st.lists(st.tuples(ends, ends).map(sorted), max_size=4))
    spans = [(len(text[:a].encode()), len(text[:b].encode())) for a, b in chosen]
    made = cut(text, spans, margin=margin, min_piece=min_piece)
    assert sorted("".join(made.pieces + made.removed)) == sorted(text)
    assert all(len(piece.strip()) >= min_piece for piece in made.pieces)
    assert len(made.removed) <= len(made.pieces) + 1
    inside = [text[max(0, a - margin) : b + margin] for a, b in chosen]
    assert sum(map(len, made.removed)) >= max(map(len, inside), default=0)

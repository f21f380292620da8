"""Whole characters and stop sequences."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.serving.generator import whole_characters
from tasks.serving.text_stream import Characters, StopFinder


def as_bytes(tokens):
    return bytes(tokens).decode(errors="replace")


@given(st.binary(max_size=40))
def test_characters_come_as_the_generator_of_a_bundle_gives_them(data):
    characters = Characters(as_bytes)
    pieces = [piece for token in data if (piece := characters.push(token))]
    assert pieces == list(whole_characters(data, as_bytes))


def through(stops, pieces):
    finder = StopFinder(stops)
    shown = [finder.push(piece) for piece in pieces]
    return shown, finder.found, finder.finish()


def test_a_stop_sequence_across_pieces_is_found_and_left_out():
    assert through(["\n\n"], ["one\n", "\ntwo"]) == (["one", ""], True, "")


def test_what_only_began_like_a_stop_sequence_comes_out_later():
    assert through(["STOP"], ["a ST", "O", "RM"]) == (["a ", "", "STORM"], False, "")
    assert through(["STOP"], ["a ST"]) == (["a "], False, "ST")


def test_the_first_of_several_stop_sequences_counts():
    assert through(["cd", "b"], ["abcd"]) == (["a"], True, "")


@given(
    st.lists(st.text("ab", max_size=5), max_size=8),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
)
def test_pieces_give_the_same_text_as_the_whole(pieces, stops):
    shown, found, rest = through(stops, pieces)
    whole = "".join(pieces)
    places = [whole.find(stop) for stop in stops if stop in whole]
    assert found == bool(places)
    # where a stop ends is what counts as it comes: text is cut at the one that is complete first
    ends = [whole.find(stop) + len(stop) for stop in stops if stop in whole]
    if not ends:
        assert "".join(shown) + rest == whole
    else:
        assert whole.startswith("".join(shown))
        assert min(places) <= len("".join(shown)) <= min(ends)

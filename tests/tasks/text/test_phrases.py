"""The tree and the automaton against searching plainly."""

from hypothesis import given
from hypothesis import strategies as st

from tasks.text.phrases import NOWHERE, build_automaton, build_tree

PHRASES = st.lists(st.text("abé中文", min_size=1, max_size=4), max_size=8, unique=True)


def walk(tree, text: bytes) -> int:
    node = 0
    for byte in text:
        node = tree.children[node, tree.classes[byte]]
        if node == NOWHERE:
            return 0
    return int(tree.ends[node])


@given(PHRASES, st.text("abé中文x", max_size=12))
def test_a_walk_through_the_tree_ends_at_the_phrase(phrases, other):
    tree = build_tree(phrases)
    for number, phrase in enumerate(phrases, start=1):
        assert walk(tree, phrase.encode()) == number
    if other and other not in phrases:
        assert walk(tree, other.encode()) == 0


@given(PHRASES, st.text("abé中文x", max_size=30))
def test_the_automaton_stops_where_a_phrase_ends(phrases, text):
    tree = build_automaton(phrases)
    node, found = 0, []
    for byte in text.encode():
        node = tree.children[node, tree.classes[byte]]
        found.append(bool(tree.ends[node]))
    spelled = [phrase.encode() for phrase in phrases]
    expected = [any(text.encode()[: at + 1].endswith(phrase) for phrase in spelled) for at in range(len(found))]
    assert found == expected


def test_ascii_letters_are_compared_without_case():
    tree = build_tree(["Cookie"])
    assert walk(tree, b"cOOkie") == 1
    assert walk(tree, b"cookies") == 0

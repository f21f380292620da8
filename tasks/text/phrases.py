"""Many phrases looked for at once: a tree over their bytes, and the automaton of Aho and Corasick (1975) made of it."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.text.buffers import Bytes

NOWHERE = 0
"""No phrase goes on this way; the root is nobody's child."""


@dataclass(frozen=True)
class Tree:
    """Phrases by their bytes; node 0 is the root."""

    classes: Bytes
    """Class of each byte, shape (256,): capitals share the class of their small letters, class 0 is in no phrase."""
    children: npt.NDArray[np.int32]
    """Node that follows a node on a class, or NOWHERE, shape (nodes, classes)."""
    ends: npt.NDArray[np.int32]
    """Phrase that ends in a node, counted from 1, or 0, shape (nodes,)."""


def build_tree(phrases: Sequence[str]) -> Tree:
    """The tree of phrases, which are compared without the case of ASCII letters."""
    spelled = [phrase.lower().encode() for phrase in phrases]
    alphabet = sorted(set(b"".join(spelled)))
    classes = np.zeros(256, np.uint8)
    for number, byte in enumerate(alphabet, start=1):
        classes[byte] = number
        if 0x61 <= byte <= 0x7A:
            classes[byte - 0x20] = number
    children = np.zeros((sum(map(len, spelled)) + 1, len(alphabet) + 1), np.int32)
    ends = np.zeros(len(children), np.int32)
    size = 1
    for number, phrase in enumerate(spelled, start=1):
        node = 0
        for byte in phrase:
            follower = children[node, classes[byte]]
            if follower == NOWHERE:
                children[node, classes[byte]] = follower = size
                size += 1
            node = follower
        ends[node] = number
    return Tree(classes, np.ascontiguousarray(children[:size]), ends[:size].copy())


def build_automaton(phrases: Sequence[str]) -> Tree:
    """The tree with a follower for every node and class: the longest suffix read so far that begins a phrase."""
    tree = build_tree(phrases)
    children, ends = tree.children, tree.ends
    fallback = np.zeros(len(ends), np.int32)
    waiting = deque(children[0][children[0] != NOWHERE].tolist())
    while waiting:
        node = waiting.popleft()
        back = fallback[node]
        ends[node] = ends[node] or ends[back]
        for number, follower in enumerate(children[node].tolist()):
            if follower == NOWHERE:
                children[node, number] = children[back, number]
            else:
                fallback[follower] = children[back, number]
                waiting.append(follower)
    return tree

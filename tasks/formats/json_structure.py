"""Where the values of a JSON file begin and end, found by one pass over its bytes that any chunk can go on with."""

import numpy as np
from numba import types

from tasks.text.buffers import Bytes, Offsets
from tasks.text.kernels import BYTES, MUTABLE_BYTES, MUTABLE_OFFSETS, kernel, subroutine

START, DEPTH, IN_ARRAY, IN_STRING, ESCAPED, WAS_CUT, STOPPED = range(7)
"""Places in the state: where the open value starts (-1 for none), how many brackets are open in it, whether it lies in
an array at the top, whether a string and an escape are open, whether a line feed has just ended a string, and where the
pass stopped."""
NONE, CONTINUED = -1, -2
"""Starts of no value, and of a value that began in an earlier chunk."""
MAX_DEPTH = 1024
"""Of brackets that are told apart; orjson takes no more."""

_QUOTE, _BACKSLASH, _COMMA = ord('"'), ord("\\"), ord(",")
_OPEN, _CLOSE, _OPEN_ARRAY, _CLOSE_ARRAY = ord("{"), ord("}"), ord("["), ord("]")
_LINE_FEED, _SPACE = ord("\n"), ord(" ")


def new_state() -> tuple[Offsets, Bytes]:
    """The state before the first byte, and room for the open brackets."""
    state = np.zeros(7, np.int64)
    state[START] = NONE
    return state, np.zeros(MAX_DEPTH, np.uint8)


@subroutine
def _go_through_string(data: Bytes, at: int, escaped: int) -> tuple[int, int, int, int]:
    """Up to the end of a string, its next backslash, or the end of the data; the new states of the string."""
    byte = data[at]
    at += 1
    while byte not in (_QUOTE, _BACKSLASH, _LINE_FEED) and not escaped and at < data.size:
        byte = data[at]
        at += 1
    goes_on = escaped or byte not in (_QUOTE, _LINE_FEED)
    return at, goes_on, not escaped and byte == _BACKSLASH, not goes_on and byte == _LINE_FEED


@subroutine
def _depth_after(closing: int, brackets: Bytes, depth: int) -> int:
    """How many brackets are open after a closing one: it closes its pair and what was left open within."""
    opening = depth - 1
    while 0 <= opening < MAX_DEPTH and brackets[opening] != closing - 2:  # in ASCII, "]" and "}" stand 2 further
        opening -= 1
    return opening if opening >= 0 else depth


@kernel(types.int64(BYTES, types.int64, MUTABLE_OFFSETS, MUTABLE_BYTES, types.int64[:, ::1]))
def find_values(data: Bytes, at: int, state: Offsets, brackets: Bytes, spans: Offsets) -> int:
    """Write start and end of each value that ends in `data[at:]` to a row of `spans`; how many there are.

    Values are the elements of arrays at the top, and objects at the top. Where brackets and quotes do not match, as
    little as possible is lost: a closing bracket closes what was left open within its pair, and one without a pair
    closes nothing; a line feed ends a string, for JSON has none in it, and an object that begins right after that is
    the next value.
    """
    start, depth, in_array = state[START], state[DEPTH], state[IN_ARRAY]
    in_string, escaped, was_cut = state[IN_STRING], state[ESCAPED], state[WAS_CUT]
    found = 0
    while at < data.size and found < spans.shape[0]:
        if in_string:
            at, in_string, escaped, was_cut = _go_through_string(data, at, escaped)
            continue
        byte = data[at]
        at += 1
        ends = NONE
        begins_anew = was_cut and byte == _OPEN and depth
        was_cut = was_cut and byte <= _SPACE
        if begins_anew:
            depth = 0
            at -= 1  # it is looked at again as the first byte of the next value
            ends = at
        elif byte in (_CLOSE, _CLOSE_ARRAY) and depth:
            depth = _depth_after(byte, brackets, depth)
            ends = at if depth == 0 else NONE
        elif byte == _CLOSE_ARRAY and in_array:
            in_array, ends = 0, at - 1
        elif depth == 0 and (byte == _COMMA if in_array or start == NONE else byte == _LINE_FEED):
            ends = at - 1
        elif byte == _OPEN_ARRAY and depth == 0 and not in_array and start == NONE:
            in_array = 1
        elif byte > _SPACE:
            if start == NONE:
                start = at - 1
            in_string = byte == _QUOTE
            if byte in (_OPEN, _OPEN_ARRAY):
                if depth < MAX_DEPTH:
                    brackets[depth] = byte
                depth += 1
        if ends != NONE and start != NONE:
            spans[found, 0], spans[found, 1] = start, ends
            found += 1
            start = NONE
    state[START], state[DEPTH], state[IN_ARRAY] = start, depth, in_array
    state[IN_STRING], state[ESCAPED], state[WAS_CUT], state[STOPPED] = in_string, escaped, was_cut, at
    return found

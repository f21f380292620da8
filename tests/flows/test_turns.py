"""Turns typed at a real pseudo-terminal."""

import sys

import pytest

LEFT, BACKSPACE, CTRL_C, CTRL_D = "\x1b[D", "\x7f", "\x03", "\x04"
READ = """
import sys
from flows.turns import read_turns
for turn in read_turns(sys.stdin):
    print("turn", ascii(turn) if len(turn) < 99 else len(turn), flush=True)
print("over", flush=True)
"""
ANSWER = """
import sys
from itertools import repeat
from flows.generating import print_answer
from flows.turns import read_turns
from tasks.serving.generation import Piece
for turn in read_turns(sys.stdin):
    print("turn answered by", print_answer(repeat(Piece(0, "word "))).split()[0], flush=True)
print("over", flush=True)
"""


@pytest.fixture
def type_in(terminal):
    """`type_in(*keys)` gives each of the keys when it is asked for a turn; what stands on the screen at the end."""

    def run(*keys: str) -> str:
        code, screen = terminal([sys.executable, "-c", READ], *(("> ", key) for key in keys))
        assert code == 0, screen
        return screen

    return run


def test_chinese_is_edited_by_characters_and_empty_lines_are_no_turns(type_in):
    screen = type_in(f"今天天汽{BACKSPACE}气好{LEFT}很\r", "\r", "  \r", CTRL_D)
    assert "turn " + ascii("今天天气很好") in screen
    assert screen.count("turn ") == 1
    assert screen.rstrip().endswith("over")


def test_ctrl_c_drops_a_line_and_ctrl_d_ends(type_in):
    screen = type_in(f"nonsense{CTRL_C}", "sense\r", CTRL_D)
    assert "turn 'sense'" in screen
    assert screen.rstrip().endswith("over")


def test_a_turn_may_be_longer_than_a_terminal_s_own_lines(type_in):
    assert "turn 6000" in type_in("long " * 1200 + "\r", CTRL_D)


def test_ctrl_c_ends_an_answer_and_the_conversation_goes_on(terminal):
    keys = (("> ", "hello\r"), ("word word", CTRL_C), ("> ", CTRL_D))
    code, screen = terminal([sys.executable, "-c", ANSWER], *keys)
    assert code == 0, screen
    assert "turn answered by word" in screen
    assert "Traceback" not in screen
    assert screen.rstrip().endswith("over")

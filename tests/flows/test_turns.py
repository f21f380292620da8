"""Turns typed at a real pseudo-terminal."""

import os
import pty
import select
import subprocess
import sys

import pytest

LEFT, BACKSPACE, CTRL_C, CTRL_D = "\x1b[D", "\x7f", "\x03", "\x04"
MAX_SILENT = 60
"""Seconds without a sign; the start of Python takes some on a busy machine."""
READ = """
import sys
from flows.turns import read_turns
for turn in read_turns(sys.stdin):
    print("turn", ascii(turn) if len(turn) < 99 else len(turn), flush=True)
print("over", flush=True)
"""


@pytest.fixture
def terminal():
    """`terminal(keys)` gives each of the keys when it is asked for a turn; what stands on the screen at the end."""
    ours, theirs = pty.openpty()

    def type_in(*keys: str) -> str:
        environment = os.environ | {"TERM": "xterm", "LC_ALL": "C.UTF-8"}
        settings = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
        command = ["setsid", "--ctty", sys.executable, "-c", READ]
        with subprocess.Popen(command, env=environment, **settings) as process:
            os.close(theirs)
            screen, waiting, typed, silent = "", list(keys), "", 0
            while silent < MAX_SILENT:
                if not select.select([ours], [], [], 1.0)[0]:
                    silent += 1
                    if typed.endswith(CTRL_C):  # in the instant before Python reads it is seen only at the next key
                        os.write(ours, CTRL_C.encode())
                    continue
                try:
                    screen += os.read(ours, 1 << 16).decode(errors="replace")
                except OSError:  # the other side is closed
                    break
                if waiting and screen.count("> ") > len(keys) - len(waiting):
                    typed = waiting.pop(0)
                    os.write(ours, typed.encode())
            else:
                process.kill()
            assert process.wait() == 0, screen
        return screen

    yield type_in
    os.close(ours)


def test_chinese_is_edited_by_characters_and_empty_lines_are_no_turns(terminal):
    screen = terminal(f"今天天汽{BACKSPACE}气好{LEFT}很\r", "\r", "  \r", CTRL_D)
    assert "turn " + ascii("今天天气很好") in screen
    assert screen.count("turn ") == 1
    assert screen.rstrip().endswith("over")


def test_ctrl_c_drops_a_line_and_ctrl_d_ends(terminal):
    screen = terminal(f"nonsense{CTRL_C}", "sense\r", CTRL_D)
    assert "turn 'sense'" in screen
    assert screen.rstrip().endswith("over")


def test_a_turn_may_be_longer_than_a_terminal_s_own_lines(terminal):
    assert "turn 6000" in terminal("long " * 1200 + "\r", CTRL_D)

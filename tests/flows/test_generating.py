"""gristmill generate: where prompts come from and how texts are printed."""

import io
import json
import os
import subprocess
import sys
from itertools import islice

import pytest

from flows.cli import main
from flows.generating import in_order, read_prompts
from params.errors import ParameterError
from tasks.serving.generation import Piece


@pytest.fixture(scope="module")
def model(finished, shell):
    """The bundle of the finished run."""
    return next(path for path in shell.home.glob("store/release/*/bundle"))


@pytest.fixture
def generate(model, tmp_path, monkeypatch, capfd):
    """`generate(*arguments, given=…)`: exit code, output and errors of the command, in this process."""
    monkeypatch.setattr(os, "environ", dict(os.environ))

    def run(*arguments, given=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = main(["generate", "--home", str(tmp_path), "--model", str(model), *arguments])
        out, err = capfd.readouterr()
        return code, out, err

    return run


def test_prompts_of_a_file_are_continued_in_their_order(generate, tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("The function\n\n春天\n")
    code, out, err = generate("--file", str(path), "--json", "--greedy", "--max-tokens", "4", "-n", "2")
    assert (code, err) == (0, "")
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["prompt"], line["index"]) for line in lines] == [
        ("The function", 0),
        ("The function", 1),
        ("春天", 0),
        ("春天", 1),
    ]
    assert lines[0]["text"] == lines[1]["text"]
    assert all(line["tokens"] <= 4 and line["finish_reason"] in ("stop", "length") for line in lines)


def test_standard_input_is_a_prompt_of_any_number_of_lines(generate):
    code, out, _ = generate("--greedy", "--max-tokens", "3", given="One line.\nThe other 春".encode() + b"\n")
    assert code == 0
    assert out.startswith("One line.\nThe other 春")


def test_ctrl_c_ends_it_with_130_and_leaves_what_was_written(model, terminal):
    many = ["--max-tokens", "8", "-n", "5000"]
    command = [sys.executable, "-m", "flows.cli", "generate", "--model", str(model), "The function", *many]
    code, screen = terminal(command, ("The function", "\x03"))
    assert code == 130, screen
    assert screen.startswith("The function")
    assert "Traceback" not in screen
    assert "stages" not in screen


def test_nothing_is_imported_once_texts_are_printed_since_numpy_loses_a_ctrl_c_while_it_loads(model):
    """Its compiled modules clear whatever exception is raised while they register with collections.abc."""
    program = """
import sys
from flows import generating
from flows.cli import main
printed, loaded = generating._print, []
generating._print = lambda text: (loaded.append(set(sys.modules)), printed(text))
main(sys.argv[1:])
sys.exit(str(sorted(loaded[-1] - loaded[0])))
"""
    command = [sys.executable, "-c", program, "generate", "--model", str(model), "The function", "--max-tokens", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.startswith("The function")
    assert done.stderr == "[]\n"


def test_what_is_no_prompt_is_an_error(generate):
    for arguments, given, message in (
        ((), b"", "no prompt: give one, --file FILE, or text on standard input"),
        ((), b"a\xff", "standard input: not text in UTF-8 (byte 0xff at 1)"),
        (("--stop", "", "x"), b"", "--stop is empty"),
        (("-n", "0", "x"), b"", "-n is 0; it must be 1 or more"),
        (("--chat", "x"), b"", "--chat takes its turns from standard input"),
        (("--chat",), b"hi\n", "this model has no chat template"),
    ):
        code, out, err = generate(*arguments, given=given)
        assert (code, out) == (2, "")
        assert message in err


def test_a_file_of_prompts_is_read_by_its_kind_and_faults_have_their_line(tmp_path):
    lines, objects, broken = tmp_path / "a.txt", tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    lines.write_bytes("\ufeffone\r\n\r\n two \n".encode())
    objects.write_text('{"prompt": "one\\nline"}\n"two"\n')
    broken.write_text('"fine"\n{"text": "x"}\n')
    assert [prompt.text for prompt in read_prompts(lines)] == ["one", " two "]
    assert [prompt.text for prompt in read_prompts(objects)] == ["one\nline", "two"]
    with pytest.raises(ParameterError, match=r'b\.jsonl:2: no text under "prompt"'):
        list(read_prompts(broken))


def test_texts_made_together_are_printed_one_after_the_other():
    made = [Piece(1, "B"), Piece(0, "a"), Piece(1, "!", finish="stop"), Piece(0, "b", finish="length")]
    shown = [(index, [piece.text for piece in texts]) for index, texts in in_order(iter(made), 2)]
    assert shown == [(0, ["a", "b"]), (1, ["B", "!"])]


def test_any_number_of_texts_can_be_asked_for_since_each_is_let_go_once_it_is_printed():
    made = (Piece(index, "x", finish="stop") for index in range(3))
    shown = in_order(made, 10**30)
    assert [(index, [piece.text for piece in texts]) for index, texts in islice(shown, 3)] == [
        (0, ["x"]),
        (1, ["x"]),
        (2, ["x"]),
    ]

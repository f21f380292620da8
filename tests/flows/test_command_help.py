"""The command line at the width of the terminal, and what it says of a slip."""

import pytest

from flows.cli import parser


def help_of(command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([*command.split(), "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("command", ["", "run", "retrain", "up", "generate", "serve", "runs", "runs usage"])
@pytest.mark.parametrize("width", [60, 80, 120])
def test_prose_and_options_fit_the_terminal_and_examples_stay_whole(command, width, monkeypatch, capsys):
    lines = help_of(command, monkeypatch, capsys, width)
    too_long = [line for line in lines if len(line) > width]
    assert [line for line in too_long if not line.startswith("  gristmill")] == []


def test_every_command_stands_on_one_line_with_what_it_does(monkeypatch, capsys):
    lines = help_of("", monkeypatch, capsys, 80)
    assert any(line.split(maxsplit=1) == ["why-stopped", "say which stop rule ended training"] for line in lines)


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [(["runn"], "did you mean run"), (["run", "tiny", "--until", "trian"], "did you mean train")],
)
def test_a_slip_is_answered_by_the_nearest_name(wrong, meant, capsys):
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(wrong)
    assert ended.value.code == 2
    assert meant in capsys.readouterr().err

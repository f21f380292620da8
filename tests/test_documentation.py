"""What the README, docs/ and --help show must work: every command line parses, every parameter and preset exists."""

import argparse
import inspect
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows import manual
from flows.cli import parser
from flows.deployments import DEPLOYMENTS, flow_of
from params.evaluate import EvaluateParams
from params.keys import model_of, values_of
from params.load import load_params, parse_assignments, preset_names
from params.pipeline import PipelineParams
from params.serve import ServeParams
from params.stop import StopParams

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}
HELP = "\n".join(text for name, text in vars(manual).items() if name.isupper() and isinstance(text, str))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\s*(?:\S+=\S+ )*(?:\.venv/bin/)?gristmill ([a-z].*)$")
SPAN = re.compile(r"`([^`]+)`")
DOTTED = re.compile(r"([a-z_]+(?:\.[a-z_]+)+)(?:[ :=].*)?")
SOURCES = "survey: {sources: [{name: text, path: text}]}"
OF_FIGURES = ("evaluate.test", "evaluate.classification", "train.event", "run.ended")
"""Names that begin like a parameter and are none: figures, tags and events."""


def fenced(text: str) -> Iterator[tuple[str, str]]:
    """Language and content of every fenced block."""
    return ((found[1], found[2]) for found in FENCE.finditer(text))


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every gristmill command in some lines, without what stands behind it as an explanation."""
    for line in text.replace("\\\n", " ").splitlines():
        if found := COMMAND.match(line):
            yield shlex.split(re.split(r" {3,}", found[1])[0], comments=True)


def in_blocks(text: str) -> Iterator[list[str]]:
    """Every command of a page that stands in a block."""
    for language, block in fenced(text):
        if language in ("", "bash", "sh", "console"):
            yield from commands(block)


def spans_of(text: str) -> Iterator[str]:
    """What stands in backquotes within sentences, also over the end of a line."""
    for paragraph in re.split(r"\n{2,}", FENCE.sub("", text)):
        yield from SPAN.findall(paragraph.replace("\n", " "))


def in_sentences(text: str) -> Iterator[list[str]]:
    """Every command in the middle of a sentence."""
    for span in spans_of(text):
        yield from commands(span)


SHOWN = [(name, shlex.join(found)) for name, text in TEXTS.items() for found in in_blocks(text)]
SHOWN += [("--help", shlex.join(found)) for found in commands(HELP)]
MENTIONED = [(name, shlex.join(found)) for name, text in TEXTS.items() for found in in_sentences(text)]


def check_values(command: str, arguments: argparse.Namespace) -> None:
    """Raise where a value that the command sets is no parameter."""
    given = parse_assignments(getattr(arguments, "set", None) or [])
    if command == "serve":
        ServeParams.load(given)
    elif command == "evaluate":
        EvaluateParams.model_validate(given)
    elif command == "steer":
        stop = parse_assignments(arguments.values).get("stop", {})
        StopParams.model_validate({"max_steps": 1} | stop)
    elif hasattr(arguments, "preset") or given:
        preset = getattr(arguments, "preset", None) or "quickstart"
        if "/" not in preset and not preset.endswith(".yaml") and preset != "PRESET":
            assert preset in preset_names()
        load_params(preset if preset in preset_names() else "quickstart", given)


def test_there_are_commands_in_the_pages():
    assert len(SHOWN) > 120
    assert {name for name, _ in SHOWN} >= {"README.md", "README.zh-CN.md", "docs/operations.md", "--help"}


@pytest.mark.parametrize(("page", "line"), dict.fromkeys(SHOWN))
def test_a_command_line_that_is_shown_can_be_given(page: str, line: str):
    words = shlex.split(line)
    check_values(words[0], parser().parse_args(words))


@pytest.mark.parametrize(("page", "line"), dict.fromkeys(MENTIONED))
def test_a_command_that_a_sentence_mentions_exists(page: str, line: str, capsys: pytest.CaptureFixture[str]):
    words = shlex.split(line)
    try:
        parser().parse_args(words)
    except SystemExit:  # what it needs may be left out where only the command is meant
        assert "the following arguments are required" in capsys.readouterr().err


def test_every_command_is_shown_somewhere():
    (listed,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    named = {line.split()[0] for _, line in SHOWN + MENTIONED}
    missing = [name for name in listed.choices if name not in named and f"`{name}" not in TEXTS["README.md"]]
    assert missing == ["presets"]  # it takes nothing: its own --help is enough


def is_parameter(dotted: str) -> bool:
    """Whether a dotted name leads to a field, or to a name in a mapping."""
    place: Any = PipelineParams
    for step in dotted.split("."):
        model = model_of(place)
        if values_of(place) is not None:
            return True
        fields = {field.alias or name: field for name, field in model.model_fields.items()} if model else {}
        if step not in fields:
            return False
        place = fields[step].annotation
    return True


@pytest.mark.parametrize("page", TEXTS)
def test_every_parameter_that_is_named_exists(page: str):
    spans = (DOTTED.fullmatch(span) for span in spans_of(TEXTS[page]))
    named = {found[1] for found in spans if found and found[1].split(".")[0] in PipelineParams.model_fields}
    assert [name for name in sorted(named) if not name.startswith(OF_FIGURES) and not is_parameter(name)] == []


def presets_shown() -> Iterator[tuple[str, str]]:
    """Blocks of YAML that are presets, or parts of one."""
    for page, text in TEXTS.items():
        for language, block in fenced(text):
            keys = set(yaml.safe_load(block)) if language == "yaml" else {""}
            if keys == {"stop"}:
                yield page, f"train:\n{textwrap.indent(block, '  ')}"
            elif keys - {"extends"} <= set(PipelineParams.model_fields):
                yield page, block


@pytest.mark.parametrize(("page", "block"), list(presets_shown()))
def test_a_preset_that_is_shown_is_valid(page: str, block: str, tmp_path: Path):
    shown = tmp_path / "shown.yaml"
    shown.write_text(block if "survey:" in block else f"{SOURCES}\n{block}", encoding="utf-8")
    load_params(shown)


def test_a_deployment_that_is_shown_exists_with_its_parameters():
    deployed = {each.full_name: inspect.signature(flow_of(each).fn).parameters for each in DEPLOYMENTS}
    texts = [*TEXTS.values(), (ROOT / "deploy" / "prefect.yaml").read_text(encoding="utf-8")]
    calls = [
        found for text in texts for found in re.findall(r"^(?:#\s+)?prefect deployment run ((?:.*\\\n)*.*)", text, re.M)
    ]
    assert calls
    for call in calls:
        words = shlex.split(call.replace("\\\n#", " ").replace("\\\n", " "), comments=True)
        given = [words[at + 1].partition("=")[0] for at, word in enumerate(words) if word == "--param"]
        assert set(given) <= set(deployed[words[0]])

"""Docstrings found by the scan are those that Python's own parser finds."""

import ast
import inspect
import json
import logging
from collections import Counter
from pathlib import Path

import numpy
import pyarrow
import pytest

from tasks.formats.docstrings import docstrings, read_python
from tasks.formats.records import Document, Malformed, ReadOptions

OWNERS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def parsed(source: str) -> list[str]:
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, OWNERS)]
    nodes.sort(key=lambda node: node.body[0].lineno if node.body else 0)
    return [doc for node in nodes if (doc := ast.get_docstring(node, clean=False)) is not None]


@pytest.mark.filterwarnings("ignore:invalid escape")
@pytest.mark.parametrize(
    "source",
    [
        '"""Module."""\nx = 1\n',
        "# comment\n\n'''Module\n  two.'''\n",
        'r"""Raw \\d \\n."""\n',
        'def f():\n    """Escapes: \\t \\x41 \\u9759 \\N{BULLET} \\101 \\q \\\\ end\\\nof line."""\n',
        'class A(B, metaclass=M):  # why\n    # more\n\n    "One line."\n    def f(self): "Same line."\n',
        'def f(\n    a: dict[str, int] = {"k": 1},  # ): "no"\n    *,\n    b="):",\n) -> "T":\n    """Long head."""\n',
        'async def f(x=lambda: 0):\n    """Async."""\n    def g():\n        """Inner."""\n',
        'def f():\n    x = """no"""\n    if x:\n        """no"""\n    return {"a":\n        "no"\n    }\n',
        'def f():\n    b"""no"""\n\ndef g():\n    f"""no"""\n\ndef h():\n    """a %s""" % 1\n',
        'class A:\n    x: int\n    """no"""\n    y: "T"\n    """no"""\n',
        'x = 1\n"""no"""\n',
        'import a\n"no"\ndef f():\n    pass\n    """no"""\n',
        'def f(a, \\\n  b):\n    """Continued."""\n',
        'def f():\n    """"Quoted" and \\"""escaped\\"""."""\n',
        "text = \"\"\"\ndef no():\n    '''no'''\n\"\"\"\ndef f():\n    '''yes'''; x = 1\n",
        'def f():\n    """"""\n',
    ],
)
def test_the_scan_agrees_with_the_parser(source: str):
    assert list(docstrings(source)) == parsed(source)


@pytest.mark.parametrize("package", [json, logging, numpy, pyarrow])
def test_the_scan_agrees_with_the_parser_on_real_packages(package: object):
    folder = Path(inspect.getfile(package)).parent  # type: ignore[arg-type]
    missed = added = total = 0
    for path in sorted(folder.rglob("*.py"))[:120]:
        source = path.read_text(encoding="utf-8")
        expected, found = Counter(parsed(source)), Counter(docstrings(source))
        total += sum(len(text) * times for text, times in expected.items())
        missed += sum(len(text) * times for text, times in (expected - found).items())
        added += sum(len(text) * times for text, times in (found - expected).items())
    assert total > 1_000
    assert missed + added <= 0.01 * total


def test_a_module_is_one_document_of_its_dedented_docstrings():
    source = b'"""Top.\n\n    Indented.\n    """\nclass A:\n    """\n    Class.\n      More.\n    """\n'
    assert read_python(source, ReadOptions()) == Document(0, "Top.\n\nIndented.\n\nClass.\n  More.")


def test_a_module_without_docstrings_is_quarantined_as_empty():
    record = read_python(b"x = 1\n", ReadOptions())
    assert record == Malformed(0, "empty", "no docstring in the module")


def test_source_gives_the_text_of_the_file():
    assert read_python(b"x = 1\n", ReadOptions(python="source")) == Document(0, "x = 1\n")


def test_a_declared_source_encoding_is_read():
    text = '# -*- coding: latin-1 -*-\n"""Déjà vu."""\n'
    assert read_python(text.encode("latin-1"), ReadOptions()) == Document(0, "Déjà vu.")


def test_half_a_surrogate_pair_stays_an_escape_so_that_it_can_be_stored():
    assert list(docstrings('"""a \\ud83d b"""')) == ["a \\ud83d b"]


def test_a_string_without_end_and_code_of_another_python_do_not_stop_the_scan():
    assert list(docstrings('def f():\n    """Good."""\n    print "old"\n\ndef g():\n    """never closed')) == ["Good."]

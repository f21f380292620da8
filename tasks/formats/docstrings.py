"""Python files: the prose of their docstrings, found by one linear scan, or the program text itself.

Parsing every module of a large environment takes minutes. A scan for strings and comments that looks at what stands
before each string finds the same docstrings, also in files that this interpreter's grammar refuses.
"""

import inspect
import re
import sys
import unicodedata
from collections.abc import Iterator

from tasks.formats.charset import declared_encoding
from tasks.formats.plain_text import decode_text
from tasks.formats.records import Malformed, ReadOptions, Record, document_or_empty

_COOKIE = re.compile(rb"\A(?:[^\n]*\n)?[ \t\f]*#[^\n]*?coding[:=][ \t]*([-\w.]+)")  # PEP 263
# A triple-quoted string without end reaches to the end of the file, as for Python, so nothing is scanned twice. The
# loops are unrolled rather than possessive: before 3.11.5 `re` matches possessive groups wrongly (CPython gh-106052).
_TOKEN = re.compile(
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*(?:"""|\Z)'
    r"|'''[^'\\]*(?:(?:\\.|'(?!''))[^'\\]*)*(?:'''|\Z)"
    r'|"[^"\\\n]*(?:\\.[^"\\\n]*)*"'
    r"|'[^'\\\n]*(?:\\.[^'\\\n]*)*'"
    r"|\#[^\n]*",
    re.DOTALL,
)
_PREFIX = re.compile(r"(?<!\w)[rRuU]\Z")
_STATEMENT_END = re.compile(r"[ \t\f]*(?:[\n\r;#]|\Z)")
_HEADER = re.compile(r"[ \t\f]*(?:async[ \t]+)?(?:def|class)\b")
_LONGEST_HEADER = 10_000
_BRACKETS = re.compile(r"[(\[{][^()\[\]{}]*[)\]}]|\\\r?\n")
_BARE_HEADER = re.compile(r"[^\n:]*:")
_ESCAPE = re.compile(
    r"\\(?:(\r?\n)|([\\'\"abfnrtv])|([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|N\{([^}]+)\})"
)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def read_python(data: bytes, options: ReadOptions) -> Record:
    """A module as one document: its docstrings in source order with a blank line between, or its text."""
    source = decode_text(data, declared_encoding(data[:1000], _COOKIE))
    if options.python == "source":
        return document_or_empty(0, source)
    docs = [cleaned for text in docstrings(source.replace("\r\n", "\n")) if (cleaned := inspect.cleandoc(text))]
    if not docs:
        return Malformed(0, "empty", "no docstring in the module")
    return document_or_empty(0, "\n\n".join(docs))


def docstrings(source: str) -> Iterator[str]:
    """Docstrings of a module, its classes and its functions, escapes evaluated, not yet dedented."""
    scanned, code_at = 0, -1  # ends of what was scanned and of the last code, which is neither blank nor comment
    for token in _TOKEN.finditer(source):
        gap, at = source[scanned : token.start()], scanned
        scanned = token.end()
        is_string = source[token.start()] != "#"
        prefix = _PREFIX.search(gap) if is_string else None
        if code := gap[: len(gap) - 1 if prefix else None].rstrip():
            code_at = at + len(code) - 1
        if not is_string:
            continue
        if _is_statement(source, scanned) and (code_at < 0 or _ends_header(source, code_at)):
            yield from _value(token.group(), is_raw=prefix is not None and prefix.group() in "rR")
        code_at = scanned - 1


def _is_statement(source: str, end: int) -> bool:
    return _STATEMENT_END.match(source, end) is not None


def _ends_header(source: str, code_at: int) -> bool:
    """Whether the code up to here is the head of a function or a class, colon included."""
    if source[code_at] != ":":
        return False
    start = _header_start(source, code_at)
    if start < 0:
        return False
    head = source[start : code_at + 1]
    if '"' in head or "'" in head or "#" in head:
        head = _TOKEN.sub("", head)
    while True:  # innermost brackets first, as many times as they nest
        shorter = _BRACKETS.sub("", head)
        if shorter == head:
            return _BARE_HEADER.fullmatch(head) is not None
        head = shorter


def _header_start(source: str, code_at: int) -> int:
    """Where the nearest line before that begins like a function or a class starts, or -1."""
    lowest = max(0, code_at - _LONGEST_HEADER)
    while code_at > lowest:
        code_at = max(source.rfind("def ", lowest, code_at), source.rfind("class ", lowest, code_at))
        line = source.rfind("\n", 0, max(code_at, 0)) + 1
        if code_at >= 0 and _HEADER.match(source, line):
            return line
    return -1


def _value(literal: str, *, is_raw: bool) -> Iterator[str]:
    width = 3 if literal[:3] in ('"""', "'''") else 1
    if len(literal) < 2 * width or not literal.endswith(literal[:width]):
        return  # the end of the file came first
    body = literal[width:-width]
    yield body if is_raw or "\\" not in body else _ESCAPE.sub(_unescaped, body)


def _unescaped(match: re.Match[str]) -> str:
    line, char, octal, hex2, hex4, hex8, name = match.groups()
    if line:
        return ""
    if char:
        return _ESCAPED.get(char, char)
    if name:
        return _named(name) or match.group()
    code = int(octal, 8) if octal else int(hex2 or hex4 or hex8, 16)
    is_character = code <= sys.maxunicode and not 0xD800 <= code < 0xE000
    return chr(code) if is_character else match.group()


def _named(name: str) -> str | None:
    try:
        return unicodedata.lookup(name)
    except KeyError:
        return None

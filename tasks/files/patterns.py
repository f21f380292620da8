"""Glob patterns as regular expressions, compiled once for a whole tree.

The semantics are those of pathlib and the shells with globstar: `*` and `?` stay within a folder, `**` spans any number
of folders, `[ab]` and `[!ab]` are sets, `{a,b}` are alternatives and may be nested. A pattern is relative to the root
and matches the whole path; names that begin with a dot are names like any other.
"""

import re
from collections.abc import Iterable
from functools import lru_cache

from params.errors import ParameterError

_TOKEN = re.compile(
    r"(?P<folders>(?<![^/{,])\*\*/)|(?P<rest>(?<![^/{,])\*\*(?=[,}]|$))|\*+|\?|\[(?P<set>!?\]?[^\]]*)\]|[{},]|.", re.S
)


def compile_patterns(patterns: Iterable[str]) -> re.Pattern[str]:
    """One regular expression for `fullmatch` that accepts what any of the patterns accepts."""
    return re.compile("|".join(f"(?:{translate(pattern)})" for pattern in patterns) or r"(?!)")


@lru_cache(maxsize=1024)
def translate(pattern: str) -> str:
    """The regular expression of one glob pattern; ParameterError when it is none."""
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ParameterError(f"survey: pattern {pattern!r} leaves the source's folder; write it relative to path")
    depth, parts = 0, []
    for token in _TOKEN.finditer(pattern.removeprefix("./")):
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        if depth < 0:
            break
        parts.append(_translate_token(token, depth))
    if depth:
        raise ParameterError(f"survey: pattern {pattern!r} has an unbalanced brace; close it, or write [{{]")
    try:
        re.compile(expression := "".join(parts))
    except re.error as error:
        raise ParameterError(f"survey: pattern {pattern!r} is not a glob ({error}); mend the set in brackets") from None
    return expression


def _translate_token(token: re.Match[str], depth: int) -> str:
    text = token.group()
    if token["folders"]:
        return "(?:[^/]+/)*"
    if token["rest"]:
        return "(?s:.+)"
    if token["set"]:
        body = token["set"].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
        return f"(?!/)[{'^' + body[1:] if body.startswith('!') else body}]"
    if text.startswith("*"):
        return "[^/]*"
    if text == "," and depth:
        return "|"
    return {"?": "[^/]", "{": "(?:", "}": ")"}.get(text) or re.escape(text)

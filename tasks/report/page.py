"""One HTML file that needs no other: its style and its script lie in it, and a policy forbids it to load anything."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tasks.report.markup import Html, Part, tag
from tasks.report.words import Words


@dataclass(frozen=True)
class Section:
    """A part of the page, with a link to it at the top."""

    name: str
    title: Words
    body: Part


def page(title: str, head: Part, sections: Sequence[Section], *, foot: Part) -> str:
    """The whole document."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src '{_digest(script)}'; img-src data:"
    links = [tag("a", section.title, href=f"#{section.name}") for section in sections]
    bodies = [tag("section", tag("h2", section.title, id=section.name), section.body) for section in sections]
    head_tag = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        Html(f'<link rel="icon" href="data:,"><style>{style}</style>'),
    )
    switches = tag(
        "span",
        tag("button", tag("span", "中文", lang="en"), tag("span", "English", lang="zh-CN"), id="language"),
        tag("button", Words("light / dark", "浅色 / 深色"), id="theme"),
        class_="switches",
    )
    body = tag(
        "body",
        tag("header", tag("h1", title), switches),
        head,
        tag("nav", *links),
        tag("main", *bodies),
        tag("footer", foot),
        Html(f"<script>{script}</script>"),
    )
    return f"<!doctype html>\n{tag('html', head_tag, body, lang='en', data_language='en')}\n"


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _digest(script: str) -> str:
    """How a content security policy names a script: whatever slipped into the page as one would not run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()

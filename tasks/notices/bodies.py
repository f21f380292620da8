"""The JSON that each kind of webhook takes, and how requests are signed."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote_plus

from tasks.notices.message import MAX_REASONS, Notice, Told, bounded, fitted

Kind = Literal["slack", "feishu", "dingtalk", "wecom", "json"]
SCHEMA = 1
"""Of our own body; raised when a field changes its meaning or goes."""
_LIMIT_BYTES = {"slack": 4_000, "feishu": 20_000, "dingtalk": 15_000, "wecom": 4_096}
"""Slack: 4,000 characters are advised. Feishu: 20 KB a request. DingTalk: 15,000 bytes are accepted everywhere.
WeCom: 4,096 bytes of markdown."""


@dataclass(frozen=True)
class Request:
    """A POST to send."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def make_request(kind: Kind, url: str, notice: Notice, told: Told, *, secret: str | None, now_s: float) -> Request:
    """The request that tells a notice, signed where there is a secret; `now_s` is seconds since 1970."""
    if kind == "json":
        return _signed_json(url, notice, told, secret, now_s)
    if kind == "feishu":
        signature = _feishu_signature(secret, now_s) if secret is not None else {}
        return Request(url, _encoded(signature | _feishu(fitted(told, _feishu_size, _LIMIT_BYTES["feishu"]))))
    if kind == "dingtalk":
        short = fitted(told, lambda told: _encoded(_dingtalk(told)), _LIMIT_BYTES["dingtalk"])
        return Request(_dingtalk_url(url, secret, now_s), _encoded(_dingtalk(short)))
    if kind == "wecom":
        short = fitted(told, lambda told: _markdown(told).encode(), _LIMIT_BYTES["wecom"])
        return Request(url, _encoded({"msgtype": "markdown", "markdown": {"content": _markdown(short)}}))
    short = fitted(told, lambda told: _slack_text(told).encode(), _LIMIT_BYTES["slack"])
    return Request(url, _encoded({"text": _slack_text(short)}))


def problem_of(kind: Kind, reply: bytes) -> str | None:
    """What is wrong by a reply of status 2xx, or None: chats refuse with status 200 and a code in the body."""
    text = reply.decode("utf-8", errors="replace").strip()
    if kind == "json" or (kind == "slack" and text == "ok"):
        return None
    try:
        said = json.loads(text)
    except ValueError:
        return f"it answered {text[:200]!r}"
    code = "code" if kind == "feishu" else "errcode"
    return None if isinstance(said, dict) and said.get(code) == 0 else f"it answered {text[:200]}"


def _encoded(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _slack_text(told: Told) -> str:
    """Slack's mrkdwn, in which only & < > are escaped: docs.slack.dev/messaging/formatting-message-text."""
    lines = [f"*{_escaped(told.title)}*", *(f"*{label}:* {_escaped(text)}" for label, text in told.lines)]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _feishu(told: Told) -> dict[str, Any]:
    """A rich text message: open.feishu.cn, custom bot usage guide."""
    rows = [[{"tag": "text", "text": f"{label}: "}, _feishu_value(text)] for label, text in told.lines]
    return {"msg_type": "post", "content": {"post": {"zh_cn": {"title": told.title, "content": rows}}}}


def _feishu_value(text: str) -> dict[str, str]:
    return {"tag": "a", "text": text, "href": text} if _is_address(text) else {"tag": "text", "text": text}


def _feishu_size(told: Told) -> bytes:
    """The body with the room that a signature takes."""
    return _encoded({"timestamp": "0" * 10, "sign": "0" * 44} | _feishu(told))


def _feishu_signature(secret: str, now_s: float) -> dict[str, str]:
    """HMAC-SHA-256 of nothing, keyed with timestamp (seconds), line feed and secret, in base64."""
    timestamp = str(int(now_s))
    digest = hmac.new(f"{timestamp}\n{secret}".encode(), b"", hashlib.sha256).digest()
    return {"timestamp": timestamp, "sign": base64.b64encode(digest).decode()}


def _dingtalk(told: Told) -> dict[str, Any]:
    return {"msgtype": "markdown", "markdown": {"title": told.title, "text": _markdown(told)}}


def _dingtalk_url(url: str, secret: str | None, now_s: float) -> str:
    """HMAC-SHA-256 of timestamp (milliseconds), line feed and secret, keyed with the secret, in the query."""
    if secret is None:
        return url
    timestamp = str(int(now_s * 1000))
    digest = hmac.new(secret.encode(), f"{timestamp}\n{secret}".encode(), hashlib.sha256).digest()
    joint = "&" if "?" in url else "?"
    return f"{url}{joint}timestamp={timestamp}&sign={quote_plus(base64.b64encode(digest).decode())}"


def _markdown(told: Told) -> str:
    """What both DingTalk and WeCom show: a heading, and an item a line."""
    return "\n".join([f"### {told.title}", *(f"- **{label}**: {text}" for label, text in told.lines)])


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://")) and " " not in text


def _signed_json(url: str, notice: Notice, told: Told, secret: str | None, now_s: float) -> Request:
    """Our own body (docs/notices.md); the signature covers the timestamp too, so that no request can be replayed."""
    body = _encoded(_own(notice, told, now_s))
    if secret is None:
        return Request(url, body)
    timestamp = str(int(now_s))
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return Request(url, body, {"X-Gristmill-Timestamp": timestamp, "X-Gristmill-Signature": f"sha256={digest}"})


def _own(notice: Notice, told: Told, now_s: float) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "event": "test" if notice.verdict == "test" else "run.ended",
        "sent_at": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="seconds"),
        "verdict": notice.verdict,
        "run_id": notice.run_id,
        "preset": notice.preset,
        "model": notice.model,
        "host": notice.host,
        "seconds": notice.seconds,
        "reasons": [bounded(reason) for reason in notice.reasons[:MAX_REASONS]],
        "figures": dict(notice.figures),
        "links": dict(notice.links),
        "title": told.title,
        "text": told.plain,
    }

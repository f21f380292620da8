"""A notice to every channel at once, within a bounded time."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from params.notify import EmailParams, NotifyParams, WebhookParams
from tasks.notices.delivery import DeliveryError
from tasks.notices.message import Notice, Told, tell
from tasks.notices.redaction import redacted, secrets_of_url
from tasks.notices.smtp import mail_notice
from tasks.notices.webhooks import post_notice

_ATTEMPTS = 2
_GRACE_S = 1.0
"""Beyond the attempts' own time limits, which a server that drips its answer outlasts."""


@dataclass(frozen=True)
class Channel:
    """One way to tell people."""

    name: str
    """As in the preset, and whom it reaches: notify.webhooks.0 (feishu)."""
    missing: str | None
    """The environment variable that it needs and that is not set."""
    secrets: tuple[str, ...]
    deliver: Callable[[Notice, Told], None]


@dataclass(frozen=True)
class Delivery:
    """What became of a notice on one channel."""

    channel: str
    problem: str | None
    """None when it was delivered."""


def channels_of(params: NotifyParams, environ: Mapping[str, str] = os.environ) -> list[Channel]:
    """All channels, their secrets taken from the environment."""
    return [*_webhooks(params, environ), *_mail(params, environ)]


def send_notice(notice: Notice, params: NotifyParams, environ: Mapping[str, str] = os.environ) -> list[Delivery]:
    """Tell all channels and wait for them, at most twice the time of an attempt; nothing is raised.

    Each works in a daemon thread, so that one that hangs (a name server, a dripping answer) keeps nobody.
    """
    told = tell(notice, params.language)
    problems: dict[str, str | None] = {}
    threads = [
        (channel, threading.Thread(target=_try, args=(channel, notice, told, problems), daemon=True))
        for channel in channels_of(params, environ)
    ]
    for _, thread in threads:
        thread.start()
    deadline = time.monotonic() + _ATTEMPTS * params.timeout_s + _GRACE_S
    for _, thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [Delivery(channel.name, problems.get(channel.name, "no answer in time")) for channel, _ in threads]


def _try(channel: Channel, notice: Notice, told: Told, problems: dict[str, str | None]) -> None:
    if channel.missing is not None:
        problems[channel.name] = f"the environment variable {channel.missing} is not set"
        return
    for attempt in range(_ATTEMPTS):
        try:
            channel.deliver(notice, told)
        except DeliveryError as error:
            problem = redacted(str(error), channel.secrets)
            if error.is_passing and attempt + 1 < _ATTEMPTS:
                continue
            problems[channel.name] = problem
            return
        problems[channel.name] = None
        return


def _webhooks(params: NotifyParams, environ: Mapping[str, str]) -> Iterator[Channel]:
    for index, webhook in enumerate(params.webhooks):
        needed = [webhook.url_variable, *([webhook.secret_env] if webhook.secret_env else [])]
        url = environ.get(webhook.url_variable, "").strip()
        secret = environ.get(webhook.secret_env) if webhook.secret_env else None
        yield Channel(
            name=f"notify.webhooks.{index} ({webhook.kind})",
            missing=next((name for name in needed if not environ.get(name)), None),
            secrets=(*secrets_of_url(url), *([secret] if secret else [])),
            deliver=partial(_post, webhook, url, secret, params.timeout_s),
        )


def _post(webhook: WebhookParams, url: str, secret: str | None, timeout_s: float, notice: Notice, told: Told) -> None:
    post_notice(webhook.kind, url, notice, told, secret=secret, timeout_s=timeout_s)


def _mail(params: NotifyParams, environ: Mapping[str, str]) -> Iterator[Channel]:
    for index, email in enumerate(params.email):
        password = environ.get(email.password_env) if email.user is not None else None
        yield Channel(
            name=f"notify.email.{index} ({email.host})",
            missing=email.password_env if email.user is not None and not password else None,
            secrets=(password,) if password else (),
            deliver=partial(_send_mail, email, password, params.timeout_s),
        )


def _send_mail(email: EmailParams, password: str | None, timeout_s: float, _: Notice, told: Told) -> None:
    mail_notice(email, told, password=password, timeout_s=timeout_s)

"""Who is told when a run ends: never part of a result's identity, and never a secret in a preset."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from params.base import Params

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SIGNED = ("feishu", "dingtalk", "json")


class WebhookParams(Params):
    """An address that takes a JSON POST; the address is itself a secret, so a preset only names where it stands."""

    kind: Literal["slack", "feishu", "dingtalk", "wecom", "json"]
    """Whose format is sent: Slack, Feishu (or Lark), DingTalk, WeCom, or gristmill's own (docs/notices.md)."""
    url_env: str | None = None
    """Name of the environment variable that holds the address; null for GRISTMILL_ and the kind and _URL."""
    secret_env: str | None = None
    """Name of the environment variable that holds the secret to sign with (feishu, dingtalk, json); null for none."""

    @model_validator(mode="after")
    def _names_variables(self) -> Self:
        _check_name("url_env", self.url_env)
        _check_name("secret_env", self.secret_env)
        if self.secret_env is not None and self.kind not in _SIGNED:
            raise ValueError(f"{self.kind} signs nothing; remove secret_env")
        return self

    @property
    def url_variable(self) -> str:
        """The environment variable that holds the address."""
        return self.url_env or f"GRISTMILL_{self.kind.upper()}_URL"


class EmailParams(Params):
    """A mail server and whom it is to tell."""

    host: str = Field(min_length=1)
    """SMTP server."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Its port; null for 587 (starttls), 465 (tls) or 25 (none)."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """Encryption: begun by STARTTLS, from the first byte on, or none. Certificates are always verified."""
    sender: str | None = Field(default=None, pattern=r"^[^@\s]+@[^@\s]+$")
    """Address in From; null for the user, where that is an address, else gristmill@ this machine."""
    to: tuple[str, ...] = Field(min_length=1)
    """Addresses that get the message."""
    user: str | None = None
    """Name to log in with; null to send without logging in."""
    password_env: str = "GRISTMILL_SMTP_PASSWORD"
    """Name of the environment variable that holds the password."""

    @model_validator(mode="after")
    def _keeps_the_password(self) -> Self:
        _check_name("password_env", self.password_env)
        if self.user is not None and self.security == "none" and self.host not in _LOOPBACK:
            raise ValueError("a password is never sent unencrypted; set security to starttls or tls")
        if wrong := [address for address in self.to if not re.fullmatch(r"[^@\s]+@[^@\s]+", address)]:
            raise ValueError(f"to: {', '.join(map(repr, wrong))} is no e-mail address")
        return self

    @property
    def port_number(self) -> int:
        """The port to connect to."""
        return self.port or {"starttls": 587, "tls": 465, "none": 25}[self.security]


class NotifyParams(Params):
    """Told however a run ends; the console and the log always are."""

    language: Literal["en", "zh"] = "en"
    """Language of the messages."""
    webhooks: tuple[WebhookParams, ...] = ()
    """Chats and other addresses."""
    email: tuple[EmailParams, ...] = ()
    """Mail servers with their recipients."""
    timeout_s: float = Field(default=10.0, gt=0, le=60)
    """Seconds that a channel gets for an attempt; one that fails is tried once more."""

    @property
    def has_channels(self) -> bool:
        """Whether anyone is told beyond console and log."""
        return bool(self.webhooks or self.email)


def _check_name(field: str, name: str | None) -> None:
    """A value that is no name is not repeated in the error: it may be the secret itself."""
    if name is not None and not _NAME.fullmatch(name):
        raise ValueError(
            f"{field} must be the name of an environment variable (letters, digits and _), not the secret itself: "
            "presets are kept with every run"
        )

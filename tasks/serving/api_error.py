"""Errors as OpenAI's API shapes them."""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

_SHOWN = 60
_EITHER = {
    "prompt": "it must be a text, a list of texts, a list of token ids, or a list of such lists; no list may be empty",
    "stop": "it must be a text or a list of up to 16; none may be empty",
    "content": "it must be a text or a list of parts of the type text",
}
"""Fields of several types: pydantic would name only the first that does not fit."""


class ApiError(Exception):
    """A request that gets an error for an answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    @property
    def body(self) -> dict[str, Any]:
        """What the client reads."""
        kind = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}.get(self.status)
        fallback = "invalid_request_error" if self.status < 500 else "server_error"
        error = {"message": self.message, "type": kind or fallback, "param": self.param, "code": self.code}
        return {"error": error}

    def encoded(self) -> bytes:
        """The body as JSON."""
        return orjson.dumps(self.body)


def overloaded(message: str, *, status: int = 429, code: str = "queue_full") -> ApiError:
    """The server cannot take this now; the client had better come again."""
    return ApiError(status, message, code=code, headers={"Retry-After": "1"})


def of_validation(error: ValidationError) -> ApiError:
    """The first thing that is wrong with a body: the field, its value, and what it may be."""
    first = error.errors(include_url=False, include_context=False)[0]
    if not first["loc"]:
        reason = first["msg"].removeprefix("Value error, ")
        return ApiError(400, reason if first["type"] == "value_error" else "the body must be a JSON object")
    place, reason = _place(first["loc"]), first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return ApiError(400, f"{place}: no such parameter, or none that this server has", param=place)
    if first["type"] == "missing":
        return ApiError(400, f"{place} is missing", param=place)
    reason = _EITHER.get(place.rpartition(".")[2], reason[:1].lower() + reason[1:])
    value = repr(first["input"])
    shown = value if len(value) <= _SHOWN else value[:_SHOWN] + "…"
    return ApiError(400, f"{place} is {shown}: {reason}", param=place)


def _place(location: tuple[int | str, ...]) -> str:
    """The field at fault; behind one of several types pydantic goes on with the branch that it tried."""
    names = [str(part) for part in location]
    ends = [index for index, name in enumerate(names) if name in _EITHER]
    return ".".join(names[: ends[0] + 1] if ends else names)

"""What every request passes first: is the host ours, is the key known, is the server still open."""

from http import HTTPStatus

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tasks.serving.api_error import ApiError
from tasks.serving.api_keys import ApiKeys
from tasks.serving.exchange import error_response
from tasks.serving.service import Service

_OPEN_PATHS = frozenset(("/", "/health", "/ready", "/ping", "/metrics", "/favicon.ico"))
"""Neither text nor model is to be had there."""
_COUNTED = _OPEN_PATHS | {
    "/v1/models",
    "/v1/completions",
    "/v1/chat/completions",
    "/v1/classify",
    "/invocations",
    "/openapi.json",
}
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Door:
    """Middleware that lets requests through or answers with an error, and counts them."""

    def __init__(self, app: ASGIApp, service: Service, keys: ApiKeys) -> None:
        self.app, self.service, self.keys = app, service, keys
        self.only_local = not keys and service.params.host in LOOPBACK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                path = scope["path"] if scope["path"] in _COUNTED else "other"
                self.service.metrics.requests.labels(path, str(message["status"])).inc()
            await send(message)

        if (error := self._objection(HTTPConnection(scope))) is not None:
            await error_response(error)(scope, receive, counted)
        else:
            await self.app(scope, receive, counted)

    def _objection(self, request: HTTPConnection) -> ApiError | None:
        """Why a request may not come in."""
        if self.only_local and _host(request.headers.get("host", "")) not in LOOPBACK:
            # A web page anywhere can point its own name at 127.0.0.1 and have the visitor's browser ask here.
            return ApiError(HTTPStatus.MISDIRECTED_REQUEST, "this server answers to localhost and 127.0.0.1 only")
        if request.scope["path"] in _OPEN_PATHS:
            return None
        if self.service.is_draining:
            return ApiError(503, "the server is shutting down", code="shutting_down", headers={"Retry-After": "1"})
        if self.keys and _key(request) not in self.keys:
            headers = {"WWW-Authenticate": "Bearer"}
            return ApiError(
                401, "give a valid API key: Authorization: Bearer KEY", code="invalid_api_key", headers=headers
            )
        return None


def _key(request: HTTPConnection) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _host(header: str) -> str:
    """The host of a Host header, without port and brackets."""
    return header[1:].partition("]")[0] if header.startswith("[") else header.partition(":")[0]

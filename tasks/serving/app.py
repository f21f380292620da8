"""The HTTP interface: OpenAI's endpoints, SageMaker's, health, metrics and the page."""

import asyncio
import base64
import hashlib
import re
import time
from functools import cache, partial
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from tasks.serving.answers import ChatShape, CompletionShape
from tasks.serving.api_error import ApiError
from tasks.serving.api_keys import ApiKeys
from tasks.serving.door import Door
from tasks.serving.exchange import Exchange, Question, error_response
from tasks.serving.jobs import Ask, of_chat, of_completion
from tasks.serving.labelling import ClassifyRequest
from tasks.serving.loaded import AnyLoaded, Loaded, LoadedClassifier
from tasks.serving.openai_types import ChatRequest, CompletionRequest, parse, parse_either
from tasks.serving.service import Service

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def make_app(service: Service, keys: ApiKeys) -> FastAPI:
    """The application; the service's model may still have to be loaded."""
    # The interactive documentation of FastAPI loads scripts from elsewhere.
    app = FastAPI(title="Gristmill", docs_url=None, redoc_url=None)
    app.add_middleware(Door, service=service, keys=keys)
    _add_error_handlers(app)
    _add_answers(app, service)
    _add_state(app, service)
    app.add_api_route("/", page, methods=["GET", "HEAD"], include_in_schema=False)
    return app


def _add_answers(app: FastAPI, service: Service) -> None:
    async def completions(request: Request) -> Response:
        body = await read_body(request, service)
        return Exchange(service, completion_question(parse(body, CompletionRequest), service, len(body)))

    async def chats(request: Request) -> Response:
        body = await read_body(request, service)
        return Exchange(service, chat_question(parse(body, ChatRequest), service, len(body)))

    async def classify(request: Request) -> Response:
        return await _labels(parse(await read_body(request, service), ClassifyRequest), service)

    async def invocations(request: Request) -> Response:
        body = await read_body(request, service)
        with service.any_model(None) as loaded:
            if isinstance(loaded, LoadedClassifier):
                return await _labels(parse(body, ClassifyRequest), service)
        parsed = parse_either(body)
        if isinstance(parsed, ChatRequest):
            return Exchange(service, chat_question(parsed, service, len(body)))
        return Exchange(service, completion_question(parsed, service, len(body)))

    for path, endpoint, model, summary in (
        ("/v1/completions", completions, CompletionRequest, "Continue prompts"),
        ("/v1/chat/completions", chats, ChatRequest, "Answer in a conversation"),
        ("/v1/classify", classify, ClassifyRequest, "Tell the labels of texts"),
        ("/invocations", invocations, None, "SageMaker: any of these, by the model and by what the body holds"),
    ):
        schema = {"type": "object"} if model is None else model.model_json_schema()
        described = {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
        app.add_api_route(path, endpoint, methods=["POST"], summary=summary, openapi_extra=described)


def _add_state(app: FastAPI, service: Service) -> None:
    async def models() -> dict[str, Any]:
        with service.any_model(None) as loaded:
            return {"object": "list", "data": [_described(loaded, service)]}

    async def model(name: str) -> dict[str, Any]:
        with service.any_model(name) as loaded:
            return _described(loaded, service)

    async def health() -> Response:
        return JSONResponse(
            {"status": "ok"} if service.is_healthy else {"status": "broken"}, _status(service.is_healthy)
        )

    async def ready() -> Response:
        return JSONResponse({"ready": service.is_ready}, _status(service.is_ready))

    async def metrics() -> Response:
        return Response(service.metrics.text(), media_type=_METRICS_TYPE)

    for path, endpoint, summary in (
        ("/v1/models", models, "The model that is served"),
        ("/v1/models/{name}", model, "One model"),
        ("/health", health, "Whether the process is well"),
        ("/ready", ready, "Whether requests are welcome"),
        ("/ping", ready, "SageMaker: the same"),
        ("/metrics", metrics, "Figures for Prometheus"),
    ):
        app.add_api_route(path, endpoint, methods=["GET"], summary=summary, response_model=None)


def completion_question(parsed: CompletionRequest, service: Service, size_bytes: int) -> Question:
    """A completion as the exchange takes it."""

    def shape(loaded: Loaded, ask: Ask) -> CompletionShape:
        echoed = [prompt if isinstance(prompt, str) else loaded.decode(prompt) for prompt in parsed.prompts]
        return CompletionShape(parsed, loaded.name, loaded.token_bytes, echoed)

    ask = partial(of_completion, parsed, params=service.params)
    return Question(parsed.model, parsed.stream, size_bytes, ask, shape)


def chat_question(parsed: ChatRequest, service: Service, size_bytes: int) -> Question:
    """A chat as the exchange takes it."""

    def shape(loaded: Loaded, ask: Ask) -> ChatShape:
        return ChatShape(parsed, loaded.name, loaded.token_bytes)

    ask = partial(of_chat, parsed, params=service.params)
    return Question(parsed.model, parsed.stream, size_bytes, ask, shape)


async def _labels(request: ClassifyRequest, service: Service) -> Response:
    """The answer to a request for labels. Raises ApiError."""
    limit, began = service.params.request_timeout_s, time.perf_counter()
    with service.classifier(request.model) as loaded:
        try:
            async with asyncio.timeout(limit):
                found, tokens = await loaded.labeller.label(request)
        except TimeoutError:
            raise ApiError(504, f"the answer took more than {limit:g} s", code="timeout") from None
        service.metrics.prompt_tokens.inc(tokens)
        service.metrics.duration.observe(time.perf_counter() - began)
        return JSONResponse(
            {
                "object": "list",
                "model": loaded.name,
                "data": [{"index": index, **one} for index, one in enumerate(found)],
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )


async def read_body(request: Request, service: Service) -> bytes:
    """The body of a request within the limits. Raises ApiError 408, 413 and 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, f"Content-Type is {kind[:60]!r}; it must be application/json")
    limit = service.params.max_body_bytes
    too_large = ApiError(413, f"the request has more than {limit:,} bytes", code="request_too_large")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(service.params.body_timeout_s):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise ApiError(408, f"the request did not arrive in {service.params.body_timeout_s:g} s") from None
    return bytes(body)


async def page() -> Response:
    """The chat and completion page."""
    content, policy = _page()
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)


@cache
def _page() -> tuple[str, str]:
    """The page, and a policy under which only its own script and style run, and it talks to this server alone."""
    content = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
    rules = [
        "default-src 'none'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    for tag in ("script", "style"):
        found = re.search(rf"<{tag}>(.*?)</{tag}>", content, re.DOTALL)
        assert found is not None
        digest = base64.b64encode(hashlib.sha256(found[1].encode()).digest()).decode()
        rules.append(f"{tag}-src 'sha256-{digest}'")
    return content, "; ".join([*rules, "img-src data:"])


def _add_error_handlers(app: FastAPI) -> None:
    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return error_response(error)

    async def misdirected(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return error_response(ApiError(error.status_code, f"{request.method} {request.url.path}: {error.detail}"))

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=499)

    async def failed(request: Request, error: Exception) -> Response:
        return error_response(ApiError(500, "the server failed at this; its log says why"))

    app.add_exception_handler(ApiError, refused)
    app.add_exception_handler(HTTPException, misdirected)
    app.add_exception_handler(ClientDisconnect, gone)
    app.add_exception_handler(Exception, failed)


def _described(loaded: AnyLoaded, service: Service) -> dict[str, Any]:
    about = {
        "id": loaded.name,
        "object": "model",
        "created": loaded.created,
        "owned_by": "gristmill",
        "version": loaded.version,
        "variant": loaded.variant,
    }
    if isinstance(loaded, LoadedClassifier):
        model = loaded.labeller.model
        return about | {"context_length": model.context_length, "labels": model.labels}
    return about | {
        "context_length": loaded.settings.context_length,
        "max_tokens": service.params.max_tokens or loaded.settings.context_length,
        "chat": loaded.chat is not None,
        "sampling": loaded.settings.sampling,
    }


def _status(good: bool) -> int:
    return 200 if good else 503

"""Bodies of requests, as in OpenAI's API reference, with top_k added."""

from typing import Annotated, Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.serving.api_error import ApiError, of_validation

MAX_TOP_LOGPROBS = 20
_MAX_STOPS = 16
_Stop = Annotated[str, Field(min_length=1, max_length=1000)]
_Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
_Penalty = Annotated[float, Field(ge=-2, le=2)]
_Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Body = TypeVar("Body", bound=BaseModel)


class _Strict(BaseModel):
    """Wrong types are errors, and so is what the server does not know: better than an answer to another question."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)


class StreamOptions(_Strict):
    """How to stream."""

    include_usage: bool = False
    include_obfuscation: bool = False


class GenerationRequest(_Strict):
    """What completions and chats have in common. None takes the model's own setting."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0, lt=2**31)
    """Not OpenAI's: only the k likeliest tokens, 0 for all."""
    n: int = Field(default=1, ge=1)
    seed: _Seed | None = None
    stop: _Stop | Annotated[list[_Stop], Field(max_length=_MAX_STOPS)] | None = None
    max_tokens: int | None = Field(default=None, ge=0)
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    user: str | None = None
    store: bool | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop sequences."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def includes_usage(self) -> bool:
        """A stream ends with the number of tokens."""
        return self.stream_options is not None and self.stream_options.include_usage


class CompletionRequest(GenerationRequest):
    """POST /v1/completions."""

    prompt: str | _Tokens | Annotated[list[str] | list[_Tokens], Field(min_length=1)]
    echo: bool = False
    logprobs: int | None = Field(default=None, ge=0, le=MAX_TOP_LOGPROBS)
    best_of: Literal[1] | None = None
    suffix: Literal[""] | None = None

    @model_validator(mode="after")
    def _makes_something(self) -> "CompletionRequest":
        if self.max_tokens == 0 and not self.echo:
            raise ValueError("max_tokens of 0 makes nothing without echo")
        return self

    @property
    def prompts(self) -> list[str] | list[list[int]]:
        """Each prompt, as text or as token ids."""
        if isinstance(self.prompt, str):
            return [self.prompt]
        if isinstance(self.prompt[0], int):
            return [self.prompt]
        return self.prompt


class TextPart(_Strict):
    """A piece of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(_Strict):
    """A turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None
    refusal: None = None

    @property
    def text(self) -> str:
        """What was said."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class ChatRequest(GenerationRequest):
    """POST /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(default=None, ge=0, le=MAX_TOP_LOGPROBS)

    @model_validator(mode="after")
    def _is_consistent(self) -> "ChatRequest":
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self


def parse(body: bytes, model: type[Body]) -> Body:
    """A request from the bytes of its body. Raises ApiError 400 with the place and the reason."""
    return _validated(_decoded(body), model)


def parse_either(body: bytes) -> CompletionRequest | ChatRequest:
    """A chat if the body holds messages, else a completion. Raises ApiError 400."""
    found = _decoded(body)
    if isinstance(found, dict) and "messages" in found:
        return _validated(found, ChatRequest)
    return _validated(found, CompletionRequest)


def _decoded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"the body is no JSON in UTF-8: {error}", code="invalid_json") from None


def _validated(found: Any, model: type[Body]) -> Body:
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise of_validation(error) from None

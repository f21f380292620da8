"""Requests to the texts that the engine continues: tokens, limits, and the model's own settings where none is given."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from params.serve import ServeParams
from tasks.serving.api_error import ApiError
from tasks.serving.batch import Job
from tasks.serving.chat_template import ChatError, Message
from tasks.serving.loaded import Loaded
from tasks.serving.openai_types import ChatRequest, CompletionRequest, GenerationRequest
from tasks.serving.sampling import Rule

_COMPLETION_TOKENS = 16
"""OpenAI's default of max_tokens for completions; an answer in a chat may fill the context."""


@dataclass(frozen=True)
class Ask:
    """What a request asks of the model."""

    jobs: tuple[Job, ...]
    prompts: tuple[tuple[int, ...], ...]
    """Each once; the jobs are n of each in turn."""
    stops: tuple[str, ...]


def of_completion(request: CompletionRequest, loaded: Loaded, params: ServeParams) -> Ask:
    """The texts of a completion. Raises ApiError."""
    prompts = [_tokens(prompt, loaded) for prompt in request.prompts]
    end_tokens = frozenset((loaded.settings.eos_token_id,))
    if request.echo and loaded.model.encoder is not None:
        raise ApiError(400, f"{loaded.name} reads a prompt and writes another text; it echoes none", param="echo")
    scores_prompt = request.echo and request.logprobs is not None
    max_tokens = _COMPLETION_TOKENS if request.max_tokens is None else request.max_tokens
    rule = _rule(request, loaded, top_logprobs=request.logprobs)
    return _ask(request, prompts, loaded, params, Job((), rule, max_tokens, end_tokens, scores_prompt))


def of_chat(request: ChatRequest, loaded: Loaded, params: ServeParams) -> Ask:
    """The answer in a conversation. Raises ApiError."""
    if loaded.chat is None:
        raise ApiError(400, f"{loaded.name} has no chat template; use /v1/completions", code="no_chat_template")
    turns = [Message("system" if m.role == "developer" else m.role, m.text) for m in request.messages]
    try:
        prompt = tuple(loaded.chat.encode(turns))
    except ChatError as error:
        raise ApiError(400, str(error), param="messages") from None
    end_tokens = loaded.chat.end_tokens | {loaded.settings.eos_token_id}
    given = request.max_completion_tokens or request.max_tokens
    most = params.max_tokens or loaded.settings.context_length
    rule = _rule(request, loaded, top_logprobs=(request.top_logprobs or 0) if request.logprobs else None)
    return _ask(request, [prompt], loaded, params, Job((), rule, given or most, end_tokens))


def _ask(
    request: GenerationRequest, prompts: Sequence[tuple[int, ...]], loaded: Loaded, params: ServeParams, job: Job
) -> Ask:
    """The jobs of some prompts, all like `job`."""
    if len(prompts) * request.n > params.max_choices:
        raise ApiError(
            400,
            f"{len(prompts)} prompts times n = {request.n} are more than the {params.max_choices} texts of a request",
            param="n",
        )
    for prompt in prompts:
        _check_room(len(prompt), job.max_tokens, loaded, params)
    owners = [prompt for prompt in prompts for _ in range(request.n)]
    jobs = tuple(
        replace(job, prompt=prompt, rule=replace(job.rule, index=index % request.n))
        for index, prompt in enumerate(owners)
    )
    return Ask(jobs, tuple(prompts), request.stops)


def _tokens(prompt: str | list[int], loaded: Loaded) -> tuple[int, ...]:
    if isinstance(prompt, str):
        return tuple(loaded.model.encode(prompt))
    unknown = next((token for token in prompt if token >= loaded.settings.vocab_size), None)
    if unknown is not None:
        raise ApiError(400, f"token {unknown} is not among the model's {loaded.settings.vocab_size}", param="prompt")
    return tuple(prompt)


def _check_room(length: int, max_tokens: int, loaded: Loaded, params: ServeParams) -> None:
    context = loaded.settings.context_length
    if length > (loaded.model.longest if max_tokens else context):
        raise ApiError(
            400,
            f"the prompt has {length} tokens, the model's context holds {context}, the answer's counted; shorten it",
            param="prompt",
            code="context_length_exceeded",
        )
    most = params.max_tokens or context
    if max_tokens > most:
        raise ApiError(400, f"max_tokens is {max_tokens}; it may be {most} at most", param="max_tokens")


def _rule(request: GenerationRequest, loaded: Loaded, *, top_logprobs: int | None) -> Rule:
    own = loaded.model.sampling()
    return Rule(
        temperature=own.temperature if request.temperature is None else request.temperature,
        top_k=own.top_k if request.top_k is None else request.top_k,
        top_p=own.top_p if request.top_p is None else request.top_p,
        seed=None if request.seed is None else request.seed % 2**64,
        frequency_penalty=request.frequency_penalty or 0.0,
        presence_penalty=request.presence_penalty or 0.0,
        logit_bias=_bias(request, loaded.settings.vocab_size),
        top_logprobs=top_logprobs,
    )


def _bias(request: GenerationRequest, vocab_size: int) -> dict[int, float]:
    biases: dict[int, float] = {}
    for name, bias in (request.logit_bias or {}).items():
        if not (name.isascii() and name.isdigit() and len(name) < len(str(vocab_size)) + 1 and int(name) < vocab_size):
            raise ApiError(400, f"logit_bias: {name[:20]!r} is no token id below {vocab_size}", param="logit_bias")
        biases[int(name)] = bias
    return biases

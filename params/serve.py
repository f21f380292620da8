"""How a model is served: where, for how many at once, and what a request may ask for."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import Field, ValidationError

from params.base import Params
from params.errors import ParameterError


class ServeParams(Params):
    """Settings of the server; none of them changes what a model answers."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on; one that other machines reach needs API keys, or `open`."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 lets the system choose one."""
    open: bool = False
    """Serve other machines without API keys."""
    variant: str | None = None
    """The ONNX variant (fp32, int8 …); null for the one that the bundle names as served."""
    threads: int = Field(default=1, ge=1)
    """Threads of one step of the model; 1 is fastest up to some ten million parameters."""
    max_batch: int = Field(default=16, ge=1, le=1024)
    """Texts that are continued together; further ones wait."""
    max_cache_gb: float = Field(default=4.0, gt=0)
    """Memory for keys and values; fewer texts than max_batch go together where it does not hold them."""
    max_queue: int = Field(default=256, ge=0)
    """Texts that may wait; a request that finds no room gets 429."""
    prefill_tokens: int = Field(default=128, ge=1)
    """Prompt tokens that are read between two steps of the others, so that a long prompt stalls nobody."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Most new tokens that a request may ask for; null for the model's context."""
    max_choices: int = Field(default=16, ge=1)
    """Most texts of one request: prompts times n."""
    max_body_bytes: int = Field(default=1_000_000, ge=1)
    """Largest request; a larger one gets 413."""
    body_timeout_s: float = Field(default=10.0, gt=0)
    """Time in which a request's head must have arrived, and again its body; then it is closed, or gets 408."""
    request_timeout_s: float = Field(default=300.0, gt=0)
    """Time for the whole answer, waiting included; then 504."""
    send_timeout_s: float = Field(default=30.0, gt=0)
    """A client that takes nothing of its stream for so long is given up."""
    shutdown_s: float = Field(default=30.0, ge=0)
    """Time that requests under way have to end after SIGTERM."""
    reload_s: float = Field(default=5.0, gt=0)
    """Time between two looks at the registry, whether the alias has moved."""

    @classmethod
    def load(cls, values: Mapping[str, Any]) -> "ServeParams":
        """The settings with some values. Raises ParameterError with the name, the value and the remedy."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ParameterError("\n".join(_explain(problem) for problem in error.errors())) from None


def _explain(problem: Any) -> str:
    name = ".".join(map(str, problem["loc"]))
    if problem["type"] == "extra_forbidden":
        close = get_close_matches(name, ServeParams.model_fields, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there is {', '.join(ServeParams.model_fields)}"
        return f"no setting {name} of the server; {hint}"
    return f"{name} is {problem['input']!r}; {problem['msg'].replace('Input should be', 'it must be')}"

"""What each part of a model is worth: the loss without a layer, and how much a neuron writes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tasks.training.batch import IGNORED, Batch
from tasks.training.objective import token_losses

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_LAYERS = ("model.layers", "transformer.h")
_OUTPUTS = ("mlp.down_proj", "mlp.c_proj")


def layers_of(model: "PreTrainedModel") -> Any:
    """The list of a causal model's transformer blocks."""
    for name in _LAYERS:
        part: Any = model
        for step in name.split("."):
            part = getattr(part, step, None)
        if part is not None:
            return part
    raise AssertionError(f"{type(model).__name__} keeps its layers elsewhere")


def mean_loss(model: "PreTrainedModel", batches: Sequence[Batch]) -> float:
    """Nats per token."""
    with torch.inference_mode():
        total = sum(float(token_losses(model, batch).double().sum()) for batch in batches)
    return total / sum(int((batch.targets != IGNORED).sum()) for batch in batches)


def losses_without_a_layer(model: "PreTrainedModel", batches: Sequence[Batch]) -> list[float]:
    """Nats per token with each layer in turn passing on what it gets (Gromov et al. 2024; Minitron, section 2.3)."""
    found = []
    for layer in layers_of(model):
        with _skipped(layer):
            found.append(mean_loss(model, batches))
    return found


def neuron_scores(model: "PreTrainedModel", batches: Sequence[Batch]) -> list[torch.Tensor]:
    """For every layer the mean activation of each feed-forward neuron times the norm of its output weights."""
    projections = [_output(layer) for layer in layers_of(model)]
    sums = [torch.zeros(()) for _ in projections]

    def watch(index: int) -> Any:
        def add(_module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            sums[index] = sums[index] + inputs[0].detach().abs().double().flatten(0, -2).sum(0)

        return add

    hooks = [part.register_forward_pre_hook(watch(index)) for index, part in enumerate(projections)]
    try:
        mean_loss(model, batches)
    finally:
        for hook in hooks:
            hook.remove()
    return [total * _norms(part, len(total)).double() for total, part in zip(sums, projections, strict=True)]


@contextmanager
def _skipped(layer: Any) -> Iterator[None]:
    """The layer gives what it is given, in the form in which it gives its own result."""
    forward = layer.forward

    def skip(hidden_states: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        made = forward(hidden_states, *args, **kwargs)
        return hidden_states if isinstance(made, torch.Tensor) else (hidden_states, *made[1:])

    layer.forward = skip
    try:
        yield
    finally:
        del layer.forward


def _output(layer: Any) -> Any:
    for name in _OUTPUTS:
        part = layer
        for step in name.split("."):
            part = getattr(part, step, None)
        if part is not None:
            return part
    raise AssertionError(f"{type(layer).__name__} has another kind of feed-forward layer")


def _norms(projection: Any, neurons: int) -> torch.Tensor:
    """Norm of what each neuron writes; torch's Linear keeps (outputs, neurons), GPT-2's Conv1D the other way round."""
    weight = projection.weight.detach()
    is_linear = isinstance(projection, torch.nn.Linear)
    assert weight.shape[1 if is_linear else 0] == neurons
    norms: torch.Tensor = torch.linalg.vector_norm(weight, dim=0 if is_linear else 1)
    return norms

"""Weights, gradients and optimizer states shared out among the ranks: torch's FSDP2, and whole tensors out of it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import distributed

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from params.run import Parallel


def share_out(loss: torch.nn.Module, layers: Iterable[torch.nn.Module], *, parallel: "Parallel") -> None:
    """Let each rank hold a part of every weight, in place; a layer's are gathered when it is its turn.

    With zero3 they are dropped again after each layer, forward and backward (ZeRO stage 3, Rajbhandari et al. 2020);
    with zero2 they stay from the way forward to the way back, which costs memory and saves communication.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    device = next(loss.parameters()).device.type
    mesh = init_device_mesh(device, (distributed.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh, reshard_after_forward=parallel == "zero3")
    fully_shard(loss, mesh=mesh, reshard_after_forward=parallel == "zero3")


def split_layers(model: "PreTrainedModel") -> list[torch.nn.Module]:
    """The layers that transformers itself says not to split."""
    names = set(model._no_split_modules or ())
    return [module for module in model.modules() if type(module).__name__ in names]


@contextmanager
def opened(loss: torch.nn.Module) -> Iterator[None]:
    """While the model is called without its loss around it: what lies outside of its layers is whole."""
    from torch.distributed.fsdp import FSDPModule

    if isinstance(loss, FSDPModule):
        loss.unshard()
    yield
    if isinstance(loss, FSDPModule):
        loss.reshard()


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a tensor of which this rank holds a part, to be called on every rank; any other as it is."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_like(full: torch.Tensor, model: torch.Tensor) -> torch.Tensor:
    """A whole tensor, the same on every rank, as parts like those of another; whole where that one is whole."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    full = full.to(model.device)
    if not isinstance(model, DTensor) or full.shape != model.shape:
        return full
    return distribute_tensor(full, model.device_mesh, model.placements)


def gathered(tensors: Mapping[str, torch.Tensor], *, keep: bool) -> dict[str, torch.Tensor]:
    """All tensors whole, one after the other, on the ranks that `keep` them: those that are shared out in main memory,
    so that the model never lies whole on a device. To be called on every rank."""
    from torch.distributed.tensor import DTensor

    found: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        full = whole(tensor)
        if keep:
            found[name] = full.cpu() if isinstance(tensor, DTensor) else full
    return found

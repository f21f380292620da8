"""From a run's parameters to the numbers that the estimate works with: the one place that reads them."""

from dataclasses import dataclass

from params.errors import ParameterError
from params.run import RunParams
from params.train import TrainParams
from tasks.estimation.layout import Layout, Strategy
from tasks.estimation.pace import Step
from tasks.estimation.shape import ModelShape
from tasks.hardware.accelerators import Precision
from tasks.training.extent import TWO_SIDED

_EVALUATED_AT_ONCE = 16
"""Most blocks that the training loop evaluates in one forward pass."""


@dataclass(frozen=True)
class Target:
    """The devices that a run is estimated for."""

    name: str
    devices: int
    precision: Precision
    """Of matrix products, `auto` resolved."""
    on_gpu: bool
    available: int | None
    """Bytes that each rank may take; None where nobody knows."""
    compiled: bool = True
    """Whether the model is compiled."""
    strategy: Strategy = "ddp"
    """What each of several devices holds."""


def layout_of(
    params: TrainParams, target: Target, *, strategy: Strategy | None = None, checkpointing: bool = False
) -> Layout:
    """How a training section lies on devices; a micro-batch is never more than a device's share of the batch."""
    share, left = divmod(params.batch_blocks, target.devices)
    if left:
        raise ParameterError(
            f"train.batch_blocks {params.batch_blocks} cannot be shared among {target.devices} devices; "
            f"set it to a multiple, such as {target.devices * (share + 1)}"
        )
    return Layout(
        micro_blocks=min(share, params.micro_blocks) if isinstance(params.micro_blocks, int) else share,
        eval_rows=min(_EVALUATED_AT_ONCE, params.eval_blocks),
        devices=target.devices,
        strategy=strategy or target.strategy,
        checkpointing=checkpointing or params.checkpoint_activations,
        half=target.precision != "fp32",
        muon=params.optimizer.name == "muon",
        on_gpu=target.on_gpu,
        compiled=target.compiled,
        sides=2 if params.objective in TWO_SIDED else 1,
        has_reference=params.objective == "preference",
        copies_reference=params.objective == "preference" and params.model.lora is None,
    )


def step_of(params: TrainParams, shape: ModelShape, layout: Layout) -> Step:
    """The optimizer step of a training section."""
    steps = params.optimizer.newton_schulz_steps if params.optimizer.name == "muon" else 0
    return Step(shape, layout, params.batch_blocks, steps)


def this_machine(params: TrainParams, settings: RunParams) -> Target:
    """The machine that this process runs on, its memory shared among the ranks."""
    import torch

    from tasks.hardware.free_memory import free_memory
    from tasks.training.objective import has_bf16

    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    wanted = params.precision
    precision: Precision = wanted if wanted != "auto" else "bf16" if has_bf16(device) else "fp32"
    if on_gpu:
        available: int | None = torch.cuda.mem_get_info()[0]
        name = torch.cuda.get_device_name()
    else:
        free = free_memory()
        available = None if free is None else free.size_bytes // settings.ranks
        name = "this machine" if free is None or free.bound == "machine" else f"this machine ({free.bound})"
    devices = settings.ranks * settings.nodes
    return Target(name, devices, precision, on_gpu, available, settings.compile, settings.parallel)

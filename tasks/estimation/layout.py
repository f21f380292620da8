"""How a training step lies on the devices: what decides its memory."""

from dataclasses import dataclass
from typing import Literal

Strategy = Literal["ddp", "zero1", "zero2", "zero3"]
STRATEGIES: tuple[Strategy, ...] = ("ddp", "zero2", "zero3")
"""The settings of run.parallel; ZeRO-1 has none, for ZeRO-2 saves more and moves no more."""
NAMES: dict[Strategy, str] = {
    "ddp": "DDP (a copy on every device)",
    "zero1": "ZeRO-1 (optimizer shared out)",
    "zero2": "ZeRO-2 (and gradients)",
    "zero3": "ZeRO-3 / FSDP (and weights)",
}


@dataclass(frozen=True)
class Layout:
    """One way to run a training step."""

    micro_blocks: int
    """Blocks of a forward pass on one device."""
    eval_rows: int
    """Blocks of a forward pass of the evaluation."""
    devices: int = 1
    strategy: Strategy = "ddp"
    checkpointing: bool = False
    """Keep only the inputs of layers, and compute the rest again on the way back."""
    half: bool = True
    """16-bit matrix products over float32 weights (autocast), or float32 throughout."""
    muon: bool = True
    """Muon on the layers' matrices and AdamW on the rest, or AdamW on everything."""
    on_gpu: bool = False
    compiled: bool = False
    """Whether torch.compile works on it, which keeps fewer activations."""
    sides: int = 1
    """Rows of a block: two where each example has two texts."""
    has_reference: bool = False
    """A frozen model goes forward beside the one that learns, as in preference tuning …"""
    copies_reference: bool = False
    """… and is one of its own: with adapters it is the model without them."""

    @property
    def rows(self) -> int:
        """Rows of a forward pass on one device."""
        return self.micro_blocks * self.sides

    @property
    def work(self) -> float:
        """Arithmetic of a block over that of a row that goes forward and, which is twice as much, back."""
        return self.sides * (4 / 3 if self.has_reference else 1)

    def shared(self, *stages: Strategy) -> int:
        """Among how many devices something is shared out that these strategies share out."""
        return self.devices if self.strategy in stages else 1

"""How long a step takes: measured here, or worked out for a machine that is not here."""

from dataclasses import dataclass

from tasks.estimation.arithmetic import muon_flops, token_flops
from tasks.estimation.layout import Layout
from tasks.estimation.memory import layer_activation_bytes
from tasks.estimation.parameters import count_parameters
from tasks.estimation.shape import ModelShape
from tasks.hardware.accelerators import Accelerator, Precision

_REACHED_BANDWIDTH = 0.8
"""Share of the memory bandwidth that streaming kernels reach."""
_REACHED_LINK = 0.7
"""Share of the link that all-reduce reaches, of each of its two directions."""
_LAUNCH_S = 4e-6
_HOST_S = 2e-3
"""Python's part of a step, during which the device waits: the next batch, the loss read back, the stop rules."""
_LAUNCHES_PER_LAYER = 60
"""Kernels of a layer, forward and backward, where torch.compile fuses the element-wise ones."""
_SHARES_HERE = {True: 0.5, False: 0.35}
"""Share of the measured matrix peak that a step reaches, compiled and not: measured with 12 million
parameters on two Zen 5 cores (53 % compiled, AdamW)."""


@dataclass(frozen=True)
class Pace:
    """Seconds of the pieces of a run."""

    step_s: float
    start_s: float
    """From the command to the first step, compilation included."""
    source: str
    """Where the figures come from."""

    def tokens_per_s(self, tokens_per_step: int) -> float:
        """Speed while it trains."""
        return tokens_per_step / self.step_s


@dataclass(frozen=True)
class Step:
    """What one optimizer step does."""

    shape: ModelShape
    layout: Layout
    batch_blocks: int
    """Over all devices."""
    newton_schulz_steps: int = 0

    @property
    def tokens(self) -> int:
        """Positions of a step, counted once where examples have two texts."""
        return self.batch_blocks * self.shape.context

    @property
    def model_flops(self) -> float:
        """Operations of the model in a step, over all devices: the ones that count towards the share of peak."""
        return self.tokens * self.layout.work * token_flops(self.shape).total

    @property
    def executed_flops(self) -> float:
        """With what checkpointing does twice and with Muon's iterations, which every device does for itself."""
        once = token_flops(self.shape).executed(checkpointing=self.layout.checkpointing)
        again = self.tokens * self.layout.work * once
        muon = muon_flops(self.shape, newton_schulz_steps=self.newton_schulz_steps) if self.layout.muon else 0
        return again + muon * self.layout.devices


def pace_from_peak(step: Step, *, peak_flops: float, compiled: bool) -> Pace:
    """The pace that a matrix peak measured here (operations per second of all ranks together) lets one expect."""
    share = _SHARES_HERE[compiled]
    how = "compiled" if compiled else "uncompiled"
    told = f"{share:.0%} of the matrix peak measured here, {peak_flops / 1e9:,.0f} GFLOP/s, as {how} steps reach"
    return Pace(step.executed_flops / (share * peak_flops), 40.0 if compiled else 10.0, told)


def pace_on(accelerator: Accelerator, step: Step, *, precision: Precision) -> Pace:
    """The pace on devices of a table: arithmetic, memory traffic or launches, whichever takes longest, then the update
    and what communication the way back cannot hide."""
    shape, layout = step.shape, step.layout
    passes = max(1, step.batch_blocks // (layout.devices * layout.micro_blocks))
    arithmetic_s = step.executed_flops / layout.devices / accelerator.peak_flops(precision) / accelerator.expected[0]
    bandwidth = 1e9 * accelerator.bandwidth_gb_s * _REACHED_BANDWIDTH
    traffic_s = step.tokens / layout.devices * _traffic_per_token(shape, layout) / bandwidth
    launch_s = passes * shape.layers * _LAUNCHES_PER_LAYER * _LAUNCH_S
    update_s = 28 * count_parameters(shape).total / layout.shared("zero1", "zero2", "zero3") / bandwidth
    forward_backward_s = max(arithmetic_s, traffic_s, launch_s)
    exposed_s = max(0.0, _communication_s(accelerator, step, passes) - forward_backward_s * 2 / 3)
    share = step.model_flops / layout.devices / accelerator.peak_flops(precision)
    step_s = forward_backward_s + update_s + exposed_s + _HOST_S
    told = f"{share / step_s:.0%} of the {precision} peak ({accelerator.source}); no more than "
    told += f"{accelerator.expected[0]:.0%} expected ({accelerator.expected[1]}), less where other things take longer"
    return Pace(step_s, 90.0, told)


def _traffic_per_token(shape: ModelShape, layout: Layout) -> float:
    """Bytes to and from memory: what layers keep is written and read, and so are its gradients, half of it after
    fusion; logits are passed over six times."""
    kept = layer_activation_bytes(shape, half=layout.half) - (2 if layout.half else 4) * shape.context
    again = 1.5 if layout.checkpointing else 1.0
    return layout.sides * (2 * again * shape.layers * kept + 6 * 4 * shape.vocab_size)


def _communication_s(accelerator: Accelerator, step: Step, passes: int) -> float:
    """An all-reduce of the gradients moves 2 (n - 1) / n of their bytes; ZeRO-3 gathers the weights twice besides, and
    does so in every pass (Rajbhandari et al. 2020, section 7)."""
    layout = step.layout
    if layout.devices == 1:
        return 0.0
    volume = 4 * count_parameters(step.shape).total * 2 * (layout.devices - 1) / layout.devices
    factor = 1.5 * passes if layout.strategy == "zero3" else 1.0
    return volume * factor / (1e9 * accelerator.link_gb_s / 2 * _REACHED_LINK)

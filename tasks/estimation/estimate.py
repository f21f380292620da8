"""The whole estimate of a run, from its parameters and what the store knows of its text."""

from dataclasses import asdict, dataclass
from typing import Any

from params.objective import FROM_EXAMPLES
from params.pipeline import PipelineParams
from tasks.estimation.adapting import Target, layout_of, step_of
from tasks.estimation.advice import Advice, advise
from tasks.estimation.arithmetic import TokenFlops, token_flops
from tasks.estimation.corpus import Corpus
from tasks.estimation.disk import DiskParts, disk_parts
from tasks.estimation.duration import Duration, timed_plan
from tasks.estimation.fitting import USABLE, Fit, Options, first_fit
from tasks.estimation.layout import STRATEGIES, Layout
from tasks.estimation.memory import MemoryParts, memory_parts
from tasks.estimation.pace import Pace
from tasks.estimation.parameters import ParameterCount, count_parameters
from tasks.estimation.plan import TokenPlan
from tasks.estimation.shape import ModelShape


@dataclass(frozen=True)
class Costs:
    """What an hour of a device takes; None where it is not known."""

    dollars_per_hour: float | None = None
    dollars_source: str = ""
    watts: float | None = None


@dataclass(frozen=True)
class Estimate:
    """What a run will take."""

    shape: ModelShape
    parameters: ParameterCount
    corpus: Corpus
    plan: TokenPlan
    flops: TokenFlops
    target: Target
    layout: Layout
    """As the parameters ask."""
    memory: tuple[tuple[Layout, MemoryParts], ...]
    """Every way to lay a step on the devices, the one asked for first."""
    fit: Fit | None
    """The mildest change that fits, without changes where it fits; None where nothing does or memory is unknown."""
    disk: DiskParts
    pace: Pace | None
    duration: Duration | None
    costs: Costs
    advice: Advice | None
    """None of a phase that learns from examples: scaling laws are about text."""

    @property
    def fits(self) -> bool | None:
        """Whether the step as asked for fits; None where the memory is not known."""
        available = self.target.available
        return None if available is None else self.memory[0][1].total <= available * USABLE

    @property
    def total_flops(self) -> float | None:
        """The model's operations of all planned steps."""
        return None if self.plan.tokens is None else self.plan.tokens * self.layout.work * self.flops.total

    @property
    def device_hours(self) -> float | None:
        """Hours of one device."""
        return None if self.duration is None else self.duration.total_s * self.target.devices / 3600

    @property
    def dollars(self) -> float | None:
        """Price of the run."""
        return _product(self.device_hours, self.costs.dollars_per_hour)

    @property
    def kilowatt_hours(self) -> float | None:
        """Energy of the devices at their maximum power: an upper bound, without the machine around them."""
        return _product(self.device_hours, None if self.costs.watts is None else self.costs.watts / 1000)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values, derived figures included."""
        plain = asdict(self)
        plain["parameters"]["total"] = self.parameters.total
        plain["flops"]["total"] = self.flops.total
        plain["plan"]["tokens"] = self.plan.tokens
        plain["memory"] = [
            {"layout": asdict(layout), "bytes": asdict(parts) | {"total": parts.total}} for layout, parts in self.memory
        ]
        plain["disk"]["total"] = self.disk.total
        if self.duration is not None:
            plain["duration"]["total_s"] = self.duration.total_s
        for name in ("fits", "total_flops", "device_hours", "dollars", "kilowatt_hours"):
            plain[name] = getattr(self, name)
        return plain


def shape_of(params: PipelineParams, corpus: Corpus) -> ModelShape:
    """The model that the parameters ask for, with the vocabulary that there is or will be and the blocks it learns."""
    of_examples = params.train.objective in FROM_EXAMPLES
    context = (params.encode.context if of_examples else None) or params.shard.context
    return ModelShape.of(params.train.model, vocab_size=corpus.vocab_size, context=context)


def estimate(
    params: PipelineParams,
    corpus: Corpus,
    target: Target,
    *,
    pace: Pace | None,
    costs: Costs,
    options: Options,
) -> Estimate:
    """Put together what a run takes; without a pace, no time, money or energy."""
    shape = shape_of(params, corpus)
    layout = layout_of(params.train, target)
    step = step_of(params.train, shape, layout)
    plan, duration = timed_plan(params.train, params.run, step, num_blocks=corpus.num_blocks, pace=pace)
    flops = token_flops(shape)
    total = None if plan.tokens is None else plan.tokens * step.layout.work * flops.total
    available = target.available
    return Estimate(
        shape=shape,
        parameters=count_parameters(shape),
        corpus=corpus,
        plan=plan,
        flops=flops,
        target=target,
        layout=layout,
        memory=tuple((one, memory_parts(shape, one)) for one in _layouts(params, target)),
        fit=None if available is None else first_fit(shape, layout, int(available * USABLE), options=options),
        disk=disk_parts(shape, corpus, muon=layout.muon, keep_checkpoints=params.run.keep_checkpoints),
        pace=pace,
        duration=duration,
        costs=costs,
        advice=None if params.train.objective in FROM_EXAMPLES else advise(shape, corpus, plan, flops=total),
    )


def _layouts(params: PipelineParams, target: Target) -> list[Layout]:
    """The layout that is asked for, then the others there are."""
    strategies = STRATEGIES if target.devices > 1 else STRATEGIES[:1]
    others = [
        layout_of(params.train, target, strategy=strategy, checkpointing=checkpointing)
        for checkpointing in (False, True)
        for strategy in strategies
    ]
    return list(dict.fromkeys([layout_of(params.train, target), *others]))


def _product(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one * other

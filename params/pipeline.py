"""The parameters of a whole run: one section per stage, one for the machine."""

from typing import Literal, get_args

from pydantic import model_validator

from params.base import Params
from params.clean import CleanParams
from params.compress import CompressParams
from params.decontaminate import DecontaminateParams
from params.dedup import DedupParams
from params.encode import EncodeParams
from params.evaluate import EvaluateParams
from params.export import ExportParams
from params.ingest import IngestParams
from params.notify import NotifyParams
from params.objective import BY_ROWS, FROM_EXAMPLES, IN_CHAT, OF_ENCODER_DECODERS, SENTINEL
from params.prune import PruneParams
from params.release import ReleaseParams
from params.retrain import RetrainParams
from params.run import RunParams
from params.shard import ShardParams
from params.split import SplitParams
from params.survey import SurveyParams
from params.train import PhaseParams, TrainParams
from params.train_tokenizer import TrainTokenizerParams

Until = Literal[
    "survey",
    "ingest",
    "clean",
    "dedup",
    "split",
    "decontaminate",
    "train_tokenizer",
    "shard",
    "train",
    "evaluate",
    "export",
    "compress",
    "release",
]
"""A stage to end with, an enumeration in the Prefect UI."""
STAGES: tuple[Until, ...] = get_args(Until)
"""In the order in which a run comes to them."""


class PipelineParams(Params):
    """Raw text to a released model."""

    survey: SurveyParams
    """Where the raw text lies."""
    ingest: IngestParams = IngestParams()
    """Raw files to documents."""
    clean: CleanParams = CleanParams()
    """Normalization and quality filters."""
    dedup: DedupParams = DedupParams()
    """Exact and near duplicates."""
    split: SplitParams = SplitParams()
    """Training, validation and test documents."""
    decontaminate: DecontaminateParams = DecontaminateParams()
    """Evaluation text kept out of the training documents."""
    train_tokenizer: TrainTokenizerParams = TrainTokenizerParams()
    """Vocabulary."""
    shard: ShardParams = ShardParams()
    """Packed token blocks."""
    encode: EncodeParams = EncodeParams()
    """Examples that phases learn from."""
    train: TrainParams = TrainParams()
    """Model, optimizer, schedule and stop rules."""
    prune: PruneParams = PruneParams()
    """Layers and neurons taken out of the trained model."""
    evaluate: EvaluateParams = EvaluateParams()
    """Held-out measurements."""
    export: ExportParams = ExportParams()
    """ONNX graph."""
    compress: CompressParams = CompressParams()
    """Quantized variants."""
    release: ReleaseParams = ReleaseParams()
    """Registry and gate."""
    retrain: RetrainParams = RetrainParams()
    """When the model is trained again, and how: never part of a result's identity by itself."""
    run: RunParams = RunParams()
    """This machine: never part of a result's identity."""
    notify: NotifyParams = NotifyParams()
    """Who is told when a run ends: never part of a result's identity."""

    @property
    def steps(self) -> list[TrainParams]:
        """What is trained, one after the other: the phases, or the section itself."""
        return [self.train.of_phase(phase) for phase in self.train.phases] or [self.train]

    @property
    def tokenizer(self) -> TrainTokenizerParams:
        """The section train_tokenizer with what phases need: a chat template for conversations, sentinels for spans."""
        made, steps = self.train_tokenizer, self.steps
        if made.chat_template is None and any(step.objective in IN_CHAT for step in steps):
            made = made.model_copy(update={"chat_template": "auto"})
        spans = [step.spans.num_spans(self.shard.context) for step in steps if step.objective == "span_corruption"]
        if not spans:
            return made
        sentinels = [SENTINEL.format(number) for number in range(max(spans))]
        extra = tuple(dict.fromkeys((*made.special_tokens.extra, *sentinels)))
        return made.model_copy(update={"special_tokens": made.special_tokens.model_copy(update={"extra": extra})})

    def encode_of(self, phase: PhaseParams | None = None) -> EncodeParams:
        """The section encode as one phase has it."""
        own = {} if phase is None or phase.encode is None else phase.encode.model_dump(exclude_unset=True)
        trained = self.train if phase is None else self.train.of_phase(phase)
        context = own.get("context") or self.encode.context or self.shard.context
        filled = {"objective": trained.objective, "context": context}
        return EncodeParams.model_validate(self.encode.model_dump() | own | filled)

    @model_validator(mode="after")
    def _what_follows_fits_the_last_objective(self) -> "PipelineParams":
        last = self.steps[-1].objective
        if last not in BY_ROWS:
            return self
        if self.prune.is_on:
            raise ValueError(f"prune cuts models that go on writing a text, and training ends with {last}; turn it off")
        if self.export.formats:
            raise ValueError(
                f"export.formats: a model that learned {last} is exported as ONNX and safetensors; leave "
                f"{', '.join(self.export.formats)} out"
            )
        if last in OF_ENCODER_DECODERS and "int4_gptq" in self.compress.variants:
            raise ValueError(
                "compress.variants: int4_gptq knows models without an encoder only; take int4 in its place"
            )
        asked = self.evaluate
        if asked.quizzes or asked.harness is not None or asked.canaries is not None:
            raise ValueError(
                f"evaluate: quizzes, harness and canaries ask a model to write, and training ends with {last}; leave "
                f"them out: it is measured on {'held-out rows' if last in FROM_EXAMPLES else 'test text with gaps'}"
            )
        return self

    @model_validator(mode="after")
    def _what_is_served_is_made(self) -> "PipelineParams":
        serve, made = self.release.serve, self.compress.variants
        if serve not in ("auto", "fp32", *made):
            raise ValueError(
                f"release.serve is {serve}, and compress.variants makes {', '.join(made) or 'nothing'} besides fp32; "
                f"add {serve} there, or set release.serve to auto"
            )
        return self

    @model_validator(mode="after")
    def _what_is_trained_can_be_shared_and_cut(self) -> "PipelineParams":
        ranks, layers = self.run.ranks * self.run.nodes, self.train.model.layers
        for step in self.steps:
            if step.batch_blocks % ranks:
                raise ValueError(
                    f"train.batch_blocks {step.batch_blocks} cannot be shared among {ranks} ranks; set a multiple"
                )
            if step.micro_blocks == "auto" and self.run.parallel != "ddp":
                raise ValueError(
                    f"train.micro_blocks auto tries on one rank, and run.parallel {self.run.parallel} needs all of "
                    "them; set a number"
                )
        if layers is not None and self.prune.drop_layers >= layers:
            raise ValueError(
                f"prune.drop_layers {self.prune.drop_layers} leaves nothing of {layers} layers; drop fewer"
            )
        return self

    @model_validator(mode="after")
    def _training_has_what_it_learns_from(self) -> "PipelineParams":
        if self.train.model.lora is not None and self.train.model.from_weights is None:
            raise ValueError(
                "train.model.lora adapts existing weights; name them in train.model.from_weights, or set lora in a "
                "phase of train.phases that is not the first"
            )
        for phase in self.train.phases or (None,):
            place = "train" if phase is None else f"phase {phase.name}"
            encode = self.encode_of(phase)
            if encode.objective in FROM_EXAMPLES and not encode.sources:
                raise ValueError(
                    f"{place}: {encode.objective} learns from examples; name them in encode.sources, such as "
                    "[{path: chats.jsonl}]"
                )
            if encode.context is not None and encode.context > self.shard.context:
                raise ValueError(f"{place}: encode.context {encode.context} is over shard.context {self.shard.context}")
        return self

"""The parameters of a whole run: one section per stage, one for the machine."""

from params.base import Params
from params.clean import CleanParams
from params.compress import CompressParams
from params.decontaminate import DecontaminateParams
from params.dedup import DedupParams
from params.evaluate import EvaluateParams
from params.export import ExportParams
from params.ingest import IngestParams
from params.notify import NotifyParams
from params.prune import PruneParams
from params.release import ReleaseParams
from params.run import RunParams
from params.shard import ShardParams
from params.split import SplitParams
from params.survey import SurveyParams
from params.train import TrainParams
from params.train_tokenizer import TrainTokenizerParams


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
    run: RunParams = RunParams()
    """This machine: never part of a result's identity."""
    notify: NotifyParams = NotifyParams()
    """Who is told when a run ends: never part of a result's identity."""

"""The report of a run, whole: one HTML file."""

from collections.abc import Iterator
from dataclasses import dataclass

from params.run import RunParams
from tasks.report.comparison import comparison_body
from tasks.report.data_charts import data_body
from tasks.report.evaluation_charts import evaluation_body
from tasks.report.page import Section, page
from tasks.report.release_charts import gate_body, samples_body, variants_body
from tasks.report.results import RunResults
from tasks.report.run_charts import head_of, lineage_body, stages_body
from tasks.report.training_charts import training_body
from tasks.report.words import Words


@dataclass(frozen=True)
class Rival:
    """Another run to compare with, and what it is."""

    run: RunResults
    role: Words


def report_page(run: RunResults, settings: RunParams, rival: Rival | None = None) -> str:
    """The HTML of the report, with a section for everything that the run came to."""
    foot = Words(
        "Written by gristmill from what the run left on disk. gristmill report makes it again.",
        "由 gristmill 根据运行留在磁盘上的结果生成；可用 gristmill report 重新生成。",
    )
    return page(f"Gristmill {run.record.run_id}", head_of(run), list(_sections(run, settings, rival)), foot=foot)


def _sections(run: RunResults, settings: RunParams, rival: Rival | None) -> Iterator[Section]:
    other = rival.run if rival is not None else None
    if "ingest" in run.results:
        yield Section("data", Words("Data", "数据"), data_body(run))
    if run.trainings:
        yield Section("training", Words("Training", "训练"), training_body(run, settings, other))
    if "evaluate" in run.results:
        yield Section("evaluation", Words("Evaluation", "评测"), evaluation_body(run))
    if rival is not None and "evaluate" in run.results:
        body = comparison_body(run, rival.run, role=rival.role)
        yield Section("comparison", Words("Comparison", "对比"), body)
    if "export" in run.results:
        yield Section("variants", Words("Variants", "变体"), variants_body(run))
    if run.bundle is not None:
        yield Section("gate", Words("Gate", "发布门槛"), gate_body(run))
        yield Section("samples", Words("Samples", "生成样例"), samples_body(run))
    yield Section("stages", Words("Stages", "阶段"), stages_body(run))
    yield Section("lineage", Words("Lineage and parameters", "谱系与参数"), lineage_body(run))

"""The data part of the report, of a run by hand."""

import re

from tasks.artifacts.manifest import Manifest, Metrics
from tasks.artifacts.record import RunRecord
from tasks.report.data_charts import data_body
from tasks.report.results import RunResults


def test_the_examples_of_each_phase_are_told_with_the_reason_why_rows_were_set_aside():
    counts = {"examples_in": 1_200, "train_examples": 1_000, "validation_examples": 120, "examples_rejected": 80}
    counts |= {"rejected.too_long": 50, "rejected.no_label": 30}
    made = Manifest.pending("encode.labels").model_copy(update={"metrics": Metrics(counts=counts)})
    run = RunResults(RunRecord.begin("mine.yaml", {}), {"encode.labels": made}, ())
    page = str(data_body(run))
    cells = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>.*?</td>", page)]
    assert cells == ["labels", "1,200", "1,000", "120", "80", "50 too_long, 30 no_label"]

"""The pictures and tables of the filters."""

from dataclasses import replace

import matplotlib.image
import pytest

from params.clean import CleanParams
from tasks.report.filters import RuleReport, draw_histograms, source_of, table_rows
from tasks.text.reporting import rule_reports
from tasks.text.tally import Tally


def rule(number: int) -> RuleReport:
    return RuleReport(f"words.rule_{number}", "words", "", 0.5, "at_most", (0.0, 0.5, 1.0), (1, 2, 3))


@pytest.mark.parametrize(("number", "rows"), [(0, 1), (1, 1), (5, 5)])
def test_the_picture_has_a_row_for_each_rule(number, rows, tmp_path):
    draw_histograms(tmp_path / "measured.png", [rule(index) for index in range(number)])
    height, width, _ = matplotlib.image.imread(tmp_path / "measured.png").shape
    assert (height, width) == (pytest.approx(100 * (0.24 * rows + 1.2), abs=1), 850)


def test_rules_with_other_bins_have_a_picture_of_their_own(tmp_path):
    draw_histograms(tmp_path / "measured.png", [rule(1), replace(rule(2), edges=(0.0, 10.0, 20.0))])
    assert matplotlib.image.imread(tmp_path / "measured.png").shape[1] == 1700


def test_the_table_has_the_most_broken_rules_first():
    found = {"docs_in": 8, "docs_kept": 4, "rejected": {"a": 1, "c": 2, "b": 1}}
    assert [(row["rule"], row["documents"], row["share"]) for row in table_rows({"web": found})] == [
        ("kept", 4, 0.5),
        ("c", 2, 0.25),
        ("a", 1, 0.125),
        ("b", 1, 0.125),
    ]


def test_every_rule_of_every_family_names_its_source():
    params = CleanParams(preset=["gopher", "c4", "fineweb", "fineweb2-zh"])
    reports = rule_reports(params, Tally())
    assert {report.family for report in reports if not source_of(report.name)} == {"empty"}
    assert all(len(report.counts) == len(report.edges) for report in reports)

"""A tally with the rules behind it, as the report shows them."""

import pyarrow as pa

from params.clean import CleanParams
from tasks.report.filters import RuleReport, source_of
from tasks.text.quality import judge_texts
from tasks.text.rules import Rule
from tasks.text.tally import Tally, edges_of


def rule_reports(params: CleanParams, tally: Tally) -> list[RuleReport]:
    """Every rule that is on, in the order in which they are asked, with its histogram."""
    return [
        RuleReport(
            name=rule.name,
            family=rule.name.partition(".")[0],
            source=source_of(rule.name),
            threshold=rule.threshold,
            direction="at_least" if rule.at_least else "at_most",
            edges=edges_of(rule.name),
            counts=tally.histograms.get(rule.name) or [0] * len(edges_of(rule.name)),
        )
        for rule in _rules_of(params)
    ]


def _rules_of(params: CleanParams) -> list[Rule]:
    """The rules over no document at all: names, thresholds and directions are there."""
    return list(judge_texts(pa.array([], pa.large_string()), params).verdicts.rules)

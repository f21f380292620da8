"""What people read."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.notices.message import Notice, Told, Verdict, fitted, tell
from tasks.notices.wording import CHINESE, ENGLISH, FIGURES

LABELS = ("Ended", "Reason", "Validation loss (nats per token)", "Tokens", "Cost", "Whole run", "Run", "Preset")


def test_english_tells_verdict_every_reason_numbers_links_and_the_next_step(notice: Notice):
    told = tell(notice, "en")
    assert told.title == "[gristmill] gristmill-tiny: converged"
    lines = dict(told.lines)
    assert set(LABELS) <= set(lines)
    assert [text for label, text in told.lines if label == "Reason"] == list(notice.reasons)
    assert lines["Validation loss (nats per token)"] == "3.2100"
    assert lines["Tokens"] == "1,048,576"
    assert lines["Whole run"] == "1:02:05"  # 3725 s
    assert lines["MLflow run"] == "http://ml.example/#/experiments/1/runs/abc"
    assert "--model models:/gristmill-tiny/3" in lines["Next"]


def test_chinese_tells_the_same_lines_in_chinese(notice: Notice):
    english, chinese = tell(notice, "en"), tell(notice, "zh")
    assert chinese.title == "[gristmill] gristmill-tiny: 已收敛"
    assert len(chinese.lines) == len(english.lines)
    assert dict(chinese.lines)["验证损失（nat/词元）"] == "3.2100"
    assert "从前" in dict(chinese.lines)["下一步"]


@pytest.mark.parametrize("wording", [ENGLISH, CHINESE])
def test_each_language_has_words_for_every_verdict_and_figure(wording):
    assert set(wording.verdicts) == set(wording.steps) == set(get_args(Verdict))
    assert set(wording.figures) == set(FIGURES)
    assert set(wording.links) == set(ENGLISH.links)


@pytest.mark.parametrize("verdict", ["failed", "interrupted", "killed"])
def test_what_did_not_end_well_names_the_command_that_goes_on(notice: Notice, verdict):
    for language in ("en", "zh"):
        assert "gristmill run quickstart" in tell(replace(notice, verdict=verdict), language).lines[-1][1]


def test_a_reason_cannot_steer_a_terminal_and_a_long_one_keeps_both_ends(notice: Notice):
    reason = "\x1b[31mRuntimeError: " + "x" * 9000 + " out of memory"
    text = tell(replace(notice, reasons=(reason,)), "en").lines[1][1]
    assert "\x1b" not in text
    assert text.startswith("[31mRuntimeError: ")
    assert text.endswith(" out of memory")
    assert len(text) == 2003


def test_a_title_is_one_line(notice: Notice):
    assert "\n" not in tell(replace(notice, model="a\r\nBcc: b@c"), "en").title


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.text(max_size=3000)), max_size=8), st.integers(1500, 6000))
def test_a_notice_fits_whatever_its_texts_are(lines, limit):
    told = Told("title", tuple(lines))
    short = fitted(told, lambda told: told.plain.encode("utf-8", "surrogatepass"), limit)
    assert len(short.plain.encode("utf-8", "surrogatepass")) <= limit
    assert [label for label, _ in short.lines] == [label for label, _ in lines]
    if len(told.plain.encode("utf-8", "surrogatepass")) <= limit:
        assert short == told

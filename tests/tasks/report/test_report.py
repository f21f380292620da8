"""The report of a run, as a person sees it."""

import os
import re

import pytest

from params.run import RunParams
from tasks.report.report import Rival, report_page
from tasks.report.results import read_results
from tasks.report.words import Words


@pytest.fixture(scope="module")
def page(pair, tmp_path_factory):
    """The report of a whole run that is compared with another."""
    earlier, later = pair
    rival = Rival(earlier.results(), Words("the champion", "冠军"))
    path = tmp_path_factory.mktemp("report") / "the report 报告.html"
    path.write_text(report_page(later.results(), RunParams(watts=250, price_per_hour=2), rival))
    return path


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("look", ["language=en&theme=light", "language=zh&theme=dark"])
def test_a_browser_shows_the_report_whole_and_asks_for_nothing(page, browser, request, width, look):
    script = request.path.with_name("browser.js").read_text()
    shown = browser.open(page, width=width, query=look, script=script)
    assert browser.complaints == []
    assert set(browser.requests) <= {page.as_uri(), "data:,"}
    assert shown["title"].startswith("Gristmill ")
    assert shown["language"] == ("en" if "en" in look else "zh-CN")
    assert shown["ground"] == ("rgb(255, 255, 255)" if "light" in look else "rgb(20, 23, 26)")
    assert shown["overlaps"] == []
    assert shown["cut"] == []
    assert shown["wide"] <= 0
    assert len(shown["drawn"]) >= 17
    assert [figure for figure in shown["drawn"] if not figure["area"] or not figure["marks"]] == []
    assert ("Why documents were dropped" in shown["text"]) == ("en" in look)
    assert ("文档为何被丢弃" in shown["text"]) == ("zh" in look)


def test_the_buttons_switch_language_and_theme_and_the_pointer_reads_a_curve(page, browser):
    browser.open(page, width=1280, query="language=en&theme=light")
    click = "document.getElementById('language').click(); document.getElementById('theme').click();"
    state = "[document.documentElement.lang, document.documentElement.dataset.theme].join()"
    assert browser("Runtime.evaluate", expression=click + state)["result"]["value"] == "zh-CN,dark"
    point = """
        const plot = document.querySelector('[data-plot]'), box = plot.getBoundingClientRect();
        plot.dispatchEvent(new PointerEvent('pointermove', {clientX: box.right, clientY: box.top + 9}));
        plot.querySelector('.tip').innerText;
    """
    told = browser("Runtime.evaluate", expression=point)["result"]["value"]
    assert told.splitlines()[0] == "200"
    assert "验证（± 2 标准误）: 3.2733" in told  # 3.2 + 4 exp(-200 / 50), as the curve was made
    assert browser.complaints == []


def test_it_is_shown_in_full_on_paper(page, browser):
    browser.open(page, width=1280, query="theme=dark")
    browser("Emulation.setEmulatedMedia", media="print")
    hidden = (
        "getComputedStyle(document.querySelector('.switches')).display + getComputedStyle(document.body).colorScheme"
    )
    shown = browser("Runtime.evaluate", expression=hidden)["result"]["value"]
    browser("Emulation.setEmulatedMedia", media="")
    assert shown == "nonelight"


def test_what_documents_and_models_say_is_shown_and_never_run(page, browser):
    shown = browser.open(page, width=1280, script="[document.title, document.body.innerText]")
    assert browser.complaints == []
    assert "taken" not in shown[0]
    assert "</script><script>document.title = 'taken'; alert(1)</script>" in shown[1]


def test_a_control_character_or_half_a_surrogate_does_not_break_the_page(hand):
    run = hand.data().trained().released(continuation="a\x00b\x1bc\ud800d").results()
    text = report_page(run, RunParams())
    assert "a\ufffdb\ufffdc\ufffdd" in text
    text.encode()


def test_a_failed_run_shows_how_far_it_came_and_what_went_wrong(hand, tmp_path, browser, request):
    run = hand.data().results("failed", "training broke: loss is <nan>")
    (tmp_path / "report.html").write_text(report_page(run, RunParams()))
    script = request.path.with_name("browser.js").read_text()
    shown = browser.open(tmp_path / "report.html", width=400, query="language=en", script=script)
    assert browser.complaints == []
    assert (shown["overlaps"], shown["cut"]) == ([], [])
    assert "The run ended after shard:" in shown["text"]
    assert "training broke: loss is <nan>" in shown["text"]
    assert "Bits per byte" not in shown["text"]


def test_a_broken_training_shows_its_curve_and_where_it_broke(hand):
    text = report_page(hand.data().broken().results("failed", "training broke"), RunParams())
    assert "Broke at step 60, non_finite (broken): the loss is nan." in text
    assert "step 60: ended, non_finite" in text
    assert "Gradient norm" in text


def test_the_draft_of_another_runs_training_is_not_shown(hand):
    broken = hand.data().broken()
    later = broken.another().data().results("failed", "the shards of this run are the same, but it never trained")
    path = broken.store.root.glob("train/*.partial/logs/metrics.jsonl")
    for one in path:
        os.utime(one, (0, 0))
    assert later.record.run_id != broken.record.run_id
    assert "Gradient norm" not in report_page(read_results(hand.store, later.record), RunParams())


def test_a_run_that_did_nothing_has_a_report(hand):
    assert "<h1>Gristmill " in report_page(hand.results("cancelled", "Ctrl-C"), RunParams())


def test_a_run_whose_results_were_collected_says_so(hand):
    hand.data()
    hand.store.remove(hand.store.folder("clean", hand.record.stages["clean"].fingerprint))
    text = report_page(hand.results(), RunParams())
    assert "Results removed since, and not shown: clean." in text


def test_the_file_is_small_and_names_no_address(page):
    text = page.read_text()
    assert len(text) < 200_000
    assert re.findall(r'(?:src|href)="(?!#|data:)', text) == []

"""Callbacks are told everything once, and their faults are theirs."""

import importlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from params.errors import ParameterError
from params.watch import WatchParams
from tasks.watching.watchers import Watchers

PLUGIN = """
calls = []

class Recorder:
    def on_start(self, config):
        calls.append(("start", config["run_id"], config["seed"]))
    def on_point(self, point):
        calls.append(("point", dict(point)))
    def on_evaluation(self, point):
        calls.append(("evaluation", point["step"], point["val_loss"]))
    def on_samples(self, samples):
        calls.append(("samples", samples[0]["step"], len(samples)))
    def on_end(self, verdict, report):
        calls.append(("end", verdict, dict(report)))

class OnlyEnd:
    def on_end(self, verdict, report):
        calls.append(("only end", verdict))

class Faulty(Recorder):
    def on_point(self, point):
        raise RuntimeError("no disk")

def needs_more(argument):
    return Recorder()
"""
ENTRY_POINTS = """
[gristmill.callbacks]
recorder = mill_plugin:Recorder
only_end = mill_plugin:OnlyEnd
faulty = mill_plugin:Faulty
needs_more = mill_plugin:needs_more
missing = mill_plugin:Missing
"""
REPORT = {"verdict": "budget", "steps": 9}
Watch = Callable[..., Watchers]


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """An installed package with callbacks; what they were called with."""
    folder = tmp_path / "site"
    (folder / "mill_plugin-1.0.dist-info").mkdir(parents=True)
    (folder / "mill_plugin-1.0.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: mill-plugin\nVersion: 1.0\n"
    )
    (folder / "mill_plugin-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "mill_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(folder)
    plugin = importlib.import_module("mill_plugin")
    monkeypatch.setitem(importlib.sys.modules, "mill_plugin", importlib.reload(plugin))  # type: ignore[attr-defined]
    return plugin.calls


@pytest.fixture
def watch(tmp_path: Path, samples: Path) -> Watch:
    """`watch("recorder", …)`: the watchers of these callbacks."""

    def begin(*names: str) -> Watchers:
        params = WatchParams(callbacks=names)
        where = {"folder": tmp_path / "watch", "project": "p", "run_id": "r1", "samples": samples}
        return Watchers.from_params(params, **where, config={"seed": 7})

    return begin


def test_a_callback_is_told_start_points_evaluations_samples_and_the_end(watch: Watch, calls, points):
    watchers = watch("recorder")
    watchers.show(points[:2])
    watchers.show(points[2:])
    watchers.end(REPORT)
    assert calls == [
        ("start", "r1", 7),
        ("point", points[0]),
        ("point", points[1]),
        ("evaluation", 6, 5.6),
        ("samples", 6, 2),
        ("samples", 12, 2),
        ("point", points[3]),
        ("end", "budget", REPORT),
    ]


def test_points_that_come_by_again_after_a_resume_are_not_told_twice(watch: Watch, calls, points):
    watchers = watch("recorder")
    for _ in range(3):
        watchers.show(points)
    assert [call[1]["step"] for call in calls if call[0] == "point"] == [3, 6, 9]
    assert [call for call in calls if call[0] == "samples"] == [("samples", 6, 2), ("samples", 12, 2)]


def test_an_evaluation_that_follows_its_step_is_told_on_its_own(watch: Watch, calls):
    watch("recorder").show([{"step": 6, "time_ms": 1, "loss": 5.0}, {"step": 6, "val_loss": 5.5}])
    assert calls[1:4] == [
        ("point", {"step": 6, "time_ms": 1, "loss": 5.0}),
        ("point", {"step": 6, "val_loss": 5.5}),
        ("evaluation", 6, 5.5),
    ]


def test_a_callback_that_fails_is_named_and_turned_off_and_the_others_go_on(watch: Watch, calls, points, caplog):
    watchers = watch("faulty", "only_end", "recorder")
    with caplog.at_level(logging.WARNING):
        watchers.show(points)
    assert [record.getMessage() for record in caplog.records] == [
        "faulty failed in on_point and is turned off; training goes on: RuntimeError: no disk"
    ]
    watchers.end(REPORT)
    assert [call for call in calls if "end" in call[0]] == [("only end", "budget"), ("end", "budget", REPORT)]


@pytest.mark.parametrize(("error", "verdict"), [(KeyboardInterrupt, "interrupted"), (RuntimeError, "failed")])
def test_an_end_without_a_report_is_told_by_what_ended_it(error, verdict, watch: Watch, calls):
    with pytest.raises(error), watch("recorder"):
        raise error
    assert calls[-1] == ("end", verdict, {})


def test_after_a_report_leaving_tells_nothing_more(watch: Watch, calls):
    with watch("recorder") as watchers:
        watchers.end(REPORT)
    assert [call[0] for call in calls] == ["start", "end"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("recoder", r"no entry point 'recoder' in the group gristmill\.callbacks; installed are .*recorder"),
        ("missing", r"missing \(mill_plugin:Missing\) cannot be made"),
        ("needs_more", "it must name a class or function that takes no arguments"),
    ],
)
def test_a_callback_that_cannot_be_had_is_told_before_training(name, said, watch: Watch, calls):
    with pytest.raises(ParameterError, match=said):
        watch(name)

"""A trial of the real training process."""

import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from params.run import RunParams
from params.train import ModelParams, TrainParams
from tasks.estimation import trial as trying
from tasks.estimation.shape import ModelShape
from tasks.estimation.trial import Failed, Trial, run_trial

PARAMS = TrainParams(model=ModelParams(layers=2, width=32, heads=2), batch_blocks=4)
SHAPE = ModelShape.of(PARAMS.model, vocab_size=512, context=32)
SETTINGS = RunParams(threads=1, compile=False)


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def training_processes() -> list[psutil.Process]:
    found = []
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "tasks.training.worker" in one.cmdline():
                found.append(one)
    return found


def test_a_trial_times_real_steps_and_leaves_nothing(scratch, monkeypatch):
    monkeypatch.setattr(trying, "_SPAN_S", 0.2)
    found = run_trial(PARAMS, SETTINGS, SHAPE, threads=1)
    assert isinstance(found, Trial), found
    assert found.steps >= 3
    assert 0 < found.step_s < found.start_s
    assert found.peak_rss_bytes is None or found.peak_rss_bytes > 100 << 20
    assert training_processes() == []
    assert list(scratch.glob("gristmill-trial-*")) == []


def test_a_trial_that_takes_too_long_is_given_up(scratch, monkeypatch):
    monkeypatch.setattr(trying, "_LIMIT_S", 0.3)
    found = run_trial(PARAMS, SETTINGS, SHAPE, threads=1)
    assert found == Failed("not 5 steps in 0 s")
    assert training_processes() == []


def test_a_trial_that_breaks_says_why(scratch):
    settings = SETTINGS.model_copy(update={"ranks": 1})
    broken = PARAMS.model_copy(update={"model": PARAMS.model.model_copy(update={"heads": 3})})  # past validation
    found = run_trial(broken, settings, SHAPE, threads=1)
    assert isinstance(found, Failed)
    assert "Error" in found.reason

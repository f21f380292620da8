"""Promotion, a person's override, roll-back and the trail, against a real MLflow registry on sqlite."""

import json
from pathlib import Path

import pytest

from params.errors import ReleaseError
from tasks.alias import PENDING, read_trail
from tasks.promote import Request, promote, rollback
from tasks.tracking import quiet_mlflow

# MLflow 3.17 uses a loader option that SQLAlchemy 2.1 announces to remove.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
ME = Request("me@here", "because")


@pytest.fixture
def registry(tracked, workshop):
    """Aliases of a model, and the store that commands use."""

    def aliases(name: str) -> dict[str, int]:
        found = tracked.tracker.client.get_registered_model(name)
        assert PENDING not in found.tags
        return {alias: int(version) for alias, version in found.aliases.items()}

    return aliases, workshop.run.store, tracked.tracker.client


def test_a_person_overrules_the_gate_and_the_trail_says_who_and_why(candidate, registry):
    aliases, store, client = registry
    candidate("ruled", "good", 1.0)
    candidate("ruled", "bad", 1.5, failed="test.bits_per_byte")
    refused = promote("ruled/2", ME, store=store)
    assert not refused.is_champion
    failed = [check["name"] for check in refused.checks if not check["passed"]]
    assert failed == ["test.bits_per_byte", "lower end of the gain over champion version 1"]
    assert aliases("ruled") == {"champion": 1, "challenger": 1}
    assert promote("ruled/2", Request("me@here", "a reason", override=True), store=store).is_champion
    assert aliases("ruled") == {"champion": 2, "challenger": 2, "previous": 1}
    last = read_trail(client, "ruled")[-1]
    assert (last.who, last.action, last.version, last.before, last.reason) == ("me@here", "override", 2, 1, "a reason")


def test_a_bare_name_is_its_challenger_and_one_that_is_worse_is_refused(candidate, registry):
    aliases, store, _ = registry
    candidate("bare", "good", 1.0)
    candidate("bare", "worse", 1.2)
    judged = promote("bare", ME, store=store)
    assert (judged.version, judged.is_champion) == (2, False)
    assert judged.decision.comparison is not None
    assert judged.decision.comparison.gain == pytest.approx(-0.2, abs=1e-4)
    assert aliases("bare") == {"champion": 1, "challenger": 2}


def test_roll_back_goes_to_the_champion_before_and_the_one_before_that(candidate, registry):
    aliases, store, _ = registry
    for number, bits in enumerate((1.5, 1.4, 1.3)):
        candidate("back", str(number), bits)
    assert rollback("back", ME, store=store).version == 2
    assert aliases("back") == {"champion": 2, "challenger": 3, "previous": 1}
    assert rollback("back", ME, store=store).version == 1
    assert aliases("back") == {"champion": 1, "challenger": 3}
    with pytest.raises(ReleaseError, match="back: version 1 is the first champion; there is none to go back to"):
        rollback("back", ME, store=store)


def test_the_decision_is_an_artifact_with_every_check_and_the_comparison(candidate, registry, tmp_path: Path):
    import mlflow

    _, _, client = registry
    candidate("kept", "good", 1.0)
    candidate("kept", "better", 0.9)
    run_id = client.get_model_version("kept", "2").run_id
    with quiet_mlflow():
        folder = Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="decisions", dst_path=tmp_path))
    (path,) = folder.glob("kept-2-*.json")
    kept = json.loads(path.read_text())
    assert (kept["action"], kept["version"], kept["before"], kept["promoted"]) == ("promote", 2, 1, True)
    assert {"verdict of training", "served.bits_per_byte"} <= {check["name"] for check in kept["gate"]["checks"]}
    assert kept["comparison"]["gain"] == pytest.approx(0.1, abs=1e-4)
    assert kept["comparison"]["docs"] == 2


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


@pytest.mark.parametrize("step", ["set_registered_model_tag", "set_registered_model_alias", "set_model_version_tag"])
def test_a_roll_back_that_was_killed_is_completed_by_whatever_comes_next(candidate, registry, monkeypatch, step):
    from mlflow import MlflowClient

    aliases, store, _ = registry
    name = f"half-{step}"
    for number, bits in enumerate((1.5, 1.4)):
        candidate(name, str(number), bits)
    original = getattr(MlflowClient, step)

    def dies(*arguments, **keywords):
        original(*arguments, **keywords)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, dies)
        with pytest.raises(Killed):
            rollback(name, ME, store=store)
    assert promote(f"{name}/1", ME, store=store).is_champion
    assert aliases(name) == {"champion": 1, "challenger": 2}


def test_an_unknown_model_or_version_is_named_with_what_there_is(candidate, registry):
    _, store, _ = registry
    candidate("known", "one", 1.0)
    with pytest.raises(ReleaseError, match="known/7: no such version; known has 1"):
        promote("known/7", ME, store=store)
    with pytest.raises(ReleaseError, match="no model named nobody"):
        rollback("nobody", ME, store=store)

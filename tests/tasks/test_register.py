"""Register against a real MLflow registry on sqlite."""

import logging
import math
from pathlib import Path

import pytest
import torch

from tasks.alias import read_trail
from tasks.context import Run
from tasks.evaluation.answers import choose_conversations
from tasks.evaluation.documents import same_documents
from tasks.evaluation.losses import document_losses
from tasks.evaluation.served_model import ServedModel
from tasks.register import Registered, _find_logged_model
from tasks.serving.generator import OnnxModel
from tasks.tracking import quiet_mlflow

# MLflow 3.17 uses a loader option that SQLAlchemy 2.1 announces to remove.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


def aliases(run: Run, model: str) -> dict[str, int]:
    return {alias: int(v) for alias, v in run.tracker.client.get_registered_model(model).aliases.items()}


def test_the_first_becomes_champion_a_worse_one_stays_challenger_a_better_one_takes_over(candidate, tracked):
    first = candidate("line", "first", 1.5)
    assert (first.version, first.aliases) == (1, ("challenger", "champion"))
    worse = candidate("line", "worse", 1.6)
    assert (worse.version, worse.aliases) == (2, ("challenger",))
    assert worse.decision.startswith(
        "version 2 stays challenger of champion version 1: 1.6000 bits per byte against 1.5000; with 95% confidence "
        "the gain is at least -0.1000"
    )
    better = candidate("line", "better", 1.4)
    assert (better.version, better.aliases) == (3, ("challenger", "champion"))
    assert aliases(tracked, "line") == {"champion": 3, "challenger": 3, "previous": 1}


def test_the_same_bundle_twice_is_one_version(candidate, tracked):
    assert candidate("twice", "only", 1.5).version == 1
    assert candidate("twice", "only", 1.5) == Registered(
        "twice", 1, ("challenger", "champion"), "version 1 is the champion"
    )
    assert len(tracked.tracker.client.search_model_versions("name = 'twice'")) == 1


def test_a_failed_gate_is_registered_without_any_alias(candidate, tracked):
    made = candidate("gated", "bad", 1.5, failed="test.bits_per_byte")
    assert made.aliases == ()
    assert made.decision.endswith("its gate failed: test.bits_per_byte")
    version = tracked.tracker.client.get_model_version("gated", "1")
    assert version.tags["gristmill.gate"].startswith("failed: ")


def test_a_champion_that_saw_other_test_documents_is_run_on_the_new_ones(candidate, tracked):
    candidate("other", "first", 0.001, ids=("a", "b"))  # said to be far better than its file really is
    served = candidate.bundle("other", "first", 0.001)[0].folder / "bundle" / "onnx" / "int8"
    documents = same_documents(candidate.workshop.splits().paths("test/*.arrow"), {"c": 1000, "d": 1000})
    losses = document_losses(ServedModel(served, threads=1), documents, batch_tokens=64)
    true = losses.nats.sum() / losses.num_bytes.sum() / math.log(2)
    better = candidate("other", "second", 0.01 * true, ids=("c", "d"))
    assert f"{0.01 * true:.4f} bits per byte against {true:.4f}" in better.decision
    assert aliases(tracked, "other") == {"champion": 2, "challenger": 2, "previous": 1}


TEMPLATE = "{% for m in messages %}{{ m.content }}<|endoftext|>{% endfor %}"


def test_a_chat_model_that_answers_better_takes_over_though_it_predicts_text_worse(candidate, workshop, tracked):
    names = choose_conversations(workshop.examples().folder, None).ids
    good, better, worse = (dict.fromkeys(names, nats) for nats in (10.0, 5.0, 12.0))
    candidate("chat", "good", 1.0, answers=good)
    second = candidate("chat", "better", 2.0, answers=better)
    old, new = (2 * nats / (26 + 18) / math.log(2) for nats in (10.0, 5.0))  # bytes of the two answers
    told = (
        f"{new:.4f} bits per byte against {old:.4f} (served.answers.bits_per_byte: training ended with conversations)"
    )
    assert told in second.decision
    third = candidate("chat", "worse", 0.5, answers=worse)
    assert "version 3 stays challenger of champion version 2" in third.decision
    assert aliases(tracked, "chat") == {"champion": 2, "challenger": 3, "previous": 1}
    plain = candidate("chat", "plain", 0.1)
    assert plain.decision.startswith("version 4 is not promoted, its gate failed: the champion answers conversations")
    assert aliases(tracked, "chat")["champion"] == 2


def test_a_champion_without_comparable_answers_is_asked_the_same_with_its_own_template(candidate, workshop, tracked):
    examples = workshop.examples()
    chats = choose_conversations(examples.folder, None)
    champion = candidate.bundle("asked", "text", 0.001, template=TEMPLATE)[0]
    candidate("asked", "text", 0.001, template=TEMPLATE)
    model = OnnxModel(champion.folder / "bundle" / "onnx" / "int8")
    nats, num_bytes = 0.0, 0
    for chat in chats.chats:
        (asked, said), end = (model.encode(message.content)[1:] for message in chat.messages), 0
        logits = model.logits([[*asked, end, *said]])[0][len(asked) :]
        scores = torch.log_softmax(torch.tensor(logits), -1)
        nats -= sum(float(scores[at, token]) for at, token in enumerate([*said, end]))
        num_bytes += len(chat.messages[1].content.encode())
    new = candidate("asked", "chat", 9.0, answers=dict.fromkeys(chats.ids, 0.001), template=TEMPLATE)
    assert f"against {nats / num_bytes / math.log(2):.4f} (served.answers.bits_per_byte" in new.decision
    assert aliases(tracked, "asked")["champion"] == 2


def test_a_champion_without_a_chat_template_is_compared_on_text_and_the_decision_says_so(candidate, workshop):
    ids = choose_conversations(workshop.examples().folder, None).ids
    candidate("silent", "text", 1.0)
    new = candidate("silent", "chat", 1.5, answers=dict.fromkeys(ids, 0.001), template=TEMPLATE)
    reason = "(served.bits_per_byte: champion version 1 has no usable chat template)"
    assert f"1.5000 bits per byte against 1.0000 {reason}" in new.decision
    assert "version 2 stays challenger" in new.decision


def test_a_refusal_is_told_again_but_noted_once(candidate, tracked):
    candidate("stubborn", "good", 1.0)
    first, second = (candidate("stubborn", "bad", 1.5) for _ in range(2))
    assert first == second
    trail = read_trail(tracked.tracker.client, "stubborn")
    assert [(event.action, event.version, event.before) for event in trail] == [("promote", 1, None), ("refuse", 2, 1)]


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it."""


@pytest.mark.parametrize(
    "step",
    [
        "create_registered_model", "create_model_version", "set_registered_model_alias", "log_model_artifacts",
        "log_dict", "set_registered_model_tag", "set_model_version_tag", "delete_registered_model_tag",
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", ["before", "after"])
def test_killed_around_any_step_the_next_call_ends_as_if_nothing_had_happened(
    candidate, tracked, monkeypatch, step, at
):
    from mlflow import MlflowClient

    model = f"killed-{step}-{at}"
    original = getattr(MlflowClient, step)

    def dies(*arguments, **keywords):
        if at == "after":
            original(*arguments, **keywords)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, step, dies)
        with pytest.raises(Killed):
            candidate(model, "one", 1.5)
    assert candidate(model, "one", 1.5).version == 1
    assert aliases(tracked, model) == {"champion": 1, "challenger": 1}
    assert len(tracked.tracker.client.search_model_versions(f"name = '{model}'")) == 1


def test_killed_between_the_aliases_of_a_promotion_the_next_call_completes_it(candidate, tracked, monkeypatch):
    from mlflow import MlflowClient

    candidate("handover", "first", 1.5)
    original = MlflowClient.set_registered_model_alias
    for alias in ("challenger", "previous", "champion"):

        def dies(self, name, given, version, alias=alias):
            original(self, name, given, version)
            if given == alias:
                raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(MlflowClient, "set_registered_model_alias", dies)
            with pytest.raises(Killed):
                candidate("handover", "second", 1.4)
    candidate("handover", "second", 1.4)
    assert aliases(tracked, "handover") == {"champion": 2, "challenger": 2, "previous": 1}


def test_a_model_logged_before_a_kill_is_used_again(candidate, tracked, monkeypatch):
    from mlflow import MlflowClient

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", lambda *a, **k: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            candidate("again", "one", 1.5)
    logged = _find_logged_model(tracked.tracker, candidate.bundle("again", "one", 1.5)[0].digest)
    candidate("again", "one", 1.5)
    assert tracked.tracker.client.get_model_version("again", "1").source == f"models:/{logged}"


def test_the_registered_model_predicts_with_parameters(candidate, tracked):
    import mlflow
    import pandas

    candidate("predicts", "one", 1.5)
    with quiet_mlflow():
        model = mlflow.pyfunc.load_model("models:/predicts@champion")
    frame = pandas.DataFrame({"prompt": ["To install the", "The function"]})
    expected = [" package, run pip install gristmill.", " returns a list of numbers."]
    assert list(model.predict(frame, params={"greedy": True})) == expected
    assert list(model.predict(frame, params={"greedy": True, "variant": "fp32"})) == expected
    once = model.predict(frame, params={"seed": 3, "temperature": 3.0, "num_continuations": 2})
    assert once == model.predict(frame, params={"seed": 3, "temperature": 3.0, "num_continuations": 2})
    assert [len(texts) for texts in once] == [2, 2]
    assert len(model.predict(frame, params={"greedy": True, "max_new_tokens": 1})[0]) < len(expected[0])


def test_the_version_carries_what_promotion_looks_at_and_pinned_requirements(candidate, tracked, tmp_path):
    import mlflow

    candidate("tagged", "one", 1.5)
    version = tracked.tracker.client.get_model_version("tagged", "1")
    assert version.run_id == tracked.tracker.run_id
    assert version.tags["gristmill.bits_per_byte"] == "1.5"
    assert version.tags["gristmill.gate"] == "passed"
    with quiet_mlflow():
        path = mlflow.artifacts.download_artifacts("models:/tagged/1/requirements.txt", dst_path=str(tmp_path))
    packages = {line.partition("==")[0] for line in Path(path).read_text().splitlines() if line}
    assert (
        {"numpy", "onnxruntime", "tokenizers"} <= packages <= {"numpy", "onnxruntime", "tokenizers", "mlflow", "pandas"}
    )


def test_nothing_of_mlflow_reaches_the_console(candidate, capfd, caplog):
    caplog.set_level(logging.INFO)
    candidate("silent", "one", 1.5)
    assert capfd.readouterr().err == ""
    assert [record.name for record in caplog.records if record.levelno >= logging.WARNING] == []

"""However a run ends, a webhook is told: real runs, a real server."""

import json
import logging
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from flows.endings import announce_end, how_it_ended
from flows.home import Home
from params.errors import BrokenTrainingError, SourceError
from params.notify import NotifyParams
from tasks.artifacts.manifest import Metrics

WAIT_S = 1800
CHANNEL = ("--set", "notify.webhooks=[{kind: json, url_env: MILL_HOOK}]")


def told(hook) -> dict[str, Any]:
    """The next message that arrives."""
    return json.loads(hook.arrivals.get(timeout=WAIT_S).body)


def read_until(process: subprocess.Popen, text: str) -> None:
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"the command ended before it said {text!r}")


def test_a_run_that_fails_tells_why_and_what_to_do(shell, hook, tmp_path: Path):
    arguments = shell.tiny(tmp_path / "missing", *CHANNEL)
    failed = shell(*arguments, MILL_HOOK=hook.url)
    assert failed.returncode == 1
    message = told(hook)
    assert message["verdict"] == "failed"
    assert str(tmp_path / "missing") in message["reasons"][0]
    assert message["reasons"][0] in failed.stderr.replace("gristmill: error: ", "")
    assert "gristmill run tiny" in message["text"]
    assert f"run {message['run_id']} ended: failed" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert len(hook.posted) == 1


@pytest.mark.usefixtures("finished")  # which is to make its stages itself
def test_ctrl_c_is_told_as_an_interruption(shell, corpus: Path, hook):
    arguments = shell.tiny(corpus, *CHANNEL, "--set", "clean.words.min_words=17")
    with shell.start(*arguments, MILL_HOOK=hook.url) as process:
        read_until(process, "clean: starts")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, err
    message = told(hook)
    assert (message["verdict"], message["reasons"]) == ("interrupted", ["Ctrl-C"])
    assert hook.arrivals.empty()


@pytest.mark.slow
def test_a_killed_run_is_told_at_once_by_its_guard_and_not_again_and_the_next_tells_its_success(
    shell, corpus: Path, hook
):
    arguments = shell.tiny(corpus, *CHANNEL, "--set", "clean.words.min_words=16")
    with shell.start(*arguments, MILL_HOOK=hook.url) as process:
        read_until(process, "clean: starts")
        os.kill(process.pid, signal.SIGKILL)
    dead = told(hook)
    assert dead["verdict"] == "killed"
    assert dead["seconds"] > 0
    again = shell(*arguments, MILL_HOOK=hook.url)
    assert again.returncode == 0, again.stderr
    message = told(hook)
    assert message["run_id"] != dead["run_id"]
    assert (message["verdict"], message["reasons"]) == ("budget", ["12 steps done"])
    assert message["figures"].keys() >= {"val_loss", "loss", "test_bits_per_byte", "steps", "tokens", "training_s"}
    assert message["figures"]["steps"] == 12
    assert message["links"]["version"].startswith("models:/gristmill-tiny/")
    assert Path(message["links"]["folder"], "stop.json").exists()
    assert message["links"]["prefect"].startswith("http://127.0.0.1:")
    assert hook.arrivals.empty()
    assert not list((shell.home / "store" / "runs").glob(f"{dead['run_id']}.[lt]o*"))


def test_a_webhook_that_refuses_is_a_warning_and_the_error_stays_what_it_was(shell, hook, tmp_path: Path):
    hook.replies = [(403, b"invalid_token")]
    arguments = shell.tiny(tmp_path / "missing", "--set", "notify.webhooks=[{kind: slack}, {kind: wecom}]")
    failed = shell(*arguments, GRISTMILL_SLACK_URL=f"{hook.url}/services/T0000000/secret-token")
    assert failed.returncode == 1
    assert (
        "warning: notify.webhooks.1 (wecom): the environment variable GRISTMILL_WECOM_URL is not set" in failed.stderr
    )
    assert "notify.webhooks.0 (slack) was not told how the run ended: it answered 403 Forbidden" in failed.stderr
    assert "secret-token" not in failed.stderr + (shell.home / "logs" / "gristmill.log").read_text()
    assert failed.stderr.splitlines()[-1].startswith("gristmill: error: ")


@pytest.mark.parametrize(
    ("error", "facts", "ended"),
    [
        (None, {"verdict": "converged", "stop_reason": "no gain"}, ("converged", ("no gain",))),
        (None, {}, ("completed", ())),
        (BrokenTrainingError("loss nan"), {"verdict": "budget"}, ("broken", ("loss nan",))),
        (SourceError("no such file"), {}, ("failed", ("no such file",))),
        (ZeroDivisionError("division by zero"), {}, ("failed", ("ZeroDivisionError: division by zero",))),
        (KeyboardInterrupt(), {}, ("interrupted", ("Ctrl-C",))),
    ],
)
def test_an_end_is_named_by_its_error_or_by_trainings_verdict(error, facts, ended):
    assert how_it_ended(error, facts) == ended


def test_a_signal_is_an_interruption_and_whoever_is_known_to_have_asked_is_named():
    from prefect.exceptions import TerminationSignal

    verdict, reasons = how_it_ended(TerminationSignal(signal.SIGTERM), {})
    assert verdict == "interrupted"
    assert reasons == ("asked to end by a signal (TerminationSignal)",)
    assert how_it_ended(TerminationSignal(signal.SIGTERM), {}, asked="cancelled") == ("asked", ("cancelled",))


@pytest.mark.slow
def test_a_cancel_in_prefect_of_a_run_without_a_worker_saves_training_and_is_told_as_asked(
    finished, shell, corpus: Path, hook
):
    endless = ("--set", "train.stop.max_steps=1000000", "--set", "train.eval_every_steps=1000")
    arguments = shell.tiny(corpus, *CHANNEL, *endless, "--set", "run.log_every_s=0.2")
    with shell.start(*arguments, MILL_HOOK=hook.url) as process:
        read_until(process, "train: step")
        record = newest_record(shell.home)
        set_state(shell.home, record["flow_run_id"], "CANCELLING")  # what the button in the UI does
        _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    message = told(hook)
    assert message["verdict"] == "asked"
    assert message["reasons"] == [f"cancelled in Prefect, flow run {record['flow_run_id']}"]
    assert "the same command goes on" in message["text"]
    saved = re.search(r"train: interrupted; the same command goes on from step ([\d,]+)", err)
    assert saved is not None, err
    step = int(saved[1].replace(",", ""))
    assert step > 0
    assert [*shell.home.glob(f"store/train/*.partial/checkpoints/step-{step:09d}/seal.json")]
    ended = newest_record(shell.home)
    assert (ended["run_id"], ended["status"], ended["asked"]) == (record["run_id"], "cancelled", message["reasons"][0])
    assert message["reasons"][0] in " ".join(shell("why-stopped", record["run_id"]).stdout.split())
    assert state_of(shell.home, record["flow_run_id"]) == "CANCELLED"


def newest_record(home: Path) -> dict[str, Any]:
    return json.loads(max((home / "store" / "runs").glob("*.json")).read_text())


def set_state(home: Path, flow_run_id: str, kind: str) -> None:
    request(f"{api_of(home)}/flow_runs/{flow_run_id}/set_state", {"state": {"type": kind, "name": kind.title()}})


def state_of(home: Path, flow_run_id: str) -> str:
    return request(f"{api_of(home)}/flow_runs/{flow_run_id}")["state"]["type"]


def api_of(home: Path) -> str:
    return json.loads((home / "prefect" / "server.json").read_text())["url"] + "/api"


def request(url: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}), timeout=WAIT_S) as reply:
        return json.load(reply)


def test_the_end_of_a_run_in_phases_is_that_of_its_last_phase(seal, run, tmp_path, caplog):
    record = run.record
    for stage, reason in (("train.base", "no gain"), ("train.chat", "3 steps done")):
        verdict = "converged" if stage == "train.base" else "budget"
        made = seal(stage, lambda out: None, Metrics(facts={"verdict": verdict, "stop_reason": reason}))
        record = record.with_stage(made, reused=False, wall_s=1.0)
    record.save(run.store.root)
    with caplog.at_level(logging.INFO, "flows.endings"):
        announce_end(NotifyParams(), record, Home(tmp_path), model="m", error=None)
    assert caplog.messages == [f"run {record.run_id} ended: budget (3 steps done)"]

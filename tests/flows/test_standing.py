"""gristmill up and down: a stack that stays, runs what is deployed, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen
from uuid import UUID

import pytest

from flows import cli
from flows.database import VARIABLE, database_settings
from flows.deployments import DEPLOYMENTS
from flows.stack import STATE, marked_processes
from params.errors import ParameterError

LIMIT_S = 1800
ENDLESS = 1_000_000


def test_a_stack_comes_up_runs_a_deployment_and_goes_down_without_orphans(finished, shell, corpus: Path, free_port):
    up = shell("up", "--mlflow-port", str(free_port), "--nightly", "tiny", "--cron", "0 3 * * *")
    try:
        assert up.returncode == 0, up.stderr
        assert all(deployed.full_name in up.stdout for deployed in DEPLOYMENTS)
        state = json.loads((shell.home / STATE).read_text())
        _check_server(f"{state['prefect']}/api", shell, corpus)
        assert shell("status").returncode == 0
        os.kill(state["pid"], signal.SIGKILL)  # the worst end of a stack: `down` still finds all that it had started
    finally:
        down = shell("down")
    assert down.returncode == 0, down.stderr
    assert list(marked_processes(state["id"])) == []
    assert shell("status").returncode == 1


@pytest.mark.slow  # a stack of its own, whose Prefect server starts twice
def test_a_call_waits_while_the_stack_starts_its_killed_prefect_server_again(lone_shell, free_ports):
    prefect_port, mlflow_port = next(free_ports), next(free_ports)
    up = lone_shell("up", "--mlflow-port", str(mlflow_port), "--prefect-port", str(prefect_port))
    try:
        assert up.returncode == 0, up.stderr
        address = lone_shell.home / "prefect" / "server.json"
        killed = json.loads(address.read_text())
        os.kill(killed["pid"], signal.SIGKILL)
        with urlopen(f"{killed['url']}/api/health", timeout=LIMIT_S) as reply:  # it would be refused without the socket
            assert reply.read() == b"true"
        back = json.loads(address.read_text())
        assert back["url"] == killed["url"] == f"http://127.0.0.1:{prefect_port}"
        assert back["pid"] != killed["pid"]
    finally:
        assert lone_shell("down").returncode == 0


def _check_server(api: str, shell, corpus: Path) -> None:
    """The schedule and the automations are there; a deployed run finds the results of the finished one."""
    from prefect.client.orchestration import get_client
    from prefect.deployments import run_deployment
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api}):
        with get_client(sync_client=True) as client:
            nightly = client.read_deployment_by_name("retrain/retrain")
            assert [planned.schedule.cron for planned in nightly.schedules] == ["0 3 * * *"]
            names = {automation.name.partition(": ")[2] for automation in client.read_automations()}
            assert {"zombie", "failure", "nightly run did not happen"} <= names
            assert client.read_global_concurrency_limit_by_name("gristmill-training").limit == 1
        settings = [item.partition("=") for item in shell.tiny(corpus)[3::2]]
        overrides = {key: json.loads(value) for key, _, value in settings if key != "survey.sources"}
        overrides["survey.sources"] = [{"name": "text", "path": str(corpus)}]
        parameters = {"preset": "tiny", "overrides": overrides, "until": "shard"}
        run = run_deployment("pipeline/prepare-only", parameters=parameters, timeout=LIMIT_S, poll_interval=0.5)
    assert run.state.is_completed(), run.state
    records = [json.loads(path.read_text()) for path in (shell.home / "store" / "runs").glob("*.json")]
    made = next(record for record in records if record["flow_run_id"] == str(run.id))
    assert list(made["stages"])[-1] == "shard"
    assert all(stage["reused"] for stage in made["stages"].values())


@pytest.mark.slow  # a stack, a run to training and a cancel, which Prefect takes half a minute to call done
def test_a_cancel_in_prefect_saves_training_and_is_told(finished, shell, corpus: Path, free_port, hook):
    up = shell("up", "--mlflow-port", str(free_port), MILL_HOOK=hook.url)
    try:
        assert up.returncode == 0, up.stderr
        with _lines_of(shell.home / "logs" / "worker.log") as said:
            state = json.loads((shell.home / STATE).read_text())
            run_id = _start_endless_training(f"{state['prefect']}/api", shell, corpus)
            next(line for line in said if "train: step 20" in line)
            prefect = [sys.executable, "-m", "prefect", "flow-run", "cancel", run_id]
            subprocess.run(prefect, env=shell.env | {"PREFECT_API_URL": f"{state['prefect']}/api"}, check=True)
            next(line for line in said if "Cancelled flow run" in line)
        message = json.loads(hook.arrivals.get(timeout=LIMIT_S).body)
        assert message["verdict"] == "asked"
        assert message["reasons"] == [f"cancelled in Prefect, flow run {run_id}"]
        assert _state_of(run_id, f"{state['prefect']}/api") == "CANCELLED"
        record = json.loads((shell.home / "store" / "runs" / f"{message['run_id']}.json").read_text())
        assert (record["flow_run_id"], record["status"]) == (run_id, "cancelled")
        drafts = [json.loads(path.read_text()) for path in shell.home.glob("store/train/*.partial/draft.json")]
        assert [draft["recipe"]["params"]["stop"]["max_steps"] for draft in drafts].count(ENDLESS) == 1
        assert [step for path in shell.home.glob("store/train/*.partial/checkpoints/step-*") if (step := path.name)]
    finally:
        assert shell("down").returncode == 0


@contextmanager
def _lines_of(path: Path) -> Iterator[Iterator[str]]:
    """What is written to a file from now on."""
    with subprocess.Popen(["tail", "-n", "0", "-F", path], stdout=subprocess.PIPE, text=True) as tail:
        try:
            yield iter(tail.stdout)
        finally:
            tail.kill()


def _start_endless_training(api: str, shell, corpus: Path) -> str:
    from prefect.deployments import run_deployment
    from prefect.settings import PREFECT_API_URL, temporary_settings

    settings = [item.partition("=") for item in shell.tiny(corpus)[3::2]]
    overrides = {key: json.loads(value) for key, _, value in settings if key != "survey.sources"}
    overrides |= {"survey.sources": [{"name": "text", "path": str(corpus)}], "train.stop.max_steps": ENDLESS}
    overrides |= {"notify.webhooks": [{"kind": "json", "url_env": "MILL_HOOK"}], "train.eval_every_steps": 1000}
    parameters = {"preset": "tiny", "overrides": overrides}
    with temporary_settings({PREFECT_API_URL: api}):
        return str(run_deployment("pipeline/gristmill", parameters=parameters, timeout=0).id)


def _state_of(run_id: str, api: str) -> str:
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(run_id)).state.type.value


def test_down_without_a_stack_says_so(lone_shell):
    done = lone_shell.here("down")
    assert done.returncode == 0
    assert "no stack was up" in done.stdout


def test_a_schedule_without_a_preset_is_refused(lone_shell):
    done = lone_shell.here("up", "--cron", "0 3 * * *")
    assert done.returncode == 2
    assert "add --nightly PRESET" in done.stderr


@pytest.mark.parametrize(
    ("cron", "why"),
    [("61 3 * * *", "they are none of cron"), ("at night", "they are none of cron"), ("0 0 31 2 *", "they never come")],
)
def test_times_that_are_none_or_never_come_are_refused_before_anything_starts(cron, why, tmp_path, capsys):
    assert cli.main(["up", "--nightly", "tiny", "--cron", cron, "--home", str(tmp_path)]) == 2
    assert f"--cron '{cron}': {why}; write minute, hour, day, month and weekday" in capsys.readouterr().err
    assert not (tmp_path / STATE).exists()


def test_one_variable_puts_both_databases_on_postgresql():
    settings = database_settings({VARIABLE: "postgresql://me:pa%40ss@db:6543/mill"})
    assert settings == {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://me:pa%40ss@db:6543/mill_prefect",
        "MLFLOW_TRACKING_URI": "postgresql+psycopg://me:pa%40ss@db:6543/mill_mlflow",
    }
    assert database_settings({}) == {}


def test_a_wrong_database_url_is_refused_without_repeating_the_password():
    with pytest.raises(ParameterError) as refused:
        database_settings({VARIABLE: "mysql://me:secret@db/mill"})
    assert "secret" not in str(refused.value)

"""deploy/prefect.yaml: deployed to a real server and run by a real worker."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.servers import read_address

ROOT = Path(__file__).parents[2]


@pytest.fixture
def prefect(shell, finished):
    """The prefect command on the session's server, from the repository root."""
    address = read_address(shell.home / "prefect" / "server.json")
    env = shell.env | {
        "PREFECT_API_URL": address.api,
        "PREFECT_HOME": str(shell.home / "prefect"),
        "GRISTMILL_HOME": str(shell.home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_CLI_COLORS": "false",
        "PYTHONWARNINGS": "ignore",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "prefect", *arguments]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=300)

    return run


def test_a_worker_runs_the_deployed_pipeline(prefect, shell, corpus: Path):
    made = prefect("work-pool", "create", "--type", "process", "gristmill")
    assert made.returncode == 0, made.stdout + made.stderr
    deployed = prefect("--no-prompt", "deploy", "--all", "--prefect-file", "deploy/prefect.yaml")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    settings = [item.partition("=") for item in shell.tiny(corpus)[3::2]]
    overrides = {key: value for key, _, value in settings if key != "survey.sources"}
    overrides = {key: json.loads(value) for key, value in overrides.items()}
    overrides["survey.sources"] = [{"name": "text", "path": str(corpus)}]
    queued = prefect(
        "deployment", "run", "pipeline/gristmill", "--param", "preset=tiny",
        "--param", f"overrides={json.dumps(overrides)}",
    )  # fmt: skip
    assert queued.returncode == 0, queued.stdout + queued.stderr
    worked = prefect("worker", "start", "--pool", "gristmill", "--run-once", "--install-policy", "never")
    assert worked.returncode == 0, worked.stdout + worked.stderr
    newest = json.loads(sorted((shell.home / "store" / "runs").glob("*.json"))[-1].read_text())
    assert newest["status"] == "completed", worked.stdout + worked.stderr
    assert newest["overrides"] == overrides
    assert all(stage["reused"] for stage in newest["stages"].values())
    assert newest["model_version"] == "models:/gristmill-tiny/1"


def test_the_deployment_says_what_its_parameters_mean():
    from flows.pipeline import pipeline

    schema = pipeline.parameters.model_dump()
    assert schema["properties"]["preset"]["default"] == "quickstart"
    assert "preset" in schema["properties"]["preset"]["description"]
    assert '{"train.seed": 7}' in schema["properties"]["overrides"]["description"]

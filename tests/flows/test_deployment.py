"""The deployments: the same for gristmill up and prefect.yaml, accepted by a real server, with forms that explain."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flows.deployments import DEPLOYMENTS, POOL, Deployed
from flows.servers import read_address

ROOT = Path(__file__).parents[2]


def entrypoint_of(deployed: Deployed) -> str:
    return f"flows/{deployed.module}.py:{deployed.flow}"


def parameters_of(deployed: Deployed) -> dict[str, object]:
    from flows.deployments import flow_of

    found: dict[str, object] = flow_of(deployed).parameters.model_dump()["properties"]
    return found


@pytest.fixture
def written() -> dict[str, dict[str, object]]:
    """The deployments of prefect.yaml by name."""
    tree = yaml.safe_load((ROOT / "deploy" / "prefect.yaml").read_text(encoding="utf-8"))
    return {made["name"]: made for made in tree["deployments"]}


def test_prefect_yaml_and_gristmill_up_deploy_the_same(written):
    ours = {
        deployed.name: {
            "name": deployed.name,
            "entrypoint": entrypoint_of(deployed),
            "description": deployed.description,
            "tags": list(deployed.tags),
            "parameters": deployed.parameters,
            "concurrency_limit": {"limit": 1, "collision_strategy": "ENQUEUE"},
            "work_pool": {"name": POOL, "work_queue_name": deployed.queue},
        }
        for deployed in DEPLOYMENTS
    }
    assert written == ours


def test_prefect_accepts_the_file(shell):
    """As a team with a server of its own deploys it; the parameters are checked against the flows' schemas."""
    address = read_address(shell.home / "prefect" / "server.json")
    env = shell.env | {
        "PREFECT_API_URL": address.api,
        "PREFECT_HOME": str(shell.home / "prefect"),
        "GRISTMILL_HOME": str(shell.home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-m", "prefect", "--no-prompt"]
    pool = [*command, "work-pool", "create", "--type", "process", POOL, "--overwrite"]
    deploy = [*command, "deploy", "--all", "--prefect-file", "deploy/prefect.yaml"]
    for arguments in (pool, deploy):
        done = subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=1800)
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(DEPLOYMENTS)}" in done.stdout or "successfully" in done.stdout.lower()


@pytest.mark.parametrize("deployed", DEPLOYMENTS, ids=lambda deployed: deployed.full_name)
def test_every_parameter_in_the_form_is_explained(deployed):
    unexplained = [name for name, field in parameters_of(deployed).items() if not field.get("description")]
    assert unexplained == []


def test_the_form_offers_the_stages_to_end_with():
    from params.pipeline import STAGES

    until = parameters_of(DEPLOYMENTS[0])["until"]
    assert json.dumps(list(STAGES)) in json.dumps(until)

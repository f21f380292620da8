"""The files of deploy/: keys that Kubernetes and Compose know, pinned images, nobody root, health checks, no secret."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
MANIFESTS = [
    made for path in sorted((DEPLOY / "kubernetes").glob("*.yaml")) for made in yaml.safe_load_all(path.read_text())
]
MODELS = {
    "Namespace": "V1Namespace",
    "NetworkPolicy": "V1NetworkPolicy",
    "PersistentVolumeClaim": "V1PersistentVolumeClaim",
    "Deployment": "V1Deployment",
    "Job": "V1Job",
    "Service": "V1Service",
}
SERVICE_KEYS = {
    *("image", "command", "entrypoint", "environment", "ports", "volumes", "depends_on", "user", "healthcheck"),
    *("security_opt", "cap_drop", "restart", "stop_grace_period", "profiles"),
}
"""Of compose-spec, what the file uses."""
HEALTH_KEYS = {"test", "interval", "timeout", "retries", "start_period"}
ONCE = {"bucket", "deploy"}
"""Services that do one thing and end."""
PINNED = re.compile(r"[a-z0-9./-]+:(RELEASE\.)?\d[\w.-]+")


def problems_of(value: Any, kind: str, place: str) -> list[str]:
    """Where a value differs from a model of the Kubernetes API, as its Python client has it."""
    from kubernetes import client

    if found := re.fullmatch(r"[Ll]ist\[(.+)\]", kind):
        if not isinstance(value, list):
            return [f"{place}: no list"]
        return [p for number, item in enumerate(value) for p in problems_of(item, found[1], f"{place}[{number}]")]
    if found := re.fullmatch(r"[Dd]ict[(\[]str, (.+)[)\]]", kind):
        if not isinstance(value, dict):
            return [f"{place}: no mapping"]
        return [p for key, item in value.items() for p in problems_of(item, found[1], f"{place}.{key}")]
    model = getattr(client, kind, None)
    if model is None or not hasattr(model, "openapi_types"):
        wanted = {"str": (str,), "int": (int,), "bool": (bool,), "object": (object,)}[kind.lower()]
        return [] if isinstance(value, wanted) else [f"{place}: {value!r} is no {kind}"]
    if not isinstance(value, dict):
        return [f"{place}: no {kind}"]
    names = {alias: name for name, alias in model.attribute_map.items()}
    known = {key: item for key, item in value.items() if key in names}
    problems = [f"{place}: {kind} has no {key}" for key in value.keys() - known.keys()]
    for key, item in known.items():
        problems += problems_of(item, model.openapi_types[names[key]], f"{place}.{key}")
    try:
        model(**{names[key]: item for key, item in known.items()})
    except ValueError as error:  # a required field that is missing, a word that is none of an enumeration
        problems.append(f"{place}: {error}")
    return problems


def deployments() -> list[dict[str, Any]]:
    return [made for made in MANIFESTS if made["kind"] == "Deployment"]


JOB = next(made for made in MANIFESTS if made["kind"] == "Job")


@pytest.mark.parametrize("made", MANIFESTS, ids=lambda made: f"{made['kind']}-{made['metadata']['name']}")
def test_a_manifest_has_only_what_the_kubernetes_api_knows(made: dict[str, Any]):
    assert problems_of(made, MODELS[made["kind"]], made["metadata"]["name"]) == []


def test_the_check_of_manifests_finds_a_key_that_does_not_exist_and_one_that_is_missing():
    broken = {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"prot": 80}], "selector": {"app": 1}}}
    found = problems_of(broken, "V1Service", "x")
    assert any("V1ServicePort has no prot" in problem for problem in found)
    assert any(re.search(r"port\s+Field required", problem) for problem in found)
    assert any("1 is no str" in problem for problem in found)


@pytest.mark.parametrize("made", deployments(), ids=lambda made: made["metadata"]["name"])
def test_a_pod_is_pinned_watched_bounded_and_not_root(made: dict[str, Any]):
    spec = made["spec"]["template"]["spec"]
    (box,) = spec["containers"]
    assert made["spec"]["selector"]["matchLabels"] == made["spec"]["template"]["metadata"]["labels"]
    assert PINNED.fullmatch(box["image"])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["automountServiceAccountToken"] is False
    assert box["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert {"livenessProbe", "readinessProbe", "startupProbe"} <= box.keys()
    assert "memory" in box["resources"]["limits"]


def test_the_job_that_trains_is_pinned_bounded_and_not_root():
    spec = JOB["spec"]["template"]["spec"]
    (box,) = spec["containers"]
    assert PINNED.fullmatch(box["image"])
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert box["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert "memory" in box["resources"]["limits"]
    assert JOB["spec"]["completions"] == JOB["spec"]["parallelism"]  # all pods at once, or none can train
    environment = {one["name"]: one.get("value") for one in box["env"]}
    assert environment["NODES"] == str(JOB["spec"]["completions"])
    (service,) = [made for made in MANIFESTS if made["metadata"]["name"] == "train" and made["kind"] == "Service"]
    assert (spec["subdomain"], service["spec"]["clusterIP"]) == (service["metadata"]["name"], "None")


@pytest.mark.parametrize("index", ["0", "1"])
def test_each_pod_and_each_node_does_its_part(index: str, tmp_path: Path):
    """The scripts are run as they are, with a gristmill that says how it was called and a Slurm of two nodes."""
    tools = {
        "gristmill": 'echo "gristmill $*"',
        "scontrol": "printf 'node7\\nnode9\\n'",
        "srun": 'shift; exec "$@"',
    }
    for name, does in tools.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    basics = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GRISTMILL_HOME": str(tmp_path)}
    (box,) = JOB["spec"]["template"]["spec"]["containers"]
    pod = basics | {one["name"]: one["value"] for one in box["env"] if "value" in one} | {"JOB_COMPLETION_INDEX": index}
    slurm = basics | {"SLURM_NODEID": index, "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "node[7,9]"}
    sbatch = ["bash", str(DEPLOY / "slurm" / "train.sbatch"), "my.yaml", "--set", "a=b c"]
    said = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
        for command, environment in ((box["command"], pod), (sbatch, slurm))
    ]
    if index == "0":
        assert said == [
            "gristmill run quickstart --set run.nodes=2 --set run.ranks=1 --set run.rendezvous=train-0.train:29500",
            "gristmill run my.yaml --set run.nodes=2 --set run.rendezvous=node7:29500 --set run.ranks=1 --set a=b c",
        ]
    else:
        assert said == ["gristmill node train-0.train:29500", "gristmill node node7:29500"]


def test_every_service_of_compose_is_pinned_watched_and_not_root():
    for name, service in COMPOSE["services"].items():
        assert service.keys() <= SERVICE_KEYS, name
        assert PINNED.fullmatch(service["image"]), name
        assert not service["user"].startswith(("0", "root")), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert ("healthcheck" in service) == (name not in ONCE), name
        assert service.get("healthcheck", {}).keys() <= HEALTH_KEYS, name


def test_compose_waits_for_services_and_mounts_volumes_that_exist():
    services = COMPOSE["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert (other in services, how["condition"]) == (True, wanted), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            is_file = source.startswith("./") and (DEPLOY / source).is_file()
            assert source in COMPOSE["volumes"] or is_file or source.startswith("${TEXT"), name


def test_compose_publishes_ports_on_loopback_alone():
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_secrets_come_from_the_environment_and_the_example_names_each():
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    wanted = set(re.findall(r"\$\{(\w+):\?", text))
    lines = (DEPLOY / "example.env").read_text(encoding="utf-8").splitlines()
    named = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert named.keys() == wanted
    assert set(named.values()) == {""}
    values = [value for service in COMPOSE["services"].values() for value in service.get("environment", {}).items()]
    secret = [(name, value) for name, value in values if re.search("PASSWORD|SECRET|KEYS|AUTH", name)]
    assert secret
    assert [name for name, value in secret if not value.startswith("${")] == []


def test_the_worker_takes_runs_from_the_pool_that_the_local_stack_has_and_deploys_the_same_file():
    from flows.stack import POOL

    services = COMPOSE["services"]
    worker = ["prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    assert services["worker"]["command"][: len(worker)] == worker
    assert (DEPLOY.parent / services["deploy"]["command"][-1]).is_file()
    (made,) = [made for made in deployments() if made["metadata"]["name"] == "worker"]
    assert made["spec"]["template"]["spec"]["containers"][0]["command"][: len(worker)] == worker

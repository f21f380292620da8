"""What can be started from the UI, a schedule or an event: the deployments, their queues and limits.

deploy/prefect.yaml says the same to teams that deploy with Prefect's own command; a test holds the two together.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.slots import TRAINING_LIMIT
from flows.stack import POOL

if TYPE_CHECKING:
    from uuid import UUID

    from prefect import Flow
    from prefect.client.orchestration import SyncPrefectClient

TRAINING, OTHERS = "training", "default"
"""Queues: of what trains one run at a time is started, whatever the deployment; the others need not wait for it."""
TAG = "gristmill"
"""Of every deployment whose failure people are told of; to tell of what tells them would go round in circles."""
NIGHTLY = "0 2 * * *"


@dataclass(frozen=True)
class Deployed:
    """A deployment of a flow."""

    module: str
    """Of flows/, which defines a flow of the same stem."""
    flow: str
    name: str
    description: str
    queue: str = OTHERS
    parameters: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = (TAG,)

    @property
    def full_name(self) -> str:
        """As Prefect's command line calls it."""
        return f"{self.flow.replace('_', '-')}/{self.name}"


DEPLOYMENTS = (
    Deployed(
        "pipeline",
        "pipeline",
        "gristmill",
        "Raw text to a released language model. Stages whose results are stored are reused.",
        TRAINING,
        {"preset": "quickstart"},
        (TAG, "train", "release"),
    ),
    Deployed(
        "pipeline",
        "pipeline",
        "prepare-only",
        "Raw text to token shards: the data stages alone. A later run of the same preset reuses them.",
        OTHERS,
        {"preset": "quickstart", "until": "shard"},
        (TAG, "data"),
    ),
    Deployed(
        "pipeline",
        "pipeline",
        "train-only",
        "Raw text to a trained model that is neither measured nor released.",
        TRAINING,
        {"preset": "quickstart", "until": "train"},
        (TAG, "train"),
    ),
    Deployed(
        "releasing",
        "release_only",
        "release-only",
        "Measure, export, compress and release what is trained already. Refuses to train.",
        OTHERS,
        {"preset": "quickstart"},
        (TAG, "release"),
    ),
    Deployed(
        "evaluating",
        "evaluating",
        "evaluate",
        "Measure any model, registered or not, with the evaluation of the pipeline.",
        OTHERS,
        {},
        (TAG, "evaluate"),
    ),
    Deployed(
        "retrain",
        "retrain",
        "retrain",
        "Look for new, changed and withdrawn text; train again when there is evidence, and promote what is better.",
        TRAINING,
        {"preset": "quickstart"},
        (TAG, "train", "release"),
    ),
    Deployed(
        "upkeep",
        "maintenance",
        "maintenance",
        "Check stored results against their seals, free disk space, and tell people when no retraining has ended.",
        OTHERS,
        {"preset": "quickstart"},
        ("gristmill-upkeep",),
    ),
    Deployed(
        "upkeep",
        "alert",
        "alert",
        "Tell people, over the channels of a preset's section notify, what an automation has noticed.",
        OTHERS,
        {"preset": "quickstart"},
        ("gristmill-upkeep",),
    ),
)


def register(working_dir: Path) -> list[str]:
    """Make or renew pool, queues, limit and deployments; their full names. Relative paths are from `working_dir`."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists

    with get_client(sync_client=True) as client:
        with suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", description="Runs on this machine."))
        _limit_queue(client)
        client.upsert_global_concurrency_limit_by_name(TRAINING_LIMIT, limit=1)
        return [_apply(deployed, working_dir) for deployed in DEPLOYMENTS]


def schedule(full_name: str, cron: str, parameters: dict[str, Any]) -> "UUID":
    """Give a deployment this schedule and no other; the deployment's id."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.schedules import CronSchedule

    with get_client(sync_client=True) as client:
        found = client.read_deployment_by_name(full_name)
        for old in client.read_deployment_schedules(found.id):
            client.delete_deployment_schedule(found.id, old.id)
        planned = CronSchedule(cron=cron, timezone=timezone())
        created = DeploymentScheduleCreate(schedule=planned, active=True, parameters=parameters, slug="nightly")
        client.create_deployment_schedules(found.id, [created])
        return found.id


def _apply(deployed: Deployed, working_dir: Path) -> str:
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import RunnerDeployment
    from prefect.types.entrypoint import EntrypointType

    made = flow_of(deployed).to_deployment(
        name=deployed.name,
        description=deployed.description,
        tags=list(deployed.tags),
        parameters=deployed.parameters,
        work_pool_name=POOL,
        work_queue_name=deployed.queue,
        job_variables={"working_dir": str(working_dir)},
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(made, RunnerDeployment)
    made.apply()
    return deployed.full_name


def flow_of(deployed: Deployed) -> "Flow[..., Any]":
    """The flow itself."""
    from importlib import import_module

    found: Flow[..., Any] = getattr(import_module(f"flows.{deployed.module}"), deployed.flow)
    return found


def _limit_queue(client: "SyncPrefectClient") -> None:
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    try:
        found = client.read_work_queue_by_name(TRAINING, work_pool_name=POOL)
        client.update_work_queue(found.id, concurrency_limit=1)
    except ObjectNotFound:
        with suppress(ObjectAlreadyExists):  # another command may be quicker
            client.create_work_queue(TRAINING, concurrency_limit=1, work_pool_name=POOL)


def timezone() -> str:
    """This machine's, for "at two in the night" is meant here."""
    link = Path("/etc/localtime")
    name = str(link.resolve()).partition("zoneinfo/")[2] if link.is_symlink() else ""
    return name or "UTC"


def id_of(full_name: str) -> "UUID":
    """The id of a deployment."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(full_name).id

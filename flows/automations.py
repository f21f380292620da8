"""What the Prefect server does by itself: mark dead runs as crashed, and have people told of what went wrong."""

import asyncio
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

from flows.deployments import TAG, timezone
from flows.stack import HEARTBEAT_S
from params.errors import ParameterError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.actions import RunDeployment
    from prefect.events.schemas.automations import AutomationCore

ZOMBIE, FAILURE, MISSED = "gristmill: zombie", "gristmill: failure", "gristmill: nightly run did not happen"
_ENDS = ("Completed", "Failed", "Cancelled", "Crashed")
_FALLBACK = "quickstart"
_NUM_DATES = 60


def make_automations(alert: UUID) -> None:
    """Zombie and failure, made or renewed; `alert` is the deployment that tells people."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        _renew(client, _zombie())
        _renew(client, _failure(alert))


def watch_nightly(nightly: UUID, alert: UUID, preset: str, *, within: timedelta) -> None:
    """Tell people when so long a time goes by in which the scheduled deployment has not completed."""
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    trigger = EventTrigger(
        expect={"prefect.flow-run.Completed"},
        match_related={"prefect.resource.id": f"prefect.deployment.{nightly}", "prefect.resource.role": "deployment"},
        posture=Posture.Proactive,
        threshold=1,
        within=within,
    )
    what = f"No scheduled retraining of {preset} has completed for {_in_words(within)}."
    told = _tell(alert, {"what": what, "preset": preset})
    with get_client(sync_client=True) as client:
        _renew(client, AutomationCore(name=MISSED, description=what, trigger=trigger, actions=[told]))


def check_cron(cron: str) -> None:
    """Raise ParameterError where these are no times of cron, or times that never come."""
    try:
        longest_wait(cron, timezone())
    except ValueError as error:
        reason = "they never come" if "find next date" in str(error) else "they are none of cron"
        raise ParameterError(
            f"--cron {cron!r}: {reason}; write minute, hour, day, month and weekday, such as '30 3 * * 1-5'"
        ) from None


def longest_wait(cron: str, timezone: str) -> timedelta:
    """The longest time between two runs of a schedule: over the weekend, for one of weekdays."""
    from prefect.server.schemas.schedules import CronSchedule

    dates = asyncio.run(CronSchedule(cron=cron, timezone=timezone).get_dates(_NUM_DATES))
    return timedelta(seconds=max((later - earlier).total_seconds() for earlier, later in pairwise(dates)))


def _in_words(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return f"{hours:.0f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"


def _zombie() -> "AutomationCore":
    """A run whose heartbeat fails three times in a row is dead: its process or machine is gone."""
    from prefect.client.schemas.objects import StateType
    from prefect.events.actions import ChangeFlowRunState
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    beat = "prefect.flow-run.heartbeat"
    trigger = EventTrigger(
        after={beat},
        expect={beat, *(f"prefect.flow-run.{end}" for end in _ENDS)},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=3 * HEARTBEAT_S),
    )
    crash = ChangeFlowRunState(
        name=None, state=StateType.CRASHED, message="No heartbeat: its process or machine is gone.", force=False
    )
    about = "Marks runs without a heartbeat as crashed, so that the next in the queue starts."
    return AutomationCore(name=ZOMBIE, description=about, trigger=trigger, actions=[crash])


def _failure(alert: UUID) -> "AutomationCore":
    """Runs that died cannot tell of it themselves, nor can those that failed before they knew their channels.

    The channels are those of the run's own preset.
    """
    from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture

    trigger = EventTrigger(
        expect={"prefect.flow-run.Crashed", "prefect.flow-run.Failed"},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={"prefect.resource.id": f"prefect.tag.{TAG}", "prefect.resource.role": "tag"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    what = {
        "__prefect_kind": "jinja",
        "template": "Flow run {{ flow_run.name }} of {{ flow.name }}: {{ flow_run.state.name }}. "
        "{{ flow_run.state.message }}",
    }
    preset = {
        "__prefect_kind": "jinja",
        "template": f"{{{{ flow_run.parameters.get('preset', '{_FALLBACK}') }}}}",
    }
    about = "Tells people of runs that failed or crashed, by the deployment alert."
    told = _tell(alert, {"what": what, "preset": preset})
    return AutomationCore(name=FAILURE, description=about, trigger=trigger, actions=[told])


def _tell(alert: UUID, parameters: dict[str, Any]) -> "RunDeployment":
    from prefect.events.actions import RunDeployment

    return RunDeployment(source="selected", deployment_id=alert, parameters=parameters, job_variables=None)


def _renew(client: "SyncPrefectClient", automation: "AutomationCore") -> None:
    """One automation of this name, changed only where it differs, so that its running windows are kept."""
    found = client.read_automations_by_name(automation.name)
    for surplus in found[1:]:
        client.delete_automation(surplus.id)
    if not found:
        client.create_automation(automation)
    elif _content(automation) != _content(found[0]):
        client.update_automation(found[0].id, automation)


def _content(automation: "AutomationCore") -> dict[str, Any]:
    return automation.model_dump(mode="json", include={"name", "description", "trigger", "actions"})

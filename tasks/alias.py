"""Move the aliases of a registered model so that a crash leaves no half, and keep the trail of who did so and why.

MLflow sets one alias at a time. So the whole plan is written into one tag of the model first and taken out last:
whoever comes next carries out what a killed command, or a registry that went down, left undone.
"""

import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tasks.registry.trail import Event

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
TRAIL, PENDING = "gristmill.trail.", "gristmill.pending"
"""Tags: of versions, one per decision; of the model, while aliases move."""

Aliases = Mapping[str, str | None]
"""Version of each alias that changes; None takes the alias away."""


def change_aliases(client: "MlflowClient", name: str, event: Event, aliases: Aliases) -> None:
    """Set aliases and add the event to the trail: all of it, now or by the next call of `settle`."""
    plan = json.dumps({"event": event.to_json(), "aliases": dict(aliases)})
    client.set_registered_model_tag(name, PENDING, plan)
    settle(client, name)


def settle(client: "MlflowClient", name: str) -> None:
    """Carry out the plan that is written down, if any; each step may find itself done already."""
    plan = client.get_registered_model(name).tags.get(PENDING)
    if not plan:
        return
    found = json.loads(plan)
    event, aliases = Event.from_json(found["event"]), found["aliases"]
    for alias, version in sorted(aliases.items(), key=lambda item: item[0] == CHAMPION):  # what is served comes last
        if version is not None:
            client.set_registered_model_alias(name, alias, version)
        elif holder_of(client, name, alias) is not None:
            client.delete_registered_model_alias(name, alias)
    client.set_model_version_tag(name, str(event.version), f"{TRAIL}{event.when}", event.to_json())
    client.delete_registered_model_tag(name, PENDING)


def holder_of(client: "MlflowClient", name: str, alias: str) -> str | None:
    """The version that has an alias."""
    found = client.get_registered_model(name).aliases.get(alias)
    return None if found is None else str(found)


def read_trail(client: "MlflowClient", name: str) -> list[Event]:
    """Every decision about a model, oldest first."""
    versions = client.search_model_versions(f"name = '{name}'")
    found = (value for version in versions for key, value in version.tags.items() if key.startswith(TRAIL))
    return sorted((Event.from_json(text) for text in found), key=lambda event: event.when)

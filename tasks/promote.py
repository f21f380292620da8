"""Decide who is champion of a registered model, by the gate or by a person, and go back to the one before."""

import getpass
import json
import logging
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from params.errors import ReleaseError
from params.gate import GateParams
from tasks.alias import CHALLENGER, CHAMPION, PREVIOUS, change_aliases, holder_of, read_trail, settle
from tasks.artifacts.lock import locked
from tasks.artifacts.store import Store
from tasks.compare import bundle_file, cannot_compare, compare_versions, other_kind
from tasks.pull import resolve
from tasks.registry.promotion import Decision, champion_check, decide
from tasks.registry.trail import Action, Event, champions
from tasks.tracking import answering_registry, quiet_mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

GATE = "gate.json"
_LOCK = "registry.lock"


@dataclass(frozen=True)
class Request:
    """Who asks for a decision, and why."""

    who: str
    reason: str = ""
    override: bool = False
    """Promote whatever the gate says."""


@dataclass(frozen=True)
class Judgement:
    """A decision about a version, and the checks that it rests on."""

    name: str
    version: int
    decision: Decision
    checks: list[dict[str, Any]]
    is_champion: bool
    """Whether the version is champion now."""


def this_person() -> str:
    """Who is at the keyboard, for the trail."""
    return f"{getpass.getuser()}@{platform.node()}"


def promote(address: str, request: Request, *, store: Store) -> Judgement:
    """Decide anew on a registered version (of a bare name: the challenger), and do what follows from it.

    What an interrupted call left undone is done first.
    """
    with _registry(store) as client:
        bare = address.removeprefix("models:/")
        name, version = resolve(client, address if set(bare) & set("@/") else f"{bare}@{CHALLENGER}")
        return consider(client, client.get_model_version(name, version), request, store=store)


def rollback(name: str, request: Request, *, store: Store) -> Event:
    """Make the version champion that was champion before."""
    with _registry(store) as client:
        resolve(client, f"{name}@{CHAMPION}")
        settle(client, name)
        holder = int(str(holder_of(client, name, CHAMPION)))
        there = {int(version.version) for version in client.search_model_versions(f"name = '{name}'")}
        line = [version for version in champions(read_trail(client, name)) if version in there - {holder}]
        if not line:
            raise ReleaseError(f"{name}: version {holder} is the first champion; there is none to go back to")
        text = f"version {line[-1]} is champion again in place of version {holder}"
        event = Event(_now(), request.who, "rollback", line[-1], holder, request.reason, text)
        earlier = str(line[-2]) if len(line) > 1 else None
        change_aliases(client, name, event, {PREVIOUS: earlier, CHAMPION: str(line[-1])})
    return event


def consider(
    client: "MlflowClient",
    version: "ModelVersion",
    request: Request,
    *,
    store: Store,
    again: bool = True,
    hold: Sequence[str] = (),
) -> Judgement:
    """Decide on a version and set the aliases that it deserves; without `again` a refusal that still stands is kept.

    `hold` are reasons not to promote it beside those of its gate.
    """
    name, number = version.name, int(version.version)
    settle(client, name)
    holder = holder_of(client, name, CHAMPION)
    before = None if holder is None else int(holder)
    gate = read_gate(version, store)
    if before == number:
        return Judgement(name, number, Decision(True, f"version {number} is the champion"), gate["checks"], True)
    last = [event for event in read_trail(client, name) if event.version == number][-1:]
    if not again and last and (last[0].action, last[0].before) == ("refuse", before):
        return Judgement(name, number, Decision(False, last[0].text), gate["checks"], False)
    decision = _decide(client, version, holder, gate, store, hold)
    action = _action(decision, request)
    event = Event(_now(), request.who, action, number, before, request.reason, decision.text)
    _keep(client, version, event, gate, decision)
    change_aliases(client, name, event, _aliases(str(number), holder, action, passed=gate["passed"]))
    log.info("%s: %s", name, decision.text if action != "override" else f"promoted by {request.who}: {request.reason}")
    checks = [*gate["checks"], *_champion_checks(gate, before, decision)]
    return Judgement(name, number, decision, checks, action != "refuse")


def read_gate(version: "ModelVersion", store: Store) -> dict[str, Any]:
    """gate.json of a version: its parameters, every check with its figures, and whether all passed."""
    with bundle_file(version, GATE, store) as path:
        gate: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return gate


def _decide(
    client: "MlflowClient",
    version: "ModelVersion",
    holder: str | None,
    gate: Mapping[str, Any],
    store: Store,
    hold: Sequence[str],
) -> Decision:
    params = GateParams.model_validate(gate["params"]).champion
    failed = [check["name"] for check in gate["checks"] if not check["passed"]]
    failed += hold
    comparison = None
    if holder is not None:
        champion = client.get_model_version(version.name, holder)
        unlike = cannot_compare(version, champion)
        comparison = None if unlike else compare_versions(version, champion, params, store=store)
        failed += filter(None, [unlike or other_kind(version, champion)])
    return decide(int(version.version), None if holder is None else int(holder), failed, comparison, params)


def _champion_checks(gate: Mapping[str, Any], champion: int | None, decision: Decision) -> list[dict[str, Any]]:
    if champion is None or decision.comparison is None:
        return []
    params = GateParams.model_validate(gate["params"]).champion
    return [champion_check(champion, decision.comparison, params).as_dict()]


def _action(decision: Decision, request: Request) -> Action:
    if decision.promote:
        return "promote"
    return "override" if request.override else "refuse"


def _aliases(version: str, holder: str | None, action: Action, *, passed: bool) -> Mapping[str, str | None]:
    """What becomes of the aliases: a version whose gate failed gets none, unless a person wants it."""
    if action == "refuse":
        return {CHALLENGER: version} if passed else {}
    return {CHALLENGER: version, CHAMPION: version} | ({PREVIOUS: holder} if holder is not None else {})


def _keep(
    client: "MlflowClient", version: "ModelVersion", event: Event, gate: Mapping[str, Any], decision: Decision
) -> None:
    """The decision with everything it rests on, as an artifact of the run that made the version."""
    found = {
        "name": version.name,
        **asdict(event),
        "promoted": event.action != "refuse",
        "gate": gate,
        "comparison": None if decision.comparison is None else asdict(decision.comparison),
    }
    path = f"decisions/{version.name}-{version.version}-{event.when.replace(':', '')}.json"
    client.log_dict(str(version.run_id), found, path)


def one_at_a_time(store: Store) -> AbstractContextManager[None]:
    """Wait for other commands of this home that change the registry."""
    return locked(store.root / _LOCK)


@contextmanager
def _registry(store: Store) -> Iterator["MlflowClient"]:
    from mlflow import MlflowClient

    with answering_registry(), quiet_mlflow(), one_at_a_time(store):
        yield MlflowClient()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

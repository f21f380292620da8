"""What Prefect's server has yet to write down: it takes the ends of tasks from a queue, which it loses when it ends."""

import time
from collections.abc import Collection
from uuid import UUID

from flows.home import Home
from flows.prefect_server import ADDRESS
from flows.servers import read_address

_LIMIT_S = 30.0
_POLL_S = 0.05


def settled(task_runs: Collection[UUID], home: Home, *, limit_s: float = _LIMIT_S) -> bool:
    """Wait until the server of this home has written down how these tasks ended; False where it has not by then.

    Else a command on a busy machine could end, and its server with it, before the last tasks were seen to end. A
    server of the user's own goes on and has time.
    """
    from prefect.settings import PREFECT_API_URL

    address = read_address(home.prefect / ADDRESS)
    if address is None or address.api != PREFECT_API_URL.value():
        return True
    deadline = time.monotonic() + limit_s
    while not (done := _all_ended(task_runs)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return done


def _all_ended(task_runs: Collection[UUID]) -> bool:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import TaskRunFilter, TaskRunFilterId

    wanted = TaskRunFilter(id=TaskRunFilterId(any_=list(task_runs)))
    with get_client(sync_client=True) as client:
        found = client.read_task_runs(task_run_filter=wanted)
    return len(found) == len(task_runs) and all(one.state is not None and one.state.is_final() for one in found)

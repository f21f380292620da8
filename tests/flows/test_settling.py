"""Prefect's server writes down how tasks ended some time after it was told; a run waits for that."""

from typing import Any
from uuid import uuid4

from flows.home import Home
from flows.settling import settled


def begin(prefect: Any) -> Any:
    """A task run that is under way."""
    from prefect import flow, task
    from prefect.states import Running

    flow_run = prefect.create_flow_run(flow(name="pipeline")(lambda: None), state=Running())
    stage = task(name="clean")(lambda: None)
    return prefect.create_task_run(stage, flow_run.id, dynamic_key="0", state=Running())


def test_tasks_are_settled_once_the_server_has_their_ends(prefect, home):
    from prefect.states import Completed

    first, second = begin(prefect), begin(prefect)
    prefect.set_task_run_state(first.id, Completed(), force=True)
    assert not settled({first.id, second.id}, Home(home), limit_s=0)
    prefect.set_task_run_state(second.id, Completed(), force=True)
    assert settled({first.id, second.id}, Home(home), limit_s=0)


def test_a_task_that_the_server_has_not_heard_of_is_not_settled(prefect, home):
    assert not settled({uuid4()}, Home(home), limit_s=0)


def test_a_server_that_outlives_the_run_is_not_waited_for(prefect, tmp_path):
    assert settled({uuid4()}, Home(tmp_path), limit_s=0)

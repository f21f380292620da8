"""gristmill steer and approve: hands on a run that is under way."""

import argparse
from typing import Any

from pydantic import ValidationError

from flows.home import Home, locate_home
from flows.housekeeping import find_run
from flows.phases import approve as approve_phase
from flows.runs import is_alive
from params.errors import ParameterError
from params.load import load_params, parse_assignments
from params.stop import StopParams
from tasks.artifacts.record import RunRecord, run_records
from tasks.artifacts.store import Store
from tasks.context import orders_of
from tasks.training.orders import Order, OrderBook


def steer(arguments: argparse.Namespace) -> int:
    """Give an order to the training of a run."""
    home = locate_home(arguments.home)
    record = _running(home, arguments.run)
    values = parse_assignments(arguments.values)
    if bool(values) != (arguments.action == "set"):
        raise ParameterError("gristmill steer set takes KEY=VALUE (lr_scale=0.5, stop.max_tokens=2000000), others none")
    order = _order(record, arguments.action.replace("-", "_"), values, arguments.reason)
    OrderBook(orders_of(Store(home.store), record)).give(order)
    print(f"run {record.run_id}: {arguments.action} asked for; training heeds it after its current step")
    return 0


def approve(arguments: argparse.Namespace) -> int:
    """Let a phase begin that waits for approval."""
    home = locate_home(arguments.home)
    record = _running(home, arguments.run)
    approve_phase(Store(home.store), record, arguments.phase)
    print(f"run {record.run_id}: phase {arguments.phase} approved")
    return 0


def _order(record: RunRecord, do: str, values: dict[str, Any], reason: str) -> Order:
    try:
        order = Order.model_validate({"do": do, "reason": reason, **values})
        stop = load_params(record.preset, record.overrides).train.stop
        StopParams.model_validate(stop.model_dump() | order.stop)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "stop"
        raise ParameterError(
            f"{key} = {first['input']!r}: {first['msg']}; lr_scale and the rules of train.stop (as stop.…) can be set"
        ) from None
    return order


def _running(home: Home, start: str | None) -> RunRecord:
    """The run that an id begins with, or the only one under way."""
    if start is not None:
        record = find_run(home, start)
        if record.status != "running" or not is_alive(home, record):
            raise ParameterError(f"run {record.run_id} is not under way ({record.status}): nothing can be asked of it")
        return record
    alive = [record for record in run_records(home.store) if record.status == "running" and is_alive(home, record)]
    if len(alive) != 1:
        found = ", ".join(record.run_id for record in alive) or "none"
        raise ParameterError(f"runs under way in {home.root}: {found}; name one with --run")
    return alive[0]

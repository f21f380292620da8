"""gristmill up, down and status: a whole stack that stays, on a home."""

import argparse
import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from flows import manual
from flows.command_help import amount, port
from flows.console import say
from flows.database import make_databases
from flows.holdings import holdings_of
from flows.home import Home, locate_home, open_home
from flows.indexes import index_lines
from flows.prefect_server import DEFAULT_PORT, listen
from flows.renewable import check_renewable
from flows.servers import answers
from flows.stack import POOL, STATE, marked_processes
from params.errors import ParameterError, ServerError
from params.load import load_params
from tasks.artifacts.lock import is_locked

if TYPE_CHECKING:
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

MLFLOW_PORT = 5000
_START_TIMEOUT_S = 300.0
_END_TIMEOUT_S = 100.0
_POLL_S = 0.2
_LOG = "stack.log"


def add_parsers(add: Callable[..., argparse.ArgumentParser], commands: "Commands") -> None:
    """up, down and status."""
    up = add(commands, "up", start, help="start a stack that stays", about=manual.UP)
    up.add_argument("--prefect-port", type=port, default=DEFAULT_PORT, metavar="PORT", help=f"({DEFAULT_PORT})")
    up.add_argument("--mlflow-port", type=port, default=MLFLOW_PORT, metavar="PORT", help=f"({MLFLOW_PORT})")
    up.add_argument("--nightly", metavar="PRESET", help="retrain the model of this preset on a schedule")
    up.add_argument("--cron", metavar="TIMES", help="when, in cron's five fields (0 2 * * *: at two every night)")
    about_grace = "tell people when a nightly run has not completed so long after its time (180)"
    up.add_argument("--grace", type=amount, default=180.0, metavar="MINUTES", help=about_grace)
    add(commands, "down", end, help="end the stack", about=manual.DOWN)
    add(commands, "status", status, help="say what of the stack runs", about=manual.STATUS)


def start(arguments: argparse.Namespace) -> int:
    """Bring the stack up, or renew the deployments of one that is up already; print where everything is."""
    if arguments.cron is not None and arguments.nightly is None:
        raise ParameterError("--cron says when, but not what: add --nightly PRESET")
    if arguments.nightly is not None:
        check_renewable(load_params(arguments.nightly))
    home = open_home(arguments.home)
    if arguments.cron is not None:
        from flows.automations import check_cron

        check_cron(arguments.cron)
    make_databases()
    if not is_locked(home.root / STATE):
        _sweep(home)
        _spawn(home, arguments.prefect_port, arguments.mlflow_port)
    state = _wait_until_healthy(home)
    os.environ["PREFECT_API_URL"] = f"{state['prefect']}/api"
    names = _deploy(arguments)
    print(f"Prefect:     {state['prefect']}\nMLflow:      {state['mlflow']}\nDeployments: {', '.join(names)}")
    print(f"Logs:        {home.logs}\nEnd it with: gristmill down{_option(arguments)}")
    return 0


def end(arguments: argparse.Namespace) -> int:
    """End every process of the stack, those of its runs included."""
    home = locate_home(arguments.home)
    state = home.root / STATE
    was_up = is_locked(state)
    if was_up and (pid := read_state(home).get("pid")) is not None:
        os.kill(int(pid), signal.SIGTERM)
        deadline = time.monotonic() + _END_TIMEOUT_S
        while is_locked(state):
            if time.monotonic() > deadline:
                os.kill(int(pid), signal.SIGKILL)
            time.sleep(_POLL_S)
    swept = _sweep(home)
    state.unlink(missing_ok=True)
    left = f"; {swept} processes it had left have ended" if swept else ""
    print(f"the stack on {home.root} has ended{left}" if was_up else f"no stack was up on {home.root}{left}")
    return 0


def status(arguments: argparse.Namespace) -> int:
    """Print what runs; exits with 1 when something does not."""
    home = locate_home(arguments.home)
    state = read_state(home) if is_locked(home.root / STATE) else {}
    is_up = {
        "Prefect": "prefect" in state and answers(state["prefect"]),
        "MLflow": "mlflow" in state and _is_healthy(f"{state['mlflow']}/health"),
    }
    is_up["worker"] = is_up["Prefect"] and _has_worker(state["prefect"])
    for name, found in is_up.items():
        where = state.get(name.lower(), f"pool {POOL}") if found else "down"
        print(f"{name:<8} {where}")
    is_readable = _print_holdings(home)
    for number, line in enumerate(index_lines(home)):
        print(f"{'' if number else 'index':<8} {line}")
    return 0 if is_readable and all(is_up.values()) else 1


def _print_holdings(home: Home) -> bool:
    """Say what is in the store that the home shares, if any; whether it can be read."""
    holdings = holdings_of(home)
    for number, line in enumerate(holdings.lines if holdings else ()):
        print(f"{'' if number else 'store':<8} {line}")
    return holdings is None or holdings.problem is None


def read_state(home: Home) -> dict[str, str]:
    """What the stack says of itself, or the last one said."""
    try:
        said: dict[str, str] = json.loads((home.root / STATE).read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return said


def _spawn(home: Home, prefect_port: int, mlflow_port: int) -> None:
    """Start the stack in a session of its own, so that it outlives the terminal."""
    _check_ports(prefect_port, mlflow_port)
    output = os.open(home.logs / _LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    command = [sys.executable, "-P", "-m", "flows.stack", str(home.root), str(prefect_port), str(mlflow_port)]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output, 1),
        (os.POSIX_SPAWN_DUP2, output, 2),
    ]
    os.posix_spawn(sys.executable, command, os.environ, file_actions=actions, setsid=True)
    os.close(output)


def _check_ports(prefect_port: int, mlflow_port: int) -> None:
    own_mlflow = os.environ["MLFLOW_TRACKING_URI"].startswith("http")
    wanted = [] if "PREFECT_API_URL" in os.environ else [("--prefect-port", prefect_port)]
    wanted += [] if own_mlflow else [("--mlflow-port", mlflow_port)]
    for option, number in wanted:
        try:
            listen(number).close()
        except OSError as error:
            if _is_ours(number):
                continue
            raise ServerError(f"port {number} is taken ({error.strerror}); choose another with {option}") from None


def _is_ours(port: int) -> bool:
    """Whether a Prefect server of a running command answers there: the stack goes on with it."""
    return answers(f"http://127.0.0.1:{port}", timeout_s=2)


def _wait_until_healthy(home: Home) -> dict[str, str]:
    say("starting Prefect, MLflow and a worker …")
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        state = read_state(home)
        answered = "prefect" in state and answers(state["prefect"]) and _is_healthy(f"{state['mlflow']}/health")
        if answered and _has_worker(state["prefect"]):
            return state
        time.sleep(_POLL_S)
    raise ServerError(f"the stack is not healthy after {_START_TIMEOUT_S:.0f} s; its logs are in {home.logs}")


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (OSError, ValueError):
        return False


def _has_worker(prefect: str) -> bool:
    """Whether a worker of the pool has told the server that it lives."""
    request = urllib.request.Request(
        f"{prefect}/api/work_pools/{POOL}/workers/filter",
        data=b"{}",
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return any(worker["status"] == "ONLINE" for worker in json.loads(reply.read()))
    except (OSError, ValueError):
        return False


def _deploy(arguments: argparse.Namespace) -> list[str]:
    from flows import automations, deployments
    from flows.upkeep import preset_path

    names = deployments.register(Path.cwd())
    alert = deployments.id_of("alert/alert")
    automations.make_automations(alert)
    if arguments.nightly is not None:
        preset, cron = preset_path(arguments.nightly), arguments.cron or deployments.NIGHTLY
        nightly = deployments.schedule("retrain/retrain", cron, {"preset": preset})
        wait = automations.longest_wait(cron, deployments.timezone()) + timedelta(minutes=arguments.grace)
        automations.watch_nightly(nightly, alert, preset, within=wait)
        print(f"Nightly:     retrain/retrain of {arguments.nightly} at {cron}")
    return names


def _sweep(home: Home) -> int:
    """End what a stack that was killed has left; how many processes."""
    mark = read_state(home).get("id")
    if mark is None:
        return 0
    left = list(marked_processes(mark))
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + 15
        for pid in marked_processes(mark):
            _signal(pid, number)
        while any(True for _ in marked_processes(mark)) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    return len(left)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _option(arguments: argparse.Namespace) -> str:
    return f" --home {arguments.home}" if arguments.home else ""

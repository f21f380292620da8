"""What chaos sees of a run: when work goes on after a disturbance, and processes that outlive their command."""

import math
import re
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from chaos_acts import Act

GRACE_S = 20.0
"""Within so many seconds after a command's end its processes are gone; Prefect's server takes ten."""
GOES_ON = re.compile(rb": (starts|step \d+)|(becomes|stays) (champion|challenger)|is the champion")
"""In a line of a command: work goes on."""


@dataclass
class Strike:
    """A disturbance that was done, and when work went on."""

    act: Act
    log: Path
    log_size: int
    at: float
    recovery_s: float = math.nan

    def look(self, *, is_over: bool = False) -> None:
        """Note the time as soon as a command has said, since, that it works; or that it has done it all."""
        if math.isnan(self.recovery_s):
            with self.log.open("rb") as file:
                file.seek(self.log_size)
                if is_over or GOES_ON.search(file.read()):
                    self.recovery_s = time.monotonic() - self.at


class Suspects:
    """Processes that a command left; the next one may begin while they end, but not go on beside them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._since: dict[psutil.Process, float] = {}

    def report(self, *, grace_s: float = 0.0) -> int:
        """How many live longer than allowed, up to now or in the next seconds; they are killed.

        A server that lives on serves the next command; at the end it must be gone as well.
        """
        deadline = time.monotonic() + grace_s
        while (living := processes_of(self.home)) and time.monotonic() < deadline:
            time.sleep(0.2)
        now = time.monotonic()
        if not grace_s:
            living = [process for process in living if not is_server(process)]
        self._since = {process: self._since.get(process, now) for process in living}
        late = [process for process, since in self._since.items() if grace_s or now - since > GRACE_S]
        for process in late:
            with suppress(psutil.NoSuchProcess):
                say(f"chaos: orphan {process.pid}: {' '.join(process.cmdline())[:200]}")
                process.kill()
        return len(late)


def is_server(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return "flows.prefect_server" in process.cmdline()
    return False


def processes_of(home: Path) -> list[psutil.Process]:
    """Living processes that work on a home."""
    found = []
    for process in psutil.process_iter():
        try:
            is_ours = process.environ().get("GRISTMILL_HOME") == str(home) or str(home) in process.cmdline()
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

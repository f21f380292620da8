"""What other processes take of the processor."""

import subprocess
import sys
import time

from tasks.hardware.contention import CpuClock

ONE_SECOND = "import time\nwhile time.process_time() < 1: pass"


def test_a_second_of_another_process_is_seen_and_our_own_work_is_not():
    before = CpuClock.read()
    subprocess.run([sys.executable, "-c", ONE_SECOND], check=True)
    after = CpuClock.read()
    assert before.busy_cores(after) * (after.wall_s - before.wall_s) >= 0.9
    clock, ends = CpuClock.read(), time.process_time() + 0.2
    while time.process_time() < ends:
        pass
    now = CpuClock.read()
    alone = CpuClock(
        now.wall_s, None if clock.machine_s is None else clock.machine_s + now.own_s - clock.own_s, now.own_s
    )
    assert clock.busy_cores(alone) < 1e-6


def test_where_nobody_tells_nobody_is_busy():
    assert CpuClock(0.0, None, 0.0).busy_cores(CpuClock(2.0, None, 1.0)) == 0.0
    assert CpuClock(0.0, 10.0, 0.0).busy_cores(CpuClock(2.0, 15.0, 2.0)) == 1.5  # five of all less two of ours, in two

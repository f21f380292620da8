import os
import signal
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from tasks.training.parent import PARENT, named_parent

CHILD = """
import os, sys, time
from pathlib import Path
from tasks.training.parent import PARENT, die_with_parent

while os.getppid() == int(os.environ[PARENT]):
    time.sleep(0.01)
die_with_parent()
Path(sys.argv[1]).write_text("lives")
"""
"""Gets round to it only when its parent is dead."""
PARENT_THAT_DIES = """
import os, subprocess, sys
from tasks.training.parent import named_parent

child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], env=os.environ | named_parent())
print(child.pid, flush=True)
"""


def test_a_child_whose_parent_died_before_it_could_ask_ends_as_well(tmp_path):
    told = tmp_path / "told"
    parent = subprocess.run(
        [sys.executable, "-c", PARENT_THAT_DIES, CHILD, str(told)], capture_output=True, text=True, check=True
    )
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(parent.stdout)).wait(timeout=60)
    assert not told.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread looks once a second")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent_in_the_way_it_asked_for(how):
    asks = f"from tasks.training.parent import die_with_parent; die_with_parent(how={int(how)}); print(flush=True)"
    waits = "import os, sys, time\nprint(os.getpid(), flush=True)\nexec(sys.argv[1])\ntime.sleep(600)"
    middle = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', *sys.argv[1:]], stdout=subprocess.PIPE, text=True)\n"
        "print(child.stdout.readline() + child.stdout.readline(), flush=True)\n"
    )
    parent = subprocess.run(
        [sys.executable, "-c", middle, waits, asks], capture_output=True, text=True, check=True, timeout=120
    )
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int(parent.stdout)).wait(timeout=60)
    assert not psutil.pid_exists(int(parent.stdout))


def test_a_child_of_a_living_parent_lives_and_names_nobody_to_its_own_children():
    asks = "from tasks.training.parent import die_with_parent; die_with_parent()"
    child = f"import os; {asks}; print(os.environ.get('{PARENT}'))"
    done = subprocess.run(
        [sys.executable, "-c", child], env=os.environ | named_parent(), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "None"

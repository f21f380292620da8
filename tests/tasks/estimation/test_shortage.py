"""Too little memory, told before and after."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from params.errors import ParameterError
from params.train import ModelParams
from tasks.estimation.fitting import USABLE
from tasks.estimation.layout import Layout
from tasks.estimation.memory import memory_parts
from tasks.estimation.shape import ModelShape
from tasks.estimation.shortage import Demand, check_memory, memory_failure, out_of_memory

GIB = 1 << 30
SHAPE = ModelShape.of(ModelParams(layers=12, width=768, heads=12), vocab_size=32_000, context=1024)
LAYOUT = Layout(micro_blocks=16, eval_rows=16)


def demand(available: float) -> Demand:
    return Demand(SHAPE, LAYOUT, int(available), "this machine")


def test_enough_memory_is_no_error():
    assert check_memory(demand(memory_parts(SHAPE, LAYOUT).total / USABLE + 1)) is None


def test_a_little_too_little_is_warned_of_and_tried():
    needed = memory_parts(SHAPE, LAYOUT).total
    said = check_memory(demand(needed / 1.1)) or ""
    assert said.startswith(f"a step needs about {needed / GIB:.1f} GiB for each rank and this machine has ")
    assert "--set train.micro_blocks=" in said


def test_too_little_names_the_largest_part_and_a_setting_that_fits():
    with pytest.raises(ParameterError, match=r"this machine has 8\.0 GiB; the largest part is \w+ with") as caught:
        check_memory(demand(8 * GIB))
    settings = dict(re.findall(r"--set train\.(\w+)=(\d+)", str(caught.value)))
    rows = int(settings.get("eval_blocks", LAYOUT.eval_rows))
    changed = Layout(micro_blocks=int(settings["micro_blocks"]), eval_rows=rows)
    assert memory_parts(SHAPE, changed).total <= 8 * GIB * USABLE


def test_far_too_little_asks_for_another_machine():
    with pytest.raises(ParameterError, match="no setting makes it fit: use a machine with more memory"):
        check_memory(demand(GIB // 10))


def test_a_step_that_was_thought_to_fit_is_told_to_shrink():
    said = out_of_memory(demand(512 * GIB), "CUDA out of memory")
    assert said.startswith("training ran out of memory on this machine (CUDA out of memory); the largest part is ")
    assert "--set train.micro_blocks=" in said


def test_what_torch_says_when_the_processor_has_no_more_is_understood(tmp_path: Path):
    output = tmp_path / "output.log"
    with output.open("w") as file:
        done = subprocess.run([sys.executable, "-c", "import torch; torch.empty(1 << 60)"], stderr=file, check=False)
    assert memory_failure(output, done.returncode, kills=0) == "DefaultCPUAllocator: can't allocate memory"


@pytest.mark.parametrize(
    ("text", "code", "kills", "expected"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", 1, 0, "torch.OutOfMemoryError"),
        ("RuntimeError: [enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory", 1, 0, "Default"),
        ("MemoryError", 1, 0, "MemoryError"),
        ("exitcode  : -9 (pid: 7)\n traceback : Signal 9 (SIGKILL) received by PID 7", 1, 1, "the kernel killed it"),
        ("", -signal.SIGKILL, 1, "the kernel killed it"),
        ("exitcode  : -9\n Signal 9 (SIGKILL) received by PID 7", 1, 0, None),
        ("ValueError: heads", 1, 0, None),
        ("the word MemoryError in a text", 0, 0, None),
    ],
)
def test_how_a_process_ended_tells_whether_memory_was_the_cause(text, code, kills, expected, tmp_path: Path):
    output = tmp_path / "output.log"
    output.write_text(text)
    found = memory_failure(output, code, kills=kills)
    assert found is None if expected is None else (found or "").startswith(expected)

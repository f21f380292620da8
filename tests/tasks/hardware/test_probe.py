"""The probe: what it measures, that it is kept, and that it leaves no trace in training."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tasks.hardware import probe as probing
from tasks.hardware.ceilings import Ceilings, share_of_peak
from tasks.hardware.probe import disk_read_mb_s, forget, machine_key, probe

CPU = torch.device("cpu")
TWO_RANKS = """
import dataclasses, json, sys
from pathlib import Path
import torch
from torch import distributed
from tasks.hardware.probe import probe
meet = "file://" + sys.argv[1] + "/meet"
distributed.init_process_group("gloo", init_method=meet, rank=int(sys.argv[2]), world_size=2)
torch.set_num_threads(1)
found = probe(torch.device("cpu"), threads=1, folder=Path(sys.argv[1]), cache=Path(sys.argv[1]) / sys.argv[2])
print(json.dumps(dataclasses.asdict(found)))
distributed.destroy_process_group()
"""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes at which nothing is worth measuring, for tests that ask for something else."""
    monkeypatch.setattr(probing, "_SIZES", {"cpu": 64})
    monkeypatch.setattr(probing, "_TRIAD_ELEMENTS", {"cpu": 1 << 12})
    monkeypatch.setattr(probing, "_FILE_BYTES", 1 << 20)
    monkeypatch.setattr(probing, "_SPAN_S", 0.001)


def test_every_ceiling_of_a_processor_is_a_speed(small, tmp_path):
    found = probe(CPU, threads=1, folder=tmp_path, cache=tmp_path / "cache")
    assert set(found.figures) == {
        "fp32_gflops",
        "bf16_gflops",
        "fp32_gflops_per_thread",
        "bf16_gflops_per_thread",
        "memory_gb_s",
        "disk_read_mb_s",
        "disk_cached_mb_s",
        "busy_cores",
    }
    assert all(value > 0 for name, value in found.figures.items() if name != "busy_cores")
    assert (found.threads, found.ranks, found.all_reduce_gb_s) == (1, 1, None)


def test_training_finds_its_random_state_threads_and_modes_as_they_were(small, tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    threads, mode = torch.get_num_threads(), torch.get_float32_matmul_precision()
    probe(CPU, threads=threads, folder=tmp_path, cache=tmp_path / "cache")
    assert torch.equal(torch.rand(4), expected)
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision()) == (threads, mode)
    assert torch.is_grad_enabled()


def test_nothing_is_measured_twice_on_the_same_machine_and_damage_is_measured_again(small, tmp_path):
    cache = tmp_path / "cache"
    first = replace(probe(CPU, threads=1, folder=tmp_path, cache=cache), busy_cores=0.0)
    first.save(next((cache / "hardware").iterdir()))
    assert probe(CPU, threads=1, folder=tmp_path / "gone", cache=cache) == first
    (path,) = (cache / "hardware").iterdir()
    path.write_text(path.read_text()[:20])
    assert probe(CPU, threads=1, folder=tmp_path, cache=cache).device == first.device
    assert Ceilings.load(path) is not None


def test_what_was_measured_on_a_busy_machine_is_measured_again_and_the_better_figures_are_kept(small, tmp_path):
    cache = tmp_path / "cache"
    first = probe(CPU, threads=1, folder=tmp_path, cache=cache)
    (path,) = (cache / "hardware").iterdir()
    replace(first, busy_cores=1e9, fp32_gflops=1e9, memory_gb_s=1e-9).save(path)
    again = probe(CPU, threads=1, folder=tmp_path, cache=cache)
    assert (again.fp32_gflops, again.memory_gb_s > 1e-9) == (1e9, True)
    assert again.busy_cores < 1e9
    assert Ceilings.load(path) == again
    forget(CPU, threads=1, ranks=1, cache=cache)
    assert not path.exists()


def test_a_measurement_needs_its_threads_for_itself():
    """Two threads of four cores: two cores may be busy."""
    found = Ceilings("x", 2, 1, 5.0, 10.0, None, None, 1.0, 1.0, 1.0, None, None, None)
    assert replace(found, busy_cores=2.0).is_sound(4)
    assert not replace(found, busy_cores=2.2).is_sound(4)
    assert not replace(found, busy_cores=0.5).is_sound(2)


def test_the_disk_is_left_as_it_was(small, tmp_path):
    assert min(disk_read_mb_s(tmp_path)) > 0
    assert list(tmp_path.iterdir()) == []


def test_other_threads_or_ranks_are_another_machine():
    keys = {machine_key(CPU, threads=threads, ranks=ranks) for threads in (1, 2) for ranks in (1, 2)}
    assert len(keys) == 4


def test_share_of_peak_by_hand():
    """1,000 tokens/s at 3 MFLOP is 3 GFLOP/s; two ranks of 10 make 20."""
    found = Ceilings("x", 1, 2, 5.0, 10.0, None, None, 1.0, 1.0, 1.0, None, None, 1.0)
    assert share_of_peak(1000, 3e6, found, precision="bf16") == pytest.approx(0.15)
    assert share_of_peak(1000, 3e6, found, precision="fp32") == pytest.approx(0.3)


def test_two_ranks_measure_together_though_their_caches_differ(tmp_path: Path):
    """The first rank's cache decides: a rank that decided for itself would leave the other waiting."""
    for _ in range(2):  # the second time, only the first rank has kept anything
        (tmp_path / "meet").unlink(missing_ok=True)
        command = [sys.executable, "-c", TWO_RANKS, str(tmp_path)]
        ranks = [subprocess.Popen([*command, str(rank)], stdout=subprocess.PIPE, text=True) for rank in range(2)]
        said = [rank.communicate(timeout=1800)[0] for rank in ranks]
        first, second = (json.loads(text.splitlines()[-1]) for text in said)
        assert first == second
        assert first["ranks"] == 2
        assert first["all_reduce_gb_s"] > 0
    assert (tmp_path / "0").exists()
    assert not (tmp_path / "1").exists()

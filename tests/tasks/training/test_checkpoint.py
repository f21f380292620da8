"""Checkpoints on disk."""

import logging

import pytest
import torch

from tasks.training.checkpoint import Progress, checkpoint_folders, newest_checkpoint, save_checkpoint


def save(root, step, keep=3):
    return save_checkpoint(
        root,
        Progress(step=step),
        weights={"w": torch.full((4,), float(step))},
        optimizer={"0.0.momentum_buffer": torch.zeros(4)},
        configuration={"seed": 1},
        elapsed_s=2.5,
        keep=keep,
    )


def test_the_newest_checkpoint_comes_back_whole(tmp_path):
    save(tmp_path, 1)
    save(tmp_path, 2)
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert (found.progress.step, found.elapsed_s, found.configuration) == (2, 2.5, {"seed": 1})
    assert found.tensors("weights")["w"].tolist() == [2.0] * 4


def test_only_the_newest_are_kept(tmp_path):
    for step in range(1, 6):
        save(tmp_path, step, keep=2)
    assert [folder.name for folder in checkpoint_folders(tmp_path)] == ["step-000000004", "step-000000005"]


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove", "unseal"])
def test_a_damaged_checkpoint_is_passed_over_and_said_so(tmp_path, caplog, harm):
    save(tmp_path, 1)
    victim = save(tmp_path, 2) / ("seal.json" if harm == "unseal" else "optimizer.safetensors")
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    if harm in ("remove", "unseal"):
        victim.unlink()
    else:
        victim.write_bytes(bytes(data) if harm == "flip" else bytes(data[:-3]))
    with caplog.at_level(logging.WARNING):
        found = newest_checkpoint(tmp_path)
    assert found is not None
    assert found.progress.step == 1
    assert "step-000000002 is damaged" in caplog.text


def test_a_half_written_checkpoint_is_no_checkpoint(tmp_path):
    (tmp_path / "step-000000009.tmp").mkdir()
    assert newest_checkpoint(tmp_path) is None

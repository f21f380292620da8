"""Event files, read back by TensorBoard."""

import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from params.watch import WatchParams
from tasks.watching.watchers import Watchers


@pytest.fixture
def board(tmp_path: Path, samples: Path, points) -> EventAccumulator:
    """What TensorBoard sees of a run."""
    where = {"folder": tmp_path, "project": "p", "run_id": "r1", "samples": samples}
    with Watchers.from_params(WatchParams(tensorboard=True), **where, config={"seed": 7}) as watchers:
        watchers.show(points)
        watchers.show(points)
        watchers.end({"verdict": "budget", "steps": 9})
    seen = EventAccumulator(str(tmp_path / "tensorboard" / "r1"))
    seen.Reload()
    return seen


def test_every_number_is_a_scalar_at_its_step_and_time_once(board: EventAccumulator):
    assert set(board.Tags()["scalars"]) == {"train/loss", "train/lr_factor", "train/tokens", "train/val_loss"}
    events = [(event.step, event.value, event.wall_time) for event in board.Scalars("train/loss")]
    assert events == [(3, 6.0, 1_700_000_000.0), (6, 5.5, 1_700_000_002.0), (9, 5.25, 1_700_000_004.0)]
    assert [event.step for event in board.Scalars("train/val_loss")] == [6]


def test_configuration_samples_and_the_end_are_text(board: EventAccumulator):
    texts = {
        tag: [event.tensor_proto.string_val[0].decode() for event in board.Tensors(tag)]
        for tag in board.Tags()["tensors"]
    }
    assert board.PluginTagToContent("text").keys() == texts.keys()
    assert '"seed": 7' in texts["config"][0]
    assert [text.splitlines()[2] for text in texts["train/samples"]] == [
        "| 6 | The  | greedy | mill \\| 磨坊 6 |",
        "| 12 | The  | greedy | mill \\| 磨坊 12 |",
    ]
    assert texts["train/end"][0].startswith("**budget**")


def test_the_writer_needs_no_torch(tmp_path: Path):
    code = (
        "import sys, pathlib; from tasks.watching.event_files import EventFiles; "
        "EventFiles(pathlib.Path(sys.argv[1])).on_end('budget', {}); print({'torch', 'tensorflow'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

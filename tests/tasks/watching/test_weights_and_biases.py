"""A Weights & Biases run offline, read back from its file."""

import json
import struct
from pathlib import Path

import pytest
from wandb.proto.wandb_internal_pb2 import Record

from params.errors import ParameterError
from params.watch import WatchParams
from tasks.watching.watchers import Watchers, need

_BLOCK, _FULL, _FIRST, _LAST = 32768, 1, 2, 4


def records(path: Path) -> list[Record]:
    """All records of an offline run's file: a LevelDB log (its log_format.md) behind a header of 7 bytes."""
    data, at, found, parts = path.read_bytes(), 7, [], b""
    while at + 7 <= len(data):
        if _BLOCK - at % _BLOCK < 7:  # no room for a head: the rest of the block is filled up
            at += _BLOCK - at % _BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        piece = data[at + 7 : at + 7 + length]
        parts = piece if kind in (_FULL, _FIRST) else parts + piece
        if kind in (_FULL, _LAST):
            found.append(Record.FromString(parts))
        at += 7 + length
    return found


def test_an_offline_run_has_configuration_every_point_once_and_the_verdict(tmp_path, samples, points, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "")
    where = {"folder": tmp_path / "watch", "project": "mill", "run_id": "r1", "samples": samples}
    with Watchers.from_params(WatchParams(wandb="offline"), **where, config={"seed": 7}) as watchers:
        watchers.show(points)
        watchers.show(points)
        watchers.end({"verdict": "budget", "steps": 9})
    (path,) = (tmp_path / "watch").glob("wandb/offline-run-*-r1/run-r1.wandb")
    found = records(path)
    (begun,) = [record.run for record in found if record.HasField("run")]
    assert (begun.project, begun.run_id) == ("mill", "r1")
    config = {item.key: json.loads(item.value_json) for item in begun.config.update}
    assert config["seed"] == 7
    rows = []
    for record in found:
        if record.HasField("history"):
            items = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
            rows.append((json.loads(items["train/step"]), json.loads(items.get("train/loss", "null"))))
    assert [row for row in rows if row[1] is not None] == [(3, 6.0), (6, 5.5), (9, 5.25)]
    assert "budget" in path.read_bytes().decode(errors="replace")


def test_a_package_that_is_not_installed_is_named_with_the_remedy():
    with pytest.raises(ParameterError, match=r"needs the package no_such: pip install 'gristmill\[no_such\]'"):
        need("no_such", "run.watch.wandb")

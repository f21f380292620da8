"""Several machines train together: here two processes that meet on the loopback interface."""

import json
from pathlib import Path

import pytest


@pytest.mark.slow
def test_two_machines_train_one_model(shell, corpus: Path, free_port):
    meeting = f"127.0.0.1:{free_port}"
    settings = {
        "run.nodes": 2,
        "run.rendezvous": f"'{meeting}'",
        "run.threads": 1,
        "release.model_name": "of-two-machines",
        "train.phases": "[{name: first, stop: {max_steps: 6}}, {name: second, stop: {max_steps: 6}}]",
    }
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    with (
        shell.start("node", meeting, "--rank", "1") as other,
        shell.start(*shell.tiny(corpus, *given)) as first,
    ):
        out, err = first.communicate(timeout=1800)
        said = other.communicate(timeout=1800)[1]
    assert first.returncode == 0, err
    assert "of-two-machines version 1" in out
    assert other.returncode == 0, said
    assert said.count("as machine 1 of 2") == 2  # once for each phase
    assert "has ended" in said
    for phase in ("first", "second"):
        reports = [json.loads(path.read_text()) for path in shell.home.glob(f"store/train.{phase}/*/stop.json")]
        assert [report["ranks"] for report in reports].count(2) == 1


def test_the_first_machine_is_not_a_node(shell):
    done = shell.here("node", "127.0.0.1:29500", "--rank", "0")
    assert done.returncode == 2
    assert "this machine's rank is 0; name it with --rank, from 1" in done.stderr


def test_a_place_to_meet_without_a_port_is_refused(shell):
    done = shell.here("node", "node0", "--rank", "1")
    assert done.returncode == 2
    assert "run.rendezvous is 'node0'" in done.stderr


def test_machines_without_a_place_to_meet_are_refused(shell):
    done = shell.here("plan", "tiny", "--set", "run.nodes=2")
    assert done.returncode == 2
    assert "nodes 2 need rendezvous, HOST:PORT of the first machine, to meet" in done.stderr

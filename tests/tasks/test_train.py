"""The training stage: stop rules, and the same bytes after SIGKILL."""

import json
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pytest

from params.errors import ParameterError, TrainingError
from params.run import RunParams
from params.stop import LossSpikeParams, PatienceParams, StopParams
from params.train import ModelParams, OptimizerParams, ScheduleParams, TrainParams
from params.watch import SamplesParams, WatchParams
from tasks.artifacts.digest import digest_file
from tasks.artifacts.manifest import Manifest
from tasks.artifacts.record import RunRecord
from tasks.artifacts.remote import RemoteStore
from tasks.artifacts.sharing import Sharing
from tasks.artifacts.store import Store
from tasks.artifacts.unfinished import UnfinishedWork
from tasks.context import Run
from tasks.shards.blocks import Blocks
from tasks.train import identity, train
from tasks.training.checkpoint import checkpoint_folders
from tasks.training.curve import read_points
from tasks.training.job import newest_step
from tasks.training.order import DataOrder
from tasks.training.orders import Order, OrderBook

MODEL = ModelParams(layers=2, width=32, heads=2)
PARAMS = TrainParams(
    model=MODEL,
    batch_blocks=4,
    eval_every_steps=10,
    eval_blocks=4,
    record_every_steps=3,
    stop=StopParams(max_steps=40),
)
# Samples of 32 tokens at every evaluation would take longer than the training.
WATCH = WatchParams(ceilings=False, samples=SamplesParams(max_tokens=4))
SETTINGS = RunParams(threads=1, compile=False, checkpoint_every_s=0.01, watch=WATCH)


def with_settings(run: Run, settings: RunParams) -> Run:
    return Run(run.store, settings, run.record)


def digests(out: Path) -> dict[str, str]:
    """Digests of everything that must not depend on interruptions."""
    names = ["curve.jsonl", "stop.json", "model/model.safetensors", "checkpoints/step-000000040/optimizer.safetensors"]
    return {name: digest_file(out / name) for name in names}


@pytest.fixture(scope="module")
def undisturbed(tokenizer, shards, world, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed")
    settings = SETTINGS.model_copy(update={"watch": WatchParams()})
    metrics = train.work(PARAMS, tokenizer, shards, out=out, run=with_settings(world, settings))
    return out, metrics


def test_killed_twice_and_started_again_training_ends_with_the_same_bytes(
    undisturbed, tokenizer, shards, run, tmp_path, kill_the_rank_at
):
    reference, _ = undisturbed
    out = tmp_path / "killed"
    out.mkdir()
    for step in (8, 23):
        thread = kill_the_rank_at(out, step)
        with pytest.raises(TrainingError, match=r"SIGKILL.* The same command goes on from its last checkpoint"):
            train.work(PARAMS, tokenizer, shards, out=out, run=with_settings(run, SETTINGS))
        thread.join()
        assert not (out / "stop.json").exists()
    train.work(PARAMS, tokenizer, shards, out=out, run=with_settings(run, SETTINGS))
    assert digests(out) == digests(reference)


@pytest.mark.slow
def test_where_a_home_is_lost_another_goes_on_from_the_shared_store_to_the_same_bytes(
    undisturbed, tokenizer, shards, tmp_path, kill_the_rank_at, caplog
):
    shared = RemoteStore(f"file://{tmp_path}/shared", patience_s=0)
    work = shared.unfinished("train", "0" * 32)
    runs = [_sharing_run(tmp_path / name, shared) for name in ("lost", "other")]
    outs = [one.store.root / "train" / f"{'0' * 32}.partial" for one in runs]
    for out in outs:
        out.mkdir(parents=True)
    thread = threading.Thread(target=_lose_home, args=(runs[0], outs[0], work, kill_the_rank_at))
    thread.start()
    with pytest.raises(TrainingError, match="SIGKILL"):
        train.work(PARAMS, tokenizer, shards, out=outs[0], run=runs[0])
    thread.join()
    found = work.find()
    assert found is not None
    shutil.rmtree(tmp_path / "lost")
    with caplog.at_level(logging.INFO, "tasks"):
        train.work(PARAMS, tokenizer, shards, out=outs[1], run=runs[1])
    assert f"train: goes on from step {found.step}, which another home has left in the store" in caplog.text
    assert digests(outs[1]) == digests(undisturbed[0])


def _sharing_run(home: Path, shared: RemoteStore) -> Run:
    settings = SETTINGS.model_copy(update={"mirror_every_s": 0.05})
    return Run(Store(home / "store", Sharing(shared)), settings, RunRecord.begin("test", {}))


def _lose_home(run: Run, out: Path, work: UnfinishedWork, kill_the_rank_at) -> None:
    """Pause training in its middle, and kill it once the store has what was saved then."""
    curve = out / "logs" / "metrics.jsonl"
    _wait_until(lambda: any(point["step"] >= 9 for point in read_points(curve)))
    OrderBook(run.orders).give(Order(do="pause"))
    _wait_until(lambda: any("event" in point for point in read_points(curve)))
    _wait_until(lambda: (found := work.find()) is not None and found.step == newest_step(out))
    kill_the_rank_at(out, 1).join()


def _wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 1800
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_model_learns_and_loads_with_transformers(undisturbed):
    from transformers import AutoModelForCausalLM

    out, metrics = undisturbed
    points = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
    losses = [point["val_loss"] for point in points if "val_loss" in point]
    assert losses[-1] < losses[0] < 6.3  # ln 512 = 6.24 is where a model that knows nothing starts
    assert metrics.facts["verdict"] == "budget"
    assert (metrics.counts["steps"], metrics.counts["tokens"]) == (40, 40 * 4 * 32)
    model = AutoModelForCausalLM.from_pretrained(out / "model")
    assert model.config.model_type == "qwen3"
    assert (out / "logs" / "loss.png").stat().st_size > 5_000


def test_training_is_judged_by_what_the_machine_can_do(undisturbed):
    from safetensors.torch import load_file

    out, metrics = undisturbed
    ceilings = json.loads((out / "logs" / "ceilings.json").read_text())
    last = [point for point in read_points(out / "logs" / "metrics.jsonl") if "share_of_peak" in point][-1]
    peak = 1e9 * ceilings[f"{metrics.facts['precision']}_gflops"]
    weights = load_file(out / "model" / "model.safetensors")
    matrices = sum(weight.numel() for weight in weights.values() if weight.ndim == 2)  # the embedding is the output too
    flops = 6 * matrices + 12 * 2 * 32 * 32  # PaLM, appendix B: layers, query width, context
    assert last["share_of_peak"] == pytest.approx(last["tokens_per_s"] * flops / peak)
    assert metrics.values["predicted.parameters"] == metrics.values["actual.parameters"] == metrics.counts["parameters"]
    assert metrics.values["predicted.tokens"] == 40 * 4 * 32
    assert metrics.values["actual_over_predicted.checkpoint_bytes"] == pytest.approx(1, abs=0.2)
    assert "training s" in (out / "logs" / "predicted.txt").read_text()


def test_the_micro_batch_that_is_found_is_one_that_fills_the_batch_and_stays(tokenizer, shards, run, tmp_path):
    params = PARAMS.model_copy(update={"micro_blocks": "auto", "stop": StopParams(max_steps=1)})
    train.work(params, tokenizer, shards, out=tmp_path, run=with_settings(run, SETTINGS))
    found = json.loads((tmp_path / "micro_blocks.json").read_text())["micro_blocks"]
    assert found in (1, 2, 4)
    assert json.loads((tmp_path / "stop.json").read_text())["micro_blocks"] == found


def test_a_model_too_large_for_the_machine_is_refused_before_it_is_made(tokenizer, shards, run, tmp_path):
    large = PARAMS.model_copy(update={"model": ModelParams(layers=400, width=16_384, heads=128)})
    with pytest.raises(
        ParameterError, match=r"train: a step needs about [\d.]+ GiB for each rank and this machine.* has "
    ):
        train.work(large, tokenizer, shards, out=tmp_path, run=with_settings(run, SETTINGS))


def test_neither_micro_batches_nor_ranks_change_what_is_learned(tokenizer, shards, run, tmp_path):
    params = PARAMS.model_copy(update={"precision": "fp32", "stop": StopParams(max_steps=6), "eval_every_steps": 6})
    losses = []
    for name, micro, ranks, parallel in (
        ("plain", None, 1, "ddp"),
        ("ranks that take their share in two parts", 1, 2, "ddp"),
        ("shared out", None, 2, "zero3"),
    ):
        (tmp_path / name).mkdir()
        settings = SETTINGS.model_copy(update={"ranks": ranks, "parallel": parallel})
        metrics = train.work(
            params.model_copy(update={"micro_blocks": micro}),
            tokenizer,
            shards,
            out=tmp_path / name,
            run=with_settings(run, settings),
        )
        assert metrics.facts["ranks"] == str(ranks)
        losses.append(metrics.values["final_val_loss"])
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "zero2", "zero3"])
def test_killed_with_two_ranks_training_ends_with_the_same_bytes_and_goes_on_with_one(
    tokenizer, shards, run, tmp_path, parallel, kill_the_rank_at
):
    two = with_settings(run, SETTINGS.model_copy(update={"ranks": 2, "parallel": parallel}))
    metrics = {}
    for name in ("reference", "killed", "fewer"):
        out = tmp_path / name
        out.mkdir()
        if name != "reference":
            thread = kill_the_rank_at(out, 8)
            with pytest.raises(TrainingError, match="The same command goes on from its last checkpoint"):
                train.work(PARAMS, tokenizer, shards, out=out, run=two)
            thread.join()
        rest = two if name != "fewer" else with_settings(run, SETTINGS)
        metrics[name] = train.work(PARAMS, tokenizer, shards, out=out, run=rest)
    assert digests(tmp_path / "killed") == digests(tmp_path / "reference")
    assert metrics["fewer"].facts["ranks"] == "1"
    assert metrics["fewer"].values["final_val_loss"] == pytest.approx(
        metrics["reference"].values["final_val_loss"], rel=2e-3
    )


def ask_one_rank_to_leave_at(out: Path, step: int) -> threading.Thread:
    """Send SIGTERM to the second rank alone once the curve has reached a step."""

    def watch() -> None:
        deadline, curve = time.monotonic() + 1800, out / "logs" / "metrics.jsonl"
        while time.monotonic() < deadline:
            time.sleep(0.005)
            if curve.exists() and (lines := curve.read_text().splitlines()) and json.loads(lines[-1])["step"] >= step:
                children = psutil.Process().children(recursive=True)
                (second,) = [one for one in children if one.environ().get("RANK") == "1"]
                second.terminate()
                return

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.slow
def test_a_rank_that_is_told_to_leave_takes_the_others_along_and_all_is_saved(tokenizer, shards, run, tmp_path):
    """As when one of several machines is taken away: Lightning#379 hung."""
    settings = SETTINGS.model_copy(update={"ranks": 2, "checkpoint_every_s": 1e6})
    long = PARAMS.model_copy(update={"stop": StopParams(max_steps=2_000), "record_every_steps": 1})
    thread = ask_one_rank_to_leave_at(tmp_path, 3)
    with pytest.raises(TrainingError, match="The same command goes on from its last checkpoint"):
        train.work(long, tokenizer, shards, out=tmp_path, run=with_settings(run, settings))
    thread.join()
    (saved,) = checkpoint_folders(tmp_path / "checkpoints")
    assert int(saved.name.removeprefix("step-")) >= 3


def test_a_finished_draft_is_not_trained_further(undisturbed, tokenizer, shards, run):
    out, metrics = undisturbed
    before = digests(out)
    (out / "stop.json").unlink()  # killed after the last checkpoint, before the report
    again = train.work(PARAMS, tokenizer, shards, out=out, run=with_settings(run, SETTINGS))
    assert digests(out) == before
    assert again.counts == metrics.counts


def test_the_cause_named_is_that_of_this_attempt_and_not_of_an_earlier_one(tokenizer, shards, run, tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "output.log").write_text("  traceback : Signal 9 (SIGKILL) received by PID 1\n")
    shutil.copytree(shards.folder / "train", tmp_path / "lame" / "train")
    nothing = shards.located(tmp_path / "lame")  # nothing to evaluate on
    with pytest.raises(TrainingError, match="before a stop rule decided: IndexError") as raised:
        train.work(PARAMS, tokenizer, nothing, out=tmp_path, run=with_settings(run, SETTINGS))
    assert "SIGKILL" not in str(raised.value)


def test_patience_anneals_then_ends_as_converged(tokenizer, shards, run, tmp_path):
    stop = StopParams(patience=PatienceParams(evals=1, min_delta=9.0))  # nothing gains 9 nats: fires at the second
    params = PARAMS.model_copy(update={"stop": stop})
    metrics = train.work(params, tokenizer, shards, out=tmp_path, run=with_settings(run, SETTINGS))
    assert (metrics.facts["stop_rule"], metrics.facts["verdict"]) == ("patience", "converged")
    assert metrics.counts["steps"] == 20 + 9  # decay is 0.3 of the whole: 20 * 0.3 / 0.7 = 8.6


def test_a_diverging_run_is_broken_and_leaves_no_model(tokenizer, shards, run, tmp_path):
    params = PARAMS.model_copy(
        update={"optimizer": OptimizerParams(name="adamw", lr=1e30, max_grad_norm=None), "precision": "fp32"}
    )
    with pytest.raises(TrainingError, match="training broke"):
        train.work(params, tokenizer, shards, out=tmp_path, run=with_settings(run, SETTINGS))
    assert not (tmp_path / "model").exists()


def test_without_a_compiler_training_goes_on_and_says_so(tokenizer, shards, run, tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    params = PARAMS.model_copy(update={"stop": StopParams(max_steps=2), "eval_every_steps": 2})
    settings = SETTINGS.model_copy(update={"compile": True})
    metrics = train.work(params, tokenizer, shards, out=tmp_path, run=with_settings(run, settings))
    assert metrics.facts["compiled"] == "False"
    assert "torch.compile does not work here" in caplog.text


def test_the_training_process_imports_neither_prefect_nor_mlflow():
    code = "import sys, tasks.training.worker, tasks.training.loop; print({'prefect', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_phase_goes_on_from_the_weights_of_the_one_before(undisturbed, tokenizer, shards, run, tmp_path):
    out, metrics = undisturbed
    params = PARAMS.model_copy(update={"stop": StopParams(max_steps=10), "schedule": ScheduleParams(warmup_steps=0)})
    model = Manifest.pending("train.one").located(out)
    found = train.work(params, tokenizer, shards, model, out=tmp_path, run=with_settings(run, SETTINGS))
    first = json.loads((tmp_path / "curve.jsonl").read_text().splitlines()[0])
    assert first["step"] == 3
    assert first["loss"] == pytest.approx(metrics.values["final_val_loss"], abs=0.5)  # from scratch it is 6 and more
    assert found.counts["steps"] == 10


def give_once_it_begins(orders: Path, out: Path, order: Order) -> threading.Thread:
    """Give an order while the training process starts: it is read after the first step."""

    def watch() -> None:
        deadline = time.monotonic() + 1800
        while time.monotonic() < deadline and not (out / "logs" / "job.json").exists():
            time.sleep(0.005)
        OrderBook(orders).give(order)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_what_a_person_set_is_part_of_the_run_also_after_it_was_killed(
    tokenizer, shards, run, tmp_path, kill_the_rank_at
):
    order = Order(do="set", lr_scale=0.5, stop={"max_steps": 20})
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for out in (whole, killed):
        out.mkdir()
        mine = with_settings(run, SETTINGS)
        giver = give_once_it_begins(mine.orders, out, order)
        if out == killed:
            killer = kill_the_rank_at(out, 9)
            with pytest.raises(TrainingError):
                train.work(PARAMS, tokenizer, shards, out=out, run=mine)
            killer.join()
        train.work(PARAMS, tokenizer, shards, out=out, run=mine)
        giver.join()
        mine.orders.unlink()
    report = json.loads((whole / "stop.json").read_text())
    assert (report["steps"], report["rule"]) == (20, "max_steps")
    assert report["edits"] == [{"step": 1, "lr_scale": 0.5, "stop": {"max_steps": 20}}]
    for name in ("curve.jsonl", "stop.json", "model/model.safetensors"):
        assert digest_file(whole / name) == digest_file(killed / name), name
    factors = [json.loads(line).get("lr_factor") for line in (whole / "curve.jsonl").read_text().splitlines()]
    assert max(factor for factor in factors if factor is not None) <= 0.5


def test_asked_to_stop_training_ends_with_what_it_learned(tokenizer, shards, run, tmp_path):
    mine = with_settings(run, SETTINGS)
    giver = give_once_it_begins(mine.orders, tmp_path, Order(do="stop", reason="seen enough"))
    metrics = train.work(PARAMS, tokenizer, shards, out=tmp_path, run=mine)
    giver.join()
    assert (metrics.facts["verdict"], metrics.facts["stop_reason"]) == ("asked", "seen enough")
    assert metrics.counts["steps"] < 40
    assert (tmp_path / "model" / "model.safetensors").exists()


@pytest.mark.slow
def test_made_longer_from_where_its_decay_began_a_run_ends_as_if_it_had_been_planned_so(
    undisturbed, tokenizer, shards, run, tmp_path
):
    earlier = undisturbed[0] / "checkpoints" / "step-000000028"  # 30 % of 40 steps are the decay
    longer = PARAMS.model_copy(update={"stop": StopParams(max_steps=50)})
    branched = longer.model_copy(update={"branch_from": str(earlier)})
    for name, params in (("planned", longer), ("branched", branched)):
        (tmp_path / name).mkdir()
        train.work(params, tokenizer, shards, out=tmp_path / name, run=with_settings(run, SETTINGS))
    for name in ("model/model.safetensors", "checkpoints/step-000000050/optimizer.safetensors"):
        assert digest_file(tmp_path / "planned" / name) == digest_file(tmp_path / "branched" / name)


def test_a_checkpoint_is_known_by_its_content_and_a_damaged_one_refused(undisturbed, run, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(undisturbed[0] / "checkpoints" / "step-000000028", copy)
    (copy / "clock.json").write_text('{"elapsed_s": 9.0}')
    seals = json.loads((copy / "seal.json").read_text())
    seals["clock.json"] = digest_file(copy / "clock.json")
    (copy / "seal.json").write_text(json.dumps(seals))
    original = undisturbed[0] / "checkpoints" / "step-000000028"
    of = [PARAMS.model_copy(update={"branch_from": str(path)}) for path in (copy, original)]
    assert identity(of[0], run) == identity(of[1], run)
    assert identity(of[0], run).branch_from != str(copy)
    (copy / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ParameterError, match=r"weights.safetensors changed .* let gristmill branch find it"):
        identity(of[0], run)


def spoiled(shards: Manifest, folder: Path, step: int) -> Manifest:
    """The same shards, but for noise in the blocks that a step trains on."""
    shutil.copytree(shards.folder / "validation", folder / "validation")
    (folder / "train").mkdir()
    paths = shards.paths("train/*.arrow")
    bad = DataOrder(len(Blocks(paths)), batch_blocks=4, seed=1).batch(step - 1)
    first, noise = 0, np.random.default_rng(0)
    for path in paths:
        blocks = Blocks([path])
        rows = blocks[np.arange(len(blocks))]
        for number in bad[(bad >= first) & (bad < first + len(rows))]:
            rows[number - first] = noise.integers(3, 300, rows.shape[1])
        first += len(rows)
        values = pa.FixedSizeListArray.from_arrays(pa.array(rows.astype(np.uint16).reshape(-1)), rows.shape[1])
        batch = pa.record_batch([values], names=["input_ids"])
        with pa.OSFile(str(folder / "train" / path.name), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
    return shards.located(folder)


@pytest.mark.slow
@pytest.mark.parametrize(("action", "skipped"), [("skip_step", 0), ("rewind", 10)])
def test_a_spike_is_put_right_and_what_was_done_survives_a_kill(
    tokenizer, shards, run, tmp_path, action, skipped, kill_the_rank_at
):
    spike = LossSpikeParams(action=action, window=20, deviations=3)
    params = PARAMS.model_copy(update={"stop": StopParams(max_steps=40, loss_spike=spike)})
    data = spoiled(shards, tmp_path / "shards", 30)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for out in (whole, killed):
        out.mkdir()
        if out == killed:
            killer = kill_the_rank_at(out, 36)
            with pytest.raises(TrainingError):
                train.work(params, tokenizer, data, out=out, run=with_settings(run, SETTINGS))
            killer.join()
        metrics = train.work(params, tokenizer, data, out=out, run=with_settings(run, SETTINGS))
    assert metrics.counts["steps"] == 40
    assert json.loads((whole / "stop.json").read_text())["skipped_steps"] == skipped
    said = [point["spike"] for point in read_points(whole / "logs" / "metrics.jsonl") if "spike" in point]
    assert len(said) == 1
    assert said[0].endswith("its update left out" if action == "skip_step" else "back to step 20")
    for name in ("curve.jsonl", "stop.json", "model/model.safetensors"):
        assert digest_file(whole / name) == digest_file(killed / name), name

"""gristmill why-stopped and replay: which rule ended training, and what others would have done."""

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flows.console import make_console, printable
from flows.home import Home, locate_home
from flows.housekeeping import find_run
from params.errors import ParameterError
from params.keys import merge
from params.load import parse_assignments, refusal
from params.stop import StopParams
from tasks.artifacts.manifest import Manifest, work_of
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.report.results import FILES_READ
from tasks.training.curve import read_points
from tasks.training.stopping.observation import StopDecision
from tasks.training.stopping.record import FILE_NAME, decisions, last_readings
from tasks.training.stopping.replay import Fired, Replay, replay

_DECISIONS = 10
"""The last so many are shown: skipped steps can be many."""
_STYLES = {"fires": "red", "grace": "yellow", "quiet": "green", "unread": "dim"}


@dataclass(frozen=True)
class Training:
    """The training of a run: a sealed result, or the draft of one that is under way or broke off."""

    folder: Path
    params: dict[str, Any]
    is_sealed: bool
    blocks: int
    """Training blocks of an epoch."""

    @property
    def points(self) -> list[dict[str, Any]]:
        """The recorded curve."""
        return list(read_points(self.folder / "logs" / "metrics.jsonl"))


def why_stopped(arguments: argparse.Namespace) -> int:
    """Print what fired, what followed, and the last reading of every rule."""
    home = locate_home(arguments.home)
    record = find_run(home, arguments.run, stage="train")
    training = _training(home, record)
    console = make_console()
    console.print(Text(f"run {record.run_id}: {_end(training, record)}", style="bold"))
    path = training.folder / "logs" / FILE_NAME
    for step, decision, what in list(decisions(path))[-_DECISIONS:]:
        console.print(_decision_line(step, decision, what))
    readings = last_readings(path)
    if not readings:
        console.print(Text("no reading of a stop rule is recorded"))
        return 0
    table = Table()
    for name in ("Rule", "State", "Value", "Threshold", "Step", "How it stood"):
        table.add_column(name, overflow="fold")
    for reading in readings:
        state = Text(reading.word, style=_STYLES[reading.word])
        figures = (_number(reading.value), _number(reading.threshold), f"{reading.step:,}")
        table.add_row(Text(reading.rule), state, *figures, Text(printable(reading.text)))
    console.print(table)
    return 0


def replay_rules(arguments: argparse.Namespace) -> int:
    """Print which rules would have fired on the recorded curve, and what training after that was worth."""
    home = locate_home(arguments.home)
    record = find_run(home, arguments.run, stage="train")
    training = _training(home, record)
    points = training.points
    tokens = [point["tokens"] / point["step"] for point in points if "tokens" in point]
    if not tokens:
        raise ParameterError(f"run {record.run_id} has recorded no point of its curve yet: nothing to replay")
    stop = _changed(training.params.get("stop") or {}, arguments.set)
    steps_per_epoch = training.blocks / training.params["batch_blocks"]
    told = replay(points, stop, tokens_per_step=round(tokens[-1]), steps_per_epoch=steps_per_epoch)
    _print_replay(make_console(), record, told)
    return 0


def _training(home: Home, record: RunRecord) -> Training:
    """The training of a run, of phases the last: the draft of the one under way, or else a sealed result."""
    store = Store(home.store)
    results = [made for stage in record.stages if (made := _stored(store, record, stage)) is not None]
    blocks = {made.digest: made.metrics.counts.get("train_blocks", 0) for made in results}
    sealed = [made for made in results if work_of(made.stage) == "train"]
    known = {made.stage for made in sealed}
    drafts = sorted(store.root.glob("train*/*.partial/draft.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(drafts) if record.status != "completed" else ():
        recipe = json.loads(path.read_text(encoding="utf-8"))["recipe"]
        digest = recipe["inputs"]["shards"]["digest"]
        if blocks.get(digest) and recipe["stage"] not in known:
            return Training(path.parent, recipe["params"], False, blocks[digest])
    if sealed:
        last = sealed[-1]
        learned = last.inputs["shards"].digest
        return Training(last.folder_with(*FILES_READ), last.params, True, blocks.get(learned) or _blocks_of(last))
    raise ParameterError(
        f"run {record.run_id} has no training in {store.root}: it did not get that far, or its result was removed; "
        "the same gristmill run makes it"
    )


def _stored(store: Store, record: RunRecord, stage: str) -> Manifest | None:
    return store.find(stage, record.stages[stage].fingerprint) if stage in record.stages else None


def _blocks_of(sealed: Manifest) -> int:
    """Blocks of an epoch, from what training itself says."""
    steps, epochs = sealed.metrics.counts["steps"], sealed.metrics.values["epochs"]
    return max(1, round(steps * int(sealed.params["batch_blocks"]) / epochs))


def _end(training: Training, record: RunRecord) -> str:
    path = training.folder / "stop.json"
    if not path.exists() and record.asked is not None:
        return f"training has not ended (asked): {record.asked}"
    if not path.exists():
        return "training has not ended, or broke off"
    report = json.loads(path.read_text(encoding="utf-8"))
    also = f"; also {report['also']}" if report.get("also") else ""
    return f"ended after step {report['steps']:,} by {report['rule']} ({report['verdict']}): {report['reason']}{also}"


def _decision_line(step: int, decision: StopDecision, what: str) -> Text:
    followed = {"stop": "ended", "decay": "began to anneal", "skip_step": "left out its update", "rewind": "went back"}
    also = f"; also {decision.also}" if decision.also else ""
    text = f"step {step:,}: {followed[what]}, {decision.rule} ({decision.verdict}): {decision.reason}{also}"
    return Text(printable(text))


def _changed(recorded: dict[str, Any], assignments: list[str]) -> StopParams:
    """The stop rules of a run with others laid over them."""
    changes = parse_assignments(assignments)
    stray = [key for key in changes if key != "train"] + [f"train.{key}" for key in changes.get("train") or {}]
    if wrong := [key for key in stray if key != "train.stop"]:
        raise ParameterError(f"--set {wrong[0]}: replay changes train.stop only; train anew with gristmill run")
    merged = merge({"train": {"stop": recorded}}, changes)["train"]["stop"]
    try:
        return StopParams.model_validate(merged)
    except ValidationError as error:
        raise refusal(error, "train.stop") from None


def _print_replay(console: Console, record: RunRecord, told: Replay) -> None:
    best = f", best {told.best_val_loss:.4f} at step {told.best_step:,}" if told.best_val_loss is not None else ""
    last = f": validation loss {told.last_val_loss:.4f} at the end{best}" if told.last_val_loss is not None else ""
    console.print(Text(f"run {record.run_id}, {told.num_steps:,} recorded steps{last}", style="bold"))
    for index, one in enumerate(told.fired):
        console.print(Text(printable(_fired_line(one, told, is_first=index == 0))))
    if not told.fired:
        console.print(Text("no rule would have fired; training would have gone on after the recorded steps"))
    _print_quiet(console, ((one.rule, one.word, one.text) for one in told.quiet))


def _fired_line(one: Fired, told: Replay, *, is_first: bool) -> str:
    decision = one.decision
    verb = {"stop": "would have ended it", "rewind": "would have gone back", "skip_step": "would have left out a step"}
    what = verb[decision.action] if is_first else "would have fired later"
    if is_first and decision.anneals:
        what += " (or begun its decay)"
    line = f"step {one.step:,}: {decision.rule} {what} ({decision.verdict}): {decision.reason}"
    if one.val_loss is None or told.last_val_loss is None:
        return f"{line}; no validation loss was measured by then"
    change = one.val_loss - told.last_val_loss
    after = f"the {told.num_steps - one.step:,} steps after it {'gained' if change >= 0 else 'lost'} {abs(change):.4f}"
    return f"{line}; validation loss then {one.val_loss:.4f}, {after}"


def _print_quiet(console: Console, quiet: Iterable[tuple[str, str, str]]) -> None:
    for rule, word, text in quiet:
        line = Text.assemble(f"{rule}: ", (word, _STYLES[word]), f", {printable(text)}")
        console.print(line)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"

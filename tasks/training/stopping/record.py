"""What every rule measured, in logs/stopping.jsonl: why did it stop, and how far were the others."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tasks.training.curve import CurveFile, read_points
from tasks.training.stopping.observation import RuleState, StopDecision
from tasks.training.stopping.tree import States

Word = Literal["unread", "grace", "quiet", "fires"]
FILE_NAME = "stopping.jsonl"


@dataclass(frozen=True)
class LastReading:
    """How a rule stood when it was last read."""

    rule: str
    word: Word
    step: int
    value: float | None
    threshold: float | None
    text: str


class StoppingFile:
    """Appends the readings of an evaluation, and between two of them what has changed; only the first rank writes.

    Its length is bounded by the evaluations and recorded points, not by the steps.
    """

    def __init__(self, path: Path, *, writes: bool = True) -> None:
        self._file = CurveFile(path, writes=writes)
        self._words: dict[str, Word] = {}

    def add(self, step: int, states: States, *, evaluated: bool) -> None:
        """Note how the rules stand; call it at evaluations, at recorded points and before a decision."""
        for place, state in states.items():
            word = word_of(state)
            if evaluated or self._words.get(place) != word:
                self._words[place] = word
                self._file.add({"step": step, "rule": place, "word": word, **_figures(state)})

    def decide(self, step: int, decision: StopDecision, what: str) -> None:
        """Note a decision and what follows from it: stop, decay, skip_step or rewind."""
        self._file.add({"step": step, "decision": asdict(decision), "what": what})

    def cut(self, step: int) -> None:
        """Forget what came after the checkpoint that training goes on from."""
        self._file.cut(step)

    def flush(self) -> None:
        """Put what was written onto the disk."""
        self._file.flush()


def word_of(state: RuleState) -> Word:
    """How a rule stands, in a word."""
    if state.get("reading") is None:
        return "unread"
    if not state["reading"]["fires"]:
        return "quiet"
    return "grace" if state["in_grace"] else "fires"


def last_readings(path: Path) -> list[LastReading]:
    """The last line of each rule, those that fire first, then the nearest to their threshold."""
    last: dict[str, LastReading] = {}
    for line in read_points(path):
        if "rule" in line:
            last[line["rule"]] = LastReading(
                line["rule"], line["word"], line["step"], line["value"], line["threshold"], line["text"]
            )
    order: dict[Word, int] = {"fires": 0, "grace": 1, "quiet": 2, "unread": 3}
    return sorted(last.values(), key=lambda reading: order[reading.word])


def decisions(path: Path) -> Iterator[tuple[int, StopDecision, str]]:
    """Step, decision and what followed from it, in their order."""
    for line in read_points(path):
        if "decision" in line:
            yield line["step"], StopDecision(**line["decision"]), line["what"]


def _figures(state: RuleState) -> Mapping[str, Any]:
    reading = state.get("reading") or {"value": None, "threshold": None, "text": "nothing to read yet"}
    return {name: reading[name] for name in ("value", "threshold", "text")}

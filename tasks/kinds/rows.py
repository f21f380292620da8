"""Held-out rows that a model is judged by: what is asked, what is wanted, and how a model did on each."""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from params.errors import EvaluationError
from tasks.artifacts.digest import digest_value
from tasks.evaluation.comparison import Costs
from tasks.examples.held_out import HELD_OUT
from tasks.examples.reading import read_rows
from tasks.files.places import locate
from tasks.formats.records import Unusable
from tasks.shards.blocks import evenly

log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Pair = tuple[str, str]
Reader = Callable[[Any], Pair]
"""What is asked and what is wanted in a row; raises Unusable."""
_MAX_ROW_BYTES = 10_000_000


@dataclass(frozen=True)
class Rows:
    """Rows with their names, all lists of the same length."""

    ids: list[str]
    asked: list[str]
    wanted: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def digest(self) -> str:
        """Names the rows: figures with the same digest can be compared in pairs."""
        return digest_value(sorted(self.ids))[:32]

    def some(self, limit: int | None) -> "Rows":
        """At most so many, spread evenly."""
        places = evenly(len(self), limit).tolist()
        return Rows(*([column[place] for place in places] for column in (self.ids, self.asked, self.wanted)))


@dataclass(frozen=True)
class RowScores:
    """How a model did on each row."""

    ids: list[str]
    wanted: list[str]
    said: list[str]
    confidence: Floats
    """Probability that the model gives to what it says; NaN where it does not tell."""
    nats: Floats
    """Cross-entropy of what is wanted."""
    num_targets: Ints
    num_bytes: Ints
    """Of what is wanted, in UTF-8."""

    @property
    def is_right(self) -> npt.NDArray[np.bool_]:
        """Whether the model says what is wanted, blanks at both ends apart."""
        pairs = zip(self.said, self.wanted, strict=True)
        return np.array([said.strip() == wanted.strip() for said, wanted in pairs], np.bool_)


def held_out_rows(folder: Path, read: Reader) -> Rows:
    """The rows that a stage `encode` held out. Raises EvaluationError for none."""
    path = folder / HELD_OUT
    if not path.is_file():
        raise EvaluationError(f"{path} is missing: {folder} was made by an earlier version; run the pipeline again")
    with path.open(encoding="utf-8", newline="\n") as lines:
        found = _named(read(json.loads(line)) for line in lines)
    if not found.ids:
        raise EvaluationError(f"{folder} holds out no row; raise encode.validation or bring more")
    return found


def read_own_rows(path: Path, read: Reader) -> Rows:
    """The rows of a user's file. Raises EvaluationError where there is none, with what is wrong with the first."""
    if not path.is_file():
        raise EvaluationError(f"{path} does not exist; name a file of rows (.jsonl, .json or .parquet), or a run")
    kept, problems = list[Pair](), list[str]()
    place = locate(path.absolute().parent, path.name)
    for row in read_rows(place, max_bytes=_MAX_ROW_BYTES):
        try:
            kept.append(read(row.value))
        except Unusable as problem:
            problems.append(f"line {row.position}: {problem.detail}")
    if not kept:
        why = f": {problems[0]}" if problems else ""
        raise EvaluationError(f"{path} has no row to measure on{why}")
    if problems:
        log.warning("%s: %d rows are left out, the first at %s", path, len(problems), problems[0])
    return _named(kept)


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, each once."""
    return _named(pair for part in parts for pair in zip(part.asked, part.wanted, strict=True))


def only(rows: Rows, ids: Collection[str]) -> Rows:
    """The rows with these names."""
    wanted = set(ids)
    places = [place for place, name in enumerate(rows.ids) if name in wanted]
    return Rows(*([column[place] for place in places] for column in (rows.ids, rows.asked, rows.wanted)))


def _named(pairs: Iterable[Pair]) -> Rows:
    """Each row once, named by a digest of what it holds."""
    found = {xxhash.xxh3_128_hexdigest("\0".join(pair).encode()): pair for pair in pairs}
    return Rows(list(found), [asked for asked, _ in found.values()], [wanted for _, wanted in found.values()])


def write_scores(path: Path, scores: RowScores) -> None:
    """Keep what a model said row by row, to look at where it is wrong."""
    texts = {"id": scores.ids, "wanted": scores.wanted, "said": scores.said}
    _write(path, texts | {"is_right": scores.is_right, "confidence": scores.confidence, "nats": _rounded(scores.nats)})


def write_costs(path: Path, costs: Costs) -> None:
    """Keep the costs row by row, for paired comparisons with other models; no text is in them."""
    _write(path, {"id": costs.ids, "cost": _rounded(costs.costs), "weight": costs.weights})


def read_costs(path: Path) -> Costs:
    """What `write_costs` kept."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    costs, weights = (table.column(name).to_numpy().copy() for name in ("cost", "weight"))
    return Costs(table.column("id").to_pylist(), costs, weights)


def read_said(path: Path) -> Mapping[str, str]:
    """What a model said by row, of a file that `write_scores` wrote."""
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    return dict(_texts(table, "id", "said"))


def _texts(table: pa.Table, *names: str) -> Iterator[Any]:
    return zip(*(table.column(name).to_pylist() for name in names), strict=True)


def _write(path: Path, columns: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table(dict(columns))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _rounded(values: Floats) -> Floats:
    return np.round(values, 6)

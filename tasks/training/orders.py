"""Hands on a running job: orders that a person gives, one line each in a file, read after every step."""

import json
import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

Do = Literal["save", "stop", "pause", "continue", "last_phase", "set"]


class Order(BaseModel):
    """What a running job is asked to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    do: Do
    """save: write a checkpoint now; stop: save and end, as the verdict `asked`; pause: save and wait; continue: go on;
    last_phase: let no phase after this one begin; set: train on with other values."""
    lr_scale: float | None = Field(default=None, gt=0, lt=1e3)
    """set: the learning rates of the schedule times this, from here on."""
    stop: dict[str, Any] = {}
    """set: values laid over train.stop; null turns a rule off."""
    reason: str = ""
    """Why, in the words of whoever asks."""

    @classmethod
    def load(cls, line: str) -> Self:
        """An order from its line."""
        return cls.model_validate_json(line)


class OrderBook:
    """The orders of a run, in the order in which they were given."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size = 0

    def give(self, order: Order) -> None:
        """Append an order; whole lines only, also when several people write at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps(order.model_dump(mode="json", exclude_defaults=True) | {"do": order.do}, ensure_ascii=False)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, f"{line}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def skip(self) -> int:
        """Pass over what was given so far; where that ends in the file."""
        self._size = self.path.stat().st_size if self.path.exists() else 0
        return self._size

    def start_at(self, size: int) -> "OrderBook":
        """Read from a place that `skip` told."""
        self._size = size
        return self

    def read_new(self) -> list[Order]:
        """Orders given since the last call: a look at the file's size where there are none."""
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return []
        if size <= self._size:
            return []
        with self.path.open("rb") as file:
            file.seek(self._size)
            data = file.read(size - self._size)
        whole = data[: data.rfind(b"\n") + 1]
        self._size += len(whole)
        return [Order.load(line) for line in whole.decode().splitlines()]

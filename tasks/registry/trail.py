"""The trail of a registered model: who made which version champion, when and why."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal, Self

Action = Literal["promote", "override", "rollback", "refuse"]
_MAX_CHARACTERS = 1500


@dataclass(frozen=True)
class Event:
    """One decision."""

    when: str
    """UTC, as ISO 8601, to the microsecond: events sort by it."""
    who: str
    action: Action
    version: int
    """What became champion; of a refusal, what did not."""
    before: int | None
    """The champion until then."""
    reason: str
    """What the person who asked for it says."""
    text: str
    """What the gate says."""

    def to_json(self) -> str:
        """One line, short enough for a tag."""
        found = asdict(self)
        return json.dumps(found | {name: found[name][:_MAX_CHARACTERS] for name in ("reason", "text")})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))

    def is_like(self, other: "Event") -> bool:
        """Whether it says the same again."""
        return (self.action, self.version, self.before, self.text) == (
            other.action,
            other.version,
            other.before,
            other.text,
        )


def champions(events: Iterable[Event]) -> list[int]:
    """The champion now and those it goes back to, the newest last: a promotion adds one, a roll-back takes it off."""
    line: list[int] = []
    for event in sorted(events, key=lambda event: event.when):
        if event.action == "rollback":
            line = line[: line.index(event.version) + 1] if event.version in line else [event.version]
        elif event.action != "refuse":
            line = [version for version in line if version != event.version] + [event.version]
    return line

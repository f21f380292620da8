"""What is told when a run ends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from tasks.notices.wording import FIGURES, WORDS, Language, Wording

Verdict = Literal[
    "converged", "budget", "asked", "completed", "broken", "failed", "interrupted", "killed", "warning", "test"
]
MAX_REASONS = 20
_MAX_REASON_CHARACTERS = 2_000
_SHORTEST = 24


@dataclass(frozen=True)
class Notice:
    """How a run ended, in no language yet."""

    verdict: Verdict
    """Training's own verdict, `completed` for a run that did not train, or what ended the run before its end."""
    run_id: str
    preset: str
    model: str
    """Name of the registered model."""
    host: str
    reasons: tuple[str, ...] = ()
    """Every rule that fired, or the error."""
    seconds: float | None = None
    """From the run's start to its end."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """By the names of wording.FIGURES; others are not told."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Of mlflow, prefect, version, folder, log: an address, a path, or a model's URI."""


@dataclass(frozen=True)
class Told:
    """A notice in words: a title, and lines of a label and a text."""

    title: str
    lines: tuple[tuple[str, str], ...]

    @property
    def plain(self) -> str:
        """Title and lines as plain text."""
        return "\n".join([self.title, "", *(f"{label}: {text}" for label, text in self.lines)])


def tell(notice: Notice, language: Language) -> Told:
    """The notice in a language. The title bears the word gristmill, by which chats may filter messages."""
    words = WORDS[language]
    lines = [(words.verdict, words.verdicts[notice.verdict])]
    lines += [(words.reason, bounded(reason)) for reason in notice.reasons[:MAX_REASONS]]
    lines += [(words.figures[name], _figure(notice.figures[name], name)) for name in FIGURES if name in notice.figures]
    if notice.seconds is not None:
        lines.append((words.took, duration(notice.seconds)))
    lines += [(words.run, notice.run_id), (words.preset, notice.preset), (words.host, notice.host)]
    lines += [(words.links[name], text) for name, text in notice.links.items() if name in words.links]
    lines.append((words.next, next_step(notice, words)))
    return Told(" ".join(f"[gristmill] {notice.model}: {words.verdicts[notice.verdict]}".split()), tuple(lines))


def next_step(notice: Notice, words: Wording) -> str:
    """What to do now; a run that was asked to end before there was a version is like an interrupted one."""
    is_cut_short = notice.verdict == "asked" and "version" not in notice.links
    return words.steps["interrupted" if is_cut_short else notice.verdict].format(
        preset=notice.preset, version=notice.links.get("version", f"models:/{notice.model}@champion")
    )


def fitted(told: Told, render: Callable[[Told], bytes], limit_bytes: int) -> Told:
    """The notice with its longest texts shortened until what `render` makes of it is within the limit."""
    while len(render(told)) > limit_bytes:
        longest = max(range(len(told.lines)), key=lambda index: len(told.lines[index][1]))
        label, text = told.lines[longest]
        if len(text) <= _SHORTEST:
            break
        lines = list(told.lines)
        lines[longest] = (label, _cut(text, len(text) // 2))
        told = replace(told, lines=tuple(lines))
    return told


def duration(seconds: float) -> str:
    """As h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _figure(value: float, name: str) -> str:
    return duration(value) if FIGURES[name] is None else format(value, FIGURES[name] or "")


def bounded(text: str) -> str:
    """A reason without control characters; the middle of a long one is left out, as errors say most at both ends."""
    clean = "".join(character if character.isprintable() or character == "\n" else " " for character in text).strip()
    half = _MAX_REASON_CHARACTERS // 2
    return clean if len(clean) <= _MAX_REASON_CHARACTERS else f"{clean[:half]} … {clean[-half:]}"


def _cut(text: str, characters: int) -> str:
    return text[: characters - 2].rstrip() + " …"

"""Held-out rows as they were read, one JSON object a line: what a model with any tokenizer can be asked."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from tasks.examples.conversations import Chat, Message

HELD_OUT = "held_out.jsonl"


def held_out_line(chat: Chat | None, row: Mapping[str, str] | None) -> str:
    """A conversation or another row as a line of the file."""
    if chat is not None:
        return chat_line(chat)
    return json.dumps(row, ensure_ascii=False) + "\n"


def chat_line(chat: Chat) -> str:
    """A conversation as a line of the file."""
    messages = [asdict(message) for message in chat.messages]
    return json.dumps({"messages": messages, "answers": chat.answers}, ensure_ascii=False) + "\n"


def read_chats(path: Path) -> Iterator[tuple[str, Chat]]:
    """The conversations of a file with their names (a digest of what is said), each once."""
    import xxhash

    seen = set[str]()
    with path.open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            name = xxhash.xxh3_128_hexdigest(line.encode())
            if name not in seen:
                seen.add(name)
                found = json.loads(line)
                yield name, Chat(tuple(Message(**message) for message in found["messages"]), tuple(found["answers"]))

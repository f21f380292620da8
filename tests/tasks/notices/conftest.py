"""Real servers on loopback: a webhook that keeps what it gets, and a notice to send."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tasks.notices.message import Notice


@dataclass(frozen=True)
class Posted:
    """A request that arrived."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Hook:
    """A webhook: `replies` are given in turn, the last one for ever."""

    url: str = ""
    posted: list[Posted] = field(default_factory=list)
    replies: list[tuple[int, bytes]] = field(default_factory=lambda: [(200, b"ok")])
    location: str | None = None
    silent: threading.Event | None = None
    """While it is set and not yet fired, requests wait and get no answer."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook at work."""
    made = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            made.posted.append(Posted(self.path, headers, body))
            if made.silent is not None:
                made.silent.wait()
                return
            status, reply = made.replies.pop(0) if len(made.replies) > 1 else made.replies[0]
            self.send_response(status)
            if made.location is not None:
                self.send_header("Location", made.location)
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield made
        if made.silent is not None:
            made.silent.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def notice() -> Notice:
    """A run that converged."""
    return Notice(
        "converged",
        run_id="20260131-101500-ab12",
        preset="quickstart",
        model="gristmill-tiny",
        host="box",
        reasons=("no gain over 0 in 5 evaluations (best 3.2100)", "validation loss 3.2100 reached 3.5"),
        seconds=3725.4,
        figures={"val_loss": 3.21, "tokens": 1_048_576, "cost": 12.5},
        links={"version": "models:/gristmill-tiny/3", "mlflow": "http://ml.example/#/experiments/1/runs/abc"},
    )

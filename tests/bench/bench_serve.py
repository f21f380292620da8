"""Throughput of gristmill serve with one stream and with sixteen: make bench-serve.

    make bench-serve ARGS="--rounds 4 --sizes 12m"

Prints `BENCH name value unit` lines. A server of the int8 graph, in a process of its own, is asked over loopback by a
client in another, with streams of 128 sampled tokens (the model's own sampling settings) after prompts of 16 to 48.
The weights are drawn at random: they change what is written, not how long it takes. Each number of threads has a
server of its own; rounds of one and of sixteen streams are run in turn, and each side has its best round. A single
stream asks more often, so that its rounds last about as long: the best of short rounds would be the luckier one.

serve_16_vs_1: tokens a second with 16 concurrent streams over those of a single one, on the same server (88 M), with
the number of threads at which 16 streams are fastest; serve_16_vs_1_best_of_each: each side with the number of threads
that is best for it; serve_16_vs_1_12m: the same for 12 M. steps_16_vs_1: of the graph alone, without a server, 16 times
as long as a step with one text takes over what a step with 16 takes: what batching can give. Time to first token:
median over the requests of the best round. server_ms and client_ms are processor time a token, which other work on the
machine changes less than the speed; the client has a process of its own, but on a machine with few cores it takes from
what the server could use.
"""

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tasks.context import num_cores

SHAPES = {"12m": {"layers": 6, "width": 384, "heads": 6}, "100m": {"layers": 12, "width": 768, "heads": 12}}
HERE = Path(__file__).parent
VOCABULARY = 4096
NEW, STREAMS = 128, 16
REQUESTS = {1: 8, STREAMS: 2}
"""Of each stream in a round."""
HEAD = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"


@dataclass(frozen=True)
class Figures:
    """One round."""

    speed: float
    """Tokens a second, all streams together."""
    first_token_ms: float
    client_ms: float
    """Processor time of the client, and of the server, for a token."""
    server_ms: float = 0.0


def main() -> None:
    if sys.argv[1:2] == ["--client"]:
        print(json.dumps(asyncio.run(ask_all(sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))))
        return
    arguments = parse()
    for size in arguments.sizes:
        measure(arguments, size)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=sorted(SHAPES), default=["12m", "100m"])
    parser.add_argument("--threads", nargs="+", type=int, default=list(range(1, num_cores() + 1)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "gristmill-bench" / "serve")
    return parser.parse_args()


def measure(arguments: argparse.Namespace, size: str) -> None:
    """One model with each number of threads."""
    folder = served_model(arguments.folder / size, size)
    found: dict[int, dict[int, Figures]] = {}
    for threads in arguments.threads:
        with server(folder, threads) as served:
            ask(served, STREAMS, 1)  # warms up
            rounds = [{n: ask(served, n, most) for n, most in REQUESTS.items()} for _ in range(arguments.rounds)]
        found[threads] = {
            number: max((made[number] for made in rounds), key=lambda figures: figures.speed) for number in (1, STREAMS)
        }
    for threads, sides in found.items():
        for number, figures in sides.items():
            name = f"{number}_{size}_{threads}_threads"
            say(f"serve_{name}", figures.speed, "tokens/s")
            say(f"first_token_{name}", figures.first_token_ms, "ms")
            say(f"server_ms_{name}", figures.server_ms, "ms/token")
            say(f"client_ms_{name}", figures.client_ms, "ms/token")
    many, single = (max(found, key=lambda threads: found[threads][number].speed) for number in (STREAMS, 1))
    of_size = "" if size == "100m" else f"_{size}"
    say(f"serve_16_vs_1{of_size}", found[many][STREAMS].speed / found[many][1].speed, f"x ({many} threads)")
    each = found[many][STREAMS].speed / found[single][1].speed
    say(f"serve_16_vs_1{of_size}_best_of_each", each, f"x (16 streams: {many} threads, 1 stream: {single})")
    one, several = steps(folder, many)
    say(f"step_1_{size}_{many}_threads", 1000 * one, "ms")
    say(f"step_16_{size}_{many}_threads", 1000 * several, "ms")
    say(f"steps_16_vs_1{of_size}", STREAMS * one / several, f"x ({many} threads)")


def served_model(folder: Path, size: str) -> Path:
    """The int8 graph of a model with random weights, made once a folder."""
    out = folder / "int8"
    if not (out / "generation.json").exists():
        subprocess.run(
            [sys.executable, str(HERE / "serve_model.py"), str(folder), json.dumps(SHAPES[size])], check=True
        )
    return out


def steps(folder: Path, threads: int) -> list[float]:
    """Seconds of a step of the graph alone, with one text and with sixteen."""
    command = [sys.executable, str(HERE / "serve_steps.py"), str(folder), str(threads), str(STREAMS), str(NEW)]
    found: list[float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


@contextmanager
def server(folder: Path, threads: int) -> Iterator[tuple[str, psutil.Process]]:
    """A server as a user starts it: its address, and its process."""
    command = [sys.executable, "-m", "flows.cli", "serve", str(folder), "--port", "0", "--threads", str(threads)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"GRISTMILL_HOME": str(folder.parent / "home")}
    ) as process:
        assert process.stderr is not None
        found = next((match for line in process.stderr if (match := re.search(r"at (http://\S+)$", line))), None)
        assert found is not None, "the server did not start"
        try:
            yield found[1], psutil.Process(process.pid)
        finally:
            process.terminate()


def ask(served: tuple[str, psutil.Process], streams: int, requests: int) -> Figures:
    """So many streams at once, each of so many requests in turn."""
    url, process = served
    command = [sys.executable, __file__, "--client", url, str(streams), str(requests)]
    before = sum(process.cpu_times()[:2])
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds = sum(process.cpu_times()[:2]) - before
    return replace(Figures(**json.loads(done.stdout)), server_ms=1000 * seconds / (streams * requests * NEW))


async def ask_all(url: str, streams: int, requests: int) -> dict[str, float]:
    tokens = streams * requests * NEW
    began, used = time.perf_counter(), time.process_time()
    waits = await asyncio.gather(*(stream(url, number, requests) for number in range(streams)))
    seconds, used = time.perf_counter() - began, time.process_time() - used
    first = statistics.median(wait for several in waits for wait in several)
    return {"speed": tokens / seconds, "first_token_ms": 1000 * first, "client_ms": 1000 * used / tokens}


async def stream(url: str, number: int, requests: int) -> list[float]:
    """Seconds to the first token of each request."""
    host, _, port = url.removeprefix("http://").partition(":")
    draw = random.Random(number)
    waits = []
    for _ in range(requests):
        prompt = [draw.randrange(2, VOCABULARY - 2) for _ in range(draw.randrange(16, 48))]
        body = json.dumps(
            {"prompt": prompt, "max_tokens": NEW, "stream": True, "stream_options": {"include_usage": True}}
        )
        reader, writer = await asyncio.open_connection(host, int(port))
        began = time.perf_counter()
        writer.write(f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        await reader.readuntil(b"data: ")
        waits.append(time.perf_counter() - began)
        rest = await reader.read()
        writer.close()
        assert b'"completion_tokens":%d' % NEW in rest, rest[-500:]
    return waits


def say(name: str, value: float, unit: str) -> None:
    """One figure."""
    print(f"BENCH {name} {value:.4g} {unit}".rstrip(), flush=True)


if __name__ == "__main__":
    main()

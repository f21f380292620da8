"""The graph that bench_serve.py serves without a server: seconds of a step with one text and with sixteen.

    python tests/bench/serve_steps.py FOLDER THREADS STREAMS NEW

Every text begins with a prompt of 32 tokens. Prints one JSON object: for each number of texts the time that
NEW steps take, divided by NEW, of several turns the middle one.
"""

import json
import statistics
import sys
import time
from pathlib import Path

from tasks.serving.generator import OnnxModel
from tasks.serving.rows import Rows, rows_of

PROMPT, TURNS = 32, 5


def main(folder: Path, threads: int, streams: int, new: int) -> None:
    model = OnnxModel(folder, threads=threads)
    batches = [(texts, rows_of(model, max_rows=texts)) for texts in (1, streams)]
    turns = [[seconds(rows, texts, new) for texts, rows in batches] for _ in range(1 + TURNS)]
    print(json.dumps([statistics.median(side) for side in zip(*turns[1:], strict=True)]))  # the first makes room


def seconds(rows: Rows, texts: int, new: int) -> float:
    """Of a step, on average over a stream."""
    for text in range(texts):
        rows.begin()
        rows.extend(range(text, text + PROMPT))
        rows.join()
    newest = range(texts)
    began = time.perf_counter()
    for _ in range(new):
        rows.step(newest)
    found = (time.perf_counter() - began) / new
    for row in reversed(newest):
        rows.remove(row)
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))

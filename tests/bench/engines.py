"""The data stages inside a flow, on one engine: for bench_ops.py.

    python tests/bench/engines.py ENGINE OUT TOKENIZER WORKERS FILE.jsonl …

Prints one JSON object: wall seconds of every stage, the start of the engine among them, and the digests.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import chain  # noqa: E402

from flows.home import open_home  # noqa: E402
from flows.servers import PrefectServer  # noqa: E402
from params.pipeline import PipelineParams  # noqa: E402
from tasks.engine import Engine  # noqa: E402


def main() -> None:
    name, out, tokenizer, workers = sys.argv[1:5]
    run = {"engine": name, "workers": int(workers)}
    sections = {"survey": {"sources": chain.sources(sys.argv[5:])}, "shard": {"context": 1024}, "run": run}
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        server = PrefectServer(open_home(Path(folder)))
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
        os.environ.setdefault("RAY_worker_niceness", "0")  # its 15 would measure what else the machine has to do
        server.announce()
        server.ready()
        print(json.dumps(on_engine(PipelineParams.model_validate(sections), Path(out), Path(tokenizer))))


def on_engine(params: PipelineParams, out: Path, tokenizer: Path) -> dict[str, Any]:
    from prefect import flow

    @flow(name="bench", persist_result=False)
    def measured() -> dict[str, Any]:
        out.mkdir(parents=True, exist_ok=True)
        with Engine(params.run, num_workers=params.run.workers or 1, scratch=out / "bench") as engine:
            return chain.measure(params, out, tokenizer, "shard", engine)

    return measured()


if __name__ == "__main__":
    main()

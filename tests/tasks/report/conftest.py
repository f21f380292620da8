"""A run by hand with everything that a report tells of, and a real browser to look at it."""

import itertools
import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest

from params.base import Params
from params.privacy import PrivacyParams
from tasks.artifacts.manifest import Manifest, Metrics, Timing, recipe_of
from tasks.artifacts.record import RunRecord
from tasks.artifacts.store import Store
from tasks.documents.schema import DOCUMENT, REJECTED
from tasks.documents.shards import shard_writer
from tasks.report.results import RunResults, read_results

HOSTILE = "</script><script>document.title = 'taken'; alert(1)</script><img src=http://a.test/x onerror=alert(2)>"
"""What a model may write."""
ENGLISH, CHINESE = "The mill grinds the grain into flour. ", "床前明月光，疑是地上霜。"
LIMIT_S = 1800


class Recipe(Params):
    """Parameters of a result by hand."""

    name: str
    privacy: PrivacyParams = PrivacyParams()
    batch_blocks: int = 8
    model_name: str = "mill"


@dataclass
class Hand:
    """Makes runs by hand in a store."""

    store: Store
    record: RunRecord = field(default_factory=lambda: RunRecord.begin("tiny", {"train": {"seed": 7}}))

    def seal(
        self, stage: str, metrics: Metrics, fill: Callable[[Path], object], inputs: dict[str, Manifest] | None = None
    ) -> Manifest:
        """A sealed result, noted in the record."""
        recipe = recipe_of(stage, 1, Recipe(name=self.record.run_id), inputs or {})
        with self.store.lock(recipe):
            draft = self.store.draft(recipe, {})
            fill(draft)
            timing = Timing(started_at=self.record.started_at, work_s=12.5, peak_rss_mb=512.0)
            made = self.store.seal(
                recipe, draft, metrics, timing=timing, made_by={"python": "3.11"}, volatile=("logs/*",)
            )
        self.record = self.record.with_stage(made, reused=False, wall_s=12.5)
        return made

    def data(self) -> "Hand":
        """The data stages."""
        files = {"files": 5, "bytes": 5000, "files.web": 3, "bytes.web": 3000, "files.books": 2, "bytes.books": 2000}
        self.seal("survey", Metrics(counts=files), nothing)
        self.seal("ingest", docs(60, 50, {"empty": 10}), shards(50, {"empty": 10}))
        self.seal("clean", docs(50, 40, {"words.min_words": 7, "language": 3}), cleaned)
        dedup = Metrics(counts={**docs(40, 30, {}).counts, "exact_duplicates": 6, "near_duplicates": 4})
        self.seal("dedup", dedup, shards(30, {"exact_duplicate": 6, "near_duplicate": 4}))
        self.seal("decontaminate", docs(30, 28, {"overlap.test": 2}), shards(28, {"overlap.test": 2}, side="train"))
        self.seal("train_tokenizer", Metrics(values={"bytes_per_token": 3.5}), tokenizer)
        self.seal("shard", Metrics(counts={"train_tokens": 123_456}), nothing)
        return self

    def trained(self) -> "Hand":
        """Training and what follows it."""
        counts = {"steps": 200, "tokens": 102_400, "parameters": 1_000_000}
        values = {"final_val_loss": 3.25, "epochs": 0.8, "training_s": 3600.0}
        facts = {"device": "cpu:0", "threads": "4", "ranks": "1", "precision": "fp32", "verdict": "budget"}
        self.seal("train", Metrics(counts=counts, values=values, facts=facts), training)
        return self

    def broken(self) -> "Hand":
        """A training that breaks at step 60 and is never sealed."""
        shards = self.store.find("shard", self.record.stages["shard"].fingerprint)
        assert shards is not None
        draft = self.store.draft(recipe_of("train", 1, Recipe(name="broken"), {"shards": shards}), {})
        write_lines(draft / "logs" / "metrics.jsonl", curve(60))
        decision = {"rule": "non_finite", "verdict": "broken", "reason": "the loss is nan", "action": "stop"}
        line = {"step": 60, "decision": {**decision, "anneals": False, "also": ""}, "what": "stop"}
        write_lines(draft / "logs" / "stopping.jsonl", [line])
        return self

    def released(self, *, nats: float = 90.0, continuation: str = "grinds") -> "Hand":
        """Evaluation, variants and the bundle."""
        self.seal("evaluate", Metrics(values={"test.bits_per_byte": 1.5}), lambda out: evaluation(out, nats))
        self.seal("export", Metrics(), lambda out: write(out / "checks.json", {"checks": [check("logits")]}))
        self.seal("compress", Metrics(counts={"int8_bytes": 1000}, values=SPEEDS), compressed)
        facts = {"served": "int8", "gate": "passed"}
        self.seal("release", Metrics(facts=facts), lambda out: bundle(out / "bundle", continuation))
        return self

    def another(self) -> "Hand":
        """For a later run in the same store."""
        return Hand(self.store)

    def results(self, status: Any = "completed", error: str | None = None) -> RunResults:
        """What a report reads."""
        self.record = self.record.ended(status, error)
        self.record.save(self.store.root)
        return read_results(self.store, self.record)


SPEEDS = {"fp32_decode_tokens_per_s": 1000.0, "int8_decode_tokens_per_s": 2500.0, "int4_decode_tokens_per_s": 2600.0}


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def nothing(out: Path) -> None:
    """A result without files."""


def docs(came: int, kept: int, rejected: dict[str, int]) -> Metrics:
    counts = {"docs_in": came, "docs_kept": kept, "docs_rejected": came - kept}
    return Metrics(counts=counts | {f"rejected.{rule}": count for rule, count in rejected.items()})


def shards(kept: int, rejected: dict[str, int], *, side: str = "kept") -> Callable[[Path], None]:
    def fill(out: Path) -> None:
        with shard_writer(out / side / "000000.arrow", DOCUMENT) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist([document(at) for at in range(kept)], schema=DOCUMENT))
        rules = [rule for rule, count in rejected.items() for _ in range(count)]
        dropped = [{**document(at), "rule": rule} for at, rule in enumerate(rules)]
        with shard_writer(out / "rejected" / "000000.arrow", REJECTED) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(dropped, schema=REJECTED))

    return fill


def document(at: int) -> dict[str, Any]:
    """Every third one is Chinese; each is longer than the one before."""
    text = (CHINESE if at % 3 == 0 else ENGLISH) * (1 + at**2)
    language = "zh" if at % 3 == 0 else "en"
    place = {"source": ("web", "books")[at % 2], "path": "a.txt", "position": at}
    return {"id": f"{at:032x}", "text": text, "language": language, **place}


def cleaned(out: Path) -> None:
    shards(40, {"words.min_words": 7, "language": 3})(out)
    sources = {
        name: {"docs_in": 25, "docs_kept": 20, "bytes_kept": 2000, "rejected": {"words.min_words": 5}}
        for name in ("web", "books")
    }
    removed = {"boilerplate": {"lines": 3, "bytes": 120}}
    write(out / "report.json", {"by_source": sources, "personal_data": {"email": 12, "secret": 1}, "removed": removed})


def tokenizer(out: Path) -> None:
    fit = {"bytes_per_token": 3.5}
    languages = {"en": {"bytes_per_token": 3.9}, "zh": {"bytes_per_token": 2.75}}
    write(out / "report.json", {"held_out": fit, "by_language": languages, "num_unused": 3, "vocab_size": 512})


def curve(steps: int) -> list[dict[str, Any]]:
    """A loss that falls, with a spike of the gradient at step 100."""
    return [
        {
            "step": step,
            "loss": 3 + 4 * math.exp(-step / 50) + 0.05 * math.sin(step),
            "grad_norm": 30.0 if step == 100 else 1 + 1 / step,
            "lr_factor": min(1.0, step / 20, (201 - step) / 50),
            "tokens_per_s": 5000.0 + step,
            "tokens": 512 * step,
            **({"val_loss": 3.2 + 4 * math.exp(-step / 50), "val_loss_se": 0.05} if step % 20 == 0 else {}),
        }
        for step in range(2, steps + 1, 2)
    ]


def training(out: Path) -> None:
    write_lines(out / "logs" / "metrics.jsonl", curve(200))
    decision = {"rule": "max_steps", "verdict": "budget", "reason": "200 steps done", "action": "stop"}
    reading = {"step": 200, "rule": "max_steps", "word": "fires", "value": 200.0, "threshold": 200.0, "text": "done"}
    decided = {"step": 200, "decision": {**decision, "anneals": False, "also": ""}, "what": "stop"}
    write_lines(out / "logs" / "stopping.jsonl", [reading, decided])
    rates = {"muon": 0.02, "adamw": 0.01}
    write(out / "stop.json", {**decision, "also": "", "steps": 200, "rates": rates})
    write(out / "model" / "config.json", {"model_type": "unheard_of", "num_hidden_layers": 2, "vocab_size": 512})


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def evaluation(out: Path, nats: float) -> None:
    """`nats`: the loss of each document of 100 bytes."""
    part = {"loss": 1.5, "bits_per_byte": 1.5, "bits_per_byte_low": 1.4, "bits_per_byte_high": 1.6, "docs": 20}
    split = {
        **part,
        "by_source": {"web": part, "books": {**part, "bits_per_byte_high": 1.9}},
        "by_language": {"zh": part},
    }
    probes = {"bias": {"pairs": 40, "preferred": 0.55, "preferred_low": 0.4, "preferred_high": 0.7}}
    write(out / "evaluation.json", {"validation": split, "test": split, "model": "0" * 32, "probes": probes})
    rows = [
        {"id": f"{at}", "source": ("web", "books")[at % 2], "nats": nats + at % 7, "num_bytes": 100} for at in range(20)
    ]
    table = pa.Table.from_pylist(rows)
    (out / "documents").mkdir()
    with pa.OSFile(str(out / "documents" / "test.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def compressed(out: Path) -> None:
    fit = {"loss": 1.5, "kl": 0.001, "top1_agreement": 0.99, "greedy_agreement": 0.9}
    sizes = {"fp32": (4_000, 0.0), "int8": (1_000, 0.001), "int4": (700, 0.02)}
    quality = {name: {**fit, "bytes": size, "loss_increase": rise} for name, (size, rise) in sizes.items()}
    quality["int4"]["rejected"] = "too bad"
    write(out / "quality.json", quality)


def check(name: str) -> dict[str, Any]:
    return {"name": name, "value": 0.5, "limit": 1.0, "passed": True}


def bundle(out: Path, continuation: str) -> None:
    write(out / "gate.json", [check("verdict"), {**check("speed"), "passed": False}])
    write(out / "samples.json", [{"prompt": "The mill", "continuation": continuation}])
    source = {"name": "web", "license": "CC-BY-4.0", "digest": "0" * 64, "files": 3, "bytes": 3000}
    write(out / "lineage.json", {"sources": [source], "results": []})


@pytest.fixture
def hand(tmp_path: Path) -> Hand:
    """A store without any run yet."""
    return Hand(Store(tmp_path / "store"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Hand, Hand]:
    """Two runs with everything in them, the later one the better; tests only read them."""
    earlier = Hand(Store(tmp_path_factory.mktemp("pair") / "store")).data().trained().released(nats=100.0)
    return earlier, earlier.another().data().trained().released(continuation=HOSTILE)


class Browser:
    """Chromium without a window, spoken to over a pair of pipes (Chrome DevTools Protocol)."""

    def __init__(self, program: str, profile: Path) -> None:
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        command = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", program, *flags]
        # it leaves a folder there, and a socket in it, whose path must be short
        self._scratch = TemporaryDirectory(prefix="page-", ignore_cleanup_errors=True)
        environment = os.environ | {"TMPDIR": self._scratch.name}
        self._process = subprocess.Popen(
            command, env=environment, pass_fds=(theirs_in, theirs_out), stderr=subprocess.DEVNULL
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out, self._in = os.fdopen(ours_out, "wb"), os.fdopen(ours_in, "rb")
        self.events: list[dict[str, Any]] = []
        self._numbers, self._rest = itertools.count(1), b""
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self._session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self(f"{domain}.enable")

    _session: str | None = None

    def __call__(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; events that come meanwhile are kept."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            answer = self._read()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, page: Path, *, width: int, query: str = "", script: str | None = None) -> Any:
        """Show a file and return what a script says of it."""
        self.events = []
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self("Emulation.setDeviceMetricsOverride", **size)
        self("Page.navigate", url=f"{page.as_uri()}?{query}")
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())
        if script is None:
            return None
        return self("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    @property
    def complaints(self) -> list[str]:
        """Errors of the page since it was opened: exceptions, its console, what the browser logged, dialogs."""
        wrong = (
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Log.entryAdded",
            "Page.javascriptDialogOpening",
        )
        return [json.dumps(event["params"]) for event in self.events if event.get("method") in wrong]

    @property
    def requests(self) -> list[str]:
        """Addresses that the page asked for."""
        asked = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"].partition("?")[0] for event in asked]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(LIMIT_S)
        self._scratch.cleanup()
        self._out.close()
        self._in.close()

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            more = os.read(self._in.fileno(), 1 << 16)
            assert more, "the browser is gone"
            self._rest += more
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser for the session, where one is installed."""
    program = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    made = Browser(program, tmp_path_factory.mktemp("chromium"))
    yield made
    made.close()

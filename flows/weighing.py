"""Whether to train again: what has arrived and what has gone, measured with the champion."""

import logging
from dataclasses import dataclass
from typing import Any

from flows.arrivals import Arrived
from flows.phases import encode_phase
from params.objective import BY_ROWS, FROM_EXAMPLES
from params.pipeline import PipelineParams
from tasks.adopt import AdoptParams, Version, adopt, base_of, find_versions
from tasks.arrivals.withdrawal import WithdrawnFile, find_withdrawn
from tasks.artifacts.manifest import Manifest, work_of
from tasks.context import Run
from tasks.encode import encode
from tasks.examples.rows import ROWS, count_new, read_hashes
from tasks.gather import GatherParams, gather
from tasks.probe import ProbeParams, probe
from tasks.retraining.evidence import Judgement, NewText, Situation, judge

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Case:
    """What the decision rests on."""

    champion: Version | None
    adopted: Manifest | None
    """The champion's weights and tokenizer; None where they were not needed."""
    new: tuple[str, ...]
    """Digests of what is unique in batches that the champion has not seen."""
    situation: Situation
    withdrawn: tuple[WithdrawnFile, ...]
    judgement: Judgement

    @property
    def is_warm(self) -> bool:
        """Whether training starts from the champion, or from its base."""
        return self.champion is not None and not self.judgement.from_scratch


def weigh(p: PipelineParams, champion: Version | None, arrived: Arrived, run: Run) -> Case:
    """Measure new text with the champion, where there is both, and judge."""
    seen = (champion.files if champion is not None else None) or frozenset()
    numbers = set(arrived.new_to(seen))
    new = tuple(arrived.unique[number] for number in sorted(numbers))
    sizes = [
        sum(b.num_bytes for i, b in enumerate(arrived.batches) if (i in numbers) is is_new) for is_new in (True, False)
    ]
    withdrawn = _withdrawn(champion, arrived)
    adopted = None
    if champion is not None and sizes[0] and not is_judged_by_rows(p):
        adopted = adopt(AdoptParams(address=champion.address, digest=champion.digest), run=run)
    situation = Situation(
        new_bytes=sizes[0],
        old_bytes=sizes[1],
        champion=champion.address if champion is not None else None,
        age_days=champion.age_days if champion is not None else 0.0,
        champion_bits_per_byte=champion.bits_per_byte if champion is not None else 0.0,
        old_bytes_per_token=_old_bytes_per_token(champion),
        new_text=_counted(champion) if adopted is None and sizes[0] else _measure(p, adopted, new, run),
        has_base=champion is None or _has_base(p, champion, run),
        new_examples=_new_examples(p, champion, run) if champion is not None else 0,
        withdrawn_docs=sum(file.num_docs for file in withdrawn),
    )
    judgement = judge(p.retrain, situation)
    log.info("retrain: %s", judgement)
    return Case(champion, adopted, tuple(found.digest for found in new), situation, tuple(withdrawn), judgement)


def is_judged_by_rows(p: PipelineParams) -> bool:
    """Whether the model goes on with no text, so that text can tell nothing of it."""
    return p.steps[-1].objective in BY_ROWS


def versions_that_saw(withdrawn: tuple[WithdrawnFile, ...], name: str, run: Run) -> list[dict[str, Any]]:
    """Rows of each withdrawn file with the registered versions that have learned from it."""
    from tasks.survey import file_of

    seen = {
        version.number: None if version.files is None else {file_of(line) for line in version.files}
        for version in find_versions(name, run=run)
    }
    unknown = sorted(number for number, files in seen.items() if files is None)
    return [
        {
            "source": file.source,
            "path": file.path,
            "documents": file.num_docs,
            "versions that saw it": _numbers(
                n for n, files in seen.items() if files and (file.source, file.path) in files
            ),
            "versions not known any more": _numbers(unknown),
        }
        for file in withdrawn
    ]


def _numbers(numbers: Any) -> str:
    return ", ".join(map(str, sorted(numbers))) or "-"


def _withdrawn(champion: Version | None, arrived: Arrived) -> list[WithdrawnFile]:
    if champion is None or champion.files is None:
        return []
    learned = [made for made in champion.results if made.stage == "dedup"]
    shards = [path for made in learned for path in made.paths("kept/*.arrow")]
    present = [path for made in arrived.unique for path in made.paths("kept/*.arrow")]
    return find_withdrawn(champion.files - arrived.lines, shards, present)


def _new_examples(p: PipelineParams, champion: Version, run: Run) -> int:
    """Rows of examples that the champion has not learned from; none where the store does not know from which it has."""
    learned = [made for made in champion.results if work_of(made.stage) == encode.name]
    known = [path for made in learned for path in made.paths(ROWS)]
    given = learned[-1].inputs["tokenizer"] if known else None
    tokenizer = run.store.find(given.stage, given.fingerprint) if given is not None else None
    if tokenizer is None:
        if learned:
            log.warning("%s: from which examples it has learned is not known any more", champion.address)
        return 0
    present = [encode_phase(p, phase, tokenizer, run) for phase in p.train.phases or (None,)]
    return count_new(read_hashes(path for made in present if made for path in made.paths(ROWS)), read_hashes(known))


def _old_bytes_per_token(champion: Version | None) -> float | None:
    made = [found for found in champion.results if found.stage == "shard"] if champion is not None else []
    return made[-1].metrics.values["bytes_per_token"] if made else None


def _has_base(p: PipelineParams, champion: Version, run: Run) -> bool:
    """Whether training can go on from what the champion was before it learned its examples, where it has to."""
    adapts = all(step.objective in FROM_EXAMPLES for step in p.steps)
    return adapts or not is_judged_by_rows(p) or base_of(champion, run.store) is not None


def _counted(champion: Version | None) -> NewText | None:
    """What is known of new text without asking the champion."""
    bytes_per_token = _old_bytes_per_token(champion)
    return None if bytes_per_token is None else NewText(None, bytes_per_token)


def _measure(p: PipelineParams, adopted: Manifest | None, new: tuple[Manifest, ...], run: Run) -> NewText | None:
    if adopted is None:
        return None
    gathered = gather.named("new")(GatherParams(), *new, run=run)
    params = ProbeParams(max_documents=p.retrain.probe_documents, max_document_bytes=p.evaluate.max_document_bytes)
    found = probe(params, adopted, gathered, run=run).metrics
    if not found.counts["docs"]:  # all of it known already
        return None
    return NewText(found.values["bits_per_byte"], found.values["bytes_per_token"])

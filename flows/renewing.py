"""A new model from all text there is, and the comparison with the champion that decides about it."""

import logging

from flows.arrivals import Arrived
from flows.pipeline import Candidate, Prepared, learn
from flows.weighing import Case, is_judged_by_rows
from params.pipeline import PipelineParams
from tasks.adopt import AdoptParams, adopt, base_of
from tasks.artifacts.manifest import Manifest
from tasks.context import Run
from tasks.decontaminate import decontaminate
from tasks.evaluate import evaluate
from tasks.evaluation.losses import read_losses
from tasks.gather import GatherParams, gather
from tasks.replay import ReplayParams, replay
from tasks.retraining.comparison import Comparison, compare
from tasks.retraining.recipe import replay_bytes, warm_recipe, whole_recipe
from tasks.retraining.sizes import sizes_by_source
from tasks.split import split
from tasks.train import MODEL

log = logging.getLogger(__name__)


def prepare(p: PipelineParams, case: Case, arrived: Arrived, run: Run) -> Prepared:
    """The unique text of all batches, split and free of evaluation text; what is new says so in its source.

    A warm start sees of old training text only what it may replay, so that the work grows with the new text.
    """
    gathered = gather(GatherParams(new=case.new if case.champion else ()), *arrived.unique, run=run)
    splits = split(p.split, gathered, run=run)
    if case.is_warm and (case.situation.new_bytes or case.situation.new_examples):
        splits = replay(ReplayParams(max_bytes=replay_bytes(p, case.situation.new_bytes)), splits, run=run)
    return Prepared(arrived.files, gathered, gathered, decontaminate(p.decontaminate, splits, run=run))


def renew(p: PipelineParams, case: Case, prepared: Prepared, run: Run) -> Candidate:
    """Train from the champion or from scratch, as was judged, and assemble the bundle."""
    sizes = sizes_by_source(prepared.splits.paths("train/*.arrow"))
    if case.champion is None or not case.is_warm:
        return learn(whole_recipe(p, sizes), prepared, run)
    tokenizer, base = _adopted(case, run).folder / "model", base_of(case.champion, run.store)
    start = case.champion.address if base is None else str(base.folder / MODEL)
    only_examples = case.situation.only_examples
    recipe = warm_recipe(p, start=start, tokenizer=tokenizer, sizes=sizes, only_examples=only_examples)
    if base is None or not only_examples:
        return learn(recipe, prepared, run)
    run.finish(base, reused=True, wall_s=0.0)  # its text is what the new model has read: gc keeps it, reports show it
    return learn(recipe, prepared, run, base=base)


def compare_with_champion(
    p: PipelineParams, case: Case, candidate: Candidate, prepared: Prepared, run: Run
) -> Comparison | None:
    """Both models on the same held-out documents, old and new; None where there is no champion.

    Models that go on with no text are compared by the gate alone, on the same held-out rows.
    """
    if case.champion is None or is_judged_by_rows(p):
        return None
    measured = evaluate.named("champion")(p.evaluate, _adopted(case, run), prepared.splits, run=run)
    losses = (read_losses(made.folder / "documents" / "test.arrow") for made in (candidate.evaluation, measured))
    found = compare(*losses, max_forgetting=p.retrain.max_forgetting)
    log.info("retrain: %s", found)
    if run.tracker is not None:
        run.tracker.log_figures({f"retrain.{name}": value for name, value in found.figures.items()})
    return found


def _adopted(case: Case, run: Run) -> Manifest:
    assert case.champion is not None
    return case.adopted or adopt(AdoptParams(address=case.champion.address, digest=case.champion.digest), run=run)

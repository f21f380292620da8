"""The whole estimate, by hand where there is something to compute."""

import json
import math
from dataclasses import replace

import pytest

from params.encode import EncodeParams, ExamplesParams
from params.errors import ParameterError
from params.model import LoraParams
from params.pipeline import PipelineParams
from params.run import RunParams
from params.stop import PatienceParams, StopParams
from params.survey import SourceParams, SurveyParams
from params.train import ModelParams, TrainParams
from tasks.estimation.adapting import Target, layout_of, this_machine
from tasks.estimation.corpus import Corpus, corpus_of_examples
from tasks.estimation.estimate import Costs, Estimate, estimate, shape_of
from tasks.estimation.fitting import Options
from tasks.estimation.layout import STRATEGIES
from tasks.estimation.pace import Pace

GIB = 1 << 30
CORPUS = Corpus(4096, 3.1, None, 10_000_000, 39_062, ())
SURVEY = SurveyParams(sources=(SourceParams(name="text", path="text"),))
TRAIN = TrainParams(
    model=ModelParams(layers=6, width=384, heads=6), stop=StopParams(max_steps=7200), eval_every_steps=100
)
PARAMS = PipelineParams(survey=SURVEY, train=TRAIN)
TARGET = Target("a box", 8, "bf16", on_gpu=True, available=80 * GIB)
PACE = Pace(0.5, 60.0, "given")


def make(params: PipelineParams = PARAMS, target: Target = TARGET, **changes) -> Estimate:
    settings = {"pace": PACE, "costs": Costs(2.5, "given", 700.0), "options": Options(strategies=STRATEGIES)}
    return estimate(params, CORPUS, target, **(settings | changes))


def test_time_money_and_energy_by_hand():
    """7,200 steps of half a second are an hour; 73 evaluations of 64 blocks on every rank, a third of a step of 8."""
    found = make()
    assert found.duration is not None
    assert found.duration.steps_s == 3600
    assert found.duration.evaluation_s == pytest.approx(73 * 0.5 * 8 * 64 / 8 / 3)
    hours = 8 * found.duration.total_s / 3600
    assert found.device_hours == pytest.approx(hours)
    assert found.dollars == pytest.approx(2.5 * hours)
    assert found.kilowatt_hours == pytest.approx(0.7 * hours)
    assert found.total_flops == pytest.approx(7200 * 8 * 256 * found.flops.total)


def test_every_way_to_share_a_model_out_is_shown():
    found = make()
    assert [layout.strategy for layout, _ in found.memory] == [*STRATEGIES, *STRATEGIES]
    totals = [parts.total for _, parts in found.memory]
    assert totals[:3] == sorted(totals[:3], reverse=True)
    shared = make(target=replace(TARGET, strategy="zero3"))
    assert [layout.strategy for layout, _ in shared.memory[:3]] == ["zero3", "ddp", "zero2"]
    assert shared.layout.strategy == "zero3"
    one = make(target=replace(TARGET, devices=1))
    assert len(one.memory) == 2


def test_whether_it_fits_and_what_would():
    assert make().fits
    tight = make(target=replace(TARGET, devices=1, available=3 * GIB // 2))
    assert tight.fits is False
    assert tight.fit is not None
    assert tight.fit.parts.total <= 1.5 * GIB
    unknown = make(target=replace(TARGET, available=None))
    assert (unknown.fits, unknown.fit) == (None, None)


def test_without_an_end_or_a_pace_there_is_no_time():
    assert make(pace=None).dollars is None
    open_ended = PARAMS.model_copy(
        update={"train": TRAIN.model_copy(update={"stop": StopParams(patience=PatienceParams())})}
    )
    found = make(open_ended)
    assert (found.plan.tokens, found.duration, found.total_flops) == (None, None, None)


def test_it_can_be_written_as_json():
    plain = json.loads(json.dumps(make().as_json()))
    assert plain["parameters"]["total"] == make().parameters.total
    assert plain["memory"][0]["bytes"]["total"] == make().memory[0][1].total
    assert plain["plan"]["tokens"] == 7200 * 2048


def test_a_micro_batch_is_never_more_than_a_share_of_the_batch():
    params = TRAIN.model_copy(update={"batch_blocks": 16, "micro_blocks": 8})
    assert layout_of(params, replace(TARGET, devices=4)).micro_blocks == 4
    assert layout_of(params, replace(TARGET, devices=1)).micro_blocks == 8


def test_a_batch_that_devices_cannot_share_is_an_error():
    with pytest.raises(ParameterError, match=r"batch_blocks 8 cannot be shared among 3 devices; .* such as 9"):
        layout_of(TRAIN, replace(TARGET, devices=3))


def test_this_machine_shares_its_memory_among_ranks():
    one, two = (this_machine(TRAIN, RunParams(device="cpu", ranks=ranks)) for ranks in (1, 2))
    assert one.precision in ("bf16", "fp32")
    assert (one.devices, two.devices, one.on_gpu) == (1, 2, False)
    if one.available is not None and two.available is not None:
        assert two.available == pytest.approx(one.available / 2, rel=0.5)


def test_preference_tuning_works_on_two_answers_and_holds_a_reference():
    """Two rows a block; the reference goes forward too: 4 parts for 3. Twice the weights, twice the activations."""
    changed = PARAMS.model_copy(update={"train": TRAIN.model_copy(update={"objective": "preference"})})
    plain, found = make(), make(changed)
    assert found.total_flops == pytest.approx(plain.total_flops * 8 / 3)
    before, after = plain.memory[0][1], found.memory[0][1]
    assert after.weights == 2 * before.weights
    assert after.activations == 2 * before.activations
    assert (after.gradients, after.optimizer) == (before.gradients, before.optimizer)
    adapted = changed.train.model_copy(update={"model": ModelParams(from_weights="/base", lora=LoraParams())})
    assert layout_of(adapted, TARGET).has_reference
    assert not layout_of(adapted, TARGET).copies_reference  # the base under the adapters is the reference
    assert found.advice is None


def test_examples_are_counted_by_encode_or_taken_from_the_size_of_their_files():
    """900 kB to learn from at 3.1 bytes a token in blocks of 128; pairs of answers share them between two sides."""
    encode = EncodeParams(sources=(ExamplesParams(path="chats"),), context=128)
    train = TRAIN.model_copy(update={"objective": "instruct"})
    params = PARAMS.model_copy(update={"train": train, "encode": encode})
    found = corpus_of_examples(CORPUS, params, None, listed_bytes=1_000_000)
    assert found.num_blocks == math.ceil(900_000 / 3.1 / 128)
    pairs = params.model_copy(update={"train": TRAIN.model_copy(update={"objective": "preference"})})
    assert corpus_of_examples(CORPUS, pairs, None, listed_bytes=1_000_000).num_blocks == math.ceil(450_000 / 3.1 / 128)
    assert corpus_of_examples(CORPUS, params, None, listed_bytes=None).num_blocks is None
    assert shape_of(params, found).context == 128

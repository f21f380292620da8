"""Release: what a bundle holds."""

import json
import math
import re
import subprocess
import sys

import pytest
import torch

from params.errors import ReleaseError
from params.gate import GateParams, LimitParams
from params.release import ReleaseParams
from tasks.evaluation.losses import read_losses
from tasks.registry.bundle import SUMS, read_sums, verify_files
from tasks.release import release
from tasks.serving.generator import OnnxModel

TEXTS = (
    "The mill grinds the grain into flour, and the baker makes bread of it.",
    "To install the package, run pip install gristmill.",
)

GATE = GateParams(max_loss_increase=0.5)
PARAMS = ReleaseParams(model_name="mill", samples=("The mill", "To install the"), gate=GATE)


@pytest.fixture(scope="module")
def released(workshop):
    return workshop.release("mill", PARAMS, workshop.release_inputs("mill", bits_per_byte=1.25))


def test_the_bundle_holds_everything_and_its_sums_are_right(released):
    bundle = released.folder / "bundle"
    sums = read_sums(bundle / SUMS)
    there = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    assert there == {*sums, SUMS}
    assert {name.split("/")[0] for name in there} == {
        "MODEL_CARD.md", "MODEL_CARD.zh-CN.md", "README.md", "SHA256SUMS", "bundle.json", "checks.json",
        "evaluation.json", "gate.json", "generate.py", "lineage.json", "onnx", "quality.json", "samples.json",
        "stop.json", "test_losses.arrow", "transformers",
    }  # fmt: skip
    variants = {"fp32", "int8", "int4", "int4_gptq", "int8_dynamic", "fp16", "bf16"}
    assert {name.split("/")[1] for name in there if name.startswith("onnx/")} == variants
    verify_files(bundle, sums)


def test_the_gate_passes_and_the_facts_say_so(released):
    facts = json.loads((released.folder / "bundle" / "bundle.json").read_text())
    assert facts["gate_passed"]
    assert facts["served"] == "int8"
    assert released.metrics.facts["gate"] == "passed"


def test_the_served_file_is_measured_on_the_test_documents_and_its_losses_are_kept(released, workshop):
    bundle = released.folder / "bundle"
    losses = read_losses(bundle / "test_losses.arrow")
    assert losses.ids == ["a", "b"]
    model = OnnxModel(bundle / "onnx" / "int8")
    for text, nats, size in zip(TEXTS, losses.nats, losses.num_bytes, strict=False):
        tokens = model.encode(text)
        logits = torch.tensor(model.logits([tokens[:-1]])[0])
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor(tokens[1:]), reduction="sum").item()
        assert (nats, size) == (pytest.approx(expected, abs=1e-3), len(text.encode()))
    facts = json.loads((bundle / "bundle.json").read_text())
    assert facts["bits_per_byte"] == pytest.approx(losses.nats.sum() / losses.num_bytes.sum() / math.log(2), abs=1e-5)
    assert json.loads((bundle / "evaluation.json").read_text())["served"]["bits_per_byte"] == facts["bits_per_byte"]


def test_lineage_reaches_back_to_the_files_with_their_licence(released):
    lineage = json.loads((released.folder / "bundle" / "lineage.json").read_text())
    (source,) = lineage["sources"]
    assert re.fullmatch(r"[0-9a-f]{64}", source.pop("digest"))
    assert source == {"name": "guides", "license": "CC-BY-4.0", "files": 2, "bytes": 123}
    stages = [result["stage"] for result in lineage["results"]]
    assert stages[:-2] == ["survey", "ingest", "clean", "dedup", "decontaminate", "shard", "train", "evaluate"]
    assert lineage["results"][2]["inputs"] == {"documents": lineage["results"][1]["digest"]}


def test_the_card_tells_data_training_figures_and_samples(released):
    card = (released.folder / "bundle" / "MODEL_CARD.md").read_text()
    for line in (
        "| ingest | 10 | 9 | 1 | 1 file.empty |",
        "| clean | 9 | 7 | 2 | 2 words.min_words |",
        "| dedup | 7 | 6 | 1 | 1 exact duplicates |",
        "- ended by max_steps: 120 steps (verdict: budget)",
        "| test | 2 | 1.2500 (1.1500 to 1.3500) | 1.5000 | 4.4817 |",
        "- verdict of training is budget, asked for not broken: passed",
        "**To install the**",
    ):
        assert line in card.splitlines(), card
    assert any(line.startswith("| guides | CC-BY-4.0 | 2 | 123 | `") for line in card.splitlines())
    chinese = (released.folder / "bundle" / "MODEL_CARD.zh-CN.md").read_text()
    assert len(chinese.splitlines()) == len(card.splitlines())


def test_the_cards_tell_times_and_are_no_part_of_the_digest(released):
    volatile = {file.path for file in released.files if file.volatile}
    assert volatile == {"bundle/MODEL_CARD.md", "bundle/MODEL_CARD.zh-CN.md", "bundle/SHA256SUMS"}


def test_the_bundle_runs_alone_with_its_own_generate(released, tmp_path):
    command = [sys.executable, "-P", str(released.folder / "bundle" / "generate.py"), "To install the", "--greedy"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "To install the package, run pip install gristmill.\n"
    assert done.stderr == ""


def test_a_wrong_setting_of_generate_is_one_line(released):
    command = [sys.executable, str(released.folder / "bundle" / "generate.py"), "x", "--variant", "int2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    there = "bf16, fp16, fp32, int4, int4_gptq, int8, int8_dynamic"
    assert done.stderr.endswith(f"no variant int2; there is {there}\n")
    assert done.stderr.count("\n") == 1


def test_transformers_loads_the_bundle(released):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = released.folder / "bundle" / "transformers"
    assert AutoModelForCausalLM.from_pretrained(folder).config.model_type == "qwen3"
    assert AutoTokenizer.from_pretrained(folder).decode([0]) == "<|endoftext|>"


def test_a_second_release_gives_the_same_bytes(workshop, released, tmp_path):
    inputs = workshop.release_inputs("mill", bits_per_byte=1.25)
    release.work(PARAMS, *inputs, out=tmp_path, run=workshop.run)
    for record in released.files:
        assert (tmp_path / record.path).read_bytes() == (released.folder / record.path).read_bytes(), record.path


def test_a_failed_gate_is_written_down_and_no_error(workshop, tmp_path):
    gate = GateParams(max_loss_increase=0.5, limits={"test.bits_per_byte": LimitParams(max=1.0)})
    params = ReleaseParams(model_name="mill", samples=(), gate=gate)
    inputs = workshop.release_inputs("mill", bits_per_byte=1.25)
    metrics = release.work(params, *inputs, out=tmp_path, run=workshop.run)
    assert metrics.facts["gate"] == "failed: test.bits_per_byte is 1.25, asked for at most 1: failed"
    written = json.loads((tmp_path / "bundle" / "gate.json").read_text())
    assert not written["passed"]
    assert [check["name"] for check in written["checks"] if not check["passed"]] == ["test.bits_per_byte"]
    assert written["params"]["limits"] == {"test.bits_per_byte": {"min": None, "max": 1.0}}


def test_a_sample_longer_than_the_context_is_explained(workshop, tmp_path):
    inputs = workshop.release_inputs("mill", bits_per_byte=1.25)
    with pytest.raises(ReleaseError, match=r"release.samples: the prompt has \d+ tokens"):
        release.work(ReleaseParams(samples=("x" * 200,)), *inputs, out=tmp_path, run=workshop.run)

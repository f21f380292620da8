"""Tasks of lm-eval on local files: our figures against those of its own HFLM on the same model."""

import json

import pytest
import torch
from lm_eval.api.instance import Instance

from params.errors import EvaluationError
from params.evaluate import EvaluateParams, HarnessParams
from tasks.evaluate import check_questions, identity
from tasks.evaluation.harness import measure_harness
from tasks.evaluation.harness_model import HarnessModel
from tasks.evaluation.harness_tasks import read_tasks, texts_of
from tasks.evaluation.locating import locate_model

CAPITALS = """
task: capitals
dataset_path: json
dataset_kwargs: {data_files: {test: capitals.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
"""
RECITE = """
task: recite
dataset_path: json
dataset_kwargs: {data_files: {test: recite.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: start
doc_to_target: end
target_delimiter: ""
generation_kwargs: {until: ["."], max_gen_toks: 24}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
"""
ROWS = [
    {"question": "To install the package, run", "choices": ["pip install", "the baker"], "answer": 0},
    {"question": "The function returns a", "choices": ["mill", "list of numbers.", "baker"], "answer": 1},
    {"question": "床前明月光，疑是", "choices": ["地上霜", "思故乡"], "answer": 1},
    {"question": "The mill grinds", "choices": ["the grain into", "numbers"], "answer": 1},
    {"question": "The mill grinds the grain into flour, and " * 5, "choices": ["the baker", "package"], "answer": 0},
]
VERSES = [
    {"start": "To install the package,", "end": " run pip install gristmill"},
    {"start": "The function returns", "end": " a baker"},
]


@pytest.fixture(scope="module")
def trained(workshop):
    return locate_model(workshop.model("qwen3").folder).load(threads=1, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def served(workshop):
    return locate_model(workshop.graph("qwen3").folder / "fp32").load(threads=1, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def peer(workshop):
    """lm-eval's own wrapper of transformers around the same model, whose texts begin with the begin token too."""
    from lm_eval.models.huggingface import HFLM
    from tokenizers.processors import TemplateProcessing
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    folder = workshop.model("qwen3").folder / "model"
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    begin = (tokenizer.bos_token, tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{begin[0]} $A", special_tokens=[begin])
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    # Its cache confuses two pairs that make one text but divide it in different places.
    settings = {"add_bos_token": True, "batch_size": 2, "logits_cache": False}
    return HFLM(pretrained=model, tokenizer=tokenizer, device="cpu", **settings)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "capitals.yaml").write_text(CAPITALS)
    (tmp_path / "recite.yaml").write_text(RECITE)
    write_rows(tmp_path / "capitals.jsonl", ROWS)
    write_rows(tmp_path / "recite.jsonl", VERSES)
    return tmp_path


def write_rows(path, rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def params_of(folder, *tasks, **changes):
    harness = HarnessParams(tasks=tasks or ("capitals",), folder=str(folder), **changes)
    return EvaluateParams(harness=harness, bootstrap_samples=100)


def measured(model, params):
    return measure_harness(model, params, read_tasks(params.harness, seed=params.seed))


def asked(method, model, *arguments):
    return getattr(model, method)([Instance(method, {}, pair, 0) for pair in arguments])


def of_peer(peer, folder, *tasks):
    """Figures as lm-eval itself finds them, from the same documents."""
    from lm_eval.evaluator import evaluate

    loaded = read_tasks(params_of(folder, *tasks).harness, seed=1)
    return evaluate(peer, {"tasks": loaded}, bootstrap_iters=100)["results"]


PAIRS = [(row["question"], f" {choice}") for row in ROWS for choice in row["choices"]]
PAIRS += [
    ("", "The mill"),
    ("The mill ", "grinds"),
    ("The function", " returns a list of numbers."),
]


@pytest.mark.parametrize("kind", ["trained", "served"])
def test_likelihoods_and_greediness_are_those_of_lm_evals_own_wrapper(request, peer, kind):
    ours = HarnessModel(request.getfixturevalue(kind), batch_tokens=256)
    found, expected = asked("loglikelihood", ours, *PAIRS), asked("loglikelihood", peer, *PAIRS)
    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], rel=1e-4, abs=1e-4)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert {greedy for _, greedy in found} == {True, False}


def test_a_token_that_spans_context_and_continuation_counts_as_continuation(trained, peer):
    whole = trained.encode("床前明月光")
    assert trained.encode("床前明月")[0] != whole[0]  # the first token of the whole is not in the context's own
    ours = asked("loglikelihood", HarnessModel(trained, batch_tokens=256), ("床前明月", "光"))
    assert ours[0][0] == pytest.approx(asked("loglikelihood", peer, ("", "床前明月光"))[0][0], rel=1e-4)


def test_likelihoods_of_long_texts_are_those_of_lm_evals_windows(trained, peer, monkeypatch):
    texts = [("The mill grinds the grain into flour. " * 12,), ("床前明月光",)]
    # Its windows begin with the begin token by themselves.
    monkeypatch.setattr(peer, "add_bos_token", False)
    ours = HarnessModel(trained, batch_tokens=256)
    expected = asked("loglikelihood_rolling", peer, *texts)
    assert asked("loglikelihood_rolling", ours, *texts) == pytest.approx(expected, rel=1e-4)


def test_written_answers_are_those_of_lm_evals_own_wrapper(trained, peer):
    arguments = [(row["start"], {"until": ["."], "max_gen_toks": 16, "do_sample": False}) for row in VERSES]
    ours = asked("generate_until", HarnessModel(trained, batch_tokens=256), *arguments)
    assert ours == asked("generate_until", peer, *arguments)
    assert ours[0] == " run pip install gristmill"


def test_the_figures_of_tasks_are_those_that_lm_eval_finds_and_nothing_is_printed(trained, peer, folder, capfd):
    found = measured(trained, params_of(folder, "capitals", "recite"))
    assert capfd.readouterr() == ("", "")
    expected = of_peer(peer, folder, "capitals", "recite")
    assert found["recite"]["exact_match"] == expected["recite"]["exact_match,none"] == 0.5
    assert found["capitals"]["documents"] == 5
    for metric in ("acc", "acc_stderr", "acc_norm", "acc_norm_stderr"):
        assert found["capitals"][metric] == pytest.approx(expected["capitals"][f"{metric},none"], abs=1e-6)
    assert 0 < found["capitals"]["acc"] < 1


def test_a_perplexity_has_the_standard_error_of_a_bootstrap(trained, folder, capfd):
    kind = CAPITALS.replace("capitals", "verses", 1).replace("capitals.jsonl", "recite.jsonl").splitlines()
    lines = [line for line in kind if not line.startswith(("doc_to", "output_type"))]
    ends = ["output_type: loglikelihood", "doc_to_text: start", "doc_to_target: end", 'target_delimiter: ""']
    (folder / "verses.yaml").write_text("\n".join([*lines, *ends]))
    found = measured(trained, params_of(folder, "verses"))["verses"]
    assert found["acc"] == 0.5
    assert found["perplexity_stderr"] > 0
    assert capfd.readouterr() == ("", "")


def test_solved_examples_and_a_limit_are_taken_from_the_parameters(folder):
    tasks = read_tasks(params_of(folder, limit=2, num_fewshot=1).harness, seed=1)
    prompts = [request.args[0] for request in tasks["capitals"].instances]
    assert len(prompts) == len(ROWS[0]["choices"]) + len(ROWS[1]["choices"])
    assert all(prompt.count("\n\n") == 1 and prompt.endswith(ROWS[0]["question"]) for prompt in prompts[:2])


def test_a_document_as_a_text_is_its_question_with_the_right_answer(folder):
    task = read_tasks(params_of(folder).harness, seed=1)["capitals"]
    assert texts_of(task)[:2] == ["To install the package, run pip install", "The function returns a list of numbers."]


def test_a_change_of_any_file_makes_it_another_evaluation(folder):
    known = identity(params_of(folder), None)
    assert identity(params_of(folder), None) == known
    write_rows(folder / "capitals.jsonl", ROWS[:3])
    assert identity(params_of(folder), None).harness.folder != known.harness.folder


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "dataset_path: json",
            "dataset_path: some/dataset",
            "dataset_path: some/dataset would be fetched from the hub",
        ),
        ("test: capitals.jsonl", "test: https://example.com/x.jsonl", r"example\.com/x\.jsonl would be fetched"),
        ("test: capitals.jsonl", "test: ../capitals.jsonl", r"\.\./capitals\.jsonl lies outside"),
        ("test: capitals.jsonl", "test: gone.jsonl", r"gone\.jsonl does not exist beside it"),
        ("test_split: test", "test_split: exam", r"capitals\.yaml: KeyError: 'exam'"),
        ("{{question}}", "{{frage}}", r"capitals\.yaml: UndefinedError: 'frage' is undefined"),
        ("doc_to_choice: choices", "doc_to_choice: [", r"capitals\.yaml: \w+Error: while parsing"),
        ("doc_to_choice: choices", "doc_to_choice: !function steps.choose", "ModuleNotFoundError: No module named"),
        ("task: capitals", "task: capitals\ngeneration_kwargs: {temperature: 1}", "answers are written greedily"),
        ("task: capitals", "task: capitals\nclass: x", "class: tasks in Python are not taken"),
        ("task: capitals", "task: capitals\nmetric_list: [{metric: meteor}]", "metric meteor is none of lm-eval's own"),
        ("task: capitals", "task: capitals\ninclude: /etc/hosts", "lies outside"),
        ("task: capitals", "task: recite", "task: recite stands in .* too; give it another name"),
        ("task: capitals", "task: others", "no yaml file in .* has task: capitals; there are others, recite"),
    ],
)
def test_a_task_that_cannot_be_asked_is_refused_before_training(folder, old, new, said):
    (folder / "capitals.yaml").write_text(CAPITALS.replace(old, new))
    with pytest.raises(EvaluationError, match=said):
        check_questions(params_of(folder))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], r"capitals\.jsonl: is empty; .*capitals\.yaml takes its documents from it"),
        (["{"], r"capitals\.yaml: \w+: "),
        ([{"prompt": "x"}], r"capitals\.yaml: UndefinedError: 'question' is undefined"),
        ([*ROWS, {**ROWS[0], "answer": 2}], "document 6: doc_to_target gives 2, which is none of its 2 choices"),
        (
            [ROWS[0], {**ROWS[0], "choices": [""]}],
            r"document 2: doc_to_choice gives \[''\]; it must be a list of texts",
        ),
    ],
)
def test_data_that_does_not_fit_is_named(folder, rows, said):
    write_rows(folder / "capitals.jsonl", rows)
    with pytest.raises(EvaluationError, match=said):
        check_questions(params_of(folder))


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises(EvaluationError, match=r"harness\.folder: .*nowhere is no folder"):
        check_questions(params_of(tmp_path / "nowhere"))

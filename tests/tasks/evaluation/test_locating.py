"""Models found by path, and the same figures from each form of one model."""

import pytest
import torch

from params.errors import ModelFileError
from tasks.evaluation.documents import Documents
from tasks.evaluation.locating import locate_model
from tasks.evaluation.losses import document_losses

TEXTS = ["The mill grinds the grain into flour.", "床前明月光，疑是地上霜。", "To install the package, run pip. " * 9]
DOCUMENTS = Documents(["a", "b", "c"], ["s"] * 3, ["en", "zh", "en"], TEXTS)
CPU = torch.device("cpu")


def nats(path, variant=None):
    model = locate_model(path, variant).load(threads=1, device=CPU)
    return document_losses(model, DOCUMENTS, batch_tokens=256).nats.tolist()


def test_the_trained_model_and_its_graph_give_the_same_losses_whatever_the_batches(workshop):
    trained = locate_model(workshop.model("qwen3").folder).load(threads=1, device=CPU)
    expected = document_losses(trained, DOCUMENTS, batch_tokens=1).nats.tolist()
    assert nats(workshop.model("qwen3").folder / "model") == pytest.approx(expected, rel=1e-5)
    assert nats(workshop.graph("qwen3").folder / "fp32") == pytest.approx(expected, rel=1e-5)


def test_greedy_continuations_of_the_trained_model_and_its_graph_are_the_same(workshop):
    models = [
        locate_model(folder).load(threads=1, device=CPU)
        for folder in (workshop.model("qwen3").folder, workshop.graph("qwen3").folder / "fp32")
    ]
    made = [
        [model.decode(row) for row in model.continuations([[model.begin, *model.encode(t)] for t in prompts], new=12)]
        for model in models
        for prompts in [("To install the", "The function", "床前")]
    ]
    assert made[0] == made[1]
    assert made[0][0] == " package, run pip install gristmill."


def test_a_checkpoint_is_run_with_the_configuration_beside_it(workshop, tmp_path):
    from safetensors.torch import load_file, save_file

    source = workshop.model("qwen3").folder / "model"
    (tmp_path / "model").symlink_to(source)
    folder = tmp_path / "checkpoints" / "step-000000007"
    folder.mkdir(parents=True)
    weights = load_file(source / "model.safetensors")
    save_file(weights, folder / "weights.safetensors")
    assert nats(folder) == pytest.approx(nats(source), rel=1e-6)
    assert locate_model(folder).digest != locate_model(source).digest
    save_file({"other": torch.zeros(1)}, folder / "weights.safetensors")
    with pytest.raises(ModelFileError, match=r"weights\.safetensors: lacks .* has \['other'\]"):
        nats(folder)


def test_what_is_no_model_or_no_variant_is_told(workshop, tmp_path):
    with pytest.raises(ModelFileError, match="holds no model"):
        locate_model(tmp_path)
    with pytest.raises(ModelFileError, match="only released bundles have variants"):
        locate_model(workshop.model("qwen3").folder, "int8")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelFileError, match=r"tokenizer\.json is missing"):
        locate_model(tmp_path).load(threads=1, device=CPU)

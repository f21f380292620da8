"""A language model made into a classifier of the standard class: the same body under a head of labels."""

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from params.errors import ParameterError
from tasks.model.packing import accept_packed_blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def as_classifier(model: "PreTrainedModel", labels: Sequence[str], *, seed: int) -> "PreTrainedModel":
    """The model's body with a new head, which the same seed gives the same weights.

    Raises ParameterError for an architecture without such a class.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    config: Any = deepcopy(model.config)
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: number for number, label in enumerate(labels)}
    config.architectures = None
    factory: Any = AutoModelForSequenceClassification
    torch.manual_seed(seed)
    try:
        made = factory.from_config(config, attn_implementation=config._attn_implementation)
    except ValueError:
        raise ParameterError(
            f"train.objective: transformers has no class that classifies texts with {config.model_type}; take "
            "qwen3, llama, gpt2 or bloom"
        ) from None
    if type(made.base_model) is not type(model.base_model) or not hasattr(made, "score"):
        raise ParameterError(
            f"train.objective: {type(made).__name__} reads texts in another way than {type(model).__name__}; take "
            "qwen3, llama, gpt2 or bloom"
        )
    body: Any = model.base_model
    setattr(made, made.base_model_prefix, body)
    accept_packed_blocks(made)
    classifier: PreTrainedModel = made.train()
    return classifier

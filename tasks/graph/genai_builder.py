"""Child process: a float32 graph by the model builder of onnxruntime-genai."""

import sys
import tempfile
from typing import Any

from tasks.training.parent import die_with_parent


def main(model_folder: str, out: str) -> None:
    """Build the graph of a transformers folder; the operator set is the builder's choice.

    The builder silently ignores options it does not know; those given here are checked by what they do (the exported
    file holds a tied matrix once, and nothing is asked of the hub).
    """
    from onnxruntime_genai.models import builder
    from transformers import AutoConfig

    tied = bool(AutoConfig.from_pretrained(model_folder).tie_word_embeddings)
    options = [f"shared_embeddings={str(tied).lower()}", "hf_token=false"]
    with tempfile.TemporaryDirectory() as cache:
        parsed: dict[str, Any] = builder.parse_extra_options("", model_folder, out, "fp32", "cpu", cache, options)
        builder.create_model("", model_folder, out, "fp32", "cpu", cache, **parsed)


if __name__ == "__main__":
    die_with_parent()
    main(sys.argv[1], sys.argv[2])

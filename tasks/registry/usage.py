"""The card's section on use: how to fetch the model and run it."""

from functools import partial

from tasks.registry.story import Story
from tasks.report.words import Language, choose

_CODE = {
    "text-generation": """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("transformers")
model = AutoModelForCausalLM.from_pretrained("transformers")
prompt = tokenizer(tokenizer.bos_token + "your prompt", return_tensors="pt")
print(tokenizer.decode(model.generate(**prompt, max_new_tokens=64)[0]))""",
    "text2text-generation": """\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("transformers")
model = AutoModelForSeq2SeqLM.from_pretrained("transformers")
source = tokenizer("your text" + tokenizer.eos_token, return_tensors="pt")
print(tokenizer.decode(model.generate(**source, max_new_tokens=64)[0], skip_special_tokens=True))""",
}
_PIPELINE_CODE = """\
from transformers import pipeline

print(pipeline("{task}", model="transformers")("your text"))"""
_PIPELINES = {
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForConditionalGeneration": "text2text-generation",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForMaskedLM": "fill-mask",
}


_BARE = {"text-classification": 'python classify.py "your text"'}
"""How the bundle runs alone; others continue a prompt."""


def task_of(story: Story) -> str:
    """What the model does, as the Hub names it."""
    names = story.config.get("architectures") or [""]
    return next((task for ending, task in _PIPELINES.items() if names[0].endswith(ending)), "text-generation")


def use_lines(story: Story, language: Language) -> list[str]:
    """With the registry, with onnxruntime, with transformers, as a server."""
    t = partial(choose, language)
    model = f"models:/{story.name}@champion"
    return [
        t("Fetch it from the registry:", "从模型注册表获取："),
        "",
        "```",
        f"gristmill pull {model}",
        "```",
        "",
        t(
            "With numpy, onnxruntime and tokenizers alone, from this folder:",
            "在本文件夹中，只需 numpy、onnxruntime 和 tokenizers：",
        ),
        "",
        "```",
        _BARE.get(task_of(story), 'python generate.py "your prompt"'),
        "```",
        "",
        t("With transformers:", "使用 transformers："),
        "",
        "```python",
        *_CODE.get(task_of(story), _PIPELINE_CODE).format(task=task_of(story)).splitlines(),
        "```",
        "",
        t("As a server:", "作为服务："),
        "",
        "```",
        f"gristmill serve {model}",
        "```",
    ]

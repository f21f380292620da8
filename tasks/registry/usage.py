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
_CHAT_CODE = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("transformers")
model = AutoModelForCausalLM.from_pretrained("transformers")
asked = [{"role": "user", "content": "your question"}]
prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
written = model.generate(**prompt, max_new_tokens=64)[0, prompt["input_ids"].shape[1] :]
print(tokenizer.decode(written, skip_special_tokens=True))"""
_GAPS_CODE = """\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("transformers")
model = AutoModelForSeq2SeqLM.from_pretrained("transformers")
source = tokenizer("your <extra_id_0> with a gap" + tokenizer.eos_token, return_tensors="pt")
print(tokenizer.decode(model.generate(**source, max_new_tokens=64)[0]))"""
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
            "With numpy, onnxruntime (1.32 or newer) and tokenizers alone, from this folder:",
            "在本文件夹中，只需 numpy、onnxruntime（1.32 或更新）和 tokenizers：",
        ),
        "",
        "```",
        _bare(story),
        "```",
        "",
        t(
            "With transformers, and the folder transformers/ (fetched where no variant is named):",
            "使用 transformers 与 transformers/ 文件夹（未指定变体时一并获取）：",
        ),
        "",
        "```python",
        *_code(story).splitlines(),
        "```",
        "",
        t("As a server:", "作为服务："),
        "",
        "```",
        f"gristmill serve {model}",
        "```",
    ]


def _bare(story: Story) -> str:
    """How the bundle runs alone."""
    if task_of(story) == "text-classification":
        return 'python classify.py "your text"'
    return f'python generate.py "your {"<extra_id_0> with a gap" if story.fills_gaps else "prompt"}"'


def _code(story: Story) -> str:
    if story.fills_gaps:
        return _GAPS_CODE
    task = task_of(story)
    if story.chats and task == "text-generation":
        return _CHAT_CODE
    return _CODE[task] if task in _CODE else _PIPELINE_CODE.format(task=task)

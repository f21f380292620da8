"""Tokenizers that others made."""

import json
import shutil

import pytest
from tokenizers import AddedToken, Tokenizer, models

from params.errors import ParameterError
from params.train_tokenizer import SpecialTokensParams
from tasks.tokenizer.files import load_tokenizer, save_tokenizer, special_ids
from tasks.tokenizer.loading import choose_special, content_digest, load_foreign
from tasks.tokenizer.round_trip import lost_texts
from tasks.tokenizer.vocabulary import spelled_bytes

NOTHING = SpecialTokensParams()


def taken_over(source, out, wanted=NOTHING):
    loaded = load_foreign(source)
    special = choose_special(loaded, wanted, ())
    save_tokenizer(loaded.tokenizer, special, out, chat_template=loaded.chat_template)
    return load_tokenizer(out)


@pytest.mark.parametrize("names", [("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe")])
def test_gpt2_files_make_the_tokenizer_of_transformers(gpt2, names, tmp_path):
    from transformers import AutoTokenizer, GPT2Tokenizer

    for old, new in zip(("vocab.json", "merges.txt"), names, strict=True):
        shutil.copyfile(gpt2 / old, tmp_path / new)
    out = tmp_path / "out"
    out.mkdir()
    made = taken_over(tmp_path, out)
    expected = GPT2Tokenizer(str(gpt2 / "vocab.json"), str(gpt2 / "merges.txt"))
    for text in ("The mill's grain, 123", "床前明月光", "  two\n\nlines"):
        assert made.encode(text).ids == AutoTokenizer.from_pretrained(out)(text)["input_ids"]
        assert made.encode(text).ids == expected(text)["input_ids"]
    assert special_ids(out).end == json.loads((gpt2 / "vocab.json").read_text())["<|endoftext|>"]
    assert content_digest(tmp_path / names[0]) == content_digest(tmp_path / names[1])


def test_a_separator_of_llama_is_its_eos_and_leads_documents_and_prompts(llama, tmp_path):
    from transformers import AutoTokenizer

    made = taken_over(llama, tmp_path)
    ids = special_ids(tmp_path)
    assert ids.begin == ids.end == made.token_to_id("</s>")
    assert made.id_to_token(ids.padding) == "<|pad|>"
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded.bos_token == loaded.eos_token == "</s>"
    text = "The mill grinds the grain into flour, 床前 and more than eight tokens"
    assert loaded(text)["input_ids"] == made.encode(text).ids  # neither BOS nor truncation is left
    assert made.decode(made.encode(text).ids) == text
    assert loaded.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False) == "</s>[INST] x [/INST]"


def test_all_that_llama_spells_adds_up_to_the_text(llama, tmp_path):
    made = taken_over(llama, tmp_path)
    spelled = spelled_bytes(made)
    for text in ("The mill 床前明月光 🙂", "a </s> b"):
        assert b"".join(spelled[index] for index in made.encode(text).ids) == b" " + text.encode()
        assert not list(lost_texts(made))


@pytest.mark.parametrize(
    ("special", "config", "wanted", "expected"),
    [
        ([], {}, {}, ("<|endoftext|>", "<|pad|>")),  # the vocabulary's own
        (["<|im_end|>"], {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, {}, ("<|endoftext|>", "<|pad|>")),
        (["<|fill|>"], {"pad_token": "<|fill|>"}, {}, ("<|endoftext|>", "<|fill|>")),
        (["<e>"], {}, {"end_of_text": "<e>"}, ("<e>", "<|pad|>")),
        ([], {}, {"end_of_text": "<new>", "extra": ["<new>"]}, ("<new>", "<|pad|>")),
        ([], {}, {"padding": "<fill>"}, ("<|endoftext|>", "<fill>")),
    ],
    ids=["gpt2", "qwen", "own padding", "asked for", "added", "new padding"],
)
def test_separator_and_padding_are_chosen(gpt2, tmp_path, special, config, wanted, expected):
    taken_over(gpt2, tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    chosen = choose_special(load_foreign(tmp_path), SpecialTokensParams(**wanted), ())
    assert (chosen.end_of_text, chosen.padding) == expected


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"end_of_text": "<|endoftxt|>"}, r"<\|endoftxt\|> is not in the vocabulary; set .*end_of_text.*</s>.*extra"),
        ({"padding": "</s>"}, r"padding: </s> separates the documents already"),
    ],
)
def test_tokens_that_cannot_do_are_refused_with_what_there_is(llama, wanted, message):
    with pytest.raises(ParameterError, match=message):
        choose_special(load_foreign(llama), SpecialTokensParams(**wanted), ())


def test_a_vocabulary_without_any_end_names_its_special_tokens(tmp_path):
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "<s>": 1}, unk_token="a"))
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.save(str(tmp_path / "t.json"))
    with pytest.raises(ParameterError, match=r"nothing says what ends a text; set .* \(<s>\), or add"):
        choose_special(load_foreign(tmp_path / "t.json"), NOTHING, ())


def test_the_same_files_elsewhere_are_the_same_tokenizer(llama, tmp_path):
    shutil.copytree(llama, tmp_path / "copy")
    assert content_digest(tmp_path / "copy") == content_digest(llama)
    (tmp_path / "copy" / "README.md").write_text("no part of it")
    assert content_digest(tmp_path / "copy") == content_digest(llama)
    (tmp_path / "copy" / "tokenizer_config.json").write_text("{}")
    assert content_digest(tmp_path / "copy") != content_digest(llama)
    shutil.copyfile(llama / "tokenizer.json", tmp_path / "any-name.json")
    assert content_digest(tmp_path / "any-name.json") == content_digest(tmp_path / "copy" / "tokenizer.json")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tokenizer.model": "x", "tokenizer_config.json": "{}"}, r"a slow tokenizer; convert it once with .*save_pre"),
        ({"README.md": "x"}, r"holds neither tokenizer\.json nor .*; it holds README\.md"),
        ({}, "it holds nothing"),
        ({"vocab.json": "{}"}, r"merges\.txt is missing"),
        ({"tokenizer.json": "{"}, r"tokenizer\.json is not JSON"),
        ({"tokenizer.json": "[]"}, r"tokenizer\.json is not a JSON object"),
        ({"tokenizer.json": '{"word_index": 1}'}, r"is not a tokenizer\.json: it has no model"),
        ({"tokenizer.json": '{"model": {"type": "XPE"}}'}, r"cannot be read as a tokenizer"),
        ({"vocab.json": "{", "merges.txt": ""}, r"cannot be read as a tokenizer"),
    ],
)
def test_what_is_no_tokenizer_is_refused_with_the_remedy(files, message, tmp_path):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ParameterError, match=message):
        load_foreign(tmp_path)


def test_a_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ParameterError, match=r"nowhere does not exist"):
        load_foreign(tmp_path / "nowhere")


def test_the_added_tokens_of_a_gpt2_folder_keep_their_ids(gpt2, tmp_path):
    shutil.copytree(gpt2, tmp_path, dirs_exist_ok=True)
    size = len(json.loads((gpt2 / "vocab.json").read_text()))
    added = {str(size): {"content": "<|im_end|>", "special": True}, str(size - 1): {"content": "<|endoftext|>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    assert load_foreign(tmp_path).tokenizer.token_to_id("<|im_end|>") == size
    added = {str(size + 7): {"content": "<|im_end|>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}))
    with pytest.raises(ParameterError, match=f"<|im_end|> at id {size + 7}"):
        load_foreign(tmp_path)

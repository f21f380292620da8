"""Our reading of the model against fastText's own, on real and on strange text."""

import functools
import importlib.util
from pathlib import Path

import fasttext
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.language.model import FILE, PACKAGE, load_model
from tasks.language.prediction import predict

MODULES = ["argparse", "decimal", "email.message", "tarfile", "turtle", "zipfile"]


@functools.cache
def reference():
    return fasttext.load_model(str(Path(importlib.util.find_spec(PACKAGE).origin).parent / FILE))


def predicted(*texts: str) -> list[tuple[str, float]]:
    model, labels = load_model()
    spelled = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, spelled)])
    found = predict(model, np.frombuffer(b"".join(spelled), np.uint8), ends[:-1], ends[1:].copy())
    return [(labels[label], score) for label, score in zip(found.labels, found.probabilities, strict=True)]


def assert_as_fasttext(*texts: str) -> None:
    for text, (label, probability) in zip(texts, predicted(*texts), strict=True):
        labels, probabilities = reference().predict(text.replace("\n", " "), k=2)
        best = dict(zip(labels, probabilities, strict=True))
        assert probability == pytest.approx(best[f"__label__{label}"], abs=1e-5), text
        assert probability == pytest.approx(probabilities[0], abs=1e-5), text


def test_sentences_of_many_languages_get_the_labels_of_fasttext():
    texts = [
        "The quick brown fox jumps over the lazy dog.",
        "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.",
        "Portez ce vieux whisky au juge blond qui fume.",
        "Съешь же ещё этих мягких французских булок.",
        "床前明月光，疑是地上霜。",
        "いろはにほへと ちりぬるを",
        "키스의 고유조건은 입술끼리 만나야 하고",
        "نص حكيم له سر قاطع وذو شأن عظيم",
        "",
        " \t\x00 ",
        "a\tb\x0bc\x0cd\re",
        "<b> html </b> &amp; 12345",
        "👩‍💻🙂",
    ]
    assert_as_fasttext(*texts)
    assert [label for label, _ in predicted(*texts[:4])] == ["en", "de", "fr", "ru"]


@pytest.mark.parametrize("module", MODULES)
def test_source_files_get_the_labels_of_fasttext(module):
    text = Path(importlib.util.find_spec(module).origin).read_text(encoding="utf-8")
    assert_as_fasttext(*(text[start : start + 700] for start in range(0, 14_000, 700)))


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_gets_the_label_of_fasttext(text):
    assert_as_fasttext(text)

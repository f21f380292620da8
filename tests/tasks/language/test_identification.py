"""Languages of texts whose language is known."""

import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from params.language import LanguageParams
from tasks.language.identification import Languages, find_unwanted, identify
from tasks.language.model import load_model

# Article 1 of the Universal Declaration of Human Rights
ARTICLE = {
    "en": "All human beings are born free and equal in dignity and rights. They are endowed with reason and conscience "
    "and should act towards one another in a spirit of brotherhood.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren. Sie sind mit Vernunft und Gewissen begabt "
    "und sollen einander im Geiste der Brüderlichkeit begegnen.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de "
    "conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и "
    "должны поступать в отношении друг друга в духе братства.",
    "ar": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. وقد وهبوا عقلاً وضميراً وعليهم أن يعامل بعضهم بعضاً "
    "بروح الإخاء.",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. "
    "인간은 천부적으로 이성과 양심을 부여받았다.",
}
TRADITIONAL = "人人生而自由，在尊嚴和權利上一律平等。他們賦有理性和良心，並應以兄弟關係的精神相對待。"
POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
TRADITIONAL_POEM = "床前明月光，疑是地上霜。舉頭望明月，低頭思故鄉。"


def identified(*texts: str, **params: object) -> Languages:
    return identify(pa.array(texts, pa.large_string()), LanguageParams(**params))


@pytest.mark.parametrize("code", ARTICLE)
def test_the_language_of_a_declaration_is_told_with_certainty(code):
    found = identified(ARTICLE[code])
    assert found.codes == [code]
    assert found.scores[0] > 0.65
    assert found.column.to_pylist() == [code]


@pytest.mark.parametrize("text", [POEM, TRADITIONAL_POEM, TRADITIONAL])
def test_a_short_poem_in_either_script_is_chinese(text):
    """fastText takes the first line of this poem for Cantonese and the second for Japanese."""
    assert identified(text).codes == ["zh"]
    assert identified(text).scores.tolist() == [1.0]


def test_chinese_scripts_are_told_apart_on_request():
    texts = [
        ARTICLE["zh"],
        TRADITIONAL,
        POEM,
        TRADITIONAL_POEM,
        "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。",
        "春" * 30,
    ]
    codes = identified(*texts, tell_chinese_scripts=True).codes
    assert codes == ["zh-Hans", "zh-Hant", "zh-Hans", "zh-Hant", "zh-Hans", "zh"]


def test_chinese_with_some_kana_is_chinese_and_japanese_with_much_han_is_japanese():
    assert identified("日本の漫画很受欢迎，我最喜欢的是这一部，画面精美，情节动人。").codes == ["zh"]
    assert identified("東京都は、日本の首都である。人口は約千四百万人で、世界最大級の都市圏を形成する。").codes == [
        "ja"
    ]


def test_technical_chinese_full_of_latin_names_is_chinese():
    found = identified("使用 pip install numpy 命令安装软件包，然后在 Python 里输入 import numpy 即可开始使用这个库。")
    assert found.codes == ["zh"]
    assert 0.5 <= found.scores[0] < 1


def test_english_about_chinese_words_is_english():
    assert identified(ARTICLE["en"] + " The word for this is 自由.").codes == ["en"]


def test_text_in_capitals_is_read_in_small_letters():
    assert identified(ARTICLE["en"].upper()).codes == ["en"]


@pytest.mark.parametrize("text", ["", " \n", "12345 --- 67890 " * 20, "Hello", "👩‍💻" * 100, "举头"])
def test_too_few_letters_tell_nothing_and_are_never_rejected(text):
    found = identified(text, "x")
    assert found.codes == [None, None]
    unwanted = find_unwanted(found, LanguageParams(keep=("en",), min_score=0.9))
    assert not unwanted.keep.any()
    assert not unwanted.min_score.any()


def test_line_ends_nul_and_long_words_do_no_harm():
    text = ARTICLE["en"].replace(" ", "\r\n\x00\u2028 ")
    assert identified(text).codes == ["en"]
    assert len(identified("a" * 100_000, "é" * 100_000).codes) == 2


def test_only_the_beginning_is_looked_at():
    text = ARTICLE["en"] + ARTICLE["ru"] * 50
    assert identified(text, sample_characters=120).codes == ["en"]
    assert identified(text).codes == ["ru"]


def test_documents_outside_the_kept_languages_or_below_their_score_are_unwanted():
    found = Languages(["en", "zh-Hant", "fr", None, "zh"], np.array([0.7, 0.68, 0.99, 0.0, 0.7]))
    unwanted = find_unwanted(found, LanguageParams(keep=("en", "zh"), min_score=0.65, min_scores={"zh": 0.692}))
    assert unwanted.keep.tolist() == [False, False, True, False, False]
    assert unwanted.min_score.tolist() == [False, True, False, False, False]
    assert unwanted.thresholds.tolist() == [0.65, 0.692, 0.65, 0.0, 0.692]
    only_traditional = find_unwanted(found, LanguageParams(keep=("zh-Hant",)))
    assert only_traditional.keep.tolist() == [True, False, True, False, True]


def test_nothing_is_unwanted_by_default():
    unwanted = find_unwanted(identified(*ARTICLE.values()), LanguageParams())
    assert not unwanted.keep.any()
    assert not unwanted.min_score.any()


def test_many_threads_get_what_one_gets():
    columns = [pa.array(list(ARTICLE.values()) * 20, pa.large_string())] * 8
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda column: identify(column, LanguageParams()), columns))
    assert all(one.codes == list(ARTICLE) * 20 for one in found)


def test_the_model_comes_with_a_package_and_needs_no_network(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    load_model.cache_clear()
    monkeypatch.setattr(socket, "socket", refuse)
    assert identified(ARTICLE["de"]).codes == ["de"]


def test_a_score_above_one_is_refused():
    with pytest.raises(ValidationError):
        LanguageParams(min_scores={"zh": 1.5})


def test_a_slice_is_identified_like_a_column():
    column = pa.array([ARTICLE["en"], ARTICLE["zh"], ARTICLE["fr"]], pa.large_string())
    assert identify(column.slice(1), LanguageParams()).codes == ["zh", "fr"]
    assert identify(column.slice(0, 0), LanguageParams()).codes == []

"""Density of listed words: counted by hand on short texts, and prose that must stay."""

import pyarrow as pa
import pytest
from pydantic import ValidationError

from params.harmful import HarmfulParams
from tasks.harmful.density import Density, measure_harmful


def density(*texts: str, **params: object) -> Density:
    return measure_harmful(pa.array(texts, pa.large_string()), HarmfulParams(**params))


def only(*words: str) -> dict[str, object]:
    return {"lists": (), "extra_words": words}


def test_density_is_characters_in_listed_words_per_thousand_that_are_not_blank():
    found = density("bad cat", "good dog", "", "  \n", "BAD, bad!", **only("bad"))
    assert found.per_thousand.tolist() == [500, 0, 0, 0, 750]
    assert found.different.tolist() == [1, 0, 0, 0, 1]


@pytest.mark.parametrize("text", ["Scunthorpe", "badger", "forbad", "bad_1", "bad2", "ébad", "badé", "xbad"])
def test_english_words_count_as_whole_words_only(text):
    assert density(text, **only("bad", "cunt")).different.tolist() == [0]


@pytest.mark.parametrize("text", ["bad", "(bad)", "bad-mouthed", "很bad的", "—bad…", "bad's", "“Bad”"])
def test_a_whole_word_may_stand_between_marks_or_han(text):
    assert density(text, **only("bad")).different.tolist() == [1]


def test_chinese_words_count_wherever_they_stand_and_the_longest_wins():
    found = density("这是坏人做的坏事", "坏坏人人", **only("坏人", "坏人做的", "坏"))
    assert found.per_thousand.tolist() == [625, 750]
    assert found.different.tolist() == [2, 2]


def test_a_phrase_may_run_over_a_line_end_but_not_over_a_document():
    found = density("very bad", "very\nbad", "very", "bad", "very  bad", **only("very bad"))
    assert found.different.tolist() == [1, 1, 0, 0, 0]


def test_a_longer_phrase_that_fails_leaves_the_shorter_one():
    assert density("bad boyish", **only("bad", "bad boy")).per_thousand.tolist() == [pytest.approx(1000 * 3 / 9)]


def test_a_text_exceeds_by_density_and_by_different_words():
    params = HarmfulParams(lists=(), extra_words=("aa", "bb", "cc"), max_density=100, min_different=3)
    found = measure_harmful(pa.array(["aa bb cc", "aa bb bb", "aa bb cc" + " word" * 100], pa.large_string()), params)
    assert found.exceeds(params).tolist() == [True, False, False]


def test_obscene_text_exceeds_the_defaults_in_both_languages():
    texts = [
        "Free porn videos! Sluts and milfs, hardcore porn, blowjobs and cumshots, fuck her pussy now.",
        "高清无码成人电影，国产自拍，裸聊约炮，注册送彩金，澳门赌场真人娱乐六合彩。",
        "你他妈的傻逼，操你妈，王八蛋，狗日的杂种。",
    ]
    assert density(*texts).exceeds(HarmfulParams()).tolist() == [True] * 3


KEPT = [
    # Shakespeare: King Lear II.2, Hamlet II.2, Othello IV.2
    "A knave; a rascal; an eater of broken meats; a base, proud, shallow, beggarly, three-suited, hundred-pound, "
    "filthy, worsted-stocking knave; a lily-livered, action-taking knave, a whoreson, glass-gazing, super-serviceable "
    "finical rogue; one that wouldst be a bawd, in way of good service, and art nothing but the composition of a "
    "knave, beggar, coward, pandar, and the son and heir of a mongrel bitch.",
    "Must, like a whore, unpack my heart with words, And fall a-cursing, like a very drab, A scullion!",
    "The patient reported pain in the penis, testicles and rectum; the vagina, vulva and breasts were examined.",
    "The court found him guilty of rape, sexual assault of a minor and the possession of child pornography.",
    "Great tits, blue tits and a cock pheasant came to the garden; the cock crew at dawn.",
    "The Dutch built dykes; chinks in the wall let in the wind.",
    "Essex, Sussex and Middlesex; Penistone, Scunthorpe, Cockermouth and Lightwater.",
    "医生检查了患者的阴道、阴茎、乳房和肛门，建议检测精子质量和月经周期。",
    "法院以强奸罪、组织卖淫罪判处被告人有期徒刑十年，并没收赌资。",
    "澳门的博彩业收入去年增长，议员讨论六合彩的税收。",
    "商女不知亡国恨，隔江犹唱后庭花。二十四桥明月夜，玉人何处教吹箫。",
    "鲁迅有一篇杂文，题目就叫《论“他妈的！”》。",
    "燕子樓三首 一\n樓上殘燈伴曉霜，獨眠人起合歡牀。\n相思一夜情多少，地角天涯不是長。",
]


@pytest.mark.parametrize("text", KEPT)
def test_literature_medicine_law_nature_and_place_names_stay(text):
    assert density(text).exceeds(HarmfulParams()).tolist() == [False]


def test_lists_are_chosen_and_words_are_allowed_or_added():
    assert density("fuck 操你妈", lists=("chinese",)).different.tolist() == [1]
    assert density("fuck 操你妈", allowed_words=("Fuck",)).different.tolist() == [1]
    assert density("gosh darn", extra_words=("Gosh  Darn",)).different.tolist() == [1]
    assert density("anything", lists=()).different.tolist() == [0]
    with pytest.raises(ValidationError):
        HarmfulParams(lists=("klingon",))


def test_a_slice_is_measured_like_a_column():
    column = pa.array(["bad", "good bad", "bad bad"], pa.large_string())
    params = HarmfulParams(lists=(), extra_words=("bad",))
    assert measure_harmful(column.slice(1, 1), params).per_thousand.tolist() == [pytest.approx(1000 * 3 / 7)]

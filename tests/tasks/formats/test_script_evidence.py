"""Evidence of a script: what decoded text must have in it to be believed."""

from tasks.formats.script_evidence import looks_chinese, looks_japanese, looks_korean, looks_western

GERMAN = "Alle Menschen sind frei und gleich an Würde und Rechten geboren und mit Vernunft begabt."
JAPANESE = "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。"
KOREAN = "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다."
CHINESE = "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。"


def test_each_text_looks_like_what_it_is_and_like_nothing_else():
    tests = (looks_chinese, looks_japanese, looks_korean, looks_western)
    for number, text in enumerate((CHINESE, JAPANESE, KOREAN, GERMAN)):
        assert [test(text) for test in tests] == [number == other for other in range(4)]


def test_too_little_is_no_evidence():
    assert not looks_chinese("plain")
    assert not looks_chinese("，。")
    assert not looks_chinese("静夜思")
    assert not looks_western("fiancée")


def test_letters_of_another_alphabet_are_no_evidence_whatever_the_words():
    assert not looks_western(GERMAN.replace("ü", "þ"))


def test_a_symbol_inside_a_word_is_a_misreading():
    assert not looks_western(GERMAN.replace("Vernunft", "Vern³unft"))

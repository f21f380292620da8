"""Text read in the wrong encoding, made by encoding and decoding it, and text that must stay."""

import ftfy
import pyarrow as pa
import pytest

from tasks.text.mojibake import repair


def repaired(*texts: str) -> tuple[list[str], list[bool]]:
    column, changed = repair(pa.array(texts, pa.large_string()))
    return column.to_pylist(), changed.tolist()


RIGHT = [
    "café naïve “quotes” – dash…",
    "中文，！“”（测试）",
    "été à la plage",
    "日本語テスト",
    "Привет, мир",
    "5 € and £3",
    "Zoë’s 🙂",
    "voilà\u00a0»",
    "São Paulo não",
]


@pytest.mark.parametrize("text", RIGHT)
@pytest.mark.parametrize("charset", ["latin-1", "sloppy-windows-1252"])
def test_utf8_read_in_a_western_charset_is_made_right(text, charset):
    assert ftfy.__version__  # registers the sloppy charset, which gives undefined bytes the controls of Latin-1
    broken = text.encode().decode(charset)
    assert broken != text
    assert repaired(broken) == ([text], [True])


@pytest.mark.parametrize(
    "text", [*RIGHT, "Ｆｕｌｌ　ｗｉｄｔｈ", "‘a’ ﬁ", "fiancée’s", "À «la» Ñ", "&eacute; \x1b[0m", "a\r\nb", ""]
)
def test_right_text_stays_with_its_width_quotes_and_punctuation(text):
    assert repaired(text) == ([text], [False])


def test_only_the_wrong_line_changes_and_only_its_document_is_marked():
    texts = ["plain", "他说：“好！”\ncafÃ©\n，！“”", "", "naÃ¯ve"]
    assert repaired(*texts) == (["plain", "他说：“好！”\ncafé\n，！“”", "", "naïve"], [False, True, False, True])


def test_marks_of_windows_1252_read_as_controls_are_made_right():
    assert repaired("\x93quoted\x94 it\x92s") == (["“quoted” it’s"], [True])


def test_controls_among_han_are_not_taken_for_quotation_marks():
    assert repaired("目标\x92\x8c引用") == (["目标\x92\x8c引用"], [False])


def test_twice_is_no_more_than_once_and_a_slice_is_like_a_column():
    column = pa.array(["x", "cafÃ©", "ä¸\xadæ–‡ 中文"], pa.large_string())
    once, _ = repair(column.slice(1))
    assert once.to_pylist() == ["café", "中文 中文"]
    assert repair(once)[1].tolist() == [False, False]

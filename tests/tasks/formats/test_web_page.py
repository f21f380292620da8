"""HTML: main text, charsets, pages without text."""

from tasks.formats.records import Document, Malformed, ReadOptions
from tasks.formats.web_page import read_web_page

BODY = "<nav><a href='/'>Home</a><a href='/b'>Blog</a></nav><main><h1>{title}</h1><p>{text}</p></main>"
POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"


def test_the_main_text_is_kept_and_navigation_and_scripts_are_not():
    body = BODY.format(title="A title", text="A paragraph of text &amp; more.")
    record = read_web_page(f"<html><body>{body}<script>var x;</script></body></html>".encode(), ReadOptions())
    assert record == Document(0, "A title\n\nA paragraph of text & more.")


def test_a_page_is_read_in_the_charset_that_it_declares():
    page = (
        f"<html><head><meta charset='big5'></head><body>{BODY.format(title='靜夜思', text='床前明月光')}</body></html>"
    )
    assert read_web_page(page.encode("big5"), ReadOptions()) == Document(0, "靜夜思\n\n床前明月光")
    old = page.replace("<meta charset='big5'>", '<meta http-equiv="Content-Type" content="text/html; charset=gb2312">')
    assert read_web_page(old.encode("gb18030"), ReadOptions()) == Document(0, "靜夜思\n\n床前明月光")


def test_an_undeclared_chinese_page_is_recognized():
    page = f"<html><body><p>{POEM}</p></body></html>"
    assert read_web_page(page.encode("gbk"), ReadOptions()) == Document(0, POEM)


def test_a_page_without_text_is_quarantined_with_its_source():
    page = "<html><body><script>var x;</script></body></html>"
    record = read_web_page(page.encode(), ReadOptions())
    assert record == Malformed(0, "empty", "no main text in the page", page)

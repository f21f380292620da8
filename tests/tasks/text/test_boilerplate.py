"""Lines that go and lines that stay."""

import pyarrow as pa
import pytest
from pydantic import ValidationError

from params.boilerplate import BoilerplateParams, LinePattern
from tasks.text.boilerplate import drop_lines


def pruned(text: str, **params: object) -> str:
    return drop_lines(pa.array([text], pa.large_string()), BoilerplateParams(**params)).column[0].as_py()


GONE = [
    "Skip to main content",
    "Please enable JavaScript to view the comments powered by Disqus.",
    "JavaScript must be enabled in order for you to use this site.",
    "This site requires JavaScript.",
    "We use cookies to improve your experience.",
    "By continuing to browse the site, you agree to our use of cookies.",
    "Accept all cookies",
    "Privacy Policy | Terms of Service",
    "© 2024 Acme Inc.",
    "Copyright (c) 2001-2006 Acme",
    "  All rights reserved.  ",
    "Subscribe to our newsletter",
    "Follow us on Facebook, Twitter & Instagram",
    "Share this article",
    "Back to top ↑".replace(" ↑", ""),
    "Read more »",
    "京ICP备12345678号-1",
    "粤ICP备 2021012345号 粤公网安备44010602000001号",
    "京公网安备 11010802020134号",
    "备案号：沪ICP备05000000号",
    "版权所有 © 某某公司 未经许可不得转载",
    "版權所有",
    "上一篇：春眠",
    "下一页",
    "上一页\u00a0\t下一页",
    "返回顶部",
    "欢迎关注微信公众号：某某",
    "扫码关注我们的公众号",
    "长按识别二维码",
    "分享到：微信 微博",
    "点击阅读全文",
    "（责任编辑：张三）",
    "关于我们 | 联系我们 | 网站地图",
    "请开启浏览器的JavaScript",
]

STAY = [
    "Cookies are small pieces of data that a server sends to a browser; we use them in chapter 3.",
    "She baked cookies and read more books than we do.",
    "JavaScript is a language that runs in browsers.",
    "Skip to main content is the first link that a screen reader finds.",
    "The copyright of this poem has long expired.",
    "All rights reserved by the constitution to the states remain theirs.",
    "Follow us on this journey through 19th-century France!",
    "他关注公众号已久，却从未留言。",
    "上一篇文章说到了李白的生平，这一篇谈他的诗。",
    "版权法规定，作者终身享有权利。",
    "返回首页的按钮在右上角。",
    "他们把备案材料交给了工信部。",
    "我们阅读全文之后再讨论。",
    "举头望明月，低头思故乡。",
]


@pytest.mark.parametrize("line", GONE)
def test_a_line_of_boilerplate_goes_with_its_line_end(line):
    assert pruned(f"first\n{line}\nlast") == "first\nlast"
    assert pruned(line) == ""


@pytest.mark.parametrize("line", STAY)
def test_prose_about_the_same_things_stays(line):
    assert pruned(f"first\n{line}\nlast") == f"first\n{line}\nlast"


def test_lines_and_bytes_are_counted_per_document():
    column = pa.array(["a\n下一页\nb", "plain", "Read more", "x\nShare this page\n下一篇：春\n"], pa.large_string())
    found = drop_lines(column.slice(0), BoilerplateParams())
    assert found.column.to_pylist() == ["a\nb", "plain", "", "x\n"]
    assert found.lines_dropped.tolist() == [1, 0, 1, 2]
    assert found.bytes_dropped.tolist() == [10, 0, 9, 16 + 16]
    assert drop_lines(column.slice(2), BoilerplateParams()).column.to_pylist() == ["", "x\n"]


def test_a_long_line_stays_whatever_it_says():
    line = "We use cookies " + "and so on " * 20
    assert pruned(line) == line
    assert pruned(line, max_characters=400) == ""


def test_the_list_can_be_another_or_empty():
    mine = LinePattern(cues=("advert",), pattern=r"\[?advertisement\]?")
    assert pruned("[Advertisement]\nRead more", lines=(mine,)) == "Read more"
    assert pruned("Read more", lines=()) == "Read more"


def test_a_pattern_that_is_none_and_a_cue_in_capitals_are_refused():
    with pytest.raises(ValidationError, match="no regular expression"):
        LinePattern(cues=("a",), pattern="(")
    with pytest.raises(ValidationError, match="small letters"):
        LinePattern(cues=("Advert",), pattern="x")

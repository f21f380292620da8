"""Lines that web pages carry and that say nothing."""

import re

from pydantic import Field, field_validator

from params.base import Params


class LinePattern(Params):
    """One kind of line that goes."""

    cues: tuple[str, ...] = Field(min_length=1)
    """Words one of which every such line holds, in small letters: only lines with one are looked at closely."""
    pattern: str
    """Regular expression that matches the whole line, blanks at its ends aside, in either case."""

    @field_validator("cues")
    @classmethod
    def _are_small(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for cue in value:
            if not cue or cue != cue.lower():
                raise ValueError(f"{cue!r} must be a word in small letters: {cue.lower() or 'cookie'}")
        return value

    @field_validator("pattern")
    @classmethod
    def _is_expression(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression ({error}); mend or remove it") from error
        return value


def _lines(*cues: str, pattern: str) -> LinePattern:
    return LinePattern(cues=cues, pattern=pattern)


_POLICY = r"(?:privacy (?:policy|notice)|terms (?:of (?:use|service)|(?:and|&) conditions)|cookie policy)"
_ENGLISH = (
    _lines(
        "skip to",
        "jump to",
        pattern=r"(?:skip|jump) to (?:the )?(?:main |primary )?(?:content|navigation|search|menu|footer)",
    ),
    _lines("javascript", pattern=r"(?:please )?(?:enable|turn on|activate) javascript\b.*"),
    _lines(
        "javascript",
        pattern=r"(?:this (?:site|page|website)|you) (?:(?:requires?|needs?)(?: to enable)?|must (?:have|enable)) "
        r"javascript\b.*",
    ),
    _lines(
        "javascript",
        pattern=r"javascript (?:is|(?:must|has to|seems to|appears to) be) "
        r"(?:disabled|enabled|required|turned off)\b.*",
    ),
    _lines(
        "your browser",
        pattern=r"your browser does not support (?:javascript|iframes|the (?:video|audio) (?:tag|element))\b.*",
    ),
    _lines(
        "use cookies",
        "uses cookies",
        pattern=r"(?:we|this (?:site|website|page)|our (?:site|website)) uses? cookies\b.*",
    ),
    _lines(
        "use of cookies",
        pattern=r"by (?:continuing|using|browsing)\b.{0,60} you (?:agree|consent) to (?:our|the) use of cookies\b.*",
    ),
    _lines("cookies", pattern=r"(?:accept|reject|decline|allow|manage)(?: all| only)?(?: necessary)? cookies"),
    _lines("cookie", pattern=r"cookie (?:policy|settings|preferences|notice|consent)"),
    _lines(
        "privacy",
        "terms",
        pattern=rf"{_POLICY}(?:\s*[|·•/-]\s*(?:{_POLICY}|cookies?|contact(?: us)?|about(?: us)?|sitemap))*",
    ),
    _lines("©", "(c)", pattern=r"(?:copyright )?(?:©|\(c\)) ?(?:copyright )?\d{4}.{0,60}"),
    _lines("all rights reserved", pattern=r".{0,80}\ball rights reserved\.?"),
    _lines(
        "subscribe to",
        "sign up",
        pattern=r"(?:subscribe|sign up) (?:to|for) (?:our|the) (?:newsletter|mailing list)\b.{0,40}",
    ),
    _lines(
        "share ",
        "tweet ",
        pattern=r"(?:share|tweet) (?:this|on|to)(?: (?:post|article|page|story|facebook|twitter|x|linkedin|email))+",
    ),
    _lines("us on ", pattern=r"(?:follow|like|find) us on [a-z ,&]{1,60}"),
    _lines(
        "back to top",
        "read more",
        "show more",
        "load more",
        pattern=r"(?:back to top|(?:read|show|load) more)[ .…»›→>]*",
    ),
)
_NEXT = r"(?:上一|下一)(?:篇|页|頁|章|条|條)"
_FOOTER = (
    r"(?:免责声明|免責聲明|网站地图|網站地圖|联系我们|聯繫我們|关于我们|關於我們|隐私政策|隱私政策|用户协议|用戶協議|服务条款|服務條款"
    r"|广告服务|廣告服務|友情链接|友情鏈接|诚聘英才|加入我们|加入我們)"
)
_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"
_CHINESE = (
    _lines("icp", pattern=rf".{{0,40}}[{_PROVINCES}]\s?ICP[备證证]\s*\d+.{{0,60}}"),
    _lines("网安备", pattern=r".{0,40}公网安备\s*\d+\s*号?.{0,40}"),
    _lines("备案", "備案", pattern=r".{0,20}[备備]案(?:编|編)?[号號]\s*[:：].{0,40}"),
    _lines(
        "版权所有",
        "版權所有",
        "保留所有权利",
        "保留所有權利",
        pattern=r".{0,60}(?:版[权權]所有|保留所有[权權]利).{0,60}",
    ),
    _lines("上一", "下一", pattern=rf"{_NEXT}(?:\s*[:：].{{0,60}})?(?:[\s|]*{_NEXT}(?:\s*[:：].{{0,60}})?)?"),
    _lines("返回", "回到", pattern=r"(?:返回|回到)(?:顶部|頂部|首页|首頁|目录|目錄|列表|上一页|上一頁)"),
    _lines(
        "公众号",
        "公眾號",
        pattern=r"(?:请|請|欢迎|歡迎|扫码|掃碼|扫一扫|微信|搜索|点击|點擊|[，,、 ]){0,4}"
        r"(?:关注|關注)(?:我们|我們|本站|本号)?的?(?:微信|官方){0,2}(?:公众号|公眾號).{0,40}",
    ),
    _lines(
        "二维码",
        "二維碼",
        pattern=r"(?:请|請)?(?:长按|長按|扫描|掃描|扫一扫|掃一掃|微信)(?:识别|識別|扫描|下方|上方|上面|下面|图中|以下){0,3}(?:二维码|二維碼).{0,30}",
    ),
    _lines("分享到", "分享至", pattern=r"(?:分享到|分享至)[:：]?(?:\s*(?:微信|朋友圈|微博|新浪微博|QQ空间|QQ|豆瓣))*"),
    _lines("更多", "全文", pattern=r"(?:点击|點擊)?(?:查看|阅读|閱讀|展开|展開|加载|載入)(?:更多|全文)[ .…»›→>]*"),
    _lines("编辑", "編輯", "责编", "責編", pattern=r"[(（【]?\s*(?:责任编辑|責任編輯|责编|責編)\s*[:：].{0,20}"),
    _lines(
        "我们",
        "我們",
        "声明",
        "聲明",
        "政策",
        "协议",
        "協議",
        "地图",
        "地圖",
        "条款",
        "條款",
        "链接",
        "鏈接",
        pattern=rf"{_FOOTER}(?:\s*[|｜·-]?\s*{_FOOTER})+",
    ),
    _lines("cookie", pattern=r"(?:本站|本网站|本網站)使用\s*cookies?.{0,60}"),
    _lines(
        "javascript", pattern=r"(?:请|請)?(?:启用|啟用|开启|開啟|打开)您?的?(?:浏览器|瀏覽器)?的?\s*javascript.{0,30}"
    ),
)
BOILERPLATE_LINES = _ENGLISH + _CHINESE
"""Consent, scripts, navigation, footers, licences of sites: mostly what C4 (Raffel et al. 2020, section 2.2) drops by
the words javascript and cookies, wherever they stand, and what Chinese sites must show (ICP 备案)."""


class BoilerplateParams(Params):
    """Drop lines that are nothing but furniture of a page; prose that speaks of cookies or copyright stays."""

    lines: tuple[LinePattern, ...] = BOILERPLATE_LINES
    """The kinds of lines that go; a list of your own replaces all of them."""
    max_characters: int = Field(default=160, ge=1)
    """Lines longer than this stay, whatever they say."""

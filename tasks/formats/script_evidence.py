"""Whether decoded text reads as Chinese, Japanese, Korean or a Western language, or as bytes mistaken for it."""

import re

_SAMPLE_CHARACTERS = 20_000
_MIN_CHINESE = 0.95
_MIN_FREQUENT = 0.25
_MIN_IDEOGRAPHS = 8
_MAX_LONELY = 0.2
_LONELY = re.compile(r"(?<=[a-z])[\u4e00-\u9fff](?![\u4e00-\u9fff])")
"""An ideograph on its own after a letter: the umlaut of a German word with the letter that follows it."""
# Over half of running Chinese, modern or classical, consists of a few hundred characters. Korean, Japanese or Western
# bytes read as a Chinese encoding scatter over thousands, so the share of these among the ideographs tells them apart.
_FREQUENT = frozenset(
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行"
    "所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力"
    "它与长把机十民第公此已工使情明性知全三又关点正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产"
    "或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿原东声提立及比员解水名真论处走义各入几口"
    "认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德资命山金指克许统区"
    "保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张"
    "風雲春花秋夜江歸處獨飛鳥城樓客愁酒這個們來為國說時會對後發經麼還進樣開從實軍無與長機關點業將兩間問應戰頭體"
    "產話給門東聲員論義認條氣題變總電數報結務場計資許統區隊決馬書則聽卻達強難權設記類據邊張不曰其若乃今夫吾君臣"
    "過種沒動當見學現裡裏於著並萬幾爾錄檔料項組執輸預選單號連讀寫參請須該網絡傳們視窗"
)
_PUNCTUATION = frozenset("，。、；：？！“”‘’（）《》〈〉「」『』【】—…·　～")


def looks_chinese(text: str) -> bool:
    """Whether text decoded by a Chinese encoding reads as Chinese rather than as another encoding mistaken for it."""
    text = text[:_SAMPLE_CHARACTERS]
    foreign = [character for character in text if character > "\x7f"]
    ideographs = [character for character in foreign if "\u4e00" <= character <= "\u9fff"]
    if len(ideographs) < _MIN_IDEOGRAPHS:
        return False
    known = len(ideographs) + sum(character in _PUNCTUATION for character in foreign)
    frequent = sum(character in _FREQUENT for character in ideographs)
    lonely = len(_LONELY.findall(text))
    return (
        known >= _MIN_CHINESE * len(foreign)
        and frequent >= _MIN_FREQUENT * len(ideographs)
        and lonely <= _MAX_LONELY * len(ideographs)
    )


def looks_japanese(text: str) -> bool:
    """Whether a fifth of what is not ASCII are kana and nearly all of the rest ideographs and punctuation.

    Hiragana in EUC-JP are the bytes of the commonest characters of Big5, so this must be ruled out.
    """
    foreign = [character for character in text[:_SAMPLE_CHARACTERS] if character > "\x7f"]
    kana = sum("\u3041" <= character <= "\u30fe" for character in foreign)
    known = sum("\u3000" <= character <= "\u9fff" or "\uff01" <= character <= "\uff5e" for character in foreign)
    return bool(foreign) and kana >= 0.2 * len(foreign) and known >= _MIN_CHINESE * len(foreign)


def looks_korean(text: str) -> bool:
    """Whether nearly all of what is not ASCII are Hangul syllables."""
    foreign = [character for character in text[:_SAMPLE_CHARACTERS] if character > "\x7f"]
    hangul = sum("\uac00" <= character <= "\ud7a3" for character in foreign)
    return bool(foreign) and hangul >= 0.9 * len(foreign)


_MIN_FUNCTION_WORDS = 0.12
_MIN_OWN_WORDS = 0.04
_MIN_WORDS = 5
_MIN_IN_ALPHABET = 0.95
_MAX_FOREIGN_LETTERS_IN_ENGLISH = 0.01
_WORD = re.compile(r"[^\W\d_]+")
_LETTER_SET = frozenset("àáâãäåæçèéêëìíîïñòóôõöøùúûüýÿœßšž")
_MARKS = frozenset("«»“”‘’„‚‹›–—…•·°§©®™€£¥¢§¶†‡¿¡ªº²³¹½¼¾±×÷µ´¨¸\xa0\xad")
_DOUBTFUL = frozenset("…•–—‘’‚„†")
"""Marks whose bytes are accented letters in DOS and on the Mac."""
_MISREAD = re.compile(
    r"[^\W\d_]{2}[¹²³¼½¾¡¿¢£¥±×÷µ´¨¸ªº¶„‚†‡]"  # after a letter
    r"|[¹²³¼½¾£¥¢±´¨¸§©®°•…†‡][^\W\d_]"  # before one
    r"|[^\W\d_][‘“”„‚«‹»›][^\W\d_]"
    r"|[a-zß-ÿ][À-ÖØ-Þ]"
    r"|[¡¿](?![¿«“\"']?\w\w)"
    r"|(?<!\w)(?=[^\x00-\x7f])[^\W\d_àáâäåæèéêíòóôöúÀÁÂÄÅÆÈÉÊÍÒÓÔÖÚ](?=[\s.,:;!?]|$)"  # on its own
)
"""Signs where none can be: Polish, Turkish, Chinese or an old DOS or Mac encoding read as Windows-1252."""
_DASHED = re.compile(r"[a-zß-ÿ]—[a-z]")
"""English sets dashes so; elsewhere it is the `ó` of an old Mac."""
_LANGUAGES = {
    "en": ("éèêëïîöôüçñáíóúàâäå", "the of and to in is that for it as with be on by this are or not from an you which"),
    "fr": (
        "àâæçéèêëîïôœùûü",
        "le la les de des du et un une en est que qui pour dans sur par pas ne au aux ce ou avec se il sont plus vous "
        "être cette si",
    ),
    "de": (
        "äöüß",
        "der die und das den dem des ist von zu mit ein eine einer nicht sich auf für im werden wird es auch als an "
        "bei oder aus nach wenn kann sie",
    ),
    "es": (
        "áéíóúüñ",
        "de la el los las que en un una es del por con para se no al lo su como más este esta si puede ser son",
    ),
    "pt": (
        "àáâãçéêíóôõúü",
        "de da do das dos que em um uma para com não os as no na se por ou mais como ao ser este esta foi pode",
    ),
    "it": (
        "àèéìíòóù",
        "di il la le lo gli un una che per in con del della dei non si da come al nel sono essere questo alla se più",
    ),
    "ca": ("àçèéíïòóúü", "de la el els les que en un una per amb del al es no si com més aquest aquesta ser"),
    "nl": ("éëïöüè", "de het een van en in is dat op te met voor niet zijn die aan of door worden als bij ook kan er"),
    "sv": ("åäöé", "och att det som en av för är på den med till inte om ett de har kan från eller du vid"),
    "da": ("æøåéäö", "og at det som en af for er på den med til ikke om et de har kan fra eller du ved av å"),
    "fi": ("äöå", "ja on ei se että oli mutta joka kun niin myös tai ovat voi jos sen ole kuin tämä"),
}
_VOCABULARIES = {name: (frozenset(letters), frozenset(words.split())) for name, (letters, words) in _LANGUAGES.items()}


def looks_western(text: str) -> bool:
    """Whether text decoded as Windows-1252 reads as a language that is written in it.

    The letters beyond ASCII must be those of one language whose function words are there too, so that Cyrillic,
    Polish, Turkish or an old DOS encoding, which decode without error, are not taken for it. Latin-1 is a part of it.
    """
    text = text[:_SAMPLE_CHARACTERS]
    lower = text.lower()
    words = _WORD.findall(lower)
    foreign = [character for character in lower if character > "\x7f"]
    letters = [character for character in foreign if character in _LETTER_SET]
    if len(words) < _MIN_WORDS or len(letters) + sum(c in _MARKS for c in foreign) < len(foreign):
        return False
    if _MISREAD.search(text):
        return False
    num_doubtful = sum(character in _DOUBTFUL for character in foreign)
    names = ["en"] if _DASHED.search(text) else list(_VOCABULARIES)
    return any(_reads_as(name, words, letters, num_doubtful) for name in names)


def _reads_as(language: str, words: list[str], letters: list[str], num_doubtful: int) -> bool:
    alphabet, function_words = _VOCABULARIES[language]
    if sum(letter in alphabet for letter in letters) < _MIN_IN_ALPHABET * len(letters):
        return False
    own = sum(word in function_words for word in words)
    if language == "en":
        if len(letters) > _MAX_FOREIGN_LETTERS_IN_ENGLISH * sum(map(len, words)):
            return False
    elif 2 * len(letters) < max(1, num_doubtful) or own < _MIN_OWN_WORDS * len(words):
        return False
    function_words = function_words | _VOCABULARIES["en"][1]  # much technical prose is half English
    return sum(word in function_words for word in words) >= _MIN_FUNCTION_WORDS * len(words)

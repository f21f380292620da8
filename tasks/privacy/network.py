"""Mail and internet addresses that are public, apart from what merely looks like them."""

import ipaddress
import re

from tasks.privacy.places import Found

_LOCAL = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-"
_DOMAIN = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
_COLON_GROUPS = b"0123456789abcdefABCDEF:"
_MAX_LOCAL, _MAX_DOMAIN, _MAX_IPV6 = 64, 253, 39
_SERVICES = {b"git", b"hg", b"svn", b"cvs", b"anoncvs"}
"""Users of SSH addresses such as git@github.com, who are nobody."""
_RESERVED = re.compile(rb"(?i)(?:^|\.)example\.(?:com|net|org)$")
"""RFC 2606, section 3; its reserved top-level domains are no known ones either."""
_COUNTRY_DOMAINS = frozenset(
    b"ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc "
    b"cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga "
    b"gb gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo "
    b"jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr "
    b"ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re "
    b"ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr "
    b"tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw".split()
)
_GENERIC_DOMAINS = frozenset(
    b"aero agency app art asia associates bank berlin bio biz blog business cafe care cat center church city cloud "
    b"club codes community company consulting coop dental design dev digital education edu email energy engineer "
    b"engineering eus expert family finance foundation fund fyi games gal global gmbh gov group guru health hotel "
    b"house info ink institute int international jobs law lawyer legal life link live lol london love ltd market "
    b"marketing media mil mobi money museum name net network news ngo nyc one online ong org page paris partners "
    b"party photography photos post press pro properties pub quebec red restaurant rocks sale school science scot "
    b"services shop site social software solutions space store studio support swiss systems team tech technology tel "
    b"today tokyo top tours training travel university vip ventures wang wiki win wine work works world xin xxx xyz "
    b"yoga zone com".split()
)
_TOP_LEVEL = _COUNTRY_DOMAINS | _GENERIC_DOMAINS
"""The usual ones of IANA's list; all of them would take attributes in code (x@y.shape) for domains."""
_FOUR_PARTS = re.compile(rb"(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})(?![\w~^+-]|\.\d)")
_RANGE = re.compile(rb"(?:\d{1,3}\.){3}\d{1,3}(?=-\d{1,3}\.)")
_BEFORE_VERSION = re.compile(
    rb"(?:(?i:(?<![a-z])(?:build|version|vers?|v|release|rel|revision|rev|chapter|chap|ch|section|sect|sec|clause|paragraph"
    rb"|para|figure|fig|table|appendix|annex|item|step|rule|firmware|driver|update|patch|oid|article|equation|eq|theorem"
    rb"|lemma|part|number|no)s?)"
    + "|§|版本(?:号)?|版|第|章|节|節|条|條|图|圖|(?<!列)表".encode()
    + rb"|[_^~]|(?<!\d)-|[=<>!~]=|[A-Za-z0-9]/)"
    + "(?:[\\s:.=#(\"']|：|\u00a0){0,4}\\Z".encode()
)
"""Words and signs before the number of a version or section; last, the / after a product of a user agent."""
_LINE_START = re.compile(rb"(?:^|\n)[ \t]*\Z")
_NEAR_ADDRESS = re.compile(
    rb"(?i)(?<![a-z])(?:ip|ipv4|addr|address|host|hostname|server|nameserver|dns|ping|gateway|peer|client|inet)(?![a-z])"
    + b"|"
    + "地址|服务器|伺服器|主机|主機|网关|//|@".encode()
)
_SMALL = 32
"""Four numbers of which the last three are below it are a version or section, unless the line speaks of an address:
so read, one random address in 512 stays."""
_IN_GROUPS = re.compile(rb":[0-9A-Fa-f]{0,4}:\Z")
_NEW_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")
"""RFC 9637, younger than the interpreter's list."""


def find_email(before: bytes, after: bytes) -> Found | None:
    """A mail address around an @."""
    length = len(before) - len(before.rstrip(_LOCAL))
    if length == len(before) == _MAX_LOCAL and before[:1] not in b"._%+-":
        return None
    local = before[len(before) - length :].lstrip(b"._%+-")
    domain = _domain(after[1 : _MAX_DOMAIN + 2])
    if not local or b".." in local or local.lower() in _SERVICES or domain is None or _RESERVED.search(domain):
        return None
    return Found("email", -len(local), 1 + len(domain))


def _domain(after: bytes) -> bytes | None:
    """The host name that text begins with, if its top level is a usual one."""
    run = after[: len(after) - len(after.lstrip(_DOMAIN))].rstrip(b".-")
    labels = run.split(b".")
    if len(labels) > 2 and labels[-1].lower() not in _TOP_LEVEL and labels[-1][:1].isupper():
        labels.pop()  # a sentence that starts right after the full stop
    name = b".".join(labels)
    top = labels[-1].lower()
    is_call = top in _COUNTRY_DOMAINS and after[len(name) : len(name) + 1] == b"("
    if len(labels) < 2 or top not in _TOP_LEVEL or is_call:
        return None
    return name if all(label and label[:1] != b"-" and label[-1:] != b"-" for label in labels) else None


def find_ipv4(before: bytes, after: bytes) -> Found | None:
    """A public IPv4 address."""
    match = _FOUR_PARTS.match(after) or _RANGE.match(after)
    if match is None or _BEFORE_VERSION.search(before[-24:]):
        return None
    parts = [int(part) for part in match[0].split(b".")]
    if max(parts) > 255 or parts[2:] == [0, 0]:
        return None
    if max(parts[1:]) < _SMALL and not _NEAR_ADDRESS.search(before[before.rfind(b"\n") + 1 :]):
        return None
    if after[match.end() : match.end() + 1] == b"." and _LINE_START.search(before):
        return None  # the number of a heading
    address = ipaddress.IPv4Address(bytes(parts))
    if not address.is_global or address.is_multicast or address.is_reserved:
        return None
    return Found("ipv4", 0, match.end())


def find_ipv6(before: bytes, after: bytes) -> Found | None:
    """A public IPv6 address of at least three written groups."""
    run = after[: len(after) - len(after.lstrip(_COLON_GROUPS))]
    if run.endswith(b":") and not run.endswith(b"::"):
        run = run[:-1]
    rest = after[len(run) : len(run) + 2]
    if len(run) > _MAX_IPV6 or rest[:1].isalnum() or rest[:1] == b"_" or (rest[1:].isdigit() and rest[:1] == b"."):
        return None
    if len([group for group in run.split(b":") if group]) < 3 or _IN_GROUPS.search(before):
        return None
    try:
        address = ipaddress.IPv6Address(run.decode())
    except ipaddress.AddressValueError:
        return None
    if not address.is_global or address in _NEW_DOCUMENTATION:
        return None
    return Found("ipv6", 0, len(run))

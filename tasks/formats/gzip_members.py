"""Gzip streams of many members, such as .warc.gz, in which a damaged member does not cost those after it."""

import re
from typing import Any

from isal import isal_zlib

from tasks.formats.lookahead import Lookahead
from tasks.formats.records import Unusable

_CHUNK_BYTES = 1 << 16
_MEMBER = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")  # RFC 1952, section 2.3.1: magic, deflate, flags


class GzipMembers:
    """The contents of the members; Unusable once for each that is damaged, and the next read goes on behind it."""

    def __init__(self, packed: Lookahead) -> None:
        self._packed = packed
        self._member: Any = None
        self.was_read = False
        """Whether the member that was read last, or that is damaged, gave any bytes."""

    def read(self, size: int = _CHUNK_BYTES, /) -> bytes:
        """The next bytes of one member."""
        while packed := self._packed.peek(_CHUNK_BYTES):
            if self._member is None:
                if not _MEMBER.match(packed):
                    self.was_read = False
                    self._skip_to_member()
                    raise Unusable("damaged_gzip", f"no gzip member begins with the bytes {packed[:8].hex(' ')}")
                self._member = isal_zlib.decompressobj(wbits=31)
                self.was_read = False
            try:
                data: bytes = self._member.decompress(packed, size)
            except isal_zlib.error as error:  # type: ignore[misc]  # its stub names an instance
                self._member = None
                self._skip_to_member()
                raise Unusable("damaged_gzip", str(error)) from None
            rest = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._packed.skip(len(packed) - len(rest))
            if self._member.eof:
                self._member = None
            if data:
                self.was_read = True
                return data
        if self._member is not None:
            self._member = None
            raise Unusable("truncated_gzip", "the gzip stream ends before its end mark")
        return b""

    def _skip_to_member(self) -> None:
        """Go to what looks like the next member, beyond the next byte."""
        self._packed.skip(1)
        while packed := self._packed.peek(_CHUNK_BYTES):
            if found := _MEMBER.search(packed):
                self._packed.skip(found.start())
                return
            self._packed.skip(max(len(packed) - 3, 1))

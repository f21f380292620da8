"""What single tokens stand for, to report them with their probabilities: some are only a part of a character."""

import json
from functools import cache
from typing import Any


class TokenBytes:
    """The bytes of each token of a tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        decoder = json.loads(tokenizer.to_str())["decoder"] or {}
        self.is_byte_level = decoder.get("type") == "ByteLevel"
        self.special = {number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special}

    def bytes_of(self, token: int) -> bytes:
        """The token's bytes, exact for byte-level tokenizers."""
        spelled = self.tokenizer.id_to_token(token) or ""
        if token in self.special or not self.is_byte_level:
            text = spelled if token in self.special else self.tokenizer.decode([token])
            return str(text).encode()
        alphabet = byte_alphabet()
        if all(character in alphabet for character in spelled):
            return bytes(alphabet[character] for character in spelled)
        return str(spelled).encode()

    def text(self, token: int) -> str:
        """The token's text; a part of a character is written as OpenAI does, `bytes:\\xe5`."""
        raw = self.bytes_of(token)
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return "bytes:" + "".join(f"\\x{byte:02x}" for byte in raw)


@cache
def byte_alphabet() -> dict[str, int]:
    """The printable characters that byte-level tokenizers write bytes with (GPT-2, encoder.py)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}

"""What the entries of a vocabulary stand for."""

import json
import re

from tokenizers import Tokenizer, pre_tokenizers

from tasks.tokenizer.files import vocab_size

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_SPACE = "\u2581"


def spelled_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The UTF-8 bytes of each id; none for special tokens and for ids that a vocabulary leaves out.

    Knows the byte-level alphabet (GPT-2), and SentencePiece's <0xNN> with U+2581 for a space.
    """
    alphabet = byte_alphabet() if is_byte_level(tokenizer) else {}
    added = tokenizer.get_added_tokens_decoder()
    spelled = [b""] * vocab_size(tokenizer)
    for token, index in tokenizer.get_vocab().items():
        if index in added:
            spelled[index] = b"" if added[index].special else added[index].content.encode()
        elif alphabet and alphabet.keys() >= set(token):
            spelled[index] = bytes(alphabet[character] for character in token)
        elif _BYTE.fullmatch(token):
            spelled[index] = bytes([int(token[3:5], 16)])
        else:
            spelled[index] = token.replace(_SPACE, " ").encode()
    return spelled


def is_byte_level(tokenizer: Tokenizer) -> bool:
    """Whether tokens are written in the byte-level alphabet, one character a byte."""
    decoder = json.loads(tokenizer.to_str())["decoder"] or {}
    return any(part.get("type") == "ByteLevel" for part in decoder.get("decoders", [decoder]))


def byte_alphabet() -> dict[str, int]:
    """Byte of each character of GPT-2's alphabet: printable Latin-1 as it is, the rest from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    moved = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable} | {chr(0x100 + rank): byte for rank, byte in enumerate(moved)}
    assert set(table) == set(pre_tokenizers.ByteLevel.alphabet())
    return table

"""What becomes of personal data that is found in a text."""

from typing import Literal, get_args

from pydantic import field_validator

from params.base import Params

Kind = Literal["email", "ipv4", "ipv6", "phone", "identity_number", "payment_card", "iban", "secret"]
Action = Literal["replace", "drop", "keep"]

KINDS: tuple[Kind, ...] = get_args(Kind)


class PrivacyParams(Params):
    """Per kind: replace each one by a placeholder, drop the document, or keep it; all three are counted."""

    email: Action = "replace"
    """Mail addresses; those of example.com and the other reserved domains (RFC 2606) stay."""
    ipv4: Action = "replace"
    """Public IPv4 addresses; private, reserved and documentation ones stay, and so do version and section numbers."""
    ipv6: Action = "replace"
    """Public IPv6 addresses (2000::/3 without the reserved blocks)."""
    phone: Action = "replace"
    """Phone numbers: international with +, (415) 555-0132, mainland Chinese, and others next to a word such as tel."""
    identity_number: Action = "replace"
    """Mainland Chinese identity numbers of 18 digits with a valid region, birth date and check digit (GB 11643)."""
    payment_card: Action = "replace"
    """Payment card numbers: issuer, length and Luhn digit fit, and digits stand in groups or a word says card."""
    iban: Action = "replace"
    """International bank account numbers with the length of their country and valid check digits (ISO 13616)."""
    secret: Action = "replace"
    """AWS keys, GitHub tokens, blocks of private keys, JSON web tokens."""
    placeholder: str = "[{kind}]"
    """What stands in their place; {kind} becomes EMAIL, IPV4, IPV6, PHONE, IDENTITY_NUMBER, PAYMENT_CARD …"""

    @field_validator("placeholder")
    @classmethod
    def _names_only_the_kind(cls, value: str) -> str:
        rest = value.replace("{kind}", "")
        if "{" in rest or "}" in rest:
            raise ValueError(f"{value!r} may hold no braces but those of {{kind}}; write for example [{{kind}}]")
        return value

    def action(self, kind: Kind) -> Action:
        """What becomes of one kind."""
        action: Action = getattr(self, kind)
        return action

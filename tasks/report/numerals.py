"""Numbers as people read them, and ticks for axes."""

import math
from collections.abc import Sequence

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def short(value: float, digits: int = 3) -> str:
    """1234567 as 1.23 M; a number with so many digits and a unit."""
    for size, unit in _UNITS:
        if abs(value) >= size * (1 - 0.5 * 10**-digits):
            return f"{_plain(value / size, digits)} {unit}"
    return _plain(value, digits)


def size(num_bytes: float) -> str:
    """1234567 as 1.23 MB."""
    found = short(num_bytes)
    return f"{found}B" if found[-1].isalpha() else f"{found} B"


def share(part: float, whole: float) -> str:
    """A part in per cent."""
    return f"{100 * part / whole:.1f} %" if whole else "0 %"


def duration(seconds: float) -> str:
    """12.3 s, 4 min 5 s or 6 h 7 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def figure(value: object, digits: int = 4) -> str:
    """Any value of a result as text."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return "–" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _decimal(value, digits)
    return str(value)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values between two bounds, at most so many: steps of 1, 2, 2.5 or 5 times a power of ten."""
    if not high > low:
        return [low]
    raw = (high - low) / max(most - 1, 1)
    power = 10 ** math.floor(math.log10(raw))
    for factor in (1, 2, 2.5, 5, 10, 20):
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            break
    return [round(index * step, 12) for index in range(first, last + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Labels that tell neighbouring ticks apart."""
    for digits in range(1, 7):
        labels = [short(value, digits) for value in values]
        if len(set(labels)) == len(labels) and all(_same(label, v) for label, v in zip(labels, values, strict=True)):
            break
    return labels


def _same(label: str, value: float) -> bool:
    number, _, unit = label.partition(" ")
    scale = next((size for size, name in _UNITS if name == unit), 1.0)
    return math.isclose(float(number.replace(",", "")) * scale, value, rel_tol=1e-9, abs_tol=1e-12)


def _plain(value: float, digits: int) -> str:
    return f"{value:.{digits}g}" if abs(value) < 10**digits and (abs(value) >= 1e-4 or not value) else _wide(value)


def _wide(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1 else f"{value:.1e}"


def _decimal(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return str(value)
    if value and abs(value) < 10**-digits:
        return f"{value:.2e}"
    text = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

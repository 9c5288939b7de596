"""Numbers and switches as text, in the grammar of HTML forms instead of Python's.

Python also reads `1_0`, ` 2`, `+2`, `inf` and the digits of every script, and pydantic `yes` and
`on`: what a caller meant by these would be guessed. Put one of the validators last in a parameter's
type.
"""

from __future__ import annotations

import re

from pydantic import BeforeValidator


def _written_as(grammar: str, meaning: str) -> BeforeValidator:
    """Return a validator of texts; other values, which are no caller's, pass unread."""
    pattern = re.compile(grammar)

    def checked(value: object) -> object:
        if isinstance(value, str) and not pattern.fullmatch(value):
            raise ValueError(f"must be {meaning}")
        return value

    return BeforeValidator(checked)


NUMBER = _written_as(
    r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", "a number such as 2, 2.37 or 1e3"
)
"""A valid floating-point number (HTML Living Standard, section 2.3.4.3)."""
INTEGER = _written_as(r"-?[0-9]+", "a whole number such as 90")
"""A valid integer (HTML Living Standard, section 2.3.4.1)."""
SWITCH = _written_as(r"true|false", "true or false")
"""A boolean, as JSON writes it."""

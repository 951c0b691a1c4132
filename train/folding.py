"""Comparison of plate texts."""


def fold(text: str) -> str:
    """Replaces the letters O and I by the digits 0 and 1, which look the same."""
    return text.replace("O", "0").replace("I", "1")

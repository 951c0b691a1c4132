"""Words for people."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Returns a number with its noun in singular or plural, for example `1 camera`, `2 cameras`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"

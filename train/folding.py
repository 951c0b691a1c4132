"""How texts are compared."""


def fold(text: str) -> str:
    """O and I as the digits that they cannot be told from."""
    return text.replace("O", "0").replace("I", "1")

"""Patterns of plates as regular expressions."""

import re

from plateid.core.lists import CONFUSABLE


def plate_expression(pattern: str, *, similar: bool) -> str:
    """Returns a regular expression (RE2, Python) of `*` (any text) and `?` (any character).

    With `similar`, it matches texts at one edit, or that differ in confusable characters, too.
    """
    tokens = [{"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern]
    variants = {"".join(tokens)}
    if similar:
        others = ["".join(sorted(b for a, b in CONFUSABLE if a == each)) for each in tokens]
        pairs = zip(tokens, others, strict=True)
        variants.add("".join(f"[{each}{other}]" if other else each for each, other in pairs))
        for place in range(len(tokens) + 1):
            before, after = tokens[:place], tokens[place:]
            for changed in ([".", *after[1:]], after[1:], [".", *after]):
                variants.add("".join([*before, *changed]))
    return f"^(?:{'|'.join(sorted(variants))})$"

"""Checks which execution provider ran a network, by ONNX Runtime's profile.

The provider list of a session only says what was loaded.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from plateid.errors import ModelError

HEAVY = ("Conv", "Gemm", "MatMul", "LSTM", "GRU", "Attention")
"""Substrings of the operators that do nearly all of a network's arithmetic."""


def nodes_run(profile: Path) -> list[tuple[str, str]]:
    """Returns (operator, provider) of each node that ran, from an ONNX Runtime profile."""
    events = json.loads(profile.read_bytes())
    nodes = [event["args"] for event in events if event["cat"] == "Node"]
    return [(node["op_name"], node["provider"]) for node in nodes if "provider" in node]


def check_provider_ran(name: str, nodes: Sequence[tuple[str, str]], provider: str) -> None:
    """Raises ModelError if the provider ran no node, or another one ran a heavy node."""
    if all(ran_on != provider for _, ran_on in nodes):
        raise ModelError(name, f"{provider} was loaded, but ran no node")
    elsewhere = [
        f"{operator} on {ran_on}"
        for operator, ran_on in nodes
        if ran_on != provider and any(part in operator for part in HEAVY)
    ]
    if elsewhere:
        raise ModelError(
            name, f"{provider} cannot run the whole network: {', '.join(sorted(set(elsewhere)))}"
        )

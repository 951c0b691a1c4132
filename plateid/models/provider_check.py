"""Who computed an inference, by ONNX Runtime's own profile: its provider list proves nothing."""

import json
from collections.abc import Sequence
from pathlib import Path

from plateid.errors import ModelError

HEAVY = ("Conv", "Gemm", "MatMul", "LSTM", "GRU", "Attention")
"""Parts of the names of operators that hold nearly all of a network's arithmetic."""


def computed_by(profile: Path) -> list[tuple[str, str]]:
    """Operator and provider of each node that ran, from a profile that ONNX Runtime wrote."""
    events = json.loads(profile.read_bytes())
    nodes = [event["args"] for event in events if event["cat"] == "Node"]
    return [(node["op_name"], node["provider"]) for node in nodes if "provider" in node]


def check_computed_by(name: str, nodes: Sequence[tuple[str, str]], provider: str) -> None:
    """Accepts an inference whose heavy nodes all ran on the provider.

    Shapes, and what else is cheap, a provider may leave to the CPU.

    Raises:
        ModelError: The provider computed nothing, or another one did the work.
    """
    if all(ran_on != provider for _, ran_on in nodes):
        raise ModelError(name, f"{provider} was loaded, but computed nothing")
    elsewhere = [
        f"{operator} on {ran_on}"
        for operator, ran_on in nodes
        if ran_on != provider and any(part in operator for part in HEAVY)
    ]
    if elsewhere:
        raise ModelError(
            name, f"{provider} cannot run the whole network: {', '.join(sorted(set(elsewhere)))}"
        )

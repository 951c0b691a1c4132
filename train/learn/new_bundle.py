"""Writes the new bundle: the base with other networks, exported and checked."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from plateid.models.bundle import Bundle, read_spec
from plateid.models.session import NetworkSession
from train.export.onnx_networks import Precision
from train.learn.learning_run import LearningRun
from train.learn.proof import Proof
from train.learn.teaching import Taught
from train.manifest.bundle_toml import edit_bundle_toml, set_hashes
from train.manifest.weight_origin import Network, data_name
from train.train_error import TrainError

ROUNDS = 10
"""Inferences that are timed."""


@dataclass(frozen=True)
class NetworkFacts:
    """What was measured of a network while the bundle was written."""

    precision: Precision
    refused: str  # why it is not INT8 as before; empty: it is what it was
    calibration: float  # the reader's temperature, or the detector's score threshold
    ms: float


def write_bundle(run: LearningRun, taught: Sequence[Taught]) -> dict[str, NetworkFacts]:
    """Writes the bundle into the run's folder; raises TrainError if it cannot be exported."""
    new, name = run.work / "bundle", run.out.resolve().name
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(run.base, new)
    before, refused = read_spec(run.base), {}
    with edit_bundle_toml(new) as content:
        content["name"] = name
        content.pop("version", None)  # `pack` sets a newer one
        for each in taught:
            changes, refused[each.network] = each.write(new)
            origin = getattr(before, each.network).origin + _origin(run, each)
            content[each.network].update({**changes, "name": name, "origin": origin})
            content["training_data"].extend(
                {"name": source, "licence": "yours", "used_for": each.network}
                for source in run.sources.names
            )
            if each.network == "reader":
                content.setdefault("metrics", {}).update(_own_metrics(each.proof))
        for leftover in new.glob("*.float.onnx"):  # of a refused INT8 network
            leftover.unlink()
        set_hashes(content, new)
    return {network: _facts(new, network, reason) for network, reason in refused.items()}


def _own_metrics(proof: Proof) -> dict[str, float]:
    """Returns how many of your plates were read before and after, for `bundle.toml`."""
    _, exact = proof.headline
    own = {"plates": float(proof.count), "before": exact.before, "after": exact.after}
    return {f"own_{key}": round(value, 4) for key, value in own.items()}


def _facts(bundle: Path, network: Network, refused: str) -> NetworkFacts:
    spec = getattr(read_spec(bundle), network)
    session = NetworkSession(network, getattr(Bundle(bundle), network))  # raises if unusable
    calibration = spec.temperature if network == "reader" else spec.threshold
    return NetworkFacts(spec.precision, refused, calibration, session.probe(runs=ROUNDS))


def export_as_before(
    export: Callable[[Precision], None], precision: Precision
) -> tuple[Precision, str]:
    """Exports a network, in float16 if INT8 would cost accuracy; returns the reason as well."""
    try:
        export(precision)
    except TrainError as error:
        if precision != "int8":
            raise
        export("float16")
        return "float16", str(error)
    return precision, ""


def _origin(run: LearningRun, taught: Taught) -> str:
    """Returns how a network was changed, for `bundle.toml`."""
    names = ", ".join(data_name(Path(name)) for name in run.sources.names)
    return (
        f" Then train learn with {taught.proof.count} {taught.proof.unit}, real ({names}), and "
        f"rendered ones for {run.minutes:g} minutes: {taught.chosen.share:.0%} of the way from the "
        "weights before to those after."
    )

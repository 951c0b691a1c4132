"""Writes the new bundle: the base with other networks, exported and checked."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from plateid.models.bundle import Bundle, read_spec
from plateid.models.session import NetworkSession
from train.export.onnx_networks import Precision
from train.learn.gather import LearningRun
from train.learn.teaching import Taught
from train.manifest.bundle_toml import edit_bundle_toml, set_hashes
from train.manifest.weight_origin import Network, data_name
from train.train_error import TrainError

ROUNDS = 10
"""Inferences that are timed."""


Facts = dict[str, dict[str, Any]]
"""What was measured of each network: its precision, why it is not INT8 as before (empty: it is as
before), its temperature or score threshold, and milliseconds."""


def write_bundle(run: LearningRun, taught: Sequence[Taught]) -> Facts:
    """Writes the bundle into the run's folder; raises TrainError if it cannot be exported."""
    new, name = run.work / "bundle", run.out.resolve().name
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(run.base, new)
    before, refused, metrics = read_spec(run.base), {}, dict[str, float]()
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
                _, exact = each.proof.headline
                metrics = {
                    "own_plates": float(each.proof.count),
                    "own_before": round(exact.before, 4),
                }
                metrics["own_after"] = round(exact.after, 4)
        for leftover in new.glob("*.float.onnx"):  # of a refused INT8 network
            leftover.unlink()
        set_hashes(content, new)  # drops the metrics of the base
        content["metrics"] = metrics
    return {network: _facts(new, network, reason) for network, reason in refused.items()}


def _facts(bundle: Path, network: Network, refused: str) -> dict[str, Any]:
    spec = getattr(read_spec(bundle), network)
    session = NetworkSession(network, getattr(Bundle(bundle), network))  # raises if unusable
    calibration = spec.temperature if network == "reader" else spec.threshold
    measured = {"calibration": calibration, "ms": session.probe(runs=ROUNDS)}
    return {"precision": spec.precision, "refused": refused, **measured}


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

"""Writes the new bundle: the base with other networks, which run once."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plateid.models.bundle import FORMATS, Bundle, read_spec
from plateid.models.session import NetworkSession
from train.learn.gather import LearningRun
from train.learn.teaching import Taught
from train.manifest.bundle_toml import edit_bundle_toml, set_hashes
from train.manifest.weight_origin import Network, data_name

ROUNDS = 10
"""Inferences that are timed."""
CALIBRATION: dict[Network, str] = {"reader": "temperature", "detector": "threshold"}
"""What is calibrated of a network."""
Facts = dict[str, dict[str, Any]]
"""What was measured of each network: its precision, why it is not INT8 as before (empty: it is as
before), its temperature or score threshold, and milliseconds."""


def write_bundle(run: LearningRun, taught: Sequence[Taught]) -> Facts:
    """Writes the bundle into the run's folder."""
    new, name, metrics = run.work / "bundle", run.out.resolve().name, dict[str, float]()
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(run.base, new)
    with edit_bundle_toml(new) as content:
        content["name"] = name
        content.pop("version", None)  # `pack` sets a newer one
        for each in taught:
            section, shipped = content[each.network], each.chosen.shipped
            shutil.copy(shipped.file, new / section["file"])
            origin = getattr(read_spec(run.base), each.network).origin + _origin(run, each)
            section.update({**shipped.section, **each.results.section})
            section.update({"name": name, "origin": origin})
            content["training_data"].extend(
                {"name": source, "licence": "yours", "used_for": each.network}
                for source in run.sources.names
            )
            if each.network == "reader":
                _, exact = each.headline
                metrics["own_plates"] = float(each.count)
                metrics["own_before"] = round(exact.before, 4)
                metrics["own_after"] = round(exact.after, 4)
        if content["reader"].get("syntax"):
            content["format"] = FORMATS[-1]
        set_hashes(content, new)  # drops the metrics of the base
        content["metrics"] = metrics
    return {each.network: _facts(Bundle(new), each) for each in taught}


def _facts(bundle: Bundle, taught: Taught) -> dict[str, Any]:
    spec = getattr(bundle.spec, taught.network)
    session = NetworkSession(taught.network, getattr(bundle, taught.network))  # raises if unusable
    return {
        "precision": spec.precision,
        "refused": taught.chosen.shipped.refused,
        "calibration": getattr(spec, CALIBRATION[taught.network]),
        "ms": session.probe(runs=ROUNDS),
    }


def _origin(run: LearningRun, taught: Taught) -> str:
    """Returns how a network was changed, for `bundle.toml`."""
    names = ", ".join(data_name(Path(name)) for name in run.sources.names)
    return (
        f" Then train learn with {taught.count} {taught.results.unit}, real ({names}), and "
        f"rendered ones for {run.minutes:g} minutes: {taught.chosen.share:.0%} of the way from the "
        "weights before to those after."
    )

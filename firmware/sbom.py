"""Writes the software bill of materials (SBOM) of a device: `python -m firmware.sbom FILE`.

Its format is CycloneDX 1.6 (ECMA-424). It lists the wheels of firmware/python.lock with their
hashes, and the bundles of plateid/models with their networks, hashes, licences and training data.
"""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from plateid import __version__

ROOT = Path(__file__).parent.parent
PINNED = re.compile(
    r"^([\w.-]+)==([\w.]+)[^\n]*((?:\n    --hash=sha256:[0-9a-f]{64}[ \\]*)+)", re.MULTILINE
)
"""A package of the lock: name, version and the hashes of its wheels."""
LICENCE = "AGPL-3.0-or-later"


def sha256(digest: str) -> HashType:
    """Returns a SHA-256 hash of hexadecimal digits."""
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def licences(name: str) -> list[License]:
    """Returns the licences that an installed package declares; none if it is not installed."""
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return []
    classifiers = [c for c in about.get_all("Classifier", []) if c.startswith("License :: ")]
    named = [c.rpartition(" :: ")[2] for c in classifiers]
    text = about.get("License-Expression") or next(iter(named), about.get("License", ""))
    return [LicenseFactory().make_from_string(text.splitlines()[0])] if text else []


def packages(lock: str) -> Iterator[Component]:
    """Yields the packages of a lock with hashes."""
    for name, version, hashes in PINNED.findall(lock):
        wheels = ExternalReference(
            type=ExternalReferenceType.DISTRIBUTION,
            url=XsUri(f"https://pypi.org/simple/{name}/"),
            hashes=map(sha256, re.findall(r"sha256:(\w+)", hashes)),
        )
        yield Component(
            name=name,
            version=version,
            purl=PackageURL("pypi", name=name, version=version),
            bom_ref=f"pypi:{name}",
            licenses=licences(name),
            external_references=[wheels],
        )


def bundle(file: Path) -> Component:
    """Returns the bundle of a bundle.toml."""
    spec: dict[str, Any] = tomllib.loads(file.read_text())
    licence = [LicenseFactory().make_from_string(spec["licence"])]
    networks = [spec["detector"], spec["reader"]]
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=spec["name"],
        version=str(spec.get("version", 0)),
        bom_ref=f"bundle:{file.parent.name}",
        licenses=licence,
        components=[
            Component(
                type=ComponentType.MACHINE_LEARNING_MODEL,
                name=network["name"],
                bom_ref=f"bundle:{file.parent.name}/{network['file']}",
                licenses=licence,
                hashes=[sha256(network["sha256"])],
            )
            for network in networks
        ],
        properties=[
            Property(name="plateid:training_data", value=f"{data['name']}: {data['licence']}")
            for data in spec["training_data"]
        ],
    )


def sbom() -> str:
    """Returns the SBOM as JSON."""
    bom = Bom(
        components=[
            *packages((ROOT / "firmware/python.lock").read_text()),
            *map(bundle, sorted(ROOT.glob("plateid/models/*/bundle.toml"))),
        ]
    )
    bom.metadata.component = Component(
        type=ComponentType.APPLICATION,
        name="plateid",
        version=__version__,
        bom_ref="plateid",
        licenses=[LicenseFactory().make_from_string(LICENCE)],
    )
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(sbom())

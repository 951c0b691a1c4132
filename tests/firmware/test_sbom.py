"""The SBOM is valid CycloneDX and lists the locked packages and the shipped networks."""

import hashlib
import json
import tomllib

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from firmware.sbom import ROOT, sbom


@pytest.fixture(scope="module")
def text():
    return sbom()


@pytest.fixture
def components(text):
    return {component["bom-ref"]: component for component in json.loads(text)["components"]}


def test_sbom_follows_the_schema(text):
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_sbom_lists_all_packages_of_the_device_with_hashes_and_licences(components):
    lines = (ROOT / "firmware/python.lock").read_text().splitlines()
    locked = {line.partition("==")[0] for line in lines if "==" in line and line[0] not in "# "}
    listed = {ref[5:]: each for ref, each in components.items() if ref.startswith("pypi:")}
    assert listed.keys() == locked
    assert all(each["externalReferences"][0]["hashes"] for each in listed.values())
    assert [name for name, each in listed.items() if "licenses" not in each] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {name.partition(">=")[0] for name in project["dependencies"]} <= locked


def test_sbom_has_the_hash_of_each_shipped_network(components):
    networks = {
        part["hashes"][0]["content"]
        for component in components.values()
        for part in component.get("components", [])
    }
    files = [*ROOT.glob("plateid/models/*/*.onnx")]
    assert len(files) >= 4
    assert networks == {hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

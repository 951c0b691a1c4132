"""`plateid models`: listing, verification and engines; tests/bundles has the installs."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from plateid.bundles.backend_choice import BY_ACCURACY
from plateid.commands.main import main
from plateid.commands.models import build_engines
from plateid.config.models import ModelsConfig, shipped_bundles
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.drop_in import slot_network, write_config


def models(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(main, ["models", *map(str, words)])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done.output if code else done.stdout


@pytest.fixture
def config(tmp_path, bundle) -> Path:
    file = tmp_path / "plateid.toml"
    file.write_text(f'camera = [{{name = "gate", url = "a.mp4"}}]\nmodels.bundle = "{bundle}"\n')
    return file


def test_shipped_bundles_are_listed():
    titles = [line for line in models("list").splitlines() if not line.startswith(" ")]
    assert titles == list(shipped_bundles())


def test_bundle_is_listed_with_its_networks_and_metrics(bundle, config):
    text = (bundle / "bundle.toml").read_text()
    named = 'name = "tiny-detector"'
    text = text.replace(named, named + '\nprecision = "int8"')
    (bundle / "bundle.toml").write_text(
        text + "\n[metrics]\ngate_recall = 0.94\ngate_folded = 0.905\ngate_crops_folded = 1\n"
    )
    lines = models("list", "-c", config).splitlines()
    lines = lines[lines.index(f"{bundle} (configured)") + 1 :]
    size = f"{(bundle / 'reader.onnx').stat().st_size / 1e6:.1f}"
    assert [line.split() for line in lines] == [
        ["bundle", "tiny,", "AGPL-3.0-or-later"],
        ["detector", "tiny-detector", "64x32", "int8", "0.0", "MB"],
        ["reader", "tiny-reader", "48x16", "float32", size, "MB"],
        ["detected", "gate", "94.0%"],
        ["read", "gate", "90.5%"],
    ]


def test_configuration_in_the_current_directory_is_used(config, bundle, monkeypatch):
    monkeypatch.chdir(config.parent)
    assert f"{bundle} (configured)" in models("list")
    config.write_text('camera = [{name = "gate", url = "a.mp4"}]\nmodels.bundle = "default"\n')
    assert models("list").startswith("default (configured)\n")


def test_bundle_without_a_network_cannot_be_listed(config, bundle):
    (bundle / "reader.onnx").unlink()
    assert "reader.onnx: No such file" in models("list", "-c", config, code=1)


@pytest.mark.parametrize("name", shipped_bundles())
def test_shipped_bundle_is_verified_by_its_name(name):
    line = models("verify", name)
    assert line.startswith("ok ")
    assert " ms on cpu " in line


def test_verify_accepts_a_directory_or_a_configuration(bundle, config):
    for words in ([bundle], ["-c", config]):
        assert models("verify", *words).startswith("ok ")


@pytest.mark.parametrize(
    ("detector", "reader", "reason"),
    [
        ([(1, 1, 1, 1, float("nan"))], "A", "not finite"),
        ([], "", "reader.onnx: "),
    ],
)
def test_failing_network_is_not_verified(tmp_path, detector, reader, reason):
    networks = detector_network(detector), reader_network(reader) if reader else b"nothing"
    folder = write_bundle(tmp_path / "bundle", *networks)
    assert reason in models("verify", folder, code=1)


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    monkeypatch.setattr("plateid.bundles.measure.FRAMES", 90)
    return tmp_path / "cache"


@pytest.mark.usefixtures("cache")
def test_engines_are_timed_and_compared_with_the_cpu(capsys, bundle):
    build_engines(ModelsConfig(bundle=bundle), provider="openvino")
    detector, reader, parity = capsys.readouterr().out.splitlines()
    assert detector.startswith("tiny-detector  ready in ")
    assert reader.startswith("tiny-reader  ready in ")
    assert parity.startswith("compared with the CPU: cpu ")


def test_all_backends_are_measured_without_a_configuration(cache, bundle, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    title, *rows = models("measure", bundle).splitlines()
    assert title.split() == ["network", "backend", "ms", "parity"]
    assert rows[0].split()[:2] == ["tiny-detector", "cpu"]
    assert rows[2].split()[:2] == ["tiny-detector", "openvino"]
    assert rows[0].endswith(" reference")
    assert rows[3].endswith(" IoU 1.00 or more, 15 of 15 texts")
    assert all(float(row.split()[2]) > 0 for row in rows)
    assert list(cache.glob("engines/backends-*.json"))


@pytest.mark.usefixtures("cache")
def test_measurements_are_printed_as_json(config):
    first = json.loads(models("measure", "-c", config, "--json").splitlines()[0])
    assert first.keys() == {
        "bundle", "backend", "detector_ms", "reader_ms", "parity", "failure"
    }  # fmt: skip
    assert (first["bundle"], first["backend"], first["parity"]) == ("tiny", "cpu", "reference")


@pytest.mark.parametrize("bundle", ["auto"])
def test_each_bundle_is_measured_and_listed_if_the_device_chooses(config, cache, monkeypatch):
    monkeypatch.setattr("plateid.commands.models.usable_backends", lambda: {"cpu": "1"})
    monkeypatch.setattr("plateid.bundles.measure.FRAMES", 3)
    rows = models("measure", "-c", config, "--json").splitlines()
    assert [json.loads(row)["bundle"].partition("-")[0] for row in rows] == list(BY_ACCURACY)
    assert len(list(cache.glob("engines/backends-*.json"))) == 3
    assert models("list", "-c", config) == models("list")
    assert "TensorrtExecutionProvider" in models("build-engine", "-c", config, code=1)


@pytest.mark.usefixtures("cache")
def test_drop_in_reader_of_the_configuration_is_measured(config):
    (config.parent / "other.onnx").write_bytes(slot_network())
    write_config(config.parent / "other_plate_config.yaml")
    config.write_text(config.read_text() + 'models.reader = "other.onnx"\n')
    assert "\nother " in models("measure", "-c", config)


@pytest.mark.usefixtures("cache")
def test_cpu_is_measured_without_the_extra():
    code = "import sys; sys.modules['openvino'] = None; from plateid.__main__ import entry; entry()"
    done = subprocess.run(
        [sys.executable, "-c", code, "models", "measure", "small"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert [row.split()[1] for row in done.stdout.splitlines()] == ["backend", "cpu", "cpu"]


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["verify", "nowhere"], 1, "nowhere: is neither a shipped bundle"),
        (["list", "-c", "nowhere.toml"], 2, "nowhere.toml: No such file"),
        (["build-engine", "nowhere"], 1, "nowhere: is neither a shipped bundle"),
        (["build-engine", "accurate"], 1, "this ONNX Runtime has no TensorrtExecutionProvider"),
    ],
)
def test_failure_is_one_line_and_an_exit_code(words, code, reason):
    (line,) = models(*words, code=code).splitlines()
    assert reason in line

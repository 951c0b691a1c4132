"""`plateid models`, by its functions and as a process."""

import subprocess
import sys
from pathlib import Path

import pytest

from plateid.commands.bundle_listing import build_engines, list_bundles, verify_bundle
from plateid.config.models import ModelsConfig, shipped_bundles
from plateid.errors import BundleError, ModelError
from tests.support.bundles import detector_network, reader_network, write_bundle

PLATEID = [sys.executable, "-m", "plateid", "models"]


def models(*arguments: object) -> tuple[int, str, str]:
    done = subprocess.run(
        [*PLATEID, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def config(tmp_path, bundle) -> Path:
    file = tmp_path / "plateid.toml"
    file.write_text(f'camera = [{{name = "gate", url = "a.mp4"}}]\nmodels.bundle = "{bundle}"\n')
    return file


def test_all_bundles_that_ship_are_listed_and_one_is_the_default(capsys):
    list_bundles(None)
    titles = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert titles == [
        f"{name} (default)" if name == "default" else name for name in shipped_bundles()
    ]


def test_a_bundle_is_listed_with_its_networks_and_their_figures(capsys, bundle):
    text = (bundle / "bundle.toml").read_text()
    named = 'name = "tiny-detector"'
    text = text.replace(named, named + '\nprecision = "int8"')
    (bundle / "bundle.toml").write_text(
        text + "\n[metrics]\ngate_recall = 0.94\ngate_folded = 0.905\ngate_crops_folded = 1\n"
    )
    list_bundles(ModelsConfig(bundle=bundle))
    lines = capsys.readouterr().out.splitlines()
    lines = lines[lines.index(f"{bundle} (configured)") + 1 :]
    size = f"{(bundle / 'reader.onnx').stat().st_size / 1e6:.1f}"
    assert [line.split() for line in lines] == [
        ["bundle", "tiny,", "AGPL-3.0-or-later"],
        ["detector", "tiny-detector", "64x32", "int8", "0.0", "MB"],
        ["reader", "tiny-reader", "48x16", "float32", size, "MB"],
        ["found", "gate", "94.0%"],
        ["read", "gate", "90.5%"],
    ]


def test_the_configured_bundle_may_be_one_that_ships(capsys):
    list_bundles(ModelsConfig())
    assert capsys.readouterr().out.splitlines()[0] == "default (default) (configured)"


def test_a_bundle_without_a_network_cannot_be_listed(bundle):
    (bundle / "reader.onnx").unlink()
    with pytest.raises(BundleError, match=r"reader.onnx: No such file"):
        list_bundles(ModelsConfig(bundle=bundle))


@pytest.mark.parametrize("name", shipped_bundles())
def test_a_bundle_that_ships_is_verified_by_its_name(capsys, name):
    verify_bundle(ModelsConfig(bundle=name))
    line = capsys.readouterr().out
    assert line.startswith("ok ")
    assert " ms on cpu " in line


@pytest.mark.parametrize(
    ("detector", "reader", "reason"),
    [
        ([(1, 1, 1, 1, float("nan"))], "A", "detector.onnx: .*not finite"),
        ([], "", "reader.onnx: "),
    ],
)
def test_a_network_that_does_not_answer_is_not_verified(tmp_path, detector, reader, reason):
    networks = detector_network(detector), reader_network(reader) if reader else b"nothing"
    folder = write_bundle(tmp_path / "bundle", *networks)
    with pytest.raises((BundleError, ModelError), match=reason):
        verify_bundle(ModelsConfig(bundle=folder))


def test_engines_are_timed_and_compared_with_the_cpu(capsys, bundle):
    build_engines(ModelsConfig(bundle=bundle), provider="cpu")
    detector, reader, agreement = capsys.readouterr().out.splitlines()
    assert detector.startswith("tiny-detector  ready in ")
    assert reader.startswith("tiny-reader  ready in ")
    assert agreement.startswith("as on the CPU: scores within 0.000, boxes' IoU 1.00")


def test_the_commands_take_a_name_a_folder_or_a_configuration(bundle, config):
    assert models("list", "-c", config)[1].count(str(bundle)) == 1
    for arguments in (["default"], [bundle], ["-c", config]):
        code, out, errors = models("verify", *arguments)
        assert (code, errors) == (0, "")
        assert out.startswith("ok ")


def test_without_tensorrt_no_engine_is_built_and_one_line_says_why(config):
    code, out, errors = models("build-engine", "-c", config)
    assert (code, out) == (1, "")
    assert "detector.onnx: this ONNX Runtime has no TensorrtExecutionProvider" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["verify", "nowhere"], 1, "nowhere/bundle.toml: No such file"),
        (["verify", "default", "-c", "plateid.toml"], 2, "BUNDLE or --config, not both"),
        (["list", "-c", "nowhere.toml"], 2, "nowhere.toml: No such file"),
        (["build-engine", "nowhere"], 1, "nowhere/bundle.toml: No such file"),
    ],
)
def test_invalid_arguments_have_an_exit_code_and_a_reason(arguments, code, reason):
    got, _, errors = models(*arguments)
    assert got == code
    assert reason in errors

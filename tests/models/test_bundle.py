import os
from pathlib import Path

import numpy as np
import pytest

from plateid.config.models import DEFAULT_BUNDLE, ModelsConfig, shipped_bundles
from plateid.errors import BundleError, ModelError
from plateid.models.bundle import Bundle, newest_bundle, read_spec
from plateid.models.networks import Networks
from plateid.models.onnx_backend import PROVIDERS
from plateid.models.session import NetworkSession
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.images import plain


def edit(bundle: Path, before: str, after: str) -> None:
    file = bundle / "bundle.toml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_valid_bundle_names_its_networks(bundle):
    names = Networks(ModelsConfig(bundle=bundle)).names
    assert (names.detector, names.reader, names.bundle) == ("tiny-detector", "tiny-reader", "tiny")


@pytest.mark.parametrize("name", shipped_bundles())
def test_shipped_bundle_is_complete_and_passes_its_self_test(name):
    networks = Networks(ModelsConfig(bundle=name))
    assert min(networks.self_test()) > 0


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("format = 1", "format = 3", "format 3; this version of plateid reads formats 1 and 2"),
        ('fit = "pad"', 'fit = "pad"\nsyntax = { DD = 9 }', "reader.syntax: needs format 2"),
        ('name = "tiny"', 'nane = "tiny"', "name: Field required"),
        ("threshold = 0.3", "threshold = 1.3", "detector.threshold: .*less than or equal to 1"),
        ("threshold = 0.3", "threshold = 0.3\nspeed = 1", "detector.speed: Extra inputs"),
        ("threshold = 0.3", 'threshold = 0.3\nprecision = "int4"', "detector.precision: Input"),
        ('file = "detector.onnx"', 'file = "../detector.onnx"', "detector.file: .*pattern"),
        ('charset = "0', 'charset = "', "reader.charset"),
        ("format = 1", "format = ", "Invalid value"),
    ],
)
def test_invalid_description_is_refused_with_its_key(bundle, before, after, reason):
    edit(bundle, before, after)
    with pytest.raises(BundleError, match=f"bundle.toml: {reason}"):
        Bundle(bundle)


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        ("{ D9 = 1 }", "reader.syntax.D9.*: String should match pattern"),
        ("{ DD = 0 }", "reader.syntax.DD: .*greater than or equal to 1"),
        ("{ DDDDDDDDDDDDD = 9 }", "reader.syntax.D{13}"),
        ("9", "reader.syntax: Input should be a valid dictionary"),
    ],
)
def test_invalid_syntax_is_refused_with_its_key(bundle, syntax, reason):
    edit(bundle, "format = 1", "format = 2")
    edit(bundle, 'fit = "pad"', f'fit = "pad"\nsyntax = {syntax}')
    with pytest.raises(BundleError, match=f"bundle.toml: {reason}"):
        Bundle(bundle)


def test_missing_bundle_and_missing_network_are_named(bundle):
    with pytest.raises(BundleError, match=r"nowhere: is neither a shipped bundle"):
        Bundle(bundle.parent / "nowhere")
    (bundle / "reader.onnx").unlink()
    with pytest.raises(BundleError, match=r"reader.onnx: No such file"):
        Bundle(bundle)


def test_altered_network_is_refused(bundle):
    data = bytearray((bundle / "detector.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "detector.onnx").write_bytes(data)
    with pytest.raises(BundleError, match=r"detector.onnx: .*SHA-256"):
        Bundle(bundle)


@pytest.mark.parametrize(
    ("detector", "reader", "reason"),
    [
        (detector_network([(1, 1, 1, 1, 0.9)], width=96), reader_network("A"), "input shape is"),
        (reader_network("A"), reader_network("A"), "detector.onnx: input shape is"),
        (
            b"not a network",
            reader_network("A"),
            "detector.onnx: this network cannot be run",
        ),
    ],
)
def test_network_of_another_shape_is_refused(tmp_path, detector, reader, reason):
    write_bundle(tmp_path / "bundle", detector, reader)
    with pytest.raises(BundleError, match=reason):
        Networks(ModelsConfig(bundle=tmp_path / "bundle")).detector()


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_missing_provider_is_an_error_without_fallback(bundle, provider):
    with pytest.raises(ModelError, match=f"detector.onnx: .*has no {PROVIDERS[provider]}"):
        Networks(ModelsConfig(bundle=bundle, provider=provider))


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
@pytest.mark.parametrize("network", ["detector", "reader"])
def test_int8_network_on_a_gpu_is_refused_and_names_the_float_bundle(bundle, network, provider):
    edit(bundle, f'name = "tiny-{network}"', f'name = "tiny-{network}"\nprecision = "int8"')
    assert Networks(ModelsConfig(bundle=bundle)).spec.name == "tiny"
    with pytest.raises(ModelError, match=f'tiny-{network} is .*"{provider}" use .*"accurate"'):
        Networks(ModelsConfig(bundle=bundle, provider=provider))


@pytest.mark.parametrize("count", [1, 300, 5040])
def test_detector_may_output_any_number_of_candidates(tmp_path, count):
    rows = [(32, 16, 20, 8, 0.9)] * count
    write_bundle(tmp_path / "bundle", detector_network(rows), reader_network("A"))
    found = Networks(ModelsConfig(bundle=tmp_path / "bundle")).detector().detect(plain())
    assert len(found) == 1


def test_output_that_is_not_finite_is_an_error():
    session = NetworkSession("tiny", detector_network([(32, 16, 20, 8, float("nan"))]))
    with pytest.raises(ModelError, match="not finite"):
        session.run(np.zeros((1, 3, 32, 64), np.float32))


def test_failed_inference_is_an_error():
    session = NetworkSession("tiny", reader_network("A"))
    with pytest.raises(ModelError, match="tiny: inference failed"):
        session.run(np.zeros((1, 1, 16, 47), np.float32))


@pytest.mark.parametrize("name", ["detector.onnx", "bundle.toml"])
def test_fifo_in_a_bundle_is_refused(bundle, name):
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    with pytest.raises(BundleError, match=rf"{name}: is not a regular file"):
        Bundle(bundle)


def test_newest_bundle_is_a_shipped_one_of_the_same_kind():
    shipped = read_spec(DEFAULT_BUNDLE).name
    assert shipped.startswith("default-0.")
    assert newest_bundle("default-0.1") == newest_bundle(shipped) == shipped
    for own in ("default-99.0", "own-0.1", "tiny"):
        assert newest_bundle(own) == own

"""OpenVINO runs the networks of these tests for real, on the CPU."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from plateid.config.models import DEFAULT_BUNDLE
from plateid.errors import BundleError, ModelError
from plateid.models.backend import SessionOptions
from plateid.models.openvino_backend import (
    check_ran_on,
    device_of,
    openvino_backends,
    openvino_core,
)
from plateid.models.session import NetworkSession
from tests.models.test_session import convolution

OPENVINO = SessionOptions("openvino", workers=2)
WITHOUT_PACKAGE = """
import sys
sys.modules["openvino"] = None
from plateid.models.openvino_backend import openvino_backends
from plateid.models.backend import SessionOptions
from plateid.models.session import NetworkSession
print(openvino_backends())
NetworkSession("tiny", b"", SessionOptions("openvino"))
"""
WITHOUT_EXECUTABLE_MEMORY = """
import ctypes, pathlib
PR_SET_MDWE = 65  # as systemd's MemoryDenyWriteExecute=
assert ctypes.CDLL(None).prctl(PR_SET_MDWE, 1, 0, 0, 0) == 0
from plateid.models.backend import SessionOptions
from plateid.models.session import NetworkSession
network = pathlib.Path("plateid/models/small/detector.onnx")
NetworkSession("tiny", network.read_bytes(), SessionOptions("openvino"))
"""


def failure_of(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("provider", "device", "precision"),
    [
        ("openvino", "CPU", "f32"),
        ("openvino:bf16", "CPU", "bf16"),
        ("openvino:gpu", "GPU", "f16"),
        ("openvino:GPU.1:f32", "GPU.1", "f32"),
        ("openvino:NPU", "NPU", "f16"),
    ],
)
def test_provider_names_device_and_precision(provider, device, precision):
    assert device_of(provider) == (device, precision)


def test_network_runs_on_openvino_in_several_threads():
    session = NetworkSession("tiny", convolution("n"), OPENVINO)
    session.check_shapes([None, 1, 4, 4], [None, 1, 4, 4])
    inputs = [np.full((1 + n % 3, 1, 4, 4), n, np.float32) for n in range(40)]
    with ThreadPoolExecutor(4) as pool:
        for batch, output in zip(inputs, pool.map(session.run, inputs), strict=True):
            np.testing.assert_allclose(output, 2 * batch)


def test_free_axes_are_fixed_for_devices_that_need_it():
    session = NetworkSession(
        "tiny", convolution("n"), SessionOptions("openvino", batch_of_one=True)
    )
    session.check_shapes([1, 1, 4, 4], [1, 1, 4, 4])
    assert session.run(np.ones((3, 1, 4, 4), np.float32)).shape == (3, 1, 4, 4)


def test_shipped_network_in_f32_computes_what_onnx_runtime_computes():
    network = (DEFAULT_BUNDLE / "reader.onnx").read_bytes()
    crop = np.random.default_rng(1).uniform(0, 255, (2, 3, 48, 144)).astype(np.float32)
    got, expected = (
        NetworkSession("reader", network, options).run(crop)
        for options in (OPENVINO, SessionOptions())
    )
    np.testing.assert_allclose(got, expected, atol=0.05)  # INT8 kernels round differently


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("openvino:GPU", "openvino:GPU: OpenVINO finds no GPU, but CPU"),
        ("openvino:f16", "OpenVINO computes in bf16 on CPU, not in f16"),
    ],
)
def test_other_device_or_precision_is_an_error(provider, reason):
    if "openvino:bf16" not in openvino_backends():  # a CPU that computes in f32 alone
        reason = reason.replace("bf16", "f32")
    with pytest.raises(ModelError, match=reason):
        NetworkSession("tiny", convolution(1), SessionOptions(provider))


def test_execution_on_another_device_is_found_out():
    core = openvino_core()
    compiled = core.compile_model(core.read_model(io.BytesIO(convolution(1))), "AUTO", {})
    with pytest.raises(ModelError, match="tiny: OpenVINO runs it on CPU, not on GPU"):
        check_ran_on("tiny", compiled, "GPU", "f16")


def test_damaged_network_is_refused():
    with pytest.raises(BundleError, match="tiny: OpenVINO cannot run this network"):
        NetworkSession("tiny", b"not a network", OPENVINO)


def test_wrong_input_is_an_error_that_names_the_network():
    session = NetworkSession("tiny", convolution(1), OPENVINO)
    with pytest.raises(ModelError, match="tiny: inference failed"):
        session.run(np.ones((1, 1, 5, 5), np.float32))


def test_missing_package_is_an_error_that_names_the_extra():
    printed = failure_of(WITHOUT_PACKAGE)
    assert printed.startswith("{}")
    assert """ModelError: models.provider = "openvino": needs the extra open""" in printed


def test_openvino_that_does_not_start_is_an_error_with_its_reason(monkeypatch):
    def fails() -> None:
        raise RuntimeError("no plugins\nfound")

    monkeypatch.setattr("openvino.Core", fails)
    openvino_core.cache_clear()
    with pytest.raises(ModelError, match="OpenVINO does not start: no plugins found"):
        openvino_core()
    assert openvino_backends() == {}


def test_missing_executable_memory_is_an_error_that_names_the_drop_in():
    assert "install systemd/drop-ins/openvino.conf" in failure_of(WITHOUT_EXECUTABLE_MEMORY)


def test_openvino_reports_nothing_to_its_makers():
    code = "import sys; from plateid.models.openvino_backend import openvino_core as core; core()"
    code += "; assert not sys.modules['openvino_telemetry'], sys.modules"
    assert not subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stderr

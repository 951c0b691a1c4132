import subprocess
from pathlib import Path

import onnxruntime as ort
import pytest

from plateid.errors import ModelError
from plateid.models.tensorrt import engine_key

LIBRARIES = """
int cuInit(unsigned flags) {{ return {error}; }}
int cuDeviceGet(int *device, int ordinal) {{ *device = 7; return ordinal; }}
int cuDeviceGetName(char *name, int size, int device) {{
    const char *text = "{gpu}";
    for (int i = 0; i < size && (name[i] = text[i]); i++);
    return device != 7;
}}
int cuDeviceGetAttribute(int *value, int attribute, int device) {{
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : -1;
    return device != 7;
}}
"""
TENSORRT = "int getInferLibVersion(void) { return 100300; }"


def library(
    folder: Path, *, name: str = "stub", error: int = 0, functions: str = "", gpu: str = "Orin"
) -> Path:
    """A library with the functions of the CUDA driver and of TensorRT that are called.

    Once it is loaded as the driver, it is also found by its name.
    """
    (folder / "stub.c").write_text(LIBRARIES.format(error=error, gpu=gpu) + functions)
    options = ["-shared", "-fPIC", f"-Wl,-soname,{name}"]
    subprocess.run(["cc", *options, "-o", folder / "stub.so", folder / "stub.c"], check=True)
    return folder / "stub.so"


def provider(folder: Path, needs: str) -> Path:
    """The part of ONNX Runtime's TensorRT provider that names the libraries it needs."""
    file = folder / "provider.so"
    file.write_bytes(b"\x7fELF\0libcudart.so.12\0" + needs.encode() + b"\0libc.so.6\0")
    return file


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Orin", "orin"),
        ("NVIDIA GeForce RTX 4060 Ti", "nvidia-geforce-rtx-4060-ti"),
        ("../Orin (nvgpu)", "orin-nvgpu"),
    ],
)
def test_key_is_a_plain_folder_name_with_gpu_and_versions(tmp_path, name, key):
    soname = f"libnvinfer.so.{900 + len(name)}"  # a library is loaded once by its name
    stub = library(tmp_path, name=soname, functions=TENSORRT, gpu=name)
    found = engine_key(str(stub), provider(tmp_path, soname))
    assert found == f"{key}-sm87-trt100300-ort{ort.__version__}"


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        ("libnvinfer.so.998", "libnvinfer.so.998: cannot be loaded"),
        ("libnvinfer.so.999", "libnvinfer.so.999: does not report its version"),
        ("libnvinfer_plugin.so.10", "provider.so: links no libnvinfer"),
    ],
)
def test_tensorrt_without_a_version_is_an_error(tmp_path, needs, reason):
    stub = library(tmp_path, name="libnvinfer.so.999")
    with pytest.raises(ModelError, match=reason):
        engine_key(str(stub), provider(tmp_path, needs))


def test_missing_tensorrt_provider_is_an_error(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere.so: No such file"):
        engine_key(str(library(tmp_path)), tmp_path / "nowhere.so")


def test_driver_without_a_gpu_is_an_error_with_its_code(tmp_path):
    with pytest.raises(ModelError, match=r"no GPU responds \(CUDA error 100\)"):
        engine_key(str(library(tmp_path, error=100)))


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        ("libnowhere.so.1", "libnowhere.so.1: cannot be loaded"),
        ("libc.so.6", "libc.so.6: is no CUDA driver"),
    ],
)
def test_missing_driver_is_an_error(driver, reason):
    with pytest.raises(ModelError, match=reason):
        engine_key(driver)

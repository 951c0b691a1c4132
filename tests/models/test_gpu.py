import subprocess
from pathlib import Path

import pytest

from plateid.errors import ModelError
from plateid.models.gpu import Gpu, find_gpu, tensorrt_version

LIBRARIES = """
int cuInit(unsigned flags) {{ return {error}; }}
int cuDeviceGet(int *device, int ordinal) {{ *device = 7; return ordinal; }}
int cuDeviceGetName(char *name, int size, int device) {{
    const char *text = "Orin";
    for (int i = 0; i < 5 && i < size; i++) name[i] = text[i];
    return device != 7;
}}
int cuDeviceGetAttribute(int *value, int attribute, int device) {{
    *value = attribute == 75 ? 8 : attribute == 76 ? 7 : -1;
    return device != 7;
}}
"""
TENSORRT = "int getInferLibVersion(void) { return 100300; }"


def library(folder: Path, *, name: str = "stub", error: int = 0, functions: str = "") -> Path:
    """A library with the functions of the CUDA driver and of TensorRT that are called.

    Once it is loaded as the driver, it is also found by its name.
    """
    (folder / "stub.c").write_text(LIBRARIES.format(error=error) + functions)
    options = ["-shared", "-fPIC", f"-Wl,-soname,{name}"]
    subprocess.run(["cc", *options, "-o", folder / "stub.so", folder / "stub.c"], check=True)
    return folder / "stub.so"


def provider(folder: Path, needs: str) -> Path:
    """The part of ONNX Runtime's TensorRT provider that names the libraries it needs."""
    file = folder / "provider.so"
    file.write_bytes(b"\x7fELF\0libcudart.so.12\0" + needs.encode() + b"\0libc.so.6\0")
    return file


@pytest.mark.parametrize(
    ("number", "version"),
    [
        (8502, "8.5.2"),
        (8602, "8.6.2"),
        (9001, "9.0.1"),
        (100001, "10.0.1"),
        (100300, "10.3.0"),
        (101602, "10.16.2"),
        (110000, "11.0.0"),
    ],
)
def test_tensorrt_version_is_formatted_for_both_numbering_schemes(number, version):
    assert tensorrt_version(number) == version


@pytest.mark.parametrize(
    ("device", "key"),
    [
        (Gpu("Orin", (8, 7), "10.3.0", "1.22.0"), "orin-sm87-trt10.3.0-ort1.22.0"),
        (
            Gpu("NVIDIA GeForce RTX 4060 Ti", (8, 9), "10.9.1", "1.23.2"),
            "nvidia-geforce-rtx-4060-ti-sm89-trt10.9.1-ort1.23.2",
        ),
        (
            Gpu("../Orin (nvgpu)", (8, 7), "8.6.2", "1.22.0"),
            "orin-nvgpu-sm87-trt8.6.2-ort1.22.0",
        ),
    ],
)
def test_key_is_a_plain_folder_name_with_gpu_and_versions(device, key):
    assert device.key == key


def test_gpu_and_tensorrt_version_come_from_their_libraries(tmp_path):
    stub = library(tmp_path, name="libnvinfer.so.997", functions=TENSORRT)
    device = find_gpu(str(stub), provider(tmp_path, "libnvinfer.so.997"))
    assert device == Gpu("Orin", (8, 7), "10.3.0")


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
        find_gpu(str(stub), provider(tmp_path, needs))


def test_missing_tensorrt_provider_is_an_error(tmp_path):
    with pytest.raises(ModelError, match=r"nowhere.so: No such file"):
        find_gpu(str(library(tmp_path)), tmp_path / "nowhere.so")


def test_driver_without_a_gpu_is_an_error_with_its_code(tmp_path):
    with pytest.raises(ModelError, match=r"no GPU responds \(CUDA error 100\)"):
        find_gpu(str(library(tmp_path, error=100)))


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        ("libnowhere.so.1", "libnowhere.so.1: cannot be loaded"),
        ("libc.so.6", "libc.so.6: is no CUDA driver"),
    ],
)
def test_missing_driver_is_an_error(driver, reason):
    with pytest.raises(ModelError, match=reason):
        find_gpu(driver)

from pathlib import Path

import pytest

from plateid.errors import BundleError, ModelError
from plateid.models.bundle import Bundle
from plateid.models.device import Device
from plateid.models.engine import (
    _create,
    _from_cache,
    _has_engine,
    default_cache,
    engine_folder,
    engine_options,
    engine_session,
)

ORIN = Device("Orin", (8, 7), "10.3.0", "1.22.0")


def test_engines_are_kept_by_device_and_by_the_hash_of_the_file():
    folder = engine_folder(Path("/cache"), ORIN, "0123456789abcdef" + 48 * "f")
    assert folder == Path("/cache/orin-sm87-trt10.3.0-ort1.22.0/0123456789abcdef")


def test_onnx_runtime_is_told_to_keep_engines_and_to_share_timings():
    assert engine_options(Path("/cache/orin/0123")) == {
        "trt_fp16_enable": "True",
        "trt_engine_cache_enable": "True",
        "trt_engine_cache_path": "/cache/orin/0123",
        "trt_engine_cache_prefix": "plateid",
        "trt_timing_cache_enable": "True",
        "trt_timing_cache_path": "/cache/orin",
    }


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "/home/gate/.cache/plateid/engines"),
        ({"XDG_CACHE_HOME": "/srv/cache"}, "/srv/cache/plateid/engines"),
        ({"CACHE_DIRECTORY": "/var/cache/plateid"}, "/var/cache/plateid/engines"),
        ({"CACHE_DIRECTORY": "/var/cache/a:/var/cache/b"}, "/var/cache/a/engines"),
    ],
)
def test_the_cache_is_the_services_or_the_users(monkeypatch, environment, folder):
    for name in ("CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/gate", **environment}.items():
        monkeypatch.setenv(name, value)
    assert default_cache() == Path(folder)


def test_a_user_without_a_home_must_set_the_cache(monkeypatch):
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "~nobody-of-this-name/cache")
    with pytest.raises(ModelError, match=r"models.engine_cache: must be set"):
        default_cache()


def test_an_engine_is_seen_by_its_file(tmp_path):
    assert not _has_engine(tmp_path / "nowhere")
    (tmp_path / "plateid_1.profile").touch()
    assert not _has_engine(tmp_path)
    (tmp_path / "plateid_1_sm87.engine").touch()
    assert _has_engine(tmp_path)


def test_an_engine_that_is_refused_is_built_again_and_a_network_is_not(tmp_path):
    tries = []

    def load():
        tries.append(_has_engine(tmp_path))
        if tries[-1] or len(tries) > 2:
            raise BundleError("detector.onnx", "could not deserialize engine from cache")
        return "session"

    (tmp_path / "plateid_1_sm87.engine").touch()
    assert _from_cache(tmp_path, load) == "session"
    assert tries == [True, False]
    with pytest.raises(BundleError, match="could not deserialize"):
        _from_cache(tmp_path, load)
    assert len(tries) == 3


def test_a_cache_that_cannot_be_created_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=r"file/engines: Not a directory"):
        _create(tmp_path / "file" / "engines")


def test_without_tensorrt_no_cache_is_created(bundle, tmp_path):
    checked = Bundle(bundle)
    cache = tmp_path / "cache"
    with pytest.raises(ModelError, match=r"detector.onnx: .*no TensorrtExecutionProvider"):
        engine_session(
            bundle / "detector.onnx", checked.detector, checked.spec.detector, cache=cache
        )
    assert not cache.exists()

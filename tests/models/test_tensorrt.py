from pathlib import Path

import pytest

from plateid.errors import BundleError, ModelError
from plateid.models.bundle import Bundle
from plateid.models.tensorrt import _from_cache, _has_engine, default_cache, tensorrt_session


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "/home/gate/.cache/plateid/engines"),
        ({"XDG_CACHE_HOME": "/srv/cache"}, "/srv/cache/plateid/engines"),
        ({"CACHE_DIRECTORY": "/var/cache/plateid"}, "/var/cache/plateid/engines"),
        ({"CACHE_DIRECTORY": "/var/cache/a:/var/cache/b"}, "/var/cache/a/engines"),
    ],
)
def test_default_cache_is_the_services_or_the_users(monkeypatch, environment, folder):
    for name in ("CACHE_DIRECTORY", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/gate", **environment}.items():
        monkeypatch.setenv(name, value)
    assert default_cache() == Path(folder)


def test_user_without_a_home_must_configure_the_cache(monkeypatch):
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "~nobody-of-this-name/cache")
    with pytest.raises(ModelError, match=r"models.engine_cache: must be set"):
        default_cache()


def test_cached_engine_is_found_by_its_file(tmp_path):
    assert not _has_engine(tmp_path / "nowhere")
    (tmp_path / "plateid_1.profile").touch()
    assert not _has_engine(tmp_path)
    (tmp_path / "plateid_1_sm87.engine").touch()
    assert _has_engine(tmp_path)


def test_refused_engine_is_built_again_once(tmp_path):
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


def test_no_cache_is_created_without_tensorrt(bundle, tmp_path):
    checked = Bundle(bundle)
    cache = tmp_path / "cache"
    with pytest.raises(ModelError, match=r"detector.onnx: .*no TensorrtExecutionProvider"):
        tensorrt_session(
            bundle / "detector.onnx", checked.detector, checked.spec.detector, cache=cache
        )
    assert not cache.exists()

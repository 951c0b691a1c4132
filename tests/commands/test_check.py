"""`plateid check` of what the other tests of the service leave out."""

import socket
from contextlib import closing

import pytest

from plateid.commands.check import check_bundle, check_logfile, check_metrics
from plateid.config.root import Config
from plateid.errors import ModelError, OutputError, ServiceError
from tests.support.broker import free_port

CAMERA = {"camera": [{"name": "gate", "url": "rtsp://camera.local/"}]}


def metrics(**keys: object) -> Config:
    return Config.model_validate(CAMERA | {"metrics": {"enabled": True, **keys}})


def test_address_of_the_metrics_must_be_that_of_the_device():
    port = free_port()
    assert check_metrics(metrics(port=port)) == f"127.0.0.1:{port}"
    assert check_metrics(metrics(port=port, host="::1")) == f"::1:{port}"
    with closing(socket.create_server(("127.0.0.1", port))):
        assert "in use" in check_metrics(metrics(port=port))
    with pytest.raises(ServiceError, match=r"192.0.2.1:9797: .*assign"):
        check_metrics(metrics(host="192.0.2.1"))


def test_log_file_must_be_writable(tmp_path):
    assert check_logfile(tmp_path / "a" / "b.csv").endswith("b.csv: not created yet")
    (tmp_path / "b.csv").touch()
    assert check_logfile(tmp_path / "b.csv") == str(tmp_path / "b.csv")
    for file, reason in (
        (tmp_path / "b.csv" / "c.csv", "b.csv cannot be written"),
        (tmp_path, "is not a regular file"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        with pytest.raises(OutputError, match=reason):
            check_logfile(file)


def test_backend_is_named_with_the_reason(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path))
    monkeypatch.setattr("plateid.bundles.measure.FRAMES", 12)
    models = {"bundle": bundle, "provider": "openvino"}
    line = check_bundle(Config.model_validate(CAMERA | {"models": models}))
    assert line.startswith("tiny (tiny-detector, tiny-reader) on openvino: cpu ")
    with pytest.raises(ModelError, match="openvino:GPU: OpenVINO finds no GPU, but CPU"):
        check_bundle(
            Config.model_validate(CAMERA | {"models": models | {"provider": "openvino:GPU"}})
        )

"""`train learn --install` with a running device."""

import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from plateid.config.load import load_config
from plateid.config.models import DEFAULT_BUNDLE
from plateid.models.bundle import read_spec
from tests.app.test_trial import Device, street
from tests.support.broker import until
from train.__main__ import main

__all__ = ["street"]  # a fixture


@pytest.fixture
def device(tmp_path, street):
    made = Device(tmp_path, street)
    process = subprocess.Popen([sys.executable, "-m", "plateid", "run", "-c", str(made.file)])
    until(made.is_served, 120)
    yield made
    process.terminate()
    process.wait(60)


def test_learnt_bundle_is_signed_and_kept_after_its_trial(tmp_path, street, device):
    bundle, token = tmp_path / "taught", tmp_path / "token"
    shutil.copytree(DEFAULT_BUNDLE, bundle)  # as an earlier run has written it
    text = (bundle / "bundle.toml").read_text()
    (bundle / "bundle.toml").write_text(text.replace("\nname = ", '\nname = "taught"#', 1))
    token.write_text("install")
    url = f"http://localhost:{device.port}"

    def learn(*more: object):
        shared = ("--install", "--key", street / "ours.key", "--trial-minutes", 0.01)
        arguments = ["learn", "--token-file", token, "--out", bundle, *shared, *more]
        return CliRunner().invoke(main, [*map(str, arguments)])

    done = learn("--device", url, "--device", "http://127.0.0.1:9")
    assert f"{url}: kept; " in done.output
    assert "Error: --device http://127.0.0.1:9: [Errno 111] Connection refused" in done.output
    assert "1 of 2 devices use " in done.output
    assert done.exit_code == 2
    assert read_spec(load_config(device.file).models.bundle).name == "taught"
    token.write_text("other")
    assert f"Error: --device {url}: wrong token" in learn("--device", url).output


def test_install_without_key_or_device_is_a_usage_error(tmp_path):
    arguments = ["learn", "--install", "--data", "x", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, "--install: needs --device and --key" in done.output) == (2, True)

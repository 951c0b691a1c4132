"""The tiny bundles of these tests really run on OpenVINO, and are compared on the demo video."""

import json

import pytest

from plateid.bundles import backend_choice, measure
from plateid.bundles.backend_choice import load_all, load_networks, measured, usable_backends
from plateid.bundles.measure import VIDEO
from plateid.config.cameras import CameraConfig
from plateid.config.models import SHIPPED, ModelsConfig
from plateid.device_checks import frames_per_second
from plateid.errors import ModelError
from plateid.models.networks import Networks
from tests.support.bundles import detector_network, reader_network, write_bundle

CPU, OPENVINO = "cpu", "openvino"


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("CACHE_DIRECTORY", str(tmp_path / "cache"))
    return tmp_path / "cache" / "engines"


@pytest.fixture
def briefly(monkeypatch):
    """Compares the first images only, which show no plate."""
    monkeypatch.setattr(measure, "FRAMES", 12)


@pytest.fixture
def config(bundle):
    return ModelsConfig(bundle=bundle)


@pytest.fixture
def loaded(config):
    return load_all(config, [CPU, OPENVINO])[0]


@pytest.fixture
def altered(tmp_path, monkeypatch):
    """Makes a bundle whose networks find or read something else than `bundle`."""
    monkeypatch.setattr(measure, "FRAMES", 90)

    def make(box=(32, 16, 20, 8, 0.9), path="-AA-B-11-2"):
        rows = [box, (33, 16, 20, 8, 0.8), (10, 8, 4, 2, 0.2)]
        folder = write_bundle(tmp_path / "other", detector_network(rows), reader_network(path))
        return Networks(ModelsConfig(bundle=folder))

    return make


def proved(cache, **measurements):
    """Writes the times that each backend is to have into the cache; failures are texts."""
    (file,) = cache.glob("backends-*.json")
    content = json.loads(file.read_text())
    for each in content["measured"]:
        value = measurements[each["backend"].replace(":", "_")]
        failure, time = (value, 0) if isinstance(value, str) else ("", value)
        each.update(failure=failure, detector_ms=time, reader_ms=1)
    file.write_text(json.dumps(content))


def test_all_backends_of_this_device_are_known():
    assert list(usable_backends())[:2] == [CPU, OPENVINO]
    assert all(usable_backends().values())


def test_openvino_computes_what_the_cpu_does(loaded, cache, logs):
    cpu, openvino = measured(loaded)
    assert (cpu.backend, cpu.parity, cpu.failure) == (CPU, "reference", "")
    assert (openvino.backend, openvino.failure) == (OPENVINO, "")
    assert openvino.parity == "IoU 1.00 or more, 221 of 221 texts"
    assert min(cpu.detector_ms, cpu.reader_ms, openvino.detector_ms, openvino.reader_ms) > 0
    assert [entry["event"] for entry in logs] == ["measuring backends"]
    assert len(list(cache.iterdir())) == 1


@pytest.mark.usefixtures("briefly")
def test_measurements_are_read_from_the_cache(loaded, logs):
    first = measured(loaded)
    logs.clear()
    assert measured(loaded) == first
    assert logs == []
    shown = []
    assert measured(loaded, again=True, progress=lambda *done: shown.append(done)) is not first
    assert shown[-1] == (11, 12)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"key": {}, "measured": []}'])
@pytest.mark.usefixtures("briefly")
def test_damaged_cache_is_measured_again_with_a_log_line(loaded, cache, logs, content):
    first = measured(loaded)
    (file,) = cache.iterdir()
    file.write_bytes(content)
    again = measured(loaded)
    assert [each.parity for each in again] == [each.parity for each in first]
    (damaged,) = [entry for entry in logs if entry["event"] == "measurements are damaged"]
    assert damaged["file"] == str(file) and damaged["reason"]
    assert json.loads(file.read_text())["measured"][1]["backend"] == OPENVINO


@pytest.mark.usefixtures("briefly")
def test_cache_that_cannot_be_written_is_a_warning(loaded, cache, logs):
    cache.parent.write_bytes(b"a file where the folder should be")
    assert len(measured(loaded)) == 2
    assert logs[-1]["event"] == "measurements are not kept"


@pytest.mark.usefixtures("briefly")
def test_change_of_network_processor_or_version_is_measured_again(
    loaded, cache, monkeypatch, altered
):
    measured(loaded)
    measured({name: altered(path="-AA-B-11-3") for name in loaded})
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr(backend_choice, "__version__", "0.0.0")
    measured(loaded)
    assert len(list(cache.iterdir())) == 3
    cpuinfo = cache.parent / "cpuinfo"
    cpuinfo.write_text("model name\t: another one\n")
    monkeypatch.setattr(backend_choice, "CPUINFO", cpuinfo)
    measured(loaded)
    assert len(list(cache.iterdir())) == 4


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"box": (36, 16, 20, 8, 0.9)}, "IoU 0.67 or more, 15 of 15 texts"),
        ({"path": "-AA-B-11-3"}, "IoU 1.00 or more, 0 of 15 texts"),
        ({"box": (32, 16, 20, 8, float("nan"))}, "numbers that are not finite"),
    ],
)
def test_backend_that_computes_something_else_is_not_used(loaded, altered, other, reason):
    _, wrong = measured(loaded | {OPENVINO: altered(**other)})
    assert reason in wrong.failure


def test_failed_inference_is_measured_again_at_the_next_start(loaded, altered, cache):
    failing = altered(box=(32, 16, 20, 8, float("nan")))
    _, failed = measured(loaded | {OPENVINO: failing})
    assert (failed.parity, failed.failure) != ("", "")
    assert not cache.exists()


@pytest.mark.usefixtures("briefly")
def test_progress_is_reported_while_backends_are_measured(config):
    shown = []
    openvino = config.model_copy(update={"provider": OPENVINO})
    load_networks(openvino, progress=lambda *done: shown.append(done))
    assert shown == [(number, 12) for number in range(12)]


@pytest.mark.usefixtures("briefly")
def test_auto_takes_the_fastest_that_passes_and_says_why(config, cache, logs):
    auto = config.model_copy(update={"provider": "auto"})
    assert load_networks(auto).config.provider in usable_backends()
    others = dict.fromkeys((name.replace(":", "_") for name in usable_backends()), 99.0)
    proved(cache, **others | {"cpu": 9.0, "openvino": 4.0})
    networks = load_networks(auto)
    assert networks.config.provider == OPENVINO
    assert networks.backend.startswith("openvino: cpu 10.0 ms, openvino 5.0 ms")
    assert (logs[-1]["event"], logs[-1]["backend"]) == ("backend chosen", OPENVINO)
    proved(cache, **others | {"cpu": 9.0, "openvino": 8.5})
    assert load_networks(auto).config.provider == CPU  # the gain is too small
    proved(cache, **others | {"cpu": 9.0, "openvino": "differs from the CPU: IoU 0.20"})
    networks = load_networks(auto)
    assert networks.config.provider == CPU
    assert networks.reason.endswith("; not openvino: differs from the CPU: IoU 0.20")


@pytest.mark.usefixtures("briefly")
def test_auto_goes_on_without_a_backend_that_cannot_be_loaded(config, monkeypatch, logs):
    found = usable_backends() | {"openvino:GPU": "1"}
    monkeypatch.setattr(backend_choice, "usable_backends", lambda: found)
    networks = load_networks(config.model_copy(update={"provider": "auto"}))
    assert "; not openvino:GPU: openvino:GPU: OpenVINO finds no GPU, but CPU" in networks.reason
    assert logs[-1]["reason"] == networks.reason


def test_auto_measures_nothing_with_one_backend(config, monkeypatch, cache, logs):
    monkeypatch.setattr(backend_choice, "usable_backends", lambda: {CPU: "1"})
    networks = load_networks(config.model_copy(update={"provider": "auto"}))
    assert networks.backend == "cpu: no other is usable"
    assert not cache.exists()
    assert [entry["event"] for entry in logs] == ["backend chosen"]


@pytest.mark.usefixtures("briefly")
def test_configured_backend_must_pass_too(config, cache):
    openvino = config.model_copy(update={"provider": OPENVINO})
    assert load_networks(openvino).config.provider == OPENVINO
    proved(cache, cpu=1.0, openvino="differs from the CPU: IoU 0.20")
    with pytest.raises(ModelError, match=r"openvino: differs from the CPU: IoU 0.20"):
        load_networks(openvino)


@pytest.mark.parametrize(
    ("provider", "reason"),
    [
        ("openvino:NPU", "openvino:NPU: OpenVINO finds no NPU, but CPU"),
        ("cuda", "this ONNX Runtime has no CUDAExecutionProvider"),
    ],
)
def test_configured_backend_never_falls_back(config, cache, provider, reason):
    with pytest.raises(ModelError, match=reason):
        load_networks(config.model_copy(update={"provider": provider}))
    assert not cache.exists()


def test_shipped_bundle_passes_on_openvino(monkeypatch):
    monkeypatch.setattr(measure, "FRAMES", 90)
    accurate = ModelsConfig(bundle=SHIPPED / "accurate")
    _, openvino = measured(load_all(accurate, [CPU, OPENVINO])[0])
    assert openvino.failure == ""


@pytest.mark.parametrize(("rate", "bundle"), [(0.01, "accurate"), (1e6, "small")])
def test_most_accurate_bundle_that_holds_the_frame_rate_is_chosen(logs, rate, bundle):
    networks = load_networks(ModelsConfig(bundle="auto"), lambda: rate)
    assert networks.config.bundle == SHIPPED / bundle
    assert (logs[-1]["event"], logs[-1]["bundle"]) == ("bundle chosen", bundle)


def test_bundle_that_the_named_backend_refuses_is_left_out(logs, cache, monkeypatch):
    monkeypatch.setattr(measure, "FRAMES", 12)
    monkeypatch.setattr(backend_choice, "BY_ACCURACY", ("default", "small"))
    config = ModelsConfig(bundle="auto", provider=OPENVINO)
    load_networks(config, lambda: 1e6)
    for file in cache.glob("backends-*.json"):
        content = json.loads(file.read_text())
        if (
            content["key"]["detector"]
            == Networks(ModelsConfig(bundle="small")).spec.detector.sha256
        ):
            content["measured"][1]["failure"] = "differs from the CPU: IoU 0.20"
        file.write_text(json.dumps(content))
    networks = load_networks(config, lambda: 1e6)
    assert networks.config.bundle == SHIPPED / "default"
    assert [line["bundle"] for line in logs if line["event"] == "bundle cannot be used"] == [
        "small"
    ]
    monkeypatch.setattr(backend_choice, "BY_ACCURACY", ("small",))
    with pytest.raises(ModelError, match="differs from the CPU"):
        load_networks(config, lambda: 1e6)


def test_frame_rates_of_cameras_are_added_and_assumed_without_an_answer(tmp_path):
    clips = [CameraConfig(name=name, url=str(VIDEO)) for name in ("a", "b")]
    silent = CameraConfig(name="c", url=str(tmp_path / "nowhere.mp4"))
    assert frames_per_second([*clips, silent]) == pytest.approx(30 + 30 + 15)

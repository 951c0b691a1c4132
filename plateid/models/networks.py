"""Loads a bundle's networks, or drop-in models in their place, once for all cameras."""

from pathlib import Path

from plateid.config.models import BUNDLE, EASYOCR, ModelsConfig
from plateid.core.records import ModelNames
from plateid.errors import ModelError
from plateid.models.backend import SessionOptions
from plateid.models.bundle import Bundle, BundleSpec, NetworkSpec, bundle_file
from plateid.models.drop_in import slot_spec, yolo_spec
from plateid.models.easyocr_reader import NAME, EasyOcrReader
from plateid.models.onnx_detector import OnnxDetector
from plateid.models.onnx_reader import OnnxReader
from plateid.models.openvino_backend import device_of
from plateid.models.session import NetworkSession
from plateid.models.slot_reader import SlotReader, SlotSpec
from plateid.models.tensorrt import tensorrt_session


class Networks:
    """The sessions of a bundle; creates detectors and readers that share them.

    `reason` says why `config` names this backend, if it had to prove itself.
    """

    def __init__(self, config: ModelsConfig) -> None:
        """Verifies and loads the bundle; with TensorRT, builds missing engines.

        Raises BundleError if the bundle cannot be used, and ModelError if the execution provider is
        missing or did not run the networks, or if EasyOCR is configured and missing.
        """
        self.config, self.reason = config, ""
        bundle = Bundle(config.bundle)
        self.spec = _with_drop_ins(bundle.spec, config)
        _check_precision(config, self.spec)
        self.detector_session = _session(config, self.spec.detector, bundle.detector)
        self.reader_session = _session(config, self.spec.reader, bundle.reader)
        self._easyocr = EasyOcrReader(config) if config.reader == EASYOCR else None

    @property
    def names(self) -> ModelNames:
        """Returns the names that events carry."""
        reader = NAME if self._easyocr else self.spec.reader.name
        return ModelNames(self.spec.detector.name, reader, self.spec.name)

    @property
    def backend(self) -> str:
        """Returns the backend that runs them, and why."""
        return self.config.provider + (f": {self.reason}" if self.reason else "")

    def detector(self, *, threshold: float | None = None) -> OnnxDetector:
        """Creates a detector for one thread; `threshold` (score, 0-1) overrides the bundle's."""
        return OnnxDetector(self.detector_session, self.spec.detector, threshold=threshold)

    def reader(self) -> OnnxReader | SlotReader | EasyOcrReader:
        """Returns the bundle's reader, or the one that is configured in its place."""
        if isinstance(self.spec.reader, SlotSpec):
            return SlotReader(self.reader_session, self.spec.reader)
        return self._easyocr or OnnxReader(self.reader_session, self.spec.reader)

    def self_test(self, *, runs: int = 1) -> tuple[float, float]:
        """Checks the networks' shapes; returns the median milliseconds of an inference of each."""
        self.detector()
        self.reader()
        reader = self._easyocr or self.reader_session
        return self.detector_session.probe(runs=runs), reader.probe(runs=runs)


def _with_drop_ins(spec: BundleSpec, config: ModelsConfig) -> BundleSpec:
    if config.detector != BUNDLE:
        detector = yolo_spec(Path(config.detector), spec, config.detector_class)
        spec = spec.model_copy(update={"detector": detector})
    if config.reader not in (BUNDLE, EASYOCR):
        spec = spec.model_copy(update={"reader": slot_spec(Path(config.reader), spec)})
    return spec


def _check_precision(config: ModelsConfig, spec: BundleSpec) -> None:
    for network in (spec.detector, spec.reader):
        if network.precision == "int8" and config.provider in ("cuda", "tensorrt"):
            raise ModelError(
                config.bundle / network.file,
                f"{network.name} is an INT8 network, made for CPUs; "
                f'with models.provider = "{config.provider}" use models.bundle = "accurate"',
            )


def _session(config: ModelsConfig, spec: NetworkSpec, model: bytes) -> NetworkSession:
    path = config.bundle / spec.file
    if path == Path(spec.file):  # a drop-in model
        model = bundle_file(path)
    if config.provider == "tensorrt":
        return tensorrt_session(path, model, spec, cache=config.engine_cache)
    options = SessionOptions(
        config.provider,
        config.threads,
        config.workers,
        verify_provider=config.provider != "cpu",
        batch_of_one=device_of(config.provider)[0] != "CPU",
    )
    return NetworkSession(str(path), model, options)

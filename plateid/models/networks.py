"""A bundle's two networks, or EasyOCR in place of its reader, loaded once for all cameras."""

from pathlib import Path

from plateid.config.models import ModelsConfig
from plateid.core.records import ModelNames
from plateid.errors import ModelError
from plateid.models.bundle import Bundle, BundleSpec, NetworkSpec
from plateid.models.detector import OnnxDetector
from plateid.models.easyocr import NAME, EasyOcrReader
from plateid.models.engine import engine_session
from plateid.models.reader import OnnxReader
from plateid.models.session import Placement, Session


class Networks:
    """The sessions of a bundle; makes detectors and readers that use them."""

    def __init__(self, config: ModelsConfig) -> None:
        """Verifies and loads the bundle; with TensorRT, engines that are missing are built.

        Raises:
            BundleError: The bundle cannot be used.
            ModelError: The provider is not to be had, or did not prove itself; EasyOCR is asked
                for and is not there.
        """
        bundle = Bundle(config.bundle)
        self.spec = bundle.spec
        _check_precision(config, self.spec)
        self.detector_session = _session(
            config, bundle.folder, self.spec.detector, model=bundle.detector
        )
        self.reader_session = _session(config, bundle.folder, self.spec.reader, model=bundle.reader)
        self._easyocr = (
            EasyOcrReader(config.easyocr_folder, threads=config.threads)
            if config.reader == "easyocr"
            else None
        )

    @property
    def names(self) -> ModelNames:
        """As published in events."""
        reader = NAME if self._easyocr else self.spec.reader.name
        return ModelNames(self.spec.detector.name, reader, self.spec.name)

    def detector(self, *, threshold: float | None = None) -> OnnxDetector:
        """A detector with buffers of its own; `threshold` replaces the bundle's."""
        return OnnxDetector(self.detector_session, self.spec.detector, threshold=threshold)

    def reader(self) -> OnnxReader | EasyOcrReader:
        """The bundle's reader, or EasyOCR's where the configuration asks for it."""
        return self._easyocr or OnnxReader(self.reader_session, self.spec.reader)

    def self_test(self, *, runs: int = 1) -> tuple[float, float]:
        """Median milliseconds of one inference of the detector and of the reader.

        Raises:
            BundleError: A network is not what the bundle says.
            ModelError: A network does not answer with finite numbers.
        """
        self.detector()
        self.reader()
        reader = self._easyocr or self.reader_session
        return self.detector_session.probe(runs=runs), reader.probe(runs=runs)


def _check_precision(config: ModelsConfig, spec: BundleSpec) -> None:
    for network in (spec.detector, spec.reader):
        if network.precision == "int8" and config.provider != "cpu":
            raise ModelError(
                config.bundle / network.file,
                f"{network.name} is an INT8 network, made for CPUs; "
                f'with models.provider = "{config.provider}" use models.bundle = "accurate"',
            )


def _session(config: ModelsConfig, folder: Path, spec: NetworkSpec, *, model: bytes) -> Session:
    path = folder / spec.file
    if config.provider == "tensorrt":
        return engine_session(path, model, spec, cache=config.engine_cache)
    proved = config.provider != "cpu"
    return Session(str(path), model, Placement(config.provider, config.threads, proved=proved))

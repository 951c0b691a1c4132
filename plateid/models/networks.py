"""A bundle's two networks, loaded once and shared by all cameras."""

from plateid.config import ModelsConfig
from plateid.core.records import ModelNames
from plateid.models.bundle import Bundle
from plateid.models.detector import OnnxDetector
from plateid.models.reader import OnnxReader
from plateid.models.session import Session


class Networks:
    """The sessions of a bundle; makes detectors and readers that use them."""

    def __init__(self, config: ModelsConfig) -> None:
        """Verifies and loads the bundle.

        Raises:
            BundleError: The bundle cannot be used.
            ModelError: The provider is not to be had.
        """
        bundle = Bundle(config.bundle)
        self.spec = bundle.spec
        folder = bundle.folder
        self.detector_session = Session(
            str(folder / self.spec.detector.file),
            bundle.detector,
            provider=config.provider,
            threads=config.threads,
        )
        self.reader_session = Session(
            str(folder / self.spec.reader.file),
            bundle.reader,
            provider=config.provider,
            threads=config.threads,
        )

    @property
    def names(self) -> ModelNames:
        """As published in events."""
        return ModelNames(self.spec.detector.name, self.spec.reader.name, self.spec.name)

    def detector(self, *, threshold: float | None = None) -> OnnxDetector:
        """A detector with buffers of its own; `threshold` replaces the bundle's."""
        return OnnxDetector(self.detector_session, self.spec.detector, threshold=threshold)

    def reader(self) -> OnnxReader:
        """A reader."""
        return OnnxReader(self.reader_session, self.spec.reader)

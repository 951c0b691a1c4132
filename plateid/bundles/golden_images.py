"""The self-test of a bundle: it must read its own golden images."""

from pathlib import Path

from plateid.capture.images import read_image
from plateid.config.models import ModelsConfig
from plateid.errors import BundleError
from plateid.models.bundle import GoldenImage, verified
from plateid.models.networks import Networks
from plateid.pipeline.stills import read_detections


def check_golden_images(config: ModelsConfig) -> int:
    """Reads a bundle's golden images on the configured execution provider; returns their number.

    Raises BundleError if it has none, or if a plate is not read.
    """
    networks = Networks(config.model_copy(update={"reader": "bundle"}))
    networks.self_test()
    golden = networks.spec.golden
    if not golden:
        raise BundleError(config.bundle, "has no golden images to test it with")
    for image in golden:
        _check_image(config.bundle / image.file, image, networks)
    return len(golden)


def _check_image(path: Path, golden: GoldenImage, networks: Networks) -> None:
    verified(path, golden.sha256)
    image = read_image(path)
    found = read_detections(image, networks.detector().detect(image), networks.reader())
    texts = [plate.text for plate in found]
    if missing := [plate for plate in golden.plates if plate not in texts]:
        read = f"only {', '.join(texts)}" if texts else "nothing"
        raise BundleError(
            f"{networks.spec.name}: {golden.file}", f"{', '.join(missing)} is not read; {read}"
        )

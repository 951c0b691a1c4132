"""The self-test of a bundle: it reads the pictures that it brings along as it promises."""

from pathlib import Path

from plateid.capture.images import read_image
from plateid.config.models import ModelsConfig
from plateid.errors import BundleError
from plateid.models.bundle import GoldenImage, verified
from plateid.models.networks import Networks
from plateid.pipeline.stills import read_detections


def check_golden(config: ModelsConfig) -> int:
    """Finds and reads the plates of a bundle's golden pictures, on the provider that is configured.

    Returns:
        How many pictures there are.

    Raises:
        BundleError: The bundle cannot be used, has no such picture, or reads one otherwise.
        ModelError: A network, or the provider, does not answer.
        SourceError: A picture cannot be read.
    """
    networks = Networks(config.model_copy(update={"reader": "bundle"}))
    networks.self_test()
    golden = networks.spec.golden
    if not golden:
        raise BundleError(config.bundle, "has no golden pictures to test it with")
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

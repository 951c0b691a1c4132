"""The self-test of a bundle: it reads the pictures that it brings along as it promises."""

from pathlib import Path

from plateid.capture.pictures import read_picture
from plateid.config.models import ModelsConfig
from plateid.errors import BundleError
from plateid.models.bundle import GoldenPicture, verified
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
    for picture in golden:
        _check_picture(config.bundle / picture.file, picture, networks)
    return len(golden)


def _check_picture(path: Path, golden: GoldenPicture, networks: Networks) -> None:
    verified(path, golden.sha256)
    picture = read_picture(path)
    found = read_detections(picture, networks.detector().detect(picture), networks.reader())
    texts = [result.reading.plate for result in found]
    if missing := [plate for plate in golden.plates if plate not in texts]:
        read = f"only {', '.join(texts)}" if texts else "nothing"
        raise BundleError(
            f"{networks.spec.name}: {golden.file}", f"{', '.join(missing)} is not read; {read}"
        )

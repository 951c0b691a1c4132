import pytest

from plateid.config.models import ModelsConfig
from plateid.errors import ModelError
from plateid.models.networks import Networks
from plateid.models.parity import check_parity
from tests.support.bundles import detector_network, reader_network, write_bundle
from tests.support.images import plain

PLATE = (32.0, 16.0, 20.0, 8.0, 0.9)
OTHER = (10.0, 8.0, 12.0, 4.0, 0.6)
WEAK = (50.0, 8.0, 10.0, 4.0, 0.1)


@pytest.fixture
def made(tmp_path):
    def make(name, rows, path="-AB-"):
        folder = write_bundle(tmp_path / name, detector_network(rows), reader_network(path))
        return Networks(ModelsConfig(bundle=folder))

    return make


@pytest.mark.parametrize(
    "rows",
    [
        [PLATE, OTHER, WEAK],
        [WEAK, OTHER, PLATE],  # candidates that are kept by score may change places
        [(32.2, 16.1, 20.1, 8.0, 0.89), OTHER, WEAK],
        [PLATE, OTHER, (5.0, 5.0, 1.0, 1.0, 0.09)],  # where no plate is, boxes are noise
    ],
)
def test_outputs_within_rounding_errors_have_parity(made, rows):
    found = check_parity(plain(), made("got", rows), made("expected", [PLATE, OTHER, WEAK]))
    assert found.score < 0.02
    assert 0.9 < found.iou <= 1
    assert found.probability == 0


@pytest.mark.parametrize(
    ("rows", "path", "reason"),
    [
        ([(*PLATE[:4], 0.8), OTHER, WEAK], "-AB-", "got/detector.onnx: .*scores by 0.100"),
        ([(36, *PLATE[1:]), OTHER, WEAK], "-AB-", "got/detector.onnx: .*IoU of boxes 0.67"),
        ([(90, *PLATE[1:]), OTHER, WEAK], "-AB-", "got/detector.onnx: .*IoU of boxes 0.00"),
        ([WEAK, WEAK, WEAK], "-AB-", "got/detector.onnx: .*scores by 0.800"),
        ([PLATE, OTHER, WEAK], "-AC-", "got/reader.onnx: .*differs from the CPU's by 0.963"),
    ],
)
def test_different_output_is_an_error_that_names_the_network(made, rows, path, reason):
    with pytest.raises(ModelError, match=reason):
        check_parity(plain(), made("got", rows, path), made("expected", [PLATE, OTHER, WEAK]))


def test_image_without_plates_is_compared_by_scores_and_as_a_whole(made):
    networks, blind = made("got", [WEAK]), made("expected", [WEAK])
    assert check_parity(plain(), networks, blind).iou == 1
    with pytest.raises(ModelError, match=r"reader.onnx"):
        check_parity(plain(), made("other", [WEAK], "-A--"), blind)

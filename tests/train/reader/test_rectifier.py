import numpy as np
import pytest
import torch

from train.reader.platenet import HEIGHT, WIDTH
from train.reader.rectifier import Rectifier, rectifying_transform


def test_an_untrained_rectifier_changes_nothing():
    crops = torch.rand(2, 3, HEIGHT, WIDTH)
    rectified, transforms = Rectifier(HEIGHT, WIDTH).eval()(crops)
    assert torch.allclose(rectified, crops, atol=1e-4)
    assert torch.equal(transforms, torch.eye(2, 3).expand(2, -1, -1))


@pytest.mark.parametrize(
    ("corners", "expected"),
    [
        ([(0, 0), (1, 0), (1, 1), (0, 1)], [[1, 0, 0], [0, 1, 0]]),
        ([(0.5, 0), (1, 0), (1, 1), (0.5, 1)], [[0.5, 0, 0.5], [0, 1, 0]]),
        ([(0, 0), (1, 0.5), (1, 1), (0, 0.5)], [[1, 0, 0], [0.5, 0.5, 0]]),
    ],
)
def test_the_transform_of_a_plate_maps_the_square_to_its_corners(corners, expected):
    assert np.allclose(rectifying_transform(np.array(corners, np.float32)), expected)


def test_a_rectifier_learns_the_transforms_of_tilted_plates():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    rectifier = Rectifier(HEIGHT, WIDTH)
    optimiser = torch.optim.Adam(rectifier.parameters(), lr=3e-3)

    def distance() -> torch.Tensor:
        slopes = torch.from_numpy(rng.uniform(-0.4, 0.4, 32)).float()
        across = torch.linspace(-1, 1, WIDTH)
        down = torch.linspace(-1, 1, HEIGHT)[:, None] - slopes[:, None, None] * across
        crops = (down.abs() < 0.5).float()[:, None].expand(-1, 3, -1, -1)
        expected = torch.tensor([[1.0, 0, 0], [0, 0.5, 0]]).repeat(32, 1, 1)
        expected[:, 1, 0] = slopes
        return (rectifier(crops)[1] - expected).abs().mean()

    before = distance().item()
    for _ in range(40):
        optimiser.zero_grad()
        distance().backward()
        optimiser.step()
    assert distance().item() < 0.4 * before

import torch

from train.reader.network import COLUMNS, HEIGHT, ROWS, WIDTH, PlateNet


def test_steps_are_read_row_by_row_and_countries_once():
    network = PlateNet(regions=5).eval()
    with torch.inference_mode():
        steps, regions = network(torch.rand(3, 3, HEIGHT, WIDTH) * 255)
    assert steps.shape == (3, ROWS * COLUMNS, 37)
    assert regions.shape == (3, 5)


def test_a_crop_is_read_alike_alone_and_among_others():
    network = PlateNet(regions=2).eval()
    crops = torch.rand(4, 3, HEIGHT, WIDTH) * 255
    with torch.inference_mode():
        together, alone = network(crops)[0][2], network(crops[2:3])[0][0]
    assert torch.allclose(together, alone, atol=1e-4)

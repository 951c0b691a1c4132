import torch

from train.reader.platenet import CLASSES, COLUMNS, HEIGHT, ROWS, WIDTH, PlateNet


def test_logits_of_a_crop_do_not_depend_on_the_batch():
    network = PlateNet().eval()
    crops = torch.rand(4, 3, HEIGHT, WIDTH) * 255
    with torch.inference_mode():
        (batch, transforms), (alone, _) = network(crops), network(crops[2:3])
    assert batch.shape == (4, ROWS * COLUMNS, CLASSES)
    assert transforms.shape == (4, 2, 3)
    assert torch.allclose(batch[2], alone[0], atol=1e-4)

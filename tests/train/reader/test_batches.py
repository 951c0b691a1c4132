import numpy as np
import pytest
import torch
from torch.nn import functional

from train.reader.batch_augmentation import augmented_batch, reframed
from train.reader.batches import UNKNOWN, Mix, batches, expected_transform, step_classes
from train.reader.platenet import COLUMNS, HEIGHT, ROWS, WIDTH
from train.reader.reader_weights import SPEC
from train.synth.rendering import LabelledCrop

IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])
WHOLE = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)
"""Corners of a plate that is rectified already."""


def labelled_crop(
    text: str,
    centres: list[tuple[float, float]],
    rows: tuple[int, ...],
    corners: np.ndarray = WHOLE,
) -> LabelledCrop:
    image = np.zeros((20, 60, 3), np.uint8)
    points = np.array(centres, np.float32).reshape(-1, 2)
    return LabelledCrop(image, text, points, rows, "", corners)


@pytest.mark.parametrize(
    ("text", "centres", "rows", "expected"),
    [
        ("", [], (), {}),
        ("A1", [(0.0, 0.5), (0.999, 0.5)], (0, 0), {0: 11, 35: 2}),
        ("AB", [(0.5, 0.3), (0.5, 0.7)], (0, 0), {18: 11, 19: 12}),
        ("A1", [(0.5, 0.3), (0.25, 0.7)], (0, 1), {18: 11, COLUMNS + 9: 2}),
        ("AB", [(0.99, 0.3), (0.99, 0.7)], (0, 0), {35: 11}),
        ("AA", [(0.2, 0.5), (0.4, 0.5)], (0, 0), {7: 11, 11: 0, 14: 11}),
        ("AA", [(0.2, 0.5), (0.21, 0.5)], (0, 0), {7: 11, 8: 0, 9: 11}),
        (
            "111",
            [(0.2, 0.5), (0.23, 0.5), (0.26, 0.5)],
            (0, 0, 0),
            {7: 2, 8: 0, 9: 2, 10: 0, 11: 2},
        ),
        ("AA", [(0.95, 0.3), (0.95, 0.7)], (0, 0), {34: 11}),
        ("AA", [(0.2, 0.3), (0.4, 0.7)], (0, 1), {7: 11, COLUMNS + 14: 11}),
    ],
)
def test_a_character_sets_the_step_of_its_centre_and_a_blank_separates_equal_ones(
    text, centres, rows, expected
):
    steps = step_classes(labelled_crop(text, centres, rows))
    assert steps.shape == (ROWS * COLUMNS,)
    assert {int(i): int(steps[i]) for i in np.flatnonzero(steps != UNKNOWN)} == expected


def test_steps_follow_the_plate_and_not_the_crop():
    middles = [(0.51, 0.4), (0.76, 0.5), (0.99, 0.6)]
    half = np.array([(0.5, 0.2), (1, 0.4), (1, 0.9), (0.5, 0.7)], np.float32)
    steps = step_classes(labelled_crop("A1B", middles, (0, 0, 0), half))
    assert np.flatnonzero(steps != UNKNOWN).tolist() == [0, 18, 35]


def test_rectifying_an_augmented_crop_undoes_the_augmentation(
    monkeypatch,
):
    monkeypatch.setattr("train.reader.batch_augmentation._relit", lambda crops, _: crops)
    corners = np.array([(0.2, 0.1), (0.9, 0.3), (0.85, 0.9), (0.15, 0.7)], np.float32)
    crop = labelled_crop("A", [(0.5, 0.5)], (0,), corners)
    pattern = torch.rand(1, 1, 6, 9) * 255
    image = functional.interpolate(pattern, (HEIGHT, WIDTH), mode="bicubic").expand(64, 3, -1, -1)
    seen, frames = augmented_batch(image, np.random.default_rng(0))

    def resampled(crops: torch.Tensor, transforms: list[np.ndarray]) -> torch.Tensor:
        grid = functional.affine_grid(
            torch.from_numpy(np.stack(transforms)).float(), list(crops.shape), align_corners=False
        )
        return functional.grid_sample(crops, grid, padding_mode="border", align_corners=False)

    upright = resampled(image, [expected_transform(crop, IDENTITY)] * 64)
    undone = resampled(seen, [expected_transform(crop, frame) for frame in frames])
    inner = (undone - upright).abs()[..., 12:-12, 36:-36].mean(dim=(1, 2, 3))
    assert (seen - image).abs().mean() > 10
    assert float(inner.median()) < 2


def test_a_crop_without_corners_has_no_transform():
    assert np.isnan(
        expected_transform(LabelledCrop(np.zeros((20, 60, 3), np.uint8)), IDENTITY)
    ).all()


def test_a_frame_that_would_cut_a_character_off_is_not_applied():
    centres = np.array([(0.06, 0.5), (0.5, 0.5), (0.94, 0.5)], np.float32)
    crops = torch.zeros(256, 3, HEIGHT, WIDTH)
    _, free = augmented_batch(crops, np.random.default_rng(0))
    _, frames = augmented_batch(crops, np.random.default_rng(0), [centres] * 256)
    as_they_are = (frames == IDENTITY).all(axis=(1, 2))
    assert 20 < as_they_are.sum() < 200
    assert (frames[~as_they_are] == free[~as_they_are]).all()
    kept, lost = (
        [(np.abs(reframed(centres, frame)) <= 1).all() for frame in each] for each in (frames, free)
    )
    assert all(kept)
    assert not all(lost)


def test_augmented_crops_stay_in_range_and_some_are_grey():
    crops = torch.full((64, 3, HEIGHT, WIDTH), 100.0)
    crops[:, 0] = 160
    seen, _ = augmented_batch(crops, np.random.default_rng(0))
    assert seen.shape == crops.shape
    assert 0 <= float(seen.min()) <= float(seen.max()) <= 255
    grey = (seen[:, 0] - seen[:, 1]).abs().amax(dim=(1, 2)) < 1
    assert 0 < int(grey.sum()) < 20


def test_some_crops_are_inverted_and_some_are_faded():
    crops = torch.full((256, 3, HEIGHT, WIDTH), 60.0)
    crops[..., WIDTH // 2 :] = 180
    seen, _ = augmented_batch(crops, np.random.default_rng(0))
    contrast = (seen[..., -20:] - seen[..., :20]).mean(dim=(1, 2, 3))
    assert 0 < int((contrast < 0).sum()) < 40
    assert 0 < int((contrast.abs() < 50).sum()) < 60


def test_some_crops_are_slanted_and_their_frame_grows():
    crops = torch.zeros(256, 3, HEIGHT, WIDTH)
    crops[:, :, HEIGHT // 4 : -HEIGHT // 4] = 200
    seen = augmented_batch(crops, np.random.default_rng(0))[0].mean(dim=1)
    seen = (seen > seen.mean(dim=(1, 2), keepdim=True)).float()
    middle = (seen * torch.arange(HEIGHT)[:, None]).sum(dim=1) / seen.sum(dim=1)
    drop = (middle[:, -10] - middle[:, 9]).abs()
    assert 20 < int((drop > 4).sum()) < 80
    assert seen[drop > 10].mean() < seen[drop < 1].mean() - 0.1


def test_rendered_batches_need_no_data_and_repeat_with_their_seed():
    mix = Mix([], None, real=0.2, size=4)
    first, again = (next(batches(mix, SPEC, seed=(1,))) for _ in range(2))
    assert first.inputs.shape == (4, 3, HEIGHT, WIDTH)
    assert torch.equal(first.inputs, again.inputs)
    assert first.texts == again.texts


def test_some_crops_have_glare_and_some_have_broken_shadow():
    seen, _ = augmented_batch(torch.full((512, 3, HEIGHT, WIDTH), 120.0), np.random.default_rng(0))
    light = seen.mean(dim=1).flatten(1)
    middle = light.median(dim=1).values
    brighter, darker = light.amax(dim=1) - middle, middle - light.amin(dim=1)
    uneven = brighter + darker > 10
    assert 40 < int(uneven.sum()) < 120
    assert int((uneven & (brighter > 1.5 * darker)).sum()) > 10
    assert int((uneven & (darker > 1.5 * brighter)).sum()) > 10

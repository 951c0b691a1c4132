import torch

from train.reader.batches import UNKNOWN, Batch
from train.reader.training_loop import ctc_loss, reader_loss

BLANK, A, B, C = 0, 11, 12, 13


def logs(*classes: int) -> torch.Tensor:
    steps = torch.full((len(classes), 37), 1e-4)
    steps[torch.arange(len(classes)), torch.tensor(classes)] = 0.99
    return steps.log()


def test_ctc_loss_is_smallest_for_the_right_text_and_accepts_an_empty_one():
    both = torch.stack([logs(BLANK, A, BLANK, B), logs(BLANK, BLANK, BLANK, BLANK)])
    assert ctc_loss(both, ["AB", ""]) < ctc_loss(both, ["AC", ""])
    assert ctc_loss(both, ["AB", ""]) < ctc_loss(both, ["AB", "C"])
    assert torch.isfinite(ctc_loss(both, ["", ""]))


def test_only_known_character_positions_add_to_the_loss():
    logits = torch.stack([logs(BLANK, A, BLANK, B)])
    unknown = torch.full((1, 4), UNKNOWN)
    right, wrong = unknown.clone(), unknown.clone()
    right[0, 1], wrong[0, 1] = A, C
    transform = torch.eye(2, 3)[None]
    no_positions, at_a, at_c = (
        float(
            reader_loss(
                logits, transform, Batch(torch.zeros(1), ["AB"], steps, transform * torch.nan)
            )
        )
        for steps in (unknown, right, wrong)
    )
    assert no_positions == float(ctc_loss(logits.log_softmax(dim=2), ["AB"]))
    assert no_positions <= at_a < at_c


def test_only_known_transforms_add_to_the_loss():
    logits = torch.stack([logs(BLANK, A, BLANK, B)] * 2)
    steps, found = torch.full((2, 4), UNKNOWN), torch.eye(2, 3).repeat(2, 1, 1)
    unknown = torch.full((2, 2, 3), torch.nan)
    near, far = unknown.clone(), unknown.clone()
    near[1], far[1] = 1.1 * found[1], 1.5 * found[1]
    losses = [
        float(reader_loss(logits, found, Batch(torch.zeros(2), ["AB"] * 2, steps, transforms)))
        for transforms in (unknown, near, far)
    ]
    assert losses[0] < losses[1] < losses[2]

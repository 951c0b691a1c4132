import torch

from train.reader.batches import UNKNOWN, Batch
from train.reader.losses import ctc_loss, loss_of

BLANK, A, B, C = 0, 11, 12, 13


def logs(*classes: int) -> torch.Tensor:
    steps = torch.full((len(classes), 37), 1e-4)
    steps[torch.arange(len(classes)), torch.tensor(classes)] = 0.99
    return steps.log()


def test_the_loss_is_small_for_the_right_text_and_takes_an_empty_one():
    both = torch.stack([logs(BLANK, A, BLANK, B), logs(BLANK, BLANK, BLANK, BLANK)])
    assert ctc_loss(both, ["AB", ""]) < ctc_loss(both, ["AC", ""])
    assert ctc_loss(both, ["AB", ""]) < ctc_loss(both, ["AB", "C"])
    assert torch.isfinite(ctc_loss(both, ["", ""]))


def test_known_places_and_countries_count_and_unknown_ones_do_not():
    logits = torch.stack([logs(BLANK, A, BLANK, B)])
    regions = torch.tensor([[5.0, 0.0]])
    unknown = torch.full((1, 4), UNKNOWN)

    def loss(steps: torch.Tensor, region: int) -> float:
        batch = Batch(torch.zeros(1), ["AB"], steps, torch.tensor([region]))
        return float(loss_of(logits, regions, batch))

    plain = loss(unknown, UNKNOWN)
    assert plain == float(loss_of(logits, None, Batch(torch.zeros(1), ["AB"], unknown, unknown)))
    right, wrong = unknown.clone(), unknown.clone()
    right[0, 1], wrong[0, 1] = A, C
    assert plain <= loss(right, UNKNOWN) < loss(wrong, UNKNOWN)
    assert loss(unknown, 0) < loss(unknown, 1)

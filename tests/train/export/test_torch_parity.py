import numpy as np
import pytest

from train.export.torch_parity import check_candidates, check_equal
from train.train_error import TrainError

pytestmark = pytest.mark.filterwarnings("ignore")


def test_different_outputs_are_refused(tmp_path):
    same = np.full((1, 5, 9), 0.5, np.float32)
    check_equal(tmp_path, same, same, tolerance=1e-3)
    with pytest.raises(TrainError, match=r"differs from torch by 0.002"):
        check_equal(tmp_path, same, same + np.float32(0.002), tolerance=1e-3)


def test_candidates_are_compared_in_any_order(tmp_path):
    some = np.random.default_rng(0).random((1, 5, 9)).astype(np.float32)
    check_candidates(tmp_path, some, some[:, :, ::-1], box=0.5, score=1e-3)
    off = np.zeros((5, 1), np.float32)
    off[2] = 0.7
    for other in (some + off, some[:, :, :5]):
        with pytest.raises(TrainError, match=r"differs from torch"):
            check_candidates(tmp_path, other, some, box=0.5, score=1e-3)

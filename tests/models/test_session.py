import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from plateid.errors import BundleError, ModelError
from plateid.models.backend import SessionOptions
from plateid.models.onnx_backend import PROVIDERS, check_provider_ran
from plateid.models.session import NetworkSession
from tests.support.bundles import detector_network, reader_network

CPU, CUDA, TENSORRT = (PROVIDERS[key] for key in ("cpu", "cuda", "tensorrt"))
KERNEL = "TRTKernel_graph_main_graph_1_0"


def convolution(batch: str | int | None) -> bytes:
    """One 1x1 convolution that doubles its input, shape (batch, 1, 4, 4)."""
    weights = numpy_helper.from_array(np.full((1, 1, 1, 1), 2, np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 1, 4, 4])],
        [weights],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=9).SerializeToString()


def test_provider_check_passes_and_the_session_keeps_working():
    session = NetworkSession("tiny", convolution("n"), SessionOptions(verify_provider=True))
    assert session.start_s > 0
    assert session.run(np.ones((3, 1, 4, 4), np.float32)).mean() == 2


def test_provider_check_fails_for_an_output_that_is_not_finite():
    with pytest.raises(ModelError, match=r"tiny: .*not finite"):
        NetworkSession(
            "tiny",
            detector_network([(1, 1, 1, 1, float("nan"))]),
            SessionOptions(verify_provider=True),
        )


@pytest.mark.parametrize("batch", ["n", 1])
def test_batch_of_one_session_runs_a_batch_image_by_image(batch):
    session = NetworkSession("tiny", convolution(batch), SessionOptions(batch_of_one=True))
    session.check_shapes([1, 1, 4, 4], [1, 1, 4, 4])
    inputs = np.arange(48, dtype=np.float32).reshape(3, 1, 4, 4)
    np.testing.assert_array_equal(session.run(inputs), 2 * inputs)


def test_batch_of_one_session_equals_a_batched_one():
    inputs = np.zeros((4, 1, 16, 48), np.float32)
    at_once = NetworkSession("tiny", reader_network("A-B")).run(inputs)
    batch_of_one = NetworkSession(
        "tiny", reader_network("A-B"), SessionOptions(batch_of_one=True)
    ).run(inputs)
    np.testing.assert_array_equal(batch_of_one, at_once)


def test_unnamed_free_axis_cannot_be_fixed():
    with pytest.raises(BundleError, match="tiny: an axis of its input has neither"):
        NetworkSession("tiny", convolution(None), SessionOptions(batch_of_one=True))


def test_invalid_onnx_file_is_refused():
    with pytest.raises(BundleError, match="tiny: this network cannot be run"):
        NetworkSession("tiny", b"not a network", SessionOptions(batch_of_one=True))


def test_probe_returns_milliseconds():
    assert 0 < NetworkSession("tiny", convolution("n")).probe(runs=3) < 1000


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([], "ran no node"),
        ([("Conv", CPU), ("Softmax", CPU)], "ran no node"),
        ([(KERNEL, TENSORRT), ("LSTM", CPU), ("Conv", CUDA)], "Conv on CUDA.*, LSTM on CPU"),
        ([(KERNEL, TENSORRT), ("QLinearConv", CPU)], "QLinearConv on CPU"),
        ([(KERNEL, TENSORRT), ("FusedMatMul", CPU)], "FusedMatMul on CPU"),
    ],
)
def test_provider_that_did_not_run_heavy_nodes_is_refused(nodes, reason):
    with pytest.raises(ModelError, match=f"tiny: {TENSORRT} .*{reason}"):
        check_provider_ran("tiny", nodes, TENSORRT)


@pytest.mark.parametrize(
    "nodes", [[(KERNEL, TENSORRT)], [(KERNEL, TENSORRT), ("Shape", CPU), ("Gather", CPU)]]
)
def test_cheap_nodes_may_run_on_the_cpu(nodes):
    check_provider_ran("tiny", nodes, TENSORRT)

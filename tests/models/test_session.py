import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from plateid.errors import BundleError, ModelError
from plateid.models.provider_check import check_computed_by
from plateid.models.session import PROVIDERS, Placement, Session
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


def test_a_provider_proves_itself_with_an_inference_and_works_on():
    session = Session("tiny", convolution("n"), Placement(proved=True))
    assert session.start_s > 0
    assert session.run(np.ones((3, 1, 4, 4), np.float32)).mean() == 2


def test_a_network_that_cannot_answer_proves_nothing():
    with pytest.raises(ModelError, match=r"tiny: .*not finite"):
        Session("tiny", detector_network([(1, 1, 1, 1, float("nan"))]), Placement(proved=True))


@pytest.mark.parametrize("batch", ["n", 1])
def test_a_network_compiled_for_one_picture_runs_a_batch_one_by_one(batch):
    session = Session("tiny", convolution(batch), Placement(one_by_one=True))
    session.check_shapes([1, 1, 4, 4], [1, 1, 4, 4])
    inputs = np.arange(48, dtype=np.float32).reshape(3, 1, 4, 4)
    np.testing.assert_array_equal(session.run(inputs), 2 * inputs)


def test_one_by_one_the_reader_answers_as_in_a_batch():
    inputs = np.zeros((4, 1, 16, 48), np.float32)
    at_once = Session("tiny", reader_network("A-B")).run(inputs)
    one_by_one = Session("tiny", reader_network("A-B"), Placement(one_by_one=True)).run(inputs)
    np.testing.assert_array_equal(one_by_one, at_once)


@pytest.mark.parametrize("one_by_one", [False, True])
def test_each_output_of_a_network_with_two_is_answered(one_by_one):
    session = Session(
        "tiny", reader_network("A-B", regions=(0.3, 0.7)), Placement(one_by_one=one_by_one)
    )
    batch = 1 if one_by_one else "n"
    session.check_shapes([batch, 1, 16, 48], [batch, 3, 37], [batch, 2])
    probabilities, regions = session.outputs(np.zeros((4, 1, 16, 48), np.float32))
    assert probabilities.shape == (4, 3, 37)
    np.testing.assert_allclose(regions, [[0.3, 0.7]] * 4)
    with pytest.raises(BundleError, match=r"tiny: output shape is .* and .*; bundle.toml says"):
        session.check_shapes([batch, 1, 16, 48], [batch, 3, 37])


def test_a_second_output_that_is_not_finite_is_refused():
    session = Session("tiny", reader_network("A", regions=(float("inf"), 0)))
    with pytest.raises(ModelError, match=r"tiny: .*not finite"):
        session.run(np.zeros((1, 1, 16, 48), np.float32))


def test_a_free_axis_without_a_name_cannot_be_fixed():
    with pytest.raises(BundleError, match="tiny: an axis of its input has neither"):
        Session("tiny", convolution(None), Placement(one_by_one=True))


def test_bytes_that_are_no_network_are_refused_before_axes_are_fixed():
    with pytest.raises(BundleError, match="tiny: not a network"):
        Session("tiny", b"not a network", Placement(one_by_one=True))


def test_a_probe_gives_the_milliseconds_of_an_inference():
    assert 0 < Session("tiny", convolution("n")).probe(runs=3) < 1000


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([], "computed nothing"),
        ([("Conv", CPU), ("Softmax", CPU)], "computed nothing"),
        ([(KERNEL, TENSORRT), ("LSTM", CPU), ("Conv", CUDA)], "Conv on CUDA.*, LSTM on CPU"),
        ([(KERNEL, TENSORRT), ("QLinearConv", CPU)], "QLinearConv on CPU"),
        ([(KERNEL, TENSORRT), ("FusedMatMul", CPU)], "FusedMatMul on CPU"),
    ],
)
def test_a_provider_that_did_not_do_the_work_is_found_out(nodes, reason):
    with pytest.raises(ModelError, match=f"tiny: {TENSORRT} .*{reason}"):
        check_computed_by("tiny", nodes, TENSORRT)


@pytest.mark.parametrize(
    "nodes", [[(KERNEL, TENSORRT)], [(KERNEL, TENSORRT), ("Shape", CPU), ("Gather", CPU)]]
)
def test_the_arithmetic_of_shapes_may_stay_on_the_cpu(nodes):
    check_computed_by("tiny", nodes, TENSORRT)

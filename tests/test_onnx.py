"""ONNX as a black box: what it gives, what it cannot give, and files that are refused."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from foreign_models import FRONT_END, LABELS, RATE, WINDOW, describe, network, one_thread, onnx_of, windows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import mirguard as mg
from mirguard.errors import FileError, MirguardError
from mirguard.models.imports.gradient_check import check_gradient
from mirguard.models.imports.onnx_contents import read_contents
from mirguard.models.load_file import load_model_file

pytestmark = pytest.mark.usefixtures(one_thread.__name__)


def load(folder: Path, **keys):
    return load_model_file(describe(folder, "w.onnx", **keys))


def made(
    folder: Path,
    nodes: list,
    arrays: list = (),
    *,
    kind=TensorProto.FLOAT,
    inputs: int = 1,
    shape=("batch", WINDOW),
    **more,
) -> Path:
    """A file with a graph from `x0` to `y`."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(f"x{k}", kind, shape) for k in range(inputs)],
        [helper.make_tensor_value_info("y", more.pop("gives", TensorProto.FLOAT), None)],
        list(arrays),
    )
    opsets = [helper.make_opsetid("", 17), *more.pop("opsets", ())]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8, **more), folder / "w.onnx")
    return folder


def weights() -> onnx.TensorProto:
    values = np.random.default_rng(0).standard_normal((WINDOW, len(LABELS))).astype(np.float32) / 40
    return numpy_helper.from_array(values, "w")


PRODUCT = helper.make_node("MatMul", ["x0", "w"], ["y"])


def test_it_is_a_black_box_and_says_so(tmp_path):
    onnx_of(network(), tmp_path / "w.onnx")
    model = load(tmp_path, note="A note.")
    assert not model.differentiable
    assert model.note == "A note. ONNX gives no gradients: only attacks that need none can be used."
    found = check_gradient(model)
    assert (found.reaches, found.verdict) == (False, "none")
    heard = windows(2).requires_grad_()
    assert not model.logits(heard).requires_grad
    info = mg.add_model(tmp_path).card["gradient"]
    assert info["verdict"] == "none" and not info["reaches"]


@pytest.fixture(autouse=True)
def _own(own_data):
    """Added models stay in the test's own folder."""


def test_our_front_end_stands_before_it(tmp_path):
    values = np.random.default_rng(0).standard_normal((20, len(LABELS))).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["x0"], ["m"], axes=[1], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["y"]),
    ]
    made(tmp_path, nodes, [numpy_helper.from_array(values, "w")], shape=("batch", 13, 20))
    model = load(tmp_path, representation=FRONT_END)
    heard = windows(3)
    expected = network().front(heard).mean(1) @ torch.from_numpy(values)
    assert torch.allclose(model.logits(heard), expected, atol=1e-5)


def test_windows_are_classified_on_a_leash(tmp_path):
    """Threads that wait do not spin, and a core is left over: options as onnxruntime was given them."""
    onnx_of(network(), tmp_path / "w.onnx")
    given = load(tmp_path)._session.get_session_options()
    assert given.intra_op_num_threads <= torch.get_num_threads()
    assert given.inter_op_num_threads == 1
    assert given.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def external(folder: Path) -> None:
    """The array in another file, as large models are kept, or as a stranger reads one's files."""
    tensor = weights()
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    made(folder, [PRODUCT], [tensor])


def within(folder: Path) -> None:
    """The same, within a constant of a branch of a condition."""
    tensor = numpy_helper.from_array(np.zeros((1, len(LABELS)), np.float32), "t")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "elsewhere"
    constant = helper.make_node("Constant", [], ["c"], value=tensor)
    out = helper.make_tensor_value_info("c", TensorProto.FLOAT, None)
    branch = helper.make_graph([constant], "branch", [], [out])
    condition = helper.make_node("If", ["k"], ["y"], then_branch=branch, else_branch=branch)
    made(folder, [condition], [numpy_helper.from_array(np.array(True), "k")])


def foreign(folder: Path) -> None:
    made(
        folder,
        [helper.make_node("Run", ["x0"], ["y"], domain="their.ops")],
        opsets=[helper.make_opsetid("their.ops", 1)],
    )


def unknown(folder: Path) -> None:
    made(folder, [helper.make_node("NoSuchOperator", ["x0"], ["y"])])


def future(folder: Path) -> None:
    made(folder, [PRODUCT], [weights()])
    model = onnx.load(folder / "w.onnx")
    model.opset_import[0].version = 9999
    onnx.save(model, folder / "w.onnx")


REFUSED = {
    "arrays in other files": (external, "keeps arrays in other files"),
    "arrays in other files within a branch": (within, "keeps arrays in other files"),
    "operators of another library": (foreign, r"needs the operator their\.ops\.Run"),
    "no such operator": (unknown, "cannot be loaded by this onnxruntime"),
    "an operator set to come": (future, "cannot be loaded by this onnxruntime"),
    "two inputs": (lambda folder: made(folder, [PRODUCT], [weights()], inputs=2), "must take one input of 32-bit numbers"),
    "whole numbers in": (
        lambda folder: made(
            folder, [helper.make_node("Cast", ["x0"], ["f"], to=1), helper.make_node("MatMul", ["f", "w"], ["y"])],
            [weights()], kind=TensorProto.INT64,
        ),
        "must take one input of 32-bit numbers",
    ),
    "whole numbers out": (
        lambda folder: made(
            folder, [helper.make_node("MatMul", ["x0", "w"], ["f"]), helper.make_node("Cast", ["f"], ["y"], to=7)],
            [weights()], gives=TensorProto.INT64,
        ),
        "one row of floating-point numbers",
    ),
    "another window": (
        lambda folder: made(folder, [PRODUCT], [weights()], shape=("batch", WINDOW - 1)), "cannot be loaded|does not take waveforms"
    ),
    "deaf": (
        lambda folder: made(
            folder, [helper.make_node("Mul", ["x0", "z"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["y"])],
            [weights(), numpy_helper.from_array(np.float32(0), "z")],
        ),
        "the same logits whatever it hears",
    ),
    "a fixed batch": (lambda folder: onnx_of(network(), folder / "w.onnx", batch=4), "say so as batch in its model"),
    "nothing": (lambda folder: (folder / "w.onnx").write_bytes(b""), "no whole ONNX file"),
    "words": (lambda folder: (folder / "w.onnx").write_text("These are words."), "no whole ONNX file"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_classifier_is_told_in_a_sentence(tmp_path, case, capfd):
    make, words = REFUSED[case]
    make(tmp_path)
    with pytest.raises(FileError, match=words) as told:
        load(tmp_path)
    assert str(told.value).startswith("foreign") and str(told.value).endswith(".") and "\n" not in str(told.value)
    assert capfd.readouterr() == ("", "")  # onnxruntime's own log stays silent


def test_functions_that_the_file_brings_itself_are_fine(tmp_path):
    body = [helper.make_node("MatMul", ["a", "b"], ["c"])]
    function = helper.make_function("mine", "Product", ["a", "b"], ["c"], body, [helper.make_opsetid("", 17)])
    node = helper.make_node("Product", ["x0", "w"], ["y"], domain="mine")
    made(tmp_path, [node], [weights()], opsets=[helper.make_opsetid("mine", 1)], functions=[function])
    assert load(tmp_path).logits(windows(2)).shape == (2, 3)


def test_without_onnxruntime_a_sentence_says_so(tmp_path, monkeypatch):
    onnx_of(network(), tmp_path / "w.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MirguardError, match="needs onnxruntime; install it with pip"):
        load(tmp_path)


def test_the_reader_sees_what_the_onnx_package_sees(tmp_path):
    onnx_of(network(), tmp_path / "w.onnx")
    found = read_contents((tmp_path / "w.onnx").read_bytes(), "w.onnx")
    nodes = onnx.load(tmp_path / "w.onnx").graph.node
    assert found.calls == {(node.domain, node.op_type) for node in nodes}
    assert (found.graphs, found.external, found.functions) == (1, False, set())


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_graphs_that_are_edited_are_told_in_a_sentence(tmp_path, data):
    """Attributes, shapes and kinds changed at random, in a file that is otherwise whole."""
    onnx_of(network(), tmp_path / "w.onnx")
    model = onnx.load(tmp_path / "w.onnx")
    node = data.draw(st.sampled_from(list(model.graph.node)))
    match data.draw(st.sampled_from(["kind", "input", "array", "shape", "attribute"])):
        case "kind":
            node.op_type = data.draw(st.sampled_from(["Relu", "Conv", "Loop", "Reshape", "STFT", "Gather", ""]))
        case "input":
            node.input[0] = data.draw(st.sampled_from(["waveform", "nothing", "logits", "w"]))
        case "array":
            array = data.draw(st.sampled_from(list(model.graph.initializer)))
            array.raw_data = data.draw(st.binary(max_size=40))
        case "shape":
            array = data.draw(st.sampled_from(list(model.graph.initializer)))
            array.dims.append(data.draw(st.sampled_from([0, -1, 2, 2**40])))
        case "attribute":
            node.attribute.append(helper.make_attribute(data.draw(st.sampled_from(["axis", "perm", "group"])), -3))
    onnx.save(model, tmp_path / "w.onnx")
    told = None
    try:
        load(tmp_path)
    except MirguardError as error:
        told = str(error)
    assert told is None or (told.endswith(".") and "\n" not in told)


def test_rate_and_labels_are_the_tomls(tmp_path):
    onnx_of(network(), tmp_path / "w.onnx")
    model = load(tmp_path, title="A title")
    assert (model.sample_rate, model.window, model.labels, model.title) == (RATE, WINDOW, LABELS, "A title")
    assert model.hash != load(tmp_path, sample_rate=2 * RATE).hash
    assert model.hash == load(tmp_path, title="Another").hash

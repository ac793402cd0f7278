"""Hostile and damaged files: every one gets a sentence, nothing in them runs, nothing is written elsewhere."""

import io
import json
import os
import pickle
import random
import stat
import string
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch
from foreign_models import (
    LABELS,
    RATE,
    WINDOW,
    Canary,
    describe,
    members,
    network,
    one_thread,
    onnx_of,
    packed,
    program,
    tampered,
    tampered_json,
    torchscript,
    windows,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mirguard.errors import FileError, MirguardError
from mirguard.models.add import add_model
from mirguard.models.imports import archives
from mirguard.models.imports.archives import Archive
from mirguard.models.load_file import load_model_file
from mirguard.models.model_file import read_model_file
from mirguard.models.published.fetch import models_folder

pytestmark = pytest.mark.usefixtures(one_thread.__name__)
FUZZ = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Path]:
    folder, net = tmp_path_factory.mktemp("whole"), network()
    return {
        "pt2": program(net, folder / "w.pt2"),
        "pt": torchscript(net, folder / "w.pt"),
        "onnx": onnx_of(net, folder / "w.onnx"),
    }


@pytest.fixture
def canary(tmp_path):
    """Where something leaves a mark if it runs; looked at after every test that takes it."""
    place = tmp_path / "ran"
    yield Canary(place)
    assert not place.exists(), "something in the file was run"


def load(folder: Path, data: bytes, ending: str = "pt2"):
    (folder / f"w.{ending}").write_bytes(data)
    return load_model_file(describe(folder, f"w.{ending}"))


def refused(folder: Path, data: bytes, words: str, ending: str = "pt2") -> None:
    with pytest.raises(FileError, match=words) as told:
        load(folder, data, ending)
    assert_sentence(told.value)


def assert_sentence(error: Exception) -> None:
    text = str(error)
    assert text.endswith(".") and "\n" not in text and len(text) < 600, text


def saved(value) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


# -- pickles -----------------------------------------------------------------------------------------------------------


def test_the_canary_sings(tmp_path):
    """That the tests below can fail: read by torch itself, the payload runs."""
    place = tmp_path / "ran"
    torch.load(io.BytesIO(saved({"a": Canary(place)})), weights_only=False)
    assert place.exists()


def test_example_inputs_are_left_out_unread(whole, tmp_path, canary):
    model = load(tmp_path, tampered(whole["pt2"], "sample_inputs/model.pt", lambda _: saved(((canary,), {}))))
    with torch.no_grad():
        assert torch.allclose(model.logits(windows(2)), network()(windows(2)), atol=1e-5)


def pickled_weight(document, canary=None) -> None:
    next(iter(document["config"].values())).update(use_pickle=True)


@pytest.mark.parametrize("kind", ["weight", "constant", "old constant", "custom object", "opaque object"])
def test_pickled_arrays_and_objects_are_refused(whole, tmp_path, canary, kind):
    if kind == "weight":
        data = tampered_json(whole["pt2"], "model_weights_config.json", pickled_weight)
        path = tmp_path / "again.pt2"
        path.write_bytes(data)
        data = tampered(path, "weights/weight_0", lambda _: saved(canary))
    elif kind == "old constant":
        data = packed({**members(whole["pt2"]), "w/data/constants/model.pt": saved({"a": canary})})
    else:
        place = {"constant": "tensor_0", "custom object": "custom_obj_0", "opaque object": "opaque_obj_0"}[kind]
        entry = {"path_name": place, "is_param": False, "use_pickle": True, "tensor_meta": None}
        path = tmp_path / "again.pt2"
        path.write_bytes(
            tampered_json(
                whole["pt2"], "model_constants_config.json", lambda document: document["config"].update(c=entry)
            )
        )
        payload = saved(canary) if kind == "constant" else pickle.dumps(canary)
        data = packed({**members(path), f"w/data/constants/{place}": payload})
    refused(tmp_path, data, "pickle")


def test_programs_of_an_old_torch_are_refused(tmp_path, canary):
    data = packed(
        {f"w/{name}": saved(canary) for name in ("serialized_exported_program.json", "serialized_state_dict.pt")}
    )
    refused(tmp_path, data, "written by an old torch")


@pytest.mark.parametrize("ending", ["pt", "pt2", "jit"])
def test_plain_pickles_are_refused_with_what_to_do(tmp_path, canary, ending):
    refused(tmp_path, saved({"a": canary}), r"torch\.save.*export the model instead: torch\.export\.save", ending)
    refused(tmp_path, pickle.dumps(canary), r"is a pickle.*export the model instead", ending)
    buffer = io.BytesIO()
    torch.save({"a": canary}, buffer, _use_new_zipfile_serialization=False)
    refused(tmp_path, buffer.getvalue(), "is a pickle", ending)


@pytest.mark.parametrize("member", ["data.pkl", "constants.pkl"])
def test_torchscript_structures_name_nothing_of_pythons(whole, tmp_path, canary, member):
    for protocol in (2, 4):
        data = tampered(whole["pt"], f"/{member}", lambda _, protocol=protocol: pickle.dumps(canary, protocol))
        refused(tmp_path, data, "no part of a TorchScript model", "pt")


# -- graphs that do more than arithmetic -------------------------------------------------------------------------------


def first_node(document):
    return document["graph_module"]["graph"]["nodes"][0]


def target(name):
    return lambda document: first_node(document).update(target=name)


def call(name, *texts):
    """A node that calls `name` with texts."""

    def change(document):
        arguments = [{"name": f"a{k}", "arg": {"as_string": text}, "kind": 1} for k, text in enumerate(texts)]
        first_node(document).update(target=name, inputs=arguments)

    return change


def size(text):
    def change(document):
        symbol = {"as_expr": {"expr_str": text, "hint": None}}
        for value in document["graph_module"]["graph"]["tensor_values"].values():
            value["sizes"][0] = symbol

    return change


def input_name(name):
    def change(document):
        document["graph_module"]["graph"]["inputs"][-1]["as_tensor"]["name"] = name

    return change


def spec(tree):
    def change(document):
        document["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps([1, tree])

    return change


def leaf(kind, context):
    return {"type": kind, "context": context, "children_spec": []}


RUN = "__import__('os').mkdir('{place}')"
GRAPHS = {
    "a call of os": (call("torch.os.mkdir", "{place}"), "none of torch's own operators"),
    "a call of torch.load": (call("torch.load", "{place}"), "none of torch's own operators"),
    "a call of torch.hub": (call("torch.hub.load", "{place}"), "none of torch's own operators"),
    "attributes of an operator": (target("torch.ops.aten.__class__.mro"), "none of torch's own operators"),
    "operators of another library": (target("torch.ops.theirs.f.default"), "none of torch's own operators"),
    "an operator that reads files": (call("torch.ops.aten.from_file.default", "{place}"), "reads or writes files"),
    "an operator as a value": (
        lambda document: first_node(document)["inputs"].append({"name": "f", "arg": {"as_operator": "torch.os.mkdir"}}),
        "object of Python's",
    ),
    "a size that is code": (size(RUN), "where a size should be"),
    "a size with an attribute": (size("Symbol('s0').func"), "where a size should be"),
    "a size of a billion digits": (size("9**9**9**9"), "where a size should be"),
    "a size that grows": (
        size("Pow(Pow(Pow(Pow(Integer(9), Integer(4)), Integer(4)), Integer(4)), Integer(4))"),
        "a size",
    ),
    "a name that is code": (input_name(f"x={RUN}"), "where a name should be"),
    "a name of two lines": (input_name("x\nimport os"), "where a name should be"),
    "a hidden name": (input_name("__class__.x"), "where a name should be|cannot be loaded"),
    "an enum to import": (spec(leaf("builtins.tuple", '{"__enum__": true, "fqn": "os:x"}')), "other than tensors"),
    "a module to import": (
        spec(leaf("collections.defaultdict", '{"default_factory_module": "antigravity"}')),
        "other than tensors",
    ),
    "a tree too deep": (
        lambda document: document["graph_module"]["module_call_graph"][0]["signature"].update(in_spec="[" * 99_999),
        "other than tensors",
    ),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_graphs_that_do_more_than_arithmetic_are_refused(whole, tmp_path, canary, case):
    change, words = GRAPHS[case]
    data = tampered_json(whole["pt2"], "models/model.json", change)
    data = tampered_text(data, "{place}", str(canary.place))
    refused(tmp_path, data, words)


def tampered_text(data: bytes, old: str, new: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return packed({name: archive.read(name).replace(old.encode(), new.encode()) for name in archive.namelist()})


def test_guards_and_notes_are_dropped(whole, tmp_path, canary):
    """Guards are Python expressions; notes on nodes hold names of modules to look up."""

    def change(document):
        document["guards_code"] = [RUN.format(place=str(canary.place))]
        first_node(document)["metadata"] = {"source_fn_stack": "a,torch.os.mkdir", "stack_trace": RUN, "custom": "{}"}

    assert load(tmp_path, tampered_json(whole["pt2"], "models/model.json", change)).differentiable


def test_sizes_that_torch_writes_are_read(tmp_path):
    """Expressions of the batch's size within a graph: a product, a floor division, a comparison."""

    class Folded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(WINDOW // 4, len(LABELS))

        def forward(self, waveform):
            rows = waveform.reshape(waveform.shape[0] * 4, -1)
            return self.layer(rows).tanh().reshape(rows.shape[0] // 4, 4, -1).sum(1)

    net = Folded().eval()
    program(net, tmp_path / "w.pt2")
    model = load_model_file(describe(tmp_path, "w.pt2"))
    with torch.no_grad():
        assert torch.allclose(model.logits(windows(5)), net(windows(5)), atol=1e-6)


def test_compiled_code_is_refused(whole, tmp_path):
    data = packed({**members(whole["pt2"]), "w/data/aotinductor/model/model.so": b"\x7fELF"})
    refused(tmp_path, data, "compiled code")


def test_arrays_that_are_not_there_are_refused(whole, tmp_path):
    def huge(document):
        meta = next(iter(document["config"].values()))["tensor_meta"]
        meta["sizes"] = [{"as_int": 1 << 20}, {"as_int": 1 << 20}]
        meta["strides"] = [{"as_int": 0}, {"as_int": 0}]

    refused(tmp_path, tampered_json(whole["pt2"], "model_weights_config.json", huge), "its numbers are not there")
    contents = members(whole["pt2"])
    refused(tmp_path, packed({**contents, "w/data/weights/weight_0": b""}), "its numbers are not there")
    refused(tmp_path, packed({**contents, "w/data/weights/weight_0": b"1234"}), "cannot be loaded|out of bounds")
    contents.pop("w/data/weights/weight_0")
    refused(tmp_path, packed(contents), "are not in it")


CODE = {
    "save": b"def f(self, x):\n  torch.save(x, 'f')\n",
    "save by another name": b"t = torch\ndef f(self, x):\n  t . save (x, 'f')\n",
    "save by its name in quotes": b'x = getattr(y, "save")\n',
    "save with escapes": b'x = getattr(y, "\\x73ave")\n',
    "reading files": b"a = torch.from_file('/etc/passwd', False, 10)\n",
    "other machines": b"a = ops.c10d.send(x)\n",
    "operators of another library": b"a = ops.theirs.f(x)\n",
    "all operators at once": b"a = ops\n",
    "objects of another library": b"a : __torch__.torch.classes.theirs.F\n",
    "a thousand brackets": b"(" * 1000,
}


@pytest.mark.parametrize("case", CODE)
def test_torchscript_that_reaches_beyond_arrays_is_refused(whole, tmp_path, case):
    contents = members(whole["pt"])
    name = next(name for name in contents if "/code/" in name and name.endswith(".py"))
    refused(tmp_path, packed({**contents, name: contents[name] + CODE[case]}), "is refused: its code", "pt")


def test_real_torchscript_that_writes_files_is_refused_before_it_does(tmp_path):
    """Scripted by torch itself: loading it would run its __setstate__."""

    class Writes(torch.nn.Module):
        def __init__(self, place: str) -> None:
            super().__init__()
            self.layer, self.place = torch.nn.Linear(WINDOW, 3), place

        def forward(self, waveform: torch.Tensor) -> torch.Tensor:
            torch.save(waveform, self.place)
            return self.layer(waveform)

    torchscript(Writes(str(tmp_path / "ran")), tmp_path / "w.pt", script=True)
    with pytest.raises(FileError, match="'save' in it"):
        load_model_file(describe(tmp_path, "w.pt"))
    assert not (tmp_path / "ran").exists()


def test_torchscript_arrays_stay_within_their_numbers(whole, tmp_path):
    """torch trusts what the structure says of sizes, and would read beyond the end."""
    contents = members(whole["pt"])
    (name,) = [name for name in contents if name.endswith("/data/0")]
    refused(tmp_path, packed({**contents, name: contents[name][:-4]}), "fewer numbers than it says", "pt")

    def longer(data: bytes) -> bytes:
        """The shape (3,) of the last bias, pickled, as (127,)."""
        assert b"(K\x03t(K\x01t" in data
        return data.replace(b"(K\x03t(K\x01t", b"(K\x7ft(K\x01t")

    refused(tmp_path, tampered(whole["pt"], "/data.pkl", longer), "beyond its numbers", "pt")


# -- archives ----------------------------------------------------------------------------------------------------------


def entry(name: str, mode: int = 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def encrypted(data: bytes) -> bytes:
    """The flag set in every header."""
    data = bytearray(data)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 4)
    return bytes(data)


ARCHIVES = {
    "an absolute path": ([(entry("/etc/x"), b"")], "could lie outside"),
    "a path upwards": ([(entry("w/../../x"), b"")], "could lie outside"),
    "a path of Windows": ([(entry("w\\..\\x"), b"")], "could lie outside|do not lie"),
    "a drive": ([(entry("C:/x"), b"")], "could lie outside"),
    "a line break": ([(entry("w/a\nb"), b"")], "could lie outside"),
    "a link": ([(entry("w/data.pkl", stat.S_IFLNK | 0o777), b"/etc/passwd")], "is a link"),
    "two folders": ([(entry("a/version"), b""), (entry("b/version"), b"")], "one folder"),
    "one name twice": ([(entry("w/Version"), b"1"), (entry("w/version"), b"2")], "twice"),
}


@pytest.mark.parametrize("case", ARCHIVES)
@pytest.mark.parametrize("ending", ["pt2", "pt"])
def test_tricks_with_names_are_refused(tmp_path, case, ending):
    contents, words = ARCHIVES[case]
    refused(tmp_path, packed(contents), words, ending)


def test_bombs_are_refused_before_they_are_unpacked(tmp_path, monkeypatch):
    bomb = packed({"w/data.pkl": bytes(30 << 20), "w/code/a.py": b""}, zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    refused(tmp_path, bomb, "times its size", "pt")
    monkeypatch.setattr(archives, "LARGEST", 10_000)
    refused(tmp_path, packed({"w/data.pkl": random.Random(0).randbytes(20_000)}), "unpacked it would be larger", "pt")
    monkeypatch.setattr(archives, "MOST_MEMBERS", 3)
    refused(tmp_path, packed({f"w/{k}": b"" for k in range(4)}), "lists 4 files", "pt")


@pytest.mark.parametrize("ending", ["pt2", "pt"])
def test_damage_is_told_apart_from_malice(whole, tmp_path, ending):
    data = whole[ending].read_bytes()
    for cut in (0, 3, 40, len(data) // 2, len(data) - 30):
        refused(tmp_path, data[:cut], "damaged or cut short|no exported model", ending)
    flipped = bytearray(data)
    flipped[len(data) // 3] ^= 0xFF
    refused(tmp_path, bytes(flipped), "damaged|refused", ending)
    refused(tmp_path, encrypted(data), "encrypted", ending)


def test_a_zip_with_a_model_cannot_write_outside(tmp_path, own_data, whole):
    toml = tomli_w.dumps(
        {"name": "foreign", "weights": "w.pt", "sample_rate": RATE, "window": WINDOW, "task": "single-label"}
        | {"labels": list(LABELS)}
    ).encode()
    weights = whole["pt"].read_bytes()
    source = tmp_path / "m.zip"
    for hostile in (
        [(entry("../evil"), b"x")],
        [(entry("/evil"), b"x")],
        [(entry("evil", stat.S_IFLNK | 0o777), b"/etc")],
    ):
        source.write_bytes(packed([("model.toml", toml), ("w.pt", weights), *hostile]))
        with pytest.raises(FileError, match="is refused"):
            add_model(source)
    for place in ("../w.pt", "/etc/passwd", "a\\w.pt", "c:w.pt"):
        source.write_bytes(
            packed([("model.toml", toml.replace(b'"w.pt"', json.dumps(place).encode())), ("w.pt", weights)])
        )
        with pytest.raises(FileError, match="must name a file beside this one"):
            add_model(source)
    assert list(models_folder().iterdir()) == []
    assert not (tmp_path.parent / "evil").exists()
    source.write_bytes(packed([("model.toml", toml), ("w.pt", weights), ("setup.py", b"raise"), ("sub/x", b"")]))
    assert {path.name for path in add_model(source).folder.iterdir()} == {
        "model.toml",
        "w.pt",
    }  # nothing else comes along


# -- fuzz --------------------------------------------------------------------------------------------------------------


def survives(folder: Path, data: bytes, ending: str) -> None:
    """It loads, or says in one sentence why not."""
    before = sorted(os.listdir(folder.parent))
    try:
        load(folder, data, ending)
    except MirguardError as error:
        assert_sentence(error)
    assert sorted(os.listdir(folder.parent)) == before


@pytest.mark.parametrize("ending", ["pt2", "pt", "onnx"])
@FUZZ
@given(data=st.data())
def test_damaged_files_are_told_in_a_sentence(whole, tmp_path, ending, data):
    content = bytearray(whole[ending].read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(st.integers(1, 4)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    survives(tmp_path, bytes(content), ending)


@pytest.mark.parametrize("ending", ["pt2", "pt"])
@FUZZ
@given(data=st.data())
def test_files_damaged_with_checksums_that_fit_are_told_in_a_sentence(whole, tmp_path, ending, data):
    contents = members(whole[ending])
    name = data.draw(st.sampled_from([name for name in contents if contents[name] and "debug" not in name]))
    content = bytearray(contents[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        insert = data.draw(
            st.one_of(st.binary(max_size=3), st.sampled_from([b"-1", b"9223372036854775807", b"null", b"[", b'"']))
        )
        content[at : at + data.draw(st.integers(0, 3))] = insert
    survives(tmp_path, packed({**contents, name: bytes(content)}), ending)


VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(),
        st.text(string.printable, max_size=20),
        st.sampled_from(
            ["w.pt", "waveform", "log-mel", "model.toml", "../w.pt", "w.pkl", "tagging", "probabilities", "dynamic"]
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
KEYS = ("name", "weights", "sample_rate", "window", "task", "labels", "representation", "output", "batch", "features")
KEYS += ("network", "parity", "card", "title", "note", "other")


@settings(FUZZ, max_examples=120)
@given(
    changes=st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1, max_size=3),
    gone=st.sets(st.sampled_from(KEYS), max_size=1),
)
def test_any_model_toml_is_read_or_told_in_a_sentence(tmp_path, changes, gone):
    document = {"name": "foreign", "weights": "w.pt2", "sample_rate": RATE, "window": WINDOW, "task": "single-label"}
    document = {**document, "labels": list(LABELS), **changes}
    path = tmp_path / "model.toml"
    path.write_bytes(tomli_w.dumps({key: value for key, value in document.items() if key not in gone}).encode())
    try:
        file = read_model_file(path)
        assert file.weights_path.resolve().is_relative_to(tmp_path.resolve())
        load_model_file(file)
    except MirguardError as error:
        assert_sentence(error)


@settings(FUZZ, max_examples=60)
@given(content=st.binary(max_size=300))
def test_any_bytes_are_told_in_a_sentence(tmp_path, content):
    for ending in ("pt2", "pt", "onnx"):
        survives(tmp_path, content, ending)
    (tmp_path / "model.toml").write_bytes(content)
    with pytest.raises(MirguardError) as told:
        add_model(tmp_path)
    assert_sentence(told.value)


@settings(FUZZ, max_examples=60)
@given(
    names=st.lists(
        st.text(st.sampled_from("a./\\:\n\0"), max_size=6) | st.sampled_from(["model.toml", "w.pt", "x/model.toml"]),
        max_size=4,
    )
)
def test_any_zip_is_told_in_a_sentence(tmp_path, own_data, names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in dict.fromkeys(names):
            archive.writestr(zipfile.ZipInfo(name or "_"), b'name = "x"')
    source = tmp_path / "m.zip"
    source.write_bytes(buffer.getvalue())
    before = sorted(path for path in tmp_path.rglob("*") if "models" not in path.parts)
    with pytest.raises(MirguardError) as told:
        add_model(source)
    assert_sentence(told.value)
    assert sorted(path for path in tmp_path.rglob("*") if "models" not in path.parts) == before
    assert not list(models_folder().iterdir())


def test_members_are_read_with_their_checksums(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(packed({"a": b"content"}).replace(b"content", b"contend"))
    with Archive(path, "a.zip") as archive, pytest.raises(FileError, match="damaged"):
        archive.read("a")
    path.write_bytes(packed({"a": np.arange(3).tobytes()}))
    with Archive(path, "a.zip") as archive:
        archive.extract("a", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == np.arange(3).tobytes()

"""Exported programs (`.pt2`), made fit to be given to `torch.export.load`.

torch.export.load (read in torch 2.13: `torch/export/pt2_archive/_package.py`, `torch/_export/serde/serialize.py`) trusts its file:

- it unpickles the example inputs, any weight or constant marked `use_pickle`, `opaque_obj_*` and `custom_obj_*` constants, and the
  whole of the weights in archives from before torch 2.8;
- it evaluates text: shape expressions through `sympy.sympify`, which is `eval`; names of nodes and inputs become Python source;
- a node's target may be any callable below `torch`, `operator` and `math`, and a structure's description may import any module;
- compiled code (`data/aotinductor`) is loaded as a shared library.

Every export holds pickled example inputs, which running it does not need: they are left out unread, as are notes on where the
nodes came from and guards. Anything else of the above is refused. What remains is arrays, and a graph of torch's own operators.
"""

from __future__ import annotations

import ast
import io
import json
import re
from typing import Any

from mirguard.errors import FileError
from mirguard.models.imports.archives import LARGEST, Archive

MODEL = "models/model.json"
EXAMPLES = "data/sample_inputs/model.pt"
WEIGHTS, CONSTANTS = "data/weights/", "data/constants/"
CONFIGS = {WEIGHTS: "model_weights_config.json", CONSTANTS: "model_constants_config.json"}
COMPILED = "data/aotinductor/"
FORMAT = ("archive_format", "archive_version", "byteorder", ".data/version")
OLD = ("serialized_exported_program.json", "serialized_state_dict.pt")

# Dropped: who needs them is a debugger, and some are turned into code or objects.
_DROPPED = {"metadata": {}, "treespec_namedtuple_fields": {}, "guards_code": []}
_REFUSED = {"as_operator", "as_custom_obj", "custom_obj", "token"}
_WORD = re.compile(r"[A-Za-z0-9_.+@\-]*", re.ASCII)  # a module that is called again is "name@1"
_NAME = re.compile(r"[A-Za-z0-9_.\-]*", re.ASCII)
_OPERATORS = re.compile(
    r"""torch\.ops\.(aten|prims)\.(?!__)\w+\.(?!__)\w+
      | torch\.ops\.aten\.__(and|or|xor|lshift|rshift|iand|ior|ixor|ilshift|irshift)__\.(?!__)\w+
      | torch\.ops\.higher_order\.wrap_with_(set_grad_enabled|autocast)
      | _operator\.(add|sub|mul|truediv|floordiv|mod|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem)
      | math\.(ceil|floor|trunc)
      | torch\.(_)?sym_(int|float|not|min|max|ite|sum|sqrt)""",
    re.ASCII | re.VERBOSE,
)
_FILES = {"from_file", "save"}  # operators that read or write files
_EXPRESSION_CALLS = {
    "Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Max", "Min", "Abs", "Equality", "Unequality", "LessThan",
    "GreaterThan", "StrictLessThan", "StrictGreaterThan", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "Mod",
    "PythonMod", "FloorDiv", "CleanDiv", "CeilDiv", "CeilToInt", "FloorToInt", "ModularIndexing", "Where", "FloatTrueDiv",
    "IntTrueDiv", "TruncToFloat", "TruncToInt", "RoundToInt", "ToFloat", "Identity", "floor", "ceiling",
    "IsNonOverlappingAndDenseIndicator",
}  # fmt: skip
_ASSUMPTIONS = {"positive", "integer", "nonnegative", "nonzero", "real", "precision"}
_EXPRESSION_NODES = (
    ast.Expression, ast.Name, ast.Load, ast.BinOp, ast.UnaryOp, ast.Compare, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv,
    ast.Mod, ast.USub, ast.UAdd, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Call, ast.Constant, ast.BitAnd,
    ast.BitOr, ast.Invert, ast.Pow, ast.keyword,
)  # fmt: skip
_LONGEST_EXPRESSION, _MOST_POWERS = 500, 3
_MOST_NUMBERS = 1 << 30  # in one array, repeated ones counted
_TREES = {"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", None}


def is_exported_program(archive: Archive) -> bool:
    return (
        "archive_format" in archive or bool(archive.names("models/", COMPILED)) or any(name in archive for name in OLD)
    )


def safe_program(archive: Archive) -> io.BytesIO:
    """A fresh `.pt2` that holds arrays and a graph of torch's operators, and nothing that loading it would execute.

    FileError with one sentence where the archive holds more than that."""
    what = archive.what
    if any(name in archive for name in OLD):
        raise FileError(
            f"{what} was written by an old torch, which pickled its weights; export it again with a newer torch."
        )
    if archive.names(COMPILED):
        raise FileError(f"{what} holds compiled code, which is never run; export the model with torch.export.save.")
    others = [name for name in archive.names("models/") if name != MODEL]
    needed = [*FORMAT[:2], MODEL, *(folder + name for folder, name in CONFIGS.items())]
    missing = [name for name in needed if name not in archive]
    if others or missing:
        raise FileError(
            f"{what} is not what torch.export.save writes ({f'it holds {others[0]}' if others else f'{missing[0]} is not in it'})."
        )
    replaced: dict[str, bytes] = {EXAMPLES: b""}
    kept = [name for name in FORMAT if name in archive]
    for folder, config in CONFIGS.items():
        document = _json(archive, folder + config)
        kept += [folder + config, *_payloads(archive, folder, document)]
    graph = _graph(_json(archive, MODEL), what)
    replaced[MODEL] = json.dumps(graph).encode()
    return archive.rebuilt([*kept, MODEL, EXAMPLES], replaced)


def _json(archive: Archive, name: str) -> dict[str, Any]:
    try:
        document = json.loads(archive.text(name))
    except (ValueError, RecursionError) as error:
        raise FileError(f"{archive.what} is damaged: its {name} cannot be read.") from error
    if not isinstance(document, dict):
        raise FileError(f"{archive.what} is damaged: its {name} is no table.")
    return document


def _payloads(archive: Archive, folder: str, document: dict[str, Any]) -> list[str]:
    """The members that hold the arrays; any that would be unpickled is refused."""
    what = archive.what
    if f"{folder}model.pt" in archive:
        raise FileError(
            f"{what} holds its arrays as a pickle, which is never read; export it again with a newer torch."
        )
    entries, found = document.get("config"), {}
    if set(document) != {"config"} or not isinstance(entries, dict):
        raise FileError(f"{what} is damaged: what it says of its arrays cannot be read.")
    for key, entry in entries.items():
        _check_name(key, what)
        if not isinstance(entry, dict) or not isinstance(place := entry.get("path_name"), str):
            raise FileError(f"{what} is damaged: what it says of its arrays cannot be read.")
        if entry.get("use_pickle") is not False or not re.fullmatch(r"(weight|tensor)_\d+", place):
            raise FileError(
                f"{what} is refused: its array {key} is a pickled object, which could run anything on being read."
            )
        if folder + place not in archive:
            raise FileError(f"{what} is damaged: the numbers of its array {key} are not in it.")
        meta = _graph(entry.get("tensor_meta"), what)
        _check_size(archive.size(folder + place), meta, key, what)
        found[folder + place] = None
    return list(found)


def _check_size(bytes_kept: int, meta: Any, key: str, what: str) -> None:
    try:
        sizes = [size["as_int"] for size in meta["sizes"]]
        numbers = 1
        for size in sizes:
            numbers *= int(size)
    except (TypeError, KeyError, ValueError) as error:
        raise FileError(f"{what} is damaged: what it says of its array {key} cannot be read.") from error
    if numbers > _MOST_NUMBERS or any(size < 0 for size in sizes) or (bytes_kept == 0 and numbers > 0):
        raise FileError(
            f"{what} is refused: its array {key} is said to be of shape {tuple(sizes)}, and its numbers are not there."
        )
    if bytes_kept > LARGEST:
        raise FileError(f"{what} is refused: its array {key} is far too large.")


def _graph(value: Any, what: str, key: str = "") -> Any:
    """The graph without what is dropped, every text in it looked at."""
    if isinstance(value, dict):
        found = {}
        for name, entry in value.items():
            _check_name(name, what)
            if name in _REFUSED:
                raise FileError(
                    f"{what} is refused: its graph holds an object of Python's beside arrays and operators."
                )
            found[name] = _DROPPED[name] if name in _DROPPED else _graph(entry, what, name)
        return found
    if isinstance(value, list):
        return [_graph(entry, what, key) for entry in value]
    if isinstance(value, str):
        _check_text(key, value, what)
    return value


def _check_text(key: str, value: str, what: str) -> None:
    if key == "target":
        _check_operator(value, what)
    elif key == "expr_str":
        _check_expression(value, what)
    elif key in ("in_spec", "out_spec"):
        _check_tree(value, what)
    elif key in ("as_string", "as_strings"):  # "reflect" and the like; becomes a quoted text
        if len(value) > 1000:
            raise FileError(f"{what} is refused: its graph holds a text that is far too long.")
    elif key == "torch_version":
        return
    elif not _WORD.fullmatch(value):
        raise FileError(f"{what} is refused: {value[:60]!r} stands in its graph where a name should be.")


def _check_name(value: str, what: str) -> None:
    if not _NAME.fullmatch(value) or any(
        part.startswith("__") and part.endswith("__") and part for part in value.split(".")
    ):
        raise FileError(f"{what} is refused: {value[:60]!r} stands in its graph where a name should be.")


def _check_operator(target: str, what: str) -> None:
    if not _OPERATORS.fullmatch(target):
        raise FileError(
            f"{what} is refused: its graph calls {target[:80]!r}, which is none of torch's own operators on arrays."
        )
    if target.startswith("torch.ops.") and target.split(".")[3] in _FILES:
        raise FileError(f"{what} is refused: its graph reads or writes files ({target}).")


def _check_expression(text: str, what: str) -> None:
    """Sizes, as sympy's `srepr` writes them: sums, products and comparisons of whole numbers and symbols."""
    try:
        if len(text) > _LONGEST_EXPRESSION or text.count("Pow") + text.count("**") > _MOST_POWERS:
            raise ValueError
        if not all(map(_is_size, ast.walk(ast.parse(text, mode="eval")))):
            raise ValueError
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FileError(f"{what} is refused: {text[:60]!r} stands in its graph where a size should be.") from error


def _is_size(node: ast.AST) -> bool:
    match node:
        case ast.Name(id=name):
            return not name.startswith("_")
        case ast.Constant(value=str(text)):  # the name of a symbol, or the digits of a number
            return bool(re.fullmatch(r"[A-Za-z0-9.+\-]{1,40}", text, re.ASCII))
        case ast.Constant(value=value):
            return isinstance(value, bool | int | float) and abs(value) < 1 << 64
        case ast.Call(func=ast.Name(id="Pow"), args=[_, power]):
            return _is_small(power)
        case ast.Call(func=ast.Name(id=name)):
            return name in _EXPRESSION_CALLS and name != "Pow"
        case ast.BinOp(op=ast.Pow(), right=power):
            return _is_small(power)
        case ast.keyword(arg=name):
            return name in _ASSUMPTIONS and isinstance(node.value, ast.Constant)
    return isinstance(node, _EXPRESSION_NODES) and not isinstance(node, ast.Call)


def _is_small(power: ast.AST) -> bool:
    """A whole exponent that does not make a number of millions of digits."""
    if (
        isinstance(power, ast.Call)
        and isinstance(power.func, ast.Name)
        and power.func.id == "Integer"
        and len(power.args) == 1
    ):
        power = power.args[0]
    if isinstance(power, ast.UnaryOp):
        power = power.operand
    return isinstance(power, ast.Constant) and power.value in (1, 2, 3, 4)


def _check_tree(text: str, what: str) -> None:
    """How inputs and outputs are bundled: tuples, lists and dictionaries; other kinds would be looked up by name."""

    def check(tree: Any) -> None:
        if (
            not isinstance(tree, dict)
            or tree.get("type") not in _TREES
            or set(tree) != {"type", "context", "children_spec"}
        ):
            raise ValueError
        context = tree["context"]
        if context is not None:
            keys = json.loads(context)
            if keys is not None and not (isinstance(keys, list) and all(isinstance(name, str) for name in keys)):
                raise ValueError
        for child in tree["children_spec"]:
            check(child)

    try:
        protocol, tree = json.loads(text)
        if protocol != 1:
            raise ValueError
        check(tree)
    except (ValueError, TypeError, RecursionError) as error:
        raise FileError(
            f"{what} is refused: it takes or gives something other than tensors in tuples, lists and dictionaries."
        ) from error

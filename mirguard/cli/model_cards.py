"""A model's card in the terminal: what it is, who made it, how good it is."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

INDENT = 18  # columns for names
WIDTH = 120
MOST_LABELS = 100  # shown whole
FEW_LABELS = 8  # of more than that
MOST_ROWS = 16  # of a confusion matrix shown whole
MOST_CONFUSIONS = 8
# What a card may say in words of its own, and how that is headed.
WORDS = {
    "architecture": "Architecture",
    "outputs": "Outputs",
    "verified": "Verified",
    "limits": "Limits",
    "source": "Source",
    "citation": "Citation",
    "licence": "Licence",
}
FIGURES = {"roc_auc": "ROC AUC", "pr_auc": "PR AUC"}


def say(sentences: Sequence[str] | Iterator[str]) -> None:
    for sentence in filter(None, sentences):
        indent = " " * (INDENT + 1)
        print(textwrap.fill(sentence, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False))


def facts(info: Any) -> Iterator[str]:
    from mirguard.models.catalogue import UNUSABLE

    if info.state != UNUSABLE:
        gradients = "" if info.gradients else ", no gradients"
        yield (
            f"{info.kind}, {info.task}, {len(info.labels)} labels, windows of {info.window / info.sample_rate:g} s at "
            f"{info.sample_rate} Hz{gradients}; {info.state}"
        )
    yield info.note
    yield info.how


def label_line(labels: Sequence[str]) -> str:
    """All labels, or the first and the last of very many."""
    if len(labels) <= MOST_LABELS:
        return ", ".join(labels)
    return f"{', '.join(labels[:FEW_LABELS])}, … {labels[-1]} ({len(labels)} labels; --json names all)"


def card_lines(card: Mapping[str, Any]) -> Iterator[str]:
    """What a card says, as far as it does: it may come from anybody, so nothing in it is taken for granted."""
    made, method = card.get("made"), card.get("method")
    if made and made != "published":  # that it is, its first line says
        by = f" by {method}" if method else ""
        took = f", in {_number(card['seconds'])} s" if _is_number(card.get("seconds")) else ""
        yield f"Made: {made}{by}{took}."
    yield from _data(_table(card.get("data")))
    yield from _accuracy(_table(card.get("test")))
    yield from gradient_lines(card.get("gradient"))
    lineage = card.get("lineage")
    if isinstance(lineage, list) and lineage:
        yield f"Made of: {'; '.join(map(str, lineage))}."
    for key, title in WORDS.items():
        if isinstance(said := card.get(key), str) and said:
            yield f"{title}: {said.rstrip('.')}."


def _data(data: Mapping[str, Any]) -> Iterator[str]:
    if not data:
        return
    source = f" ({data['source']})" if data.get("source") not in (None, "", data.get("name")) else ""
    clips = _table(data.get("clips"))
    counts = ", ".join(f"{_number(count)} {part}" for part, count in clips.items())
    split = f", split {data['split']}" if data.get("split") else ""
    yield f"Data: {data.get('name') or 'unnamed'}{source}{f': {counts} clips' if counts else ''}{split}."
    if data.get("skipped"):
        skipped = data["skipped"]
        yield f"{_number(skipped)} {'file' if skipped == 1 else 'files'} could not be used."
    warnings = data.get("warnings")
    yield from map(str, warnings if isinstance(warnings, list) else ())


def _accuracy(test: Mapping[str, Any]) -> Iterator[str]:
    for what in ("clip", "window"):
        if _is_number(right := test.get(f"{what}_accuracy")):
            count = test.get(f"{what}s")
            of = f" of {_number(count)} test {what}s" if _is_number(count) else f" of the test {what}s"
            yield f"Accuracy: {100 * right:.1f} %{of}{_interval(test.get(f'{what}_interval'))}."
    found = [f"{title} {test[key]:.3f}" for key, title in FIGURES.items() if _is_number(test.get(key))]
    if found:
        yield f"Tested: {', '.join(found)}{f' on {on}' if (on := test.get('on')) else ''}."


def _interval(interval: Any) -> str:
    if isinstance(interval, list) and len(interval) == 2 and all(map(_is_number, interval)):
        return f" (95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f} %)"
    return ""


def gradient_lines(gradient: Any) -> Iterator[str]:
    found = _table(gradient)
    if found.get("sentence"):
        yield f"Gradient: {_verdict(found.get('verdict'))}{found['sentence']}"
    if found.get("parity_sentence"):
        yield f"Parity: {_verdict(found.get('parity_verdict'))}{found['parity_sentence']}"


def _verdict(verdict: Any) -> str:
    return {"pass": "passes. ", "fail": "FAILS. "}.get(verdict, "")


def confusion_lines(test: Any, labels: Sequence[str]) -> Iterator[str]:
    """The matrix, rows the true labels; of a large one, what is most often taken for what."""
    matrix = _table(test).get("confusion")
    square = (
        isinstance(matrix, list)
        and len(matrix) == len(labels)
        and all(isinstance(row, list) and len(row) == len(labels) and all(map(_is_number, row)) for row in matrix)
    )
    if not square:
        return
    if len(labels) > MOST_ROWS:
        pairs = [
            (matrix[k][j], k, j) for k in range(len(labels)) for j in range(len(labels)) if k != j and matrix[k][j]
        ]
        yield "Most confused:" if pairs else "Nothing was confused."
        for count, k, j in sorted(pairs, reverse=True)[:MOST_CONFUSIONS]:
            yield f"  {_number(count)} x {labels[k]} taken for {labels[j]}"
        return
    width = max(map(len, labels))
    cell = max(len(_number(count)) for row in matrix for count in row) + 2
    cell = max(cell, len(str(len(labels))) + 3)
    yield "Confusion (rows: true, columns: heard as):"
    yield f"{'':{width + 5}}" + "".join(f"{f'({k})':>{cell}}" for k in range(1, len(labels) + 1))
    for k, (label, row) in enumerate(zip(labels, matrix, strict=True), 1):
        yield f"{label:{width}} {f'({k})':>4}" + "".join(f"{_number(count) if count else '.':>{cell}}" for count in row)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> str:
    return f"{value:,.0f}" if _is_number(value) else str(value)

"""`mirguard survive`."""

from __future__ import annotations

import argparse
from typing import Any

from mirguard.cli.terminal import Line, chosen_model, model_option, show_json


def _survive(options: argparse.Namespace) -> int:
    from mirguard.channel.chain import parse
    from mirguard.clip import load_clip

    original, adversarial = load_clip(options.original), load_clip(options.adversarial)
    chains = [tuple(parse(text) for text in words) for words in options.channel]
    from mirguard.experiment.survival import Pair, survival, through

    model = chosen_model(options)
    target = None if options.target is None else model.labels[model.index(options.target)]
    pair = Pair(original, adversarial, options.truth, target)
    effects = [through(chain) for chain in chains] or None
    with Line(not options.json) as line:
        found = survival(model, [pair], effects, options.draws, options.seed, progress=line)
    if options.json:
        show_json({"original": options.original, "adversarial": options.adversarial, **found.to_json()})
        return 0
    ((truth, own, other),) = found.labels
    print(f"{own} → {other}" + ("" if own == truth else f" (truly {truth})"))
    if not own == truth != other:
        print("  No destruction rate: that needs an original with the true label and an adversarial sound without it.")
    print(f"  {'':42} {'true label kept by':>22} {'destroyed':>18} {'fooled':>8}")
    print(f"  {'':42} {'original':>11} {'adversary':>10}")
    for row in found.rows:
        print(_line(row))
    return 0


def _line(row: Any) -> str:
    low, high = row.interval
    destroyed = "–" if row.destruction is None else f"{row.destruction:.0%} ({low:.0%} to {high:.0%})"
    kept = f"{row.original_right / row.draws:>11.0%} {row.adversarial_right / row.draws:>10.0%}"
    return f"  {row.effect + ' ' + row.strength:42} {kept} {destroyed:>18} {row.fooled / row.draws:>8.0%}"


def _arguments(parser: argparse.ArgumentParser) -> None:
    from mirguard.channel.chain import describe

    model_option(parser)
    parser.add_argument("original", metavar="ORIGINAL")
    parser.add_argument("adversarial", metavar="ADVERSARIAL")
    parser.add_argument(
        "--channel",
        nargs="+",
        action="append",
        default=[],
        metavar="EFFECT",
        help="a chain to try, in place of every effect from mild to harsh; may be repeated. EFFECT is NAME or "
        f"NAME:PARAMETER=VALUE,... of {describe()}".replace("%", "%%"),
    )
    parser.add_argument("--draws", type=int, default=10, metavar="N", help="draws of each chain (default 10)")
    parser.add_argument(
        "--truth", metavar="LABEL", help="the true label (default: what the model says of the original)"
    )
    parser.add_argument("--target", metavar="LABEL", help="the label that was to come out (default: any other)")
    parser.add_argument("--seed", type=int, default=0)


COMMANDS = {
    "survive": (
        "Does an adversarial sound stay one through gain, noise, MP3, rooms, a loudspeaker and a microphone?",
        _arguments,
        _survive,
    )
}

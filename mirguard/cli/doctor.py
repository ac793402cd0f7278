"""`mirguard doctor`."""

from __future__ import annotations

import argparse

from mirguard.cli.terminal import show_json


def _doctor(options: argparse.Namespace) -> int:
    from mirguard.doctor import examine

    findings = examine(self_test=not options.quick)
    failed = any(finding.verdict == "fails" for finding in findings)
    if options.json:
        show_json({"healthy": not failed, "findings": [vars(finding) for finding in findings]})
    else:
        for finding in findings:
            print(f"{finding.verdict:8} {finding.what}: {finding.detail}")
    return int(failed)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="leave out the self-test")


COMMANDS = {"doctor": ("What this machine has, and whether MIRGuard works on it.", _arguments, _doctor)}

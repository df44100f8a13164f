"""`tokmon doctor`: find what is wrong, and how to fix it."""

import os
import time
from typing import Final

from tokmon import paths
from tokmon.doctor_checks import TABLE, examine
from tokmon.doctor_checks.subject import Subject
from tokmon.report.arguments import parser
from tokmon.report.findings import Named, failed, finding_text, summary, to_json
from tokmon.report.terminal import output, put_json, style_of, width_of

SUMMARY: Final = "find what is wrong, and how to fix it"


def run(arguments: list[str]) -> int:
    """Print each finding as it comes, with `--fix` also what was fixed; 1 if a check fails after that."""
    command_line = parser("doctor", SUMMARY, examples=("tokmon doctor", "tokmon doctor --fix"))
    command_line.add_argument("--fix", action="store_true", help="fix what can be fixed safely, and say what was fixed")
    command_line.add_argument("--json", action="store_true", help="print one JSON object with all findings")
    options = command_line.parse(arguments)
    subject = Subject(paths.find(), dict(os.environ), time.time())
    style, width = style_of(output()), width_of(output())
    findings: list[Named] = []
    for name in TABLE:
        findings.append(examine(name, subject, fix=options.fix))
        if not options.json:
            print("\n".join(finding_text(findings[-1], width, style, str(subject.paths.home))), flush=True)
    if options.json:
        put_json(to_json(findings))
    else:
        print(f"\n{summary(findings)}", flush=True)
    return int(failed(findings))

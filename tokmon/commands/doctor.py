"""`tokmon doctor`: look for what is wrong, and say how to mend it."""

import argparse
import os
import time
from typing import Final

from tokmon import paths
from tokmon.doctor_checks import TABLE, examine
from tokmon.doctor_checks.subject import Subject
from tokmon.report.findings import Named, failed, finding_text, summary, to_json
from tokmon.report.terminal import output, put, style_of, width_of
from tokmon.store.codec import encode

SUMMARY: Final = "look for what is wrong, and say how to mend it"


def run(arguments: list[str]) -> int:
    """Print what each check finds, as it finds it, and with `--fix` what was mended; 1 if one failed after that."""
    parser = argparse.ArgumentParser(prog="tokmon doctor", description=SUMMARY)
    parser.add_argument("--fix", action="store_true", help="mend what can be mended safely, and say what was")
    parser.add_argument("--json", action="store_true", help="one object with all findings")
    options = parser.parse_args(arguments)
    subject = Subject(paths.find(), dict(os.environ), time.time())
    style, width = style_of(output()), width_of(output())
    found: list[Named] = []
    for name in TABLE:
        found.append(examine(name, subject, fix=options.fix))
        if not options.json:
            print("\n".join(finding_text(found[-1], width, style, str(subject.paths.home))), flush=True)
    if options.json:
        put(encode(to_json(found)))
    else:
        print(f"\n{summary(found)}", flush=True)
    return int(failed(found))

"""The commands `course` and `notebooks` of the command line."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of both commands; `notebooks` has an action first."""
    if parser.prog.endswith("notebooks"):
        parser.add_argument(
            "action",
            choices=["build", "drift"],
            help="build and run them and link docs/sources.md to their cells, or compare with the sources",
        )
    parser.add_argument("names", nargs="*", help="only notebooks whose names begin so, for example 01; default all")
    parser.add_argument("--workers", type=int, help="how many run side by side; default: cores, and memory for them")


def run(arguments: argparse.Namespace) -> int:
    """Run the command; 0 when all is well."""
    if arguments.command == "course":
        return _course(arguments)
    from course_lib.notebooks.build import build, drift
    from course_lib.notebooks.statements import link_index

    if arguments.action == "build":
        found = build(arguments.names, arguments.workers or 2) + link_index()
    else:
        found = drift(arguments.names)
    for problem in found:
        print(problem)
    print(f"{len(found)} problems" if found else "no problems")
    return 1 if found else 0


def _course(arguments: argparse.Namespace) -> int:
    from course_lib.notebooks.course import run_course

    print(f"{'notebook':<28} {'result':<8} {'seconds':>8} {'peak memory':>12}", flush=True)
    failed = 0
    for row in run_course(arguments.names, arguments.workers):
        failed += row.error is not None
        result = "ok" if row.error is None else "FAILED"
        print(f"{row.name:<28} {result:<8} {row.seconds:>8.1f} {row.peak_bytes / 1e6:>9,.0f} MB", flush=True)
        if row.error is not None:
            print(f"    {row.error}", flush=True)
    return 1 if failed else 0

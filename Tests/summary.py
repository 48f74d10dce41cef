"""Adds up the counts of the parts of Tests/run.sh, and prints "N passed, N failed".

usage: summary.py DIRECTORY BITS_PASSED BITS_FAILED PARTS_BROKEN

DIRECTORY has the reports of swift test and pytest (JUnit's XML). Exits with status 1 if a test
failed, if a part failed without a failed test, or if no test ran.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


def count_report(path: pathlib.Path) -> tuple[int, int, int]:
    """The numbers of passed, failed and skipped test cases in a JUnit report; zeros without one."""
    try:
        root = ElementTree.parse(path).getroot()
    except (OSError, ElementTree.ParseError):
        return 0, 0, 0
    passed = failed = skipped = 0
    for case in root.iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def count_swift_log(path: pathlib.Path) -> tuple[int, int, int]:
    """The same numbers from Swift Testing's log, in case a crash left no report."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return 0, 0, 0
    passed = len(re.findall(r"^\S+\s+Test (?!run ).* passed after ", text, re.MULTILINE))
    failed = len(re.findall(r"^\S+\s+Test (?!run ).* failed after ", text, re.MULTILINE))
    skipped = len(re.findall(r"^\S+\s+Test (?!run ).* skipped", text, re.MULTILINE))
    return passed, failed, skipped


def count_fuzz_log(path: pathlib.Path) -> tuple[int, int]:
    """How many fuzz targets found nothing, and how many failed."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return 0, 0
    statuses = re.findall(r"^fuzz \S+: status (\d+),", text, re.MULTILINE)
    passed = sum(status == "0" for status in statuses)
    return passed, len(statuses) - passed


def main() -> int:
    directory = pathlib.Path(sys.argv[1])
    bits_passed, bits_failed, broken = (int(text) for text in sys.argv[2:5])
    swift = count_report(directory / "swift-swift-testing.xml")
    if not any(swift):
        swift = count_swift_log(directory / "swift.log")
    python = count_report(directory / "pytest.xml")
    fuzz = count_fuzz_log(directory / "fuzz.log")
    print(f"fuzz targets: {fuzz[0]} passed, {fuzz[1]} failed")
    print(f"Swift Testing: {swift[0]} passed, {swift[1]} failed, {swift[2]} skipped")
    print(f"pytest: {python[0]} passed, {python[1]} failed, {python[2]} skipped")
    passed = swift[0] + python[0] + fuzz[0] + bits_passed
    failed = swift[1] + python[1] + fuzz[1] + bits_failed
    # A part that failed without a failed test (it crashed, or did not build) counts as one.
    if broken and not failed:
        failed = broken
    if passed and not (swift[0] and python[0]):
        failed = max(failed, 1)
    if not passed:
        print("no test passed")
        failed = max(failed, 1)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

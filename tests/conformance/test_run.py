"""What the run calls a pass."""

from tests.conformance.run import read, required

FROZEN = """# a comment
server:
  - first
  # between
  - second

client:
  - third
"""
OUTPUT = """noise ✓ first: 1 passed, 0 failed
=== SUMMARY ===
✓ first: 2 passed, 0 failed
✗ second: 1 passed, 1 failed
✓ extra: 1 passed, 0 failed

Not scored for 1: 1 scenario(s) run, 0 failing.
  ✓ extra (pending)
"""


def test_the_frozen_file_says_what_is_required() -> None:
    assert required(FROZEN) == ["first", "second"]


def test_only_required_scenarios_count() -> None:
    outcome = read(OUTPUT, ["first", "second"])
    assert (outcome.passed, outcome.failed) == (["first"], ["second"])
    assert outcome.unscored == ["✓ extra"]


def test_a_scenario_that_did_not_run_has_failed() -> None:
    assert read(OUTPUT, ["first", "absent"]).failed == ["absent"]


def test_a_scenario_that_checked_nothing_has_failed() -> None:
    assert read("=== SUMMARY ===\n✓ first: 0 passed, 0 failed\n", ["first"]).failed == ["first"]

"""The example of a payment runs as anybody would run it, from an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "collect_pse_payment.py"


@pytest.mark.timeout(300)
def test_a_payment_is_collected_and_another_survives_a_kill(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    assert "ledger  approved, {'amount': 5000000, 'currency': 'COP'}" in told.stdout
    assert "ledger  approved; payments that Wompi made of this order: 1" in told.stdout
    assert "webhook  [200" in told.stdout
    assert not told.stderr

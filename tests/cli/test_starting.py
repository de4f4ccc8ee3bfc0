"""What a start brings in, and what it leaves to those who need it."""

import subprocess
import sys

_SERVING = """
import gc, sys
from tause_mcp.cli import Lazy, app

Lazy.get_command(app, None, "serve")
frozen, later = gc.get_freeze_count(), [[] for _ in range(1000)]
Lazy.get_command(app, None, "serve")
assert gc.isenabled() and 0 < gc.get_freeze_count() <= frozen
from tause_mcp.catalog import load

load(())
print(*{name.partition(".")[0] for name in sys.modules})
"""
OUTSIDE = {
    *("alembic", "asyncpg", "redis", "boto3", "botocore", "aiobotocore", "obstore", "httpcore2"),
    *("polars", "duckdb", "pyarrow", "pandas", "openai", "anthropic", "jwt", "jsonschema"),
}


def test_serving_imports_no_client_before_it_is_used() -> None:
    ran = subprocess.run([sys.executable, "-c", _SERVING], capture_output=True, text=True)
    assert (ran.returncode, OUTSIDE & set(ran.stdout.split())) == (0, set()), ran.stderr

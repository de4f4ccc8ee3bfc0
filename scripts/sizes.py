"""Files stay small enough to read: no Python file over 400 lines."""

import subprocess
import sys
from pathlib import Path

CAP = 400
LISTED = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard", "*.py"],
    capture_output=True,
    text=True,
    check=True,
).stdout.split()

long = [(n, p) for p in LISTED if (n := len(Path(p).read_text().splitlines())) > CAP]
for lines, path in sorted(long, reverse=True):
    print(f"{path}: {lines} lines, the cap is {CAP}: split it")
sys.exit(bool(long))

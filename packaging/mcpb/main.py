"""What the host starts: the answers of its form become the server's arguments.

Plain arguments cannot hold them: an empty answer would stay behind as an empty argument.
"""

import os
import sys
from collections.abc import Mapping


def arguments(environ: Mapping[str, str]) -> list[str]:
    """The form's answers; what is empty was not answered."""
    told: list[str] = []
    if tenant := environ.get("BUNDLE_TENANT", "").strip():
        told += ["--tenant", tenant]
    if folder := environ.get("BUNDLE_FOLDER", "").strip():
        told += ["--allow-path", folder]
    if environ.get("BUNDLE_READ_ONLY") == "true":
        told.append("--read-only")
    return told


if __name__ == "__main__":
    from tause_mcp.cli import main

    sys.argv[1:] = ["serve", *sys.argv[1:], *arguments(os.environ)]
    main()

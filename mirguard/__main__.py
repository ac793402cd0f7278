"""`python -m mirguard` is `mirguard`."""

import sys

from mirguard.cli import main

sys.exit(main())

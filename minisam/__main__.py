"""`python -m minisam`."""

import sys

from minisam.cli.main import main

sys.exit(main())

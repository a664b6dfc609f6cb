"""For every test."""

import os

# Test networks are tiny: a second thread gains nothing, and collapses when another process wants its core.
os.environ.setdefault("OMP_NUM_THREADS", "1")

"""`python -m kamailio_py.bench`."""

from kamailio_py.bench.command import main

main()

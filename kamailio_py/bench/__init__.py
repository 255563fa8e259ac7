"""Measures what a request costs: CPU time of all server processes, shared memory, ours beside real Kamailio.

`python -m kamailio_py.bench`; what a figure means stands in `measure.py`, the traffic in `traffic.py`. Stands on top of
the house: nothing imports it, and it knows the servers only by their command lines.
"""

"""The `kamshm` command: shared memory seen from outside, of a server that runs, hangs or is dead, or from a copy.

Stands on `shm` alone: whatever is shown is decoded from the directory that the segment carries. Takes no lock, writes
nothing.
"""

"""Functions of the C library that PyPy calls directly, where Python's own way to them costs more than they do.

Only PyPy loads this file, and only what is named `*_pypy.py` or asks first. They are globals of the module, which its
compiler takes for constant. `ffi` is what goes with them.
"""

from __future__ import annotations

import cffi

ffi = cffi.FFI()
ffi.cdef(
    """
    void *sem_open(const char *name, int flags, ...);
    int sem_wait(void *semaphore);
    int sem_post(void *semaphore);
    int sem_close(void *semaphore);
    ssize_t recvfrom(int fd, void *data, size_t size, int flags, void *address, uint32_t *address_size);
    ssize_t sendto(int fd, const void *data, size_t size, int flags, const void *address, uint32_t address_size);
    """
)
_c = ffi.dlopen(None)
sem_open, sem_wait, sem_post, sem_close = _c.sem_open, _c.sem_wait, _c.sem_post, _c.sem_close
recvfrom, sendto = _c.recvfrom, _c.sendto

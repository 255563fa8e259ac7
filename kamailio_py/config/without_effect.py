"""Why a parameter is accepted and changes nothing: what docs/compatibility.md tells a reader beside its name.

Each is the rest of a sentence that begins "it has no effect: ". All but NOT_YET say that it can mean nothing here.
"""

from __future__ import annotations

NOT_YET = "not done yet"
DMQ = "belongs to the dmq module, which is not here yet"
KEMI = "names a function of a KEMI script (Lua, Python, ...); what routes here is the cfg"
MEMORY = "sizes or watches memory of C that Python manages itself: allocators, buffers, lists"
BEFORE_FORKING = "says which process loads what here is loaded before there are processes"
ONE_TIMER = "chooses a timer process; here regular work never shares one with the timers of transactions"
ORACLE = "chooses SQL for Oracle, for which there is no driver here"
REFERENCES = "looks whether a slow route outlived its transaction; here a reference keeps the one it works on"
OPENSSL = "a detail of OpenSSL that Python's ssl module does not reach"
RAW_SOCKETS = "datagrams are sent by the kernel's UDP, not through raw sockets"
SAME = "has no effect in Kamailio 5.6.3 as Debian builds it either"
SCTP = "SCTP is not spoken"
SECOND = "belongs to Kamailio's second database interface (srdb2), which none of these modules uses"
SENDING = "tunes how C waits for sockets and passes them between processes; here every connection has one owner"

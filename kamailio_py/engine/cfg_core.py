"""The variables of the groups `core` and `tcp` that can be changed while the server runs: names, ranges, sentences.

Plain data. A variable is where the global parameter of its name (in group `tcp` with `tcp_` in front) is; one that no
parameter stands for has its value here.
"""

from __future__ import annotations

from typing import Any

from kamailio_py.log import FACILITIES
from kamailio_py.module import CfgVariable

PARAMETERS = {
    "alias_flags": "", "new_conn_alias_flags": "", "async": "tcp_buf_write", "connect_wait": "",
    "max_tls_connections": "tls_max_connections", "wait_data_ms": "tcp_wait_data", "corelog": "corelog",
}  # fmt: skip
"""Variables whose parameter has another name; "" for none."""

DEFAULTS = {"alias_flags": 1, "new_conn_alias_flags": 2, "connect_wait": 1}


def facility(value: int | str) -> str:
    """A facility by its name; ValueError for what is none."""
    name = str(value)
    if name not in FACILITIES:
        raise ValueError(f"invalid log facility: {0 if isinstance(value, int) else name}")
    return name


def ipv6_conflict(cfg: Any, value: int | str) -> str:
    """It was switched off at the start if there is no IPv6 socket, and then stays so."""
    if value and not cfg.dns_try_ipv6:
        return "there is no IPv6 socket to send from: no use in looking for IPv6 addresses"
    return ""


def cache_conflict(cfg: Any, value: int | str) -> str:
    if value and not cfg.dns_cache_init:
        return "DNS cache is turned off by dns_cache_init=0, it cannot be enabled runtime."
    if not value and cfg.use_dns_failover:
        return "DNS failover depends on use_dns_cache, set use_dns_failover to 0 before disabling the DNS cache"
    return ""


def failover_conflict(cfg: Any, value: int | str) -> str:
    if value and not cfg.use_dns_cache:
        return "DNS cache is turned off, failover cannot be enabled. (set use_dns_cache to 1)"
    return ""


def _range(text: str) -> tuple[int | None, int | None]:
    low, _, high = text.partition("..")
    return (int(low), int(high)) if text else (None, None)


def _table(text: str) -> list[CfgVariable]:
    """`name [low..high] [hidden|fixed] - sentence`, one a line."""
    found = []
    for line in text.strip().splitlines():
        words, _, help = line.strip().partition(" - ")
        name, *rest = words.split()
        marks = [word for word in rest if ".." not in word]
        low, high = _range(next((word for word in rest if ".." in word), ""))
        found.append(
            CfgVariable(
                name, help, low=low, high=high, hidden="hidden" in marks, read_only="fixed" in marks,
                parameter=PARAMETERS.get(name), default=DEFAULTS.get(name, 0),
            )
        )  # fmt: skip
    return found


CORE = [
    CfgVariable("debug", "log level"),
    CfgVariable("log_facility", "syslog facility", text=True, hidden=True, check=facility),
    *_table(
        """
        memdbg - log level of memory debugging
        use_dst_blocklist 0..1 hidden - remember destinations that do not answer
        dst_blocklist_expire - seconds an entry of the blocklist stays
        dst_blocklist_mem hidden - most memory of the blocklist, in KB
        dst_blocklist_udp_imask - events that put no UDP destination on the blocklist
        dst_blocklist_tcp_imask - events that put no TCP destination on the blocklist
        dst_blocklist_tls_imask - events that put no TLS destination on the blocklist
        dst_blocklist_sctp_imask - events that put no SCTP destination on the blocklist
        """
    ),
    CfgVariable(
        "dns_try_ipv6", "look for AAAA where there is no A", low=0, high=1, hidden=True, conflict=ipv6_conflict
    ),
    *_table(
        """
        dns_try_naptr 0..1 - look for NAPTR first
        dns_udp_pref - preference of UDP among NAPTRs
        dns_tcp_pref - preference of TCP among NAPTRs
        dns_tls_pref - preference of TLS among NAPTRs
        dns_sctp_pref - preference of SCTP among NAPTRs
        dns_retr_time - seconds until a DNS query is repeated
        dns_slow_query_ms - milliseconds after which a DNS query counts as slow
        dns_retr_no - how often a DNS query is repeated
        dns_servers_no - how many servers of resolv.conf are asked
        dns_use_search_list 0..1 - use the search list of resolv.conf
        dns_search_full_match 0..1 - accept only names of the search list
        dns_reinit 1..1 hidden - read resolv.conf again
        dns_naptr_ignore_rfc - order NAPTRs by our preferences only
        """
    ),
    CfgVariable("use_dns_cache", "use the DNS cache", low=0, high=1, hidden=True, conflict=cache_conflict),
    *_table(
        """
        dns_cache_flags 0..4 - 1: only IPv4, 2: only IPv6, 4: IPv6 first
        """
    ),
    CfgVariable(
        "use_dns_failover",
        "try further addresses when one fails",
        low=0,
        high=1,
        hidden=True,
        conflict=failover_conflict,
    ),
    *_table(
        """
        dns_srv_lb 0..1 - spread requests over SRVs of one priority
        dns_cache_negative_ttl - seconds a name that does not exist is remembered
        dns_cache_min_ttl - shortest time a record is remembered, in seconds
        dns_cache_max_ttl - longest time a record is remembered, in seconds
        dns_cache_mem hidden - most memory of the DNS cache, in KB
        dns_cache_del_nonexp 0..1 - drop living records when the DNS cache is full
        dns_cache_rec_pref 0..3 - which of several records of one name is kept
        mem_dump_pkg - log the private memory of this process id
        mem_dump_shm hidden - log the shared memory
        max_while_loops - most rounds of a while loop
        udp_mtu 0..65535 - largest request sent by UDP, 0 for any
        udp_mtu_try_proto 1..4 - transport for requests that are larger
        udp4_raw -1..1 hidden - send by raw sockets
        udp4_raw_mtu 28..65535 - MTU of raw sockets
        udp4_raw_ttl -1..255 hidden - TTL of raw sockets
        force_rport 0..1 - answer every request to the port it came from
        memlog - log level of memory status
        mem_summary 0..31 - what a memory status says
        mem_safety - check what is freed
        mem_join - join free fragments
        mem_status_mode - 1: a memory status lists everything
        sip_parser_log_oneline - one line for a parse error
        sip_parser_log - log level of parse errors
        corelog - log level of errors of the core
        latency_cfg_log - log level of the time a route took
        latency_log - log level of latency
        latency_limit_db - microseconds after which a query is logged
        latency_limit_action - microseconds after which an action is logged
        latency_limit_cfg - microseconds after which a route is logged
        pv_cache_limit - most pseudo-variables in the cache
        pv_cache_action - 1: drop what is over the limit
        """
    ),
]

TCP = _table(
    """
    connect_timeout -1..134217727 hidden - seconds a connect may take
    send_timeout -1..2147483647 hidden - seconds a send may take
    connection_lifetime -1..2147483647 hidden - seconds a connection without traffic stays
    max_connections 0..2147483647 hidden - most TCP connections
    max_tls_connections 0..2147483647 hidden - most TLS connections
    no_connect 0..1 - open no connections
    fd_cache 0..1 fixed - keep descriptors of connections
    async 0..1 fixed - queue what a connection does not take at once
    connect_wait 0..1 fixed - wait until a connection is made
    conn_wq_max 0..1048576 - most queued bytes of one connection
    wq_max 0..1073741824 - most queued bytes of all connections
    defer_accept 0..3600 fixed - accept when data has come
    delayed_ack 0..1 - delay the ACK of a connection that is opened
    syncnt 0..1024 - how often a SYN is repeated
    linger2 0..3600 - seconds in FIN_WAIT2
    keepalive 0..1 - TCP keepalive
    keepidle 0..86400 - seconds until the first keepalive
    keepintvl 0..86400 - seconds between keepalives
    keepcnt 0..1024 - lost keepalives that end a connection
    crlf_ping 0..1 - answer a double CRLF
    accept_aliases 0..1 - use the alias of a Via
    alias_flags 0..2 - what is done about an alias that exists
    new_conn_alias_flags 0..2 - what is done about an alias of a new connection that exists
    accept_no_cl 0..1 - accept requests without Content-Length
    reuse_port 0..1 - SO_REUSEPORT
    wait_data_ms 0..7200000 - milliseconds the rest of a message may take
    rd_buf_size 512..16777216 - bytes of a read buffer
    wq_blk_size 1..65535 - bytes of a block of a write queue
    """
)

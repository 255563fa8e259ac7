"""The global parameters of the core: names, what values they take, defaults, and whether they mean anything here.

A parameter is known by each of its spellings; its name is the first one, and the name of its attribute in `core.cfg`.
The wording of each error is Kamailio's, which differs from parameter to parameter.
"""

from __future__ import annotations

from kamailio_py.config.without_effect import KEMI, MEMORY, RAW_SOCKETS, SAME, SCTP, SENDING
from kamailio_py.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Parameter:
    """`kind` is what may stand behind the `=`: number, int (may be negative), string, id, word (id or string), tos,
    ipv4, ipv6, host, proto, tls_method, listen, alias.

    `expected` is the error for a value that is none of these (empty: only "syntax error"); `bare` says that the error
    is also given when the `=` is missing. `unused` says why one is accepted and has no effect here.
    """

    names: tuple[str, ...]
    kind: str
    default: int | str | None
    expected: str
    bare: bool = False
    unused: str = ""

    @property
    def name(self) -> str:
        return self.names[0]


def words(text: str) -> list[str]:
    """Words separated by blanks; long lists of names read better this way."""
    return text.split()


_TABLE = {
    ("int", "number  expected", False): """
        debug=0 received_route_mode=0 latency_log=-1 latency_cfg_log=3
    """,
    ("number", "boolean value expected", False): """
        fork=1 log_stderror=0 log_color=0 dns=0 rev_dns=0 check_via=0 phone2tel=1 sip_warning=0 mhomed=0
        disable_tcp=0 tcp_accept_aliases=0 tcp_no_connect=0 tcp_fd_cache=1 tcp_buf_write|tcp_async=1
        tcp_defer_accept=0 tcp_delayed_ack=1 tcp_keepalive=1 tcp_crlf_ping=1 tcp_accept_no_cl=0 tcp_accept_hep3=0
        tcp_accept_haproxy=0 tcp_reuse_port=0 disable_tls|tls_disable=1 enable_tls|tls_enable=0 tls_verify
        tls_require_certificate disable_sctp=2 server_signature=1 reply_to_via=0 auto_aliases=1 disable_core_dump=0
        shm_force_alloc=0 mlock_pages=0 real_time=0 rt_prio=0 rt_policy=0
        rt_timer1_prio|rt_fast_timer_prio|rt_ftimer_prio=0 rt_timer1_policy|rt_ftimer_policy=0
        rt_timer2_prio|rt_stimer_prio=0 rt_timer2_policy|rt_stimer_policy=0 mcast_loopback=0
        http_reply_hack|http_reply_parse=0 verbose_startup=0 force_rport|add_rport=0 local_rport=0
    """,
    ("number", "number expected", False): """
        fork_delay=0 modinit_delay=0 log_prefix_mode=0 port=5060 maxbuffer=262144 sql_buffer_size=65535 children=8
        socket_workers=0 async_workers=0 async_usleep=0 async_nonblock=0 tcp_accept_unique=0 tcp_connection_match=0
        tcp_children tcp_max_connections=2048 tls_max_connections=2048 tcp_syncnt=0 tcp_linger2=0 tcp_keepidle=0
        tcp_keepintvl=0 tcp_keepcnt=0 tcp_clone_rcvbuf=0 tls_port_no=5061 tls_handshake_timeout tls_send_timeout
        sctp_children open_files_limit=-1 shm|shm_mem|shm_mem_size=64 mcast_ttl=-1 exit_timeout|ser_kill_timeout=60
        max_while_loops=100 pv_buffer_size=8192 pv_buffer_slots=40 pv_cache_limit=2048 pv_cache_action=0
        route_locks_size=0 wait_worker1_mode=0 wait_worker1_time=4000000 wait_worker1_usleep=100000 server_id=0
        udp_mtu=0 udp4_raw_mtu=1500 udp4_raw_ttl=-1
    """,
    ("id", "ID expected", False): """
        log_facility
    """,
    ("string", "string value expected", False): """
        log_name log_prefix log_engine_type log_engine_data xavp_via_params xavp_via_fields stats_name_separator
        version_table tls_certificate tls_private_key tls_ca_list server_header user_agent_header
        uri_host_extra_chars hdr_name_extra_chars
    """,
    ("number", "boolean value expected", True): """
        dns_try_ipv6=1 dns_try_naptr=0 dns_srv_lb|dns_srv_loadbalancing=0 dns_use_search_list=1
        dns_search_full_match=1 dns_naptr_ignore_rfc=1 dns_cache_init=1 use_dns_cache=1 use_dns_failover=0
        dns_cache_flags=0 dns_cache_negative_ttl=60 dns_cache_max_ttl=-1 dns_cache_min_ttl=0 dns_cache_mem=500
        dns_cache_gc_interval=120 dns_cache_del_nonexp|dns_cache_delete_nonexpired=0 dns_cache_rec_pref=0
        auto_bind_ipv6=0 bind_ipv6_link_local=0 dst_blocklist_init=1 use_dst_blocklist=0 dst_blocklist_mem=250
        dst_blocklist_expire|dst_blocklist_ttl=60 dst_blocklist_gc_interval=60 tcp_conn_wq_max=32768
    """,
    ("int", "number expected", True): """
        dns_udp_pref|dns_udp_preference=30 dns_tcp_pref|dns_tcp_preference=20 dns_tls_pref|dns_tls_preference=10
        dns_sctp_pref|dns_sctp_preference=20
    """,
    ("number", "number expected", True): """
        dns_retr_time=-1 dns_slow_query_ms=0 dns_retr_no=-1 dns_servers_no=-1 tcp_wq_max=10485760
        tcp_rd_buf_size=16384 tcp_wq_blk_size=2100 pmtu_discovery=0
    """,
    ("string", "string value expected", True): """
        ipv6_hex_style
    """,
    ("number", "number(flags) expected", True): """
        dst_blocklist_udp_imask=0 dst_blocklist_tcp_imask=0 dst_blocklist_tls_imask=0 dst_blocklist_sctp_imask=0
    """,
    ("int", "int value expected", False): """
        ip_free_bind|ipfreebind|ip_nonlocal_bind=0 memlog|mem_log=4 memdbg|mem_dbg=4 mem_summary=12 mem_safety=1
        mem_join=1 mem_status_mode=0 sip_parser_log_oneline=0 sip_parser_log=-1 sip_parser_mode=1
        corelog|core_log=-1
    """,
    ("string", "string expected", False): """
        async_workers_group kemi.onsend_route_callback kemi.reply_route_callback kemi.event_route_callback
        kemi.received_route_callback kemi.pre_routing_callback
    """,
    ("word", "string value expected", False): """
        user|uid group|gid chroot workdir|wdir rundir|run_dir
    """,
    ("int", "number expected", False): """
        tcp_connect_timeout=10 tcp_send_timeout=10 tcp_connection_lifetime=120 tcp_wait_data=5000 tcp_script_mode=0
        udp4_raw=0
    """,
    ("word", "poll method name expected", False): """
        tcp_poll_method
    """,
    ("ipv4", "IPv4 address expected", False): """
        tcp_source_ipv4
    """,
    ("ipv6", "IPv6 address expected", False): """
        tcp_source_ipv6
    """,
    ("number", "int value expected", False): """
        tlslog|tls_log onsend_route_reply=0
    """,
    ("tls_method", "SSLv23, SSLv2, SSLv3 or TLSv1 expected", False): """
        tls_method
    """,
    ("number", "boolean or number expected", False): """
        enable_sctp
    """,
    ("host", "ip address or hostname expected", False): """
        advertised_address
    """,
    ("number", "ip address or hostname expected", False): """
        advertised_port
    """,
    ("word", "string expected", False): """
        mcast
    """,
    ("tos", "number expected", False): """
        tos=16
    """,
    ("number", "", False): """
        max_recursive_level=256 max_branches=12
    """,
    ("number", "number  expected", False): """
        latency_limit_db=0 latency_limit_action=0 latency_limit_cfg=0 msg_time=1
    """,
    ("proto", "TCP, TLS, SCTP or UDP expected", False): """
        udp_mtu_try_proto
    """,
    ("listen", "ip address, interface name or hostname expected", False): "listen",
    ("alias", "hostname expected", False): "alias",
}
"""(kind, expected, bare): names with their numeric defaults."""

_TEXT_DEFAULTS = {
    "log_facility": "LOG_DAEMON",
    "stats_name_separator": "_",
    "version_table": "version",
    "server_header": "Server: kamailio (5.6.3 (x86_64/linux))",
    "user_agent_header": "User-Agent: kamailio (5.6.3 (x86_64/linux))",
    "uri_host_extra_chars": "",
    "hdr_name_extra_chars": "",
    "ipv6_hex_style": "c",
    "kemi.onsend_route_callback": "ksr_onsend_route",
    "kemi.reply_route_callback": "ksr_reply_route",
    "workdir": "/",
    "rundir": "/var/run/kamailio/",
}

_WITHOUT_EFFECT = {
    KEMI: """
        kemi.event_route_callback kemi.onsend_route_callback kemi.pre_routing_callback kemi.received_route_callback
        kemi.reply_route_callback
    """,
    MEMORY: """
        mem_join mem_safety mem_status_mode mem_summary memdbg pv_buffer_size pv_buffer_slots pv_cache_action
        pv_cache_limit shm_force_alloc sql_buffer_size tcp_wq_blk_size
    """,
    SAME: """
        tls_ca_list tls_certificate tls_handshake_timeout tls_method tls_private_key tls_require_certificate
        tls_send_timeout tls_verify tlslog
    """,
    SCTP: "disable_sctp dns_sctp_pref enable_sctp sctp_children",
    SENDING: "tcp_buf_write tcp_clone_rcvbuf tcp_fd_cache tcp_poll_method",
    RAW_SOCKETS: "udp4_raw udp4_raw_mtu udp4_raw_ttl",
    "a log engine is a module (log_custom), which is not here yet": "log_engine_data log_engine_type",
    "the time of a message is looked at when somebody asks for it": "msg_time",
    "what is told of a bad message is one line anyway": "sip_parser_log_oneline",
    "Kamailio 5.6.3 behaves alike with either value, for all that was tried": "sip_parser_mode",
    "tells of trying sizes of socket buffers; here they are set at once": "verbose_startup",
    "the first worker says when it is ready; nobody looks again and again": "wait_worker1_usleep",
    "HEP3 is for the sipcapture module, which is not here yet": "tcp_accept_hep3",
    "the system has no second connection between the same two ends": "tcp_accept_unique",
    "Kamailio 5.6.3 looks up the host of a Via and then compares wrongly: nothing comes of it": "dns",
}
"""Why -> names."""


def _build() -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    unused = {name: why for why, text in _WITHOUT_EFFECT.items() for name in words(text)}
    for (kind, expected, bare), text in _TABLE.items():
        for word in text.split():
            spellings, _, number = word.partition("=")
            names = tuple(spellings.split("|"))
            default = int(number) if number else _TEXT_DEFAULTS.get(names[0])
            found.update(
                dict.fromkeys(names, Parameter(names, kind, default, expected, bare, unused.get(names[0], "")))
            )
    return found


PARAMETERS: dict[str, Parameter] = _build()
"""Every spelling of every parameter."""

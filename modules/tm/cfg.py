"""The variables of tm that cfg.set* may change while the server runs. Times are milliseconds, as in modparam()."""

from __future__ import annotations

from typing import Any

from kamailio_py.module import CfgVariable

TICKS = 16
"""Kamailio's timer ticks in a second; it shows its timers in them."""
LONGEST = 65535


def milliseconds(value: int) -> int:
    """Kamailio takes a negative time for a very long one."""
    return value & 0xFFFFFFFF


def ticks(value: int) -> int:
    return -(-value * TICKS // 1000)


def interval(name: str) -> Any:
    """A check for retransmission intervals, which fit into 16 bits."""

    def check(value: int) -> int:
        # 5.6.3 takes the number for ticks here, and says so
        if not 0 <= value <= LONGEST:
            shown = value & 0xFFFFFFFF
            raise ValueError(
                f"tm init timers - {name} too big: {shown * 1000 // TICKS} ({shown} ticks) - max "
                f"{LONGEST * 1000 // TICKS} ({LONGEST} ticks)"
            )
        return value

    return check


def timer(name: str, help: str, check: Any = milliseconds) -> CfgVariable:
    return CfgVariable(name, help, hidden=True, check=check, shown=ticks)


def switch(name: str, help: str, high: int = 1, *, hidden: bool = False) -> CfgVariable:
    return CfgVariable(name, help, low=0, high=high, hidden=hidden)


CFG_VARIABLES = (
    CfgVariable("auto_inv_100_reason", "reason phrase of the automatic 100", text=True),
    CfgVariable("default_reason", "reason phrase of replies without another one", text=True),
    CfgVariable("ac_extra_hdrs", "prefix of headers that go into local ACK and CANCEL", text=True),
    switch("ruri_matching", "match transactions by the request-URI too"),
    switch("via1_matching", "match transactions by the top Via too"),
    CfgVariable("callid_matching", "match transactions by Call-ID"),
    CfgVariable("callid_cseq_matching", "match transactions by Call-ID and CSeq only"),
    timer("fr_timer", "milliseconds until a branch without a final reply ends"),
    timer("fr_inv_timer", "the same after a provisional reply to an INVITE"),
    CfgVariable("fr_inv_timer_next", "the same for further branches of serial forking", default=30000),
    timer("wt_timer", "milliseconds an ended transaction stays"),
    timer("retr_timer1", "first retransmission interval in milliseconds", interval("retr_timer1")),
    timer("retr_timer2", "longest retransmission interval in milliseconds", interval("retr_timer2")),
    timer("max_inv_lifetime", "longest life of an INVITE transaction in milliseconds"),
    timer("max_noninv_lifetime", "longest life of another transaction in milliseconds"),
    switch("noisy_ctimer", "answer 408 to INVITEs that time out"),
    switch("auto_inv_100", "answer INVITEs with 100 at once"),
    CfgVariable("unix_tx_timeout", "milliseconds a write to a socket of t_write_unix() may take"),
    switch("restart_fr_on_each_reply", "provisional replies start the final response timer again"),
    switch("pass_provisional_replies", "tell modules of provisional replies"),
    switch("aggregate_challenges", "put the challenges of all branches into one reply"),
    switch("unmatched_cancel", "CANCELs without a transaction: 0 stateful, 1 stateless, 2 dropped", 2),
    CfgVariable("default_code", "status of replies without another one", low=400, high=699),
    switch("reparse_invite", "make CANCEL and ACK of the INVITE that was sent"),
    switch("blst_503", "put who answers 503 on the blocklist"),
    CfgVariable("blst_503_def_timeout", "seconds for that without a Retry-After"),
    CfgVariable("blst_503_min_timeout", "fewest seconds for that"),
    CfgVariable("blst_503_max_timeout", "most seconds for that"),
    CfgVariable("blst_methods_add", "methods that put destinations on the blocklist, as bits"),
    CfgVariable("blst_methods_lookup", "methods that look at the blocklist, as bits"),
    switch("cancel_b_method", "a branch without a reply that is cancelled: 0 end, 1 wait, 2 CANCEL", 2, hidden=True),
    switch("reparse_on_dns_failover", "make the request anew for another address", hidden=True),
    switch("disable_6xx_block", "treat 6xx as any other failure"),
    switch("local_ack_mode", "where the ACK of a local INVITE goes", 2),
    switch("local_cancel_reason", "put a Reason into CANCELs of our own"),
    switch("e2e_cancel_reason", "pass the Reason of a CANCEL on"),
    switch("relay_100", "relay 100 replies"),
    switch("enable_uac_fr", "final response timers in branches of our own"),
)

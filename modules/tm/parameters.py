"""The parameters of tm, with Kamailio's names and defaults; times are milliseconds."""

from __future__ import annotations

from kamailio_py.config.without_effect import KEMI, REFERENCES
from kamailio_py.module import Param


class Parameters:
    """What modparam("tm", ...) sets."""

    # matching of requests
    ruri_matching = Param(int, 1)
    via1_matching = Param(int, 1)
    callid_matching = Param(int, 0)
    callid_cseq_matching = Param(int, 0)
    # timers
    fr_timer = Param(int, 30000)
    fr_inv_timer = Param(int, 120000)
    wt_timer = Param(int, 5000)
    retr_timer1 = Param(int, 500)
    retr_timer2 = Param(int, 4000)
    max_inv_lifetime = Param(int, 180000)
    max_noninv_lifetime = Param(int, 32000)
    restart_fr_on_each_reply = Param(int, 1)
    fr_timer_avp = Param(str, "")
    fr_inv_timer_avp = Param(str, "")
    enable_uac_fr = Param(int, 0)
    exec_time_check = Param(int, 5000, unused=REFERENCES)
    # replies made here
    noisy_ctimer = Param(int, 1)
    auto_inv_100 = Param(int, 1)
    auto_inv_100_reason = Param(str, "trying -- your call is important to us")
    default_code = Param(int, 500)
    default_reason = Param(str, "Server Internal Error")
    # replies of others
    relay_100 = Param(int, 0)
    pass_provisional_replies = Param(int, 0)
    aggregate_challenges = Param(int, 1)
    disable_6xx_block = Param(int, 0)
    failure_reply_mode = Param(int, 3)
    failure_exec_mode = Param(int, 0)
    faked_reply_prio = Param(int, 0)
    remap_503_500 = Param(int, 1)
    rich_redirect = Param(int, 0)
    reply_relay_mode = Param(int, 1)
    on_sl_reply = Param(str, "")
    local_ack_mode = Param(int, 0)
    # CANCEL
    unmatched_cancel = Param(int, 0)
    cancel_b_method = Param(int, 1)
    local_cancel_reason = Param(int, 1)
    e2e_cancel_reason = Param(int, 1)
    reparse_invite = Param(int, 1)
    ac_extra_hdrs = Param(str, "")
    # contacts of serial forking
    contacts_avp = Param(str, "")
    contact_flows_avp = Param(str, "")
    xavp_contact = Param(str, "")
    # the FIFO and socket t_write_*() write to
    unix_tx_timeout = Param(int, 500)
    tw_append = Param(str, setter="add_append")
    # DNS failover, blocked destinations; times are seconds
    dns_reuse_rcv_socket = Param(int, 0)
    reparse_on_dns_failover = Param(int, 1)
    blst_503 = Param(int, 0)
    blst_503_def_timeout = Param(int, 0)
    blst_503_min_timeout = Param(int, 0)
    blst_503_max_timeout = Param(int, 3600)
    blst_methods_add = Param(int, 1)
    blst_methods_lookup = Param(int, -9)
    # other scripting languages: there are none here
    event_callback = Param(str, "", unused=KEMI)
    event_callback_lres_sent = Param(str, "", unused=KEMI)

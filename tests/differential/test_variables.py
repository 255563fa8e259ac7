"""Variables that outlive a statement: AVPs, XAVPs, $shv, htables, $var."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene, ask

room = Room(
    "variables",
    params="""
modparam("htable", "htable", "a=>size=4;")
modparam("htable", "htable", "zero=>size=4;initval=0;")
modparam("htable", "htable", "short=>size=4;autoexpire=1;")
modparam("htable", "htable", "b=>size=2;")
modparam("pv", "shvset", "preset=i:5")
modparam("pv", "shvset", "word=s:hello")
modparam("pv", "varset", "start=i:3")
""",
    last='sl_send_reply("200", "done");',
)


@room.case(
    """
route[avps] {
    $avp(a) = 1; $avp(a) = "two"; $avp(a) = 3;
    xlog("L_NOTICE", "$avp(a) | $(avp(a)[0]) $(avp(a)[1]) $(avp(a)[2]) $(avp(a)[-1]) [$(avp(a)[7])] | $(avp(a)[*])\\n");
    $(avp(a)[1]) = "replaced"; xlog("L_NOTICE", "$(avp(a)[*])\\n");
    $(avp(a)[*]) = "only"; xlog("L_NOTICE", "$(avp(a)[*])\\n");
    $avp(a) = $null; xlog("L_NOTICE", "one gone [$avp(a)]\\n");
    $avp(b) = 1; $avp(b) = 2; $(avp(b)[*]) = $null; xlog("L_NOTICE", "all gone [$avp(b)]\\n");
    $avp(s:named) = "by s:"; xlog("L_NOTICE", "$avp(named) $avp(s:named)\\n");
    $avp(i:7) = "by number"; xlog("L_NOTICE", "$avp(i:7) [$avp(7)]\\n");
    $avp(n) = 5; if ($avp(n) > 4) xlog("L_NOTICE", "integer avp\\n");
    $avp(sum) = $avp(n) + 2; xlog("L_NOTICE", "$avp(sum)\\n");
    $avp($rU) = "x"; xlog("L_NOTICE", "$avp(avps)\\n");
}
"""
)
def test_avps(s: Scene) -> None:
    ask(s)


@room.case("""
route[avps_end] { if ($avp(left) == $null) { xlog("L_NOTICE", "none\\n"); } $avp(left) = "over"; }
""")
def test_avps_end(s: Scene) -> None:
    """AVPs of a request without a transaction end with it."""
    ask(s)
    ask(s)


@room.case("""
route[xavps] {
    $xavp(x=>a) = 1; $xavp(x[0]=>b) = "two"; $xavp(x=>c) = "second";
    xlog("L_NOTICE", "top [$xavp(x=>a)] [$xavp(x=>b)] c [$xavp(x=>c)] next [$xavp(x[1]=>a)] [$xavp(x[1]=>b)]\\n");
    xlog("L_NOTICE", "last [$xavp(x[-1]=>a)]\\n");
    $xavp(x[0]=>c) = "changed"; xlog("L_NOTICE", "c $xavp(x=>c) count $cnt($xavp(x))\\n");
    $xavp(x[0]=>c) = $null; xlog("L_NOTICE", "c [$xavp(x=>c)]\\n");
    $xavp(v) = "plain"; xlog("L_NOTICE", "$xavp(v)\\n");
    $xavp(v) = 9; xlog("L_NOTICE", "$xavp(v) $xavp(v[1])\\n");
    $xavp(v[*]) = $null; xlog("L_NOTICE", "[$xavp(v)]\\n");
    if ($xavp(none=>n) == $null) xlog("L_NOTICE", "null\\n");
    xavp_params_explode("k1=v1;k2=v2", "pe"); xlog("L_NOTICE", "$xavp(pe=>k1) $xavp(pe=>k2)\\n");
    $xavp(m=>l) = "a"; $xavp(m[0]=>l) = "b"; xlog("L_NOTICE", "$xavp(m[0]=>l[0]) $xavp(m=>l[1])\\n");
    $xavu(u=>one) = "1"; $xavu(u=>one) = "uno"; $xavu(u=>two) = 2; xlog("L_NOTICE", "$xavu(u=>one) $xavu(u=>two)\\n");
    $xavi(CaSe=>K) = "i"; xlog("L_NOTICE", "$xavi(case=>k)\\n");
}
""")
def test_xavps(s: Scene) -> None:
    ask(s)


@room.case("""
route[shared_variables] {
    xlog("L_NOTICE", "$shv(preset) $shv(word) new [$shv(fresh)] start $var(start)\\n");
    $shv(count) = $shv(count) + 1; $shv(text) = $shv(text) + "x"; $var(start) = $var(start) + 1;
    xlog("L_NOTICE", "count $shv(count) text $shv(text) start $var(start)\\n");
    if ($shv(count) == 3) { $shv(count) = $null; xlog("L_NOTICE", "[$shv(count)]\\n"); }
}
""")
def test_shared_variables(s: Scene) -> None:
    for _ in range(3):
        ask(s)


@room.case("""
route[htables] {
    $sht(a=>k) = "v"; $sht(a=>n) = 5; $sht(a=>$rU) = "dynamic key"; $sht(a=>$rm::$rU) = "joined";
    xlog("L_NOTICE", "$sht(a=>k) $sht(a=>n) $sht(a=>htables) $sht(a=>OPTIONS::htables) none [$sht(a=>none)]\\n");
    $sht(a=>n) = $sht(a=>n) + 3; xlog("L_NOTICE", "$sht(a=>n)\\n");
    $sht(a=>k) = $null; xlog("L_NOTICE", "[$sht(a=>k)]\\n");
    xlog("L_NOTICE", "initval $sht(zero=>x)\\n"); $sht(zero=>x) = $sht(zero=>x) + 1;
        xlog("L_NOTICE", "$sht(zero=>x)\\n");
    xlog("L_NOTICE", "inc $shtinc(zero=>y) $shtinc(zero=>y) dec $shtdec(zero=>y) on a [$shtinc(a=>missing)]\\n");
    xlog("L_NOTICE", "value count $shtcv(a=>k) $shtcn(a=>k)\\n");
    $sht(b=>user::1) = "one"; $sht(b=>user::2) = "two"; $sht(b=>other) = "three";
    xlog("L_NOTICE", "name count $shtcn(b=>~%user) $shtcn(b=>~~^user) $shtcn(b=>~%none) value $shtcv(b=>~%t)\\n");
    sht_rm_name_re("b=>^user"); xlog("L_NOTICE", "[$sht(b=>user::1)] [$sht(b=>other)]\\n");
    sht_reset("b"); xlog("L_NOTICE", "[$sht(b=>other)]\\n");
}
""")
def test_htables(s: Scene) -> None:
    ask(s)


@room.case("""
route[htables_last] {
    $sht(a=>seen) = $sht(a=>seen) + 1;
    xlog("L_NOTICE", "seen $sht(a=>seen)\\n");
    sht_lock("a=>seen"); xlog("L_NOTICE", "locked\\n"); $sht(a=>seen) = $sht(a=>seen) + 10; sht_unlock("a=>seen");
    $sht(a=>locked) = "in"; xlog("L_NOTICE", "unlocked\\n");
    $sht(a=>sx) = "text"; $shtex(a=>sx) = 60; $sht(a=>si) = 77;
    xlog("L_NOTICE", "$sht(a=>sx) $sht(a=>si) $shtex(a=>sx)\\n");
    $shtex(a=>sx) = 30; xlog("L_NOTICE", "$shtex(a=>sx) none [$shtex(a=>nokey)]\\n");
    sht_rm("a", "sx"); xlog("L_NOTICE", "[$sht(a=>sx)]\\n");
    if (sht_has_name("a", "eq", "si")) xlog("L_NOTICE", "has name\\n");
    if (!sht_match_name("a", "sw", "zz")) xlog("L_NOTICE", "no zz\\n");
    if (sht_has_str_value("a", "eq", "in")) xlog("L_NOTICE", "has value\\n");
}
""")
def test_htables_last(s: Scene) -> None:
    ask(s)
    ask(s)


@room.case("""
route[htable_setx] {
    if ($hdr(X-Get) == "1") { xlog("L_NOTICE", "$sht(a=>set_text) $sht(a=>set_int)\\n"); return; }
    if ($hdr(X-Int) == "1") { sht_setxi("a", "set_int", "77", "60"); } else {
        sht_setxs("a", "set_text", "text", "60"); }
    xlog("L_NOTICE", "rc $rc\\n");
}
""")
def test_htable_setx(s: Scene) -> None:
    """sht_setxs() and sht_setxi() return 0 when all went well, and so end the script."""
    alice = s.agent("alice")
    alice.request("OPTIONS")
    alice.request("OPTIONS", headers="X-Int: 1")
    ask(s, "X-Get: 1")


@room.case("""
route[htable_iterator] {
    sht_reset("b"); $sht(b=>one) = "1"; $sht(b=>two) = 2; $sht(b=>three) = "III"; $var(n) = 0; $var(t) = 0;
    sht_iterator_start("i", "b");
    while (sht_iterator_next("i")) {
        $var(n) = $var(n) + 1; $var(t) = $var(t) + $(shtitkey(i){s.len});
        if ($shtitkey(i) == "two") { xlog("L_NOTICE", "two is $shtitval(i)\\n"); sht_iterator_rm("i"); }
    }
    sht_iterator_end("i");
    xlog("L_NOTICE", "$var(n) items, $var(t) characters of keys, [$sht(b=>two)]\\n");
}
""")
def test_htable_iterator(s: Scene) -> None:
    ask(s)


@room.case("""
route[htable_expiry] {
    if ($hdr(X-Step) == "set") { $sht(short=>k) = "soon gone"; $sht(short=>stay) = "kept"; $shtex(short=>stay) = 60; }
    else { xlog("L_NOTICE", "[$sht(short=>k)] [$sht(short=>stay)]\\n"); }
}
""")
def test_htable_expiry(s: Scene) -> None:
    ask(s, "X-Step: set")
    s.agent("bob").listen(2.3)
    ask(s, "X-Step: get")


@room.case("""
route[typed] {
    $var(i) = 5; $var(t) = "5"; $avp(t) = "x";
    if (is_int("$var(i)")) xlog("L_NOTICE", "int\\n");
    if (!is_int("$var(t)")) xlog("L_NOTICE", "not int\\n");
    if (pv_isset("$avp(t)")) xlog("L_NOTICE", "set\\n");
    pv_unset("$avp(t)"); if (!pv_isset("$avp(t)")) xlog("L_NOTICE", "unset\\n");
    if (not_empty("$var(t)")) xlog("L_NOTICE", "not empty\\n");
    if (typeof("$avp(t)", "null")) xlog("L_NOTICE", "null\\n");
    if (typeof("$var(i)", "int")) xlog("L_NOTICE", "typeof int\\n");
    pv_printf("$var(o)", "$rm-$var(i)"); xlog("L_NOTICE", "$var(o)\\n");
    avp_printf("$avp(o)", "<$rU>"); xlog("L_NOTICE", "$avp(o)\\n");
}
""")
def test_typed(s: Scene) -> None:
    ask(s)


@room.case("""
route[cfgutils] {
    xlog("L_NOTICE", "$(var(x){s.len}) $cnt($avp(q))\\n");
    set_gflag("3"); if (is_gflag("3")) xlog("L_NOTICE", "gflag\\n");
    reset_gflag("3"); if (!is_gflag("3")) xlog("L_NOTICE", "no gflag\\n");
    if (core_hash("abc", "", "16")) xlog("L_NOTICE", "hash $rc\\n");
    core_hash("abc", "def", "10"); xlog("L_NOTICE", "hash $rc\\n");
    $var(r) = $RANDOM; if ($var(r) >= 0) xlog("L_NOTICE", "random\\n");
}
""")
def test_cfgutils(s: Scene) -> None:
    ask(s)


@room.case("""
route[var_stays] { $var(kept) = $var(kept) + 1; xlog("L_NOTICE", "kept $var(kept)\\n"); }
""")
def test_var_stays(s: Scene) -> None:
    """$var belongs to the process: the next message finds what the last one left."""
    ask(s)
    ask(s)

"""The language: return codes, loops, switch, operators, conversions, as the script's own log shows them."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene, ask

room = Room("language", last='sl_send_reply("200", "done");')


@room.case("""
route[return_codes] {
    route(RC_NOTHING);    xlog("L_NOTICE", "nothing rc=$rc retcode=$retcode ?=$?\\n");
    route(RC_RETURN);     xlog("L_NOTICE", "return rc=$rc\\n");
    route(RC_FIVE);       xlog("L_NOTICE", "return 5 rc=$rc\\n");
    route(RC_NEGATIVE);   xlog("L_NOTICE", "return -1 rc=$rc\\n");
    route(RC_EXPR);       xlog("L_NOTICE", "expression rc=$rc\\n");
    route(RC_FALSE);      xlog("L_NOTICE", "last statement false rc=$rc\\n");
    route(RC_FUNCTION);   xlog("L_NOTICE", "last function false rc=$rc\\n");
    route(RC_ASSIGN);     xlog("L_NOTICE", "last assignment rc=$rc\\n");
    route(RC_IF);         xlog("L_NOTICE", "last if not taken rc=$rc\\n");
    route(RC_BREAK);      xlog("L_NOTICE", "break rc=$rc\\n");
    route(RC_NESTED);     xlog("L_NOTICE", "nested rc=$rc\\n");
}
route[RC_NOTHING] { ; }
route[RC_RETURN] { xlog("L_NOTICE", "in\\n"); return; }
route[RC_FIVE] { return 5; xlog("L_NOTICE", "never\\n"); }
route[RC_NEGATIVE] { return -1; }
route[RC_EXPR] { $var(x) = 3; return ($var(x) * 2 + 1); }
route[RC_FALSE] { isflagset(7); }
route[RC_FUNCTION] { is_method("INVITE"); }
route[RC_ASSIGN] { $var(x) = 0; }
route[RC_IF] { if ($var(x) == 99) { return -5; } }
route[RC_BREAK] { break; xlog("L_NOTICE", "never\\n"); }
route[RC_NESTED] { if (1) { if (1) { return 17; } } return 18; }
""")
def test_return_codes(s: Scene) -> None:
    ask(s)


@room.case("""
route[rc_is_kept] {
    is_method("INVITE");
    setflag(3);
    $var(a) = 7;
    xlog("L_NOTICE", "after flag and assignment rc=$rc\\n");
    xlog("L_NOTICE", "after xlog rc=$rc\\n");
    $var(r) = is_method("INVITE");
    xlog("L_NOTICE", "assigned false: $var(r)\\n");
    $var(r) = is_method("OPTIONS");
    xlog("L_NOTICE", "assigned true: $var(r)\\n");
    $var(r) = route(RK_FIVE);
    xlog("L_NOTICE", "assigned route: $var(r)\\n");
    $var(r) = (route(RK_FIVE) == 1);
    xlog("L_NOTICE", "route in an expression: $var(r)\\n");
}
route[RK_FIVE] { return 5; }
""")
def test_rc_is_kept(s: Scene) -> None:
    ask(s)


@room.case("""
route[return_zero] {
    xlog("L_NOTICE", "before\\n");
    route(RZ);
    xlog("L_NOTICE", "never\\n");
}
route[RZ] { return 0; }
""")
def test_return_zero(s: Scene) -> None:
    """`return 0` ends the script: no reply, nothing more in the log."""
    s.agent("alice").request("OPTIONS")


@room.case("""
route[exit_nested] {
    $var(i) = 0;
    while ($var(i) < 3) {
        switch ($var(i)) {
            case 1:
                xlog("L_NOTICE", "leaving\\n");
                exit;
            default:
                xlog("L_NOTICE", "round $var(i)\\n");
        }
        $var(i) = $var(i) + 1;
    }
}
""")
def test_exit_nested(s: Scene) -> None:
    s.agent("alice").request("OPTIONS")


@room.case("""
route[drop_request] { if ($ua != $null) { sl_send_reply("202", "with agent"); } drop; sl_send_reply("500", "never"); }
""")
def test_drop_request(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("OPTIONS", headers="User-Agent: test/1")
    alice.expect(202)
    alice.request("OPTIONS")


@room.case("""
route[loops] {
    $var(i) = 0;
    while ($var(i) < 5) { $var(i) = $var(i) + 1; if ($var(i) == 3) { break; } }
    xlog("L_NOTICE", "broken out at $var(i)\\n");
    $var(i) = 0;
    while (1) { $var(i) = $var(i) + 1; }
    xlog("L_NOTICE", "runaway ended at $var(i) rc=$rc\\n");
    $var(i) = 0; $var(n) = 0;
    while ($var(i) < 3) {
        $var(j) = 0;
        while ($var(j) < 4) { $var(n) = $var(n) + 1; $var(j) = $var(j) + 1; if ($var(j) > $var(i)) { break; } }
        $var(i) = $var(i) + 1;
    }
    xlog("L_NOTICE", "inner rounds $var(n)\\n");
    route(LOOP_RETURN);
    xlog("L_NOTICE", "return in a loop rc=$rc i=$var(i)\\n");
}
route[LOOP_RETURN] { $var(i) = 0; while ($var(i) < 9) { $var(i) = $var(i) + 1; if ($var(i) == 4) return 44; }
    return 45; }
""")
def test_loops(s: Scene) -> None:
    ask(s)
    s.note_log("runaway while")


@room.case("""
route[switch_int] {
    $var(i) = 0;
    while ($var(i) < 6) {
        switch ($var(i)) {
            case 1: xlog("L_NOTICE", "$var(i) one\\n"); break;
            case 2: xlog("L_NOTICE", "$var(i) two\\n");
            case 3: xlog("L_NOTICE", "$var(i) three by itself or falling\\n"); break;
            case 4: return 9;
            default: xlog("L_NOTICE", "$var(i) default\\n");
        }
        $var(i) = $var(i) + 1;
    }
}
""")
def test_switch_int(s: Scene) -> None:
    ask(s)


@room.case("""
route[switch_text] {
    $var(n) = 0;
    while ($var(n) < 5) {
        $var(t) = $(hdr(X-Words){s.select,$var(n),,});
        switch ($var(t)) {
            case "abc": xlog("L_NOTICE", "$var(t): exact\\n"); break;
            case /"^ab+$": xlog("L_NOTICE", "$var(t): regex\\n"); break;
            default: xlog("L_NOTICE", "$var(t): default\\n");
        }
        $var(n) = $var(n) + 1;
    }
}
""")
def test_switch_text(s: Scene) -> None:
    ask(s, "X-Words: abc,ABC,abbb,ABB,zz")


@room.case("""
route[precedence] {
    $var(r) = 1 << 2 == 4; xlog("L_NOTICE", "1 << 2 == 4: $var(r)\\n");
    $var(r) = 6 & 3 == 3; xlog("L_NOTICE", "6 & 3 == 3: $var(r)\\n");
    $var(r) = 1 | 2 ^ 3 & 1; xlog("L_NOTICE", "1 | 2 ^ 3 & 1: $var(r)\\n");
    $var(r) = 2 + 3 * 4 - 10 / 3; xlog("L_NOTICE", "2+3*4-10/3: $var(r)\\n");
    $var(r) = -7 / 2; xlog("L_NOTICE", "-7/2: $var(r)\\n");
    $var(r) = -7 mod 2; xlog("L_NOTICE", "-7 mod 2: $var(r)\\n");
    $var(r) = !1 + 1; xlog("L_NOTICE", "!1+1: $var(r)\\n");
    $var(r) = ~5; xlog("L_NOTICE", "~5: $var(r)\\n");
    $var(r) = 1 + 1 == 2 && 3 > 2 || 0; xlog("L_NOTICE", "logic: $var(r)\\n");
    $var(r) = 2147483647 + 1; xlog("L_NOTICE", "overflow: $var(r)\\n");
    $var(r) = 010 + 0x10 + 101b; xlog("L_NOTICE", "bases: $var(r)\\n");
    $var(x) = 7; $var(r) = $var(x) << 3 >> 1; xlog("L_NOTICE", "shifts: $var(r)\\n");
    $var(r) = $var(x) / 0; xlog("L_NOTICE", "division by zero: $var(r)\\n");
}
""")
def test_precedence(s: Scene) -> None:
    ask(s)


@room.case("""
route[conversions] {
    $var(i) = 1; $var(t) = "1"; $avp(u) = $null;
    $var(r) = $var(i) + "2"; xlog("L_NOTICE", "int + text: $var(r)\\n");
    $var(r) = $var(t) + 2; xlog("L_NOTICE", "text + int: $var(r)\\n");
    $var(r) = $avp(u) + 1; xlog("L_NOTICE", "unset + 1: $var(r)\\n");
    $var(r) = $avp(u) - 1; xlog("L_NOTICE", "unset - 1: $var(r)\\n");
    $var(r) = "a" + 1; xlog("L_NOTICE", "a + 1: $var(r)\\n");
    if ($avp(u) == 0) xlog("L_NOTICE", "unset == 0\\n");
    if ($avp(u) == "") xlog("L_NOTICE", "unset == empty\\n");
    if ($avp(u) == $null) xlog("L_NOTICE", "unset == null\\n");
    if ($var(never) == 0) xlog("L_NOTICE", "var never set == 0\\n");
    if ($var(never) == $null) xlog("L_NOTICE", "var never set == null\\n");
    if (defined $var(never)) xlog("L_NOTICE", "var never set is defined\\n");
    $var(z) = "007"; $var(s) = 7;
    if ($var(z) == 7) xlog("L_NOTICE", "007 == 7\\n"); else xlog("L_NOTICE", "007 is not 7\\n");
    if ($var(s) == "007") xlog("L_NOTICE", "7 == 007\\n"); else xlog("L_NOTICE", "7 is not 007\\n");
    $var(r) = (int)"31" + 1; xlog("L_NOTICE", "cast int: $var(r)\\n");
    $var(r) = (str)$var(s) + "x"; xlog("L_NOTICE", "cast str: $var(r)\\n");
    $var(e) = "";
    if ($var(e)) xlog("L_NOTICE", "empty is true\\n"); else xlog("L_NOTICE", "empty is false\\n");
    if ($hdr(X-Num) > 5) xlog("L_NOTICE", "header > 5\\n"); else xlog("L_NOTICE", "header not > 5\\n");
    $var(r) = $hdr(X-Num) * 2; xlog("L_NOTICE", "header * 2: $var(r)\\n");
    $var(r) = strlen($rU) + 0; xlog("L_NOTICE", "strlen: $var(r)\\n");
    if (strempty($var(e))) xlog("L_NOTICE", "strempty\\n");
    if ($rU) xlog("L_NOTICE", "word is true\\n"); else xlog("L_NOTICE", "word is false\\n");
    $var(r) = selval($var(i) == 1, "yes", "no"); xlog("L_NOTICE", "selval: $var(r)\\n");
    $var(r) = "12abc"; $var(q) = $var(i) + $var(r); xlog("L_NOTICE", "1 + 12abc: $var(q)\\n");
}
""")
def test_conversions(s: Scene) -> None:
    ask(s, "X-Num: 21")


@room.case("""
route[regex] {
    if ($ua =~ "^friendly") xlog("L_NOTICE", "starts with, any case\\n");
    if ($ua =~ "scanner$") xlog("L_NOTICE", "ends with\\n");
    if ($ua =~ "[0-9]+\\.[0-9]+") xlog("L_NOTICE", "digits dot digits\\n");
    if (!($ua =~ "x{3}")) xlog("L_NOTICE", "no three x\\n");
    if ($ua =~ "(nmap|sip)[[:alpha:]]*") xlog("L_NOTICE", "class\\n");
    $var(re) = "7\\.5";
    if ($ua =~ $var(re)) xlog("L_NOTICE", "from a variable\\n");
    if ($hdr(None) =~ "^$") xlog("L_NOTICE", "null matches empty\\n");
    if ($hdr(None) =~ ".") xlog("L_NOTICE", "null matches dot\\n");
    if ($hdr(X-Fold) =~ "one.+two") xlog("L_NOTICE", "folded\\n");
}
""")
def test_regex(s: Scene) -> None:
    ask(s, "User-Agent: Friendly-SIP 7.5 scanner\nX-Fold: one\n  two")


@room.case("""
#!define ANSWER 42
#!define GREETING "hello"
#!define TWICE ANSWER
#!substdef "!NAME!world!g"
#!trydef ANSWER 43
route[preprocessor] {
    xlog("L_NOTICE", "NAME of " "two " "pieces\\n");
    $var(a) = ANSWER; $var(b) = TWICE + 1; $var(c) = GREETING;
    xlog("L_NOTICE", "$var(a) $var(b) $var(c) ANSWER\\n");
#!ifdef ANSWER
    xlog("L_NOTICE", "defined\\n");
#!ifdef NOT_THIS
    xlog("L_NOTICE", "never $undefined(\\n
#!else
    xlog("L_NOTICE", "else\\n");
#!endif
#!endif
#!ifndef ANSWER
    syntax error here
#!endif
    /* nested /* comment */ still */
    xlog("L_NOTICE", 'raw\\n "quoted" \\x41
');
    xlog("L_NOTICE", "escapes A\\x41 \\"q\\" \\\\ tab\\tend \\e\\n");
}
""")
def test_preprocessor(s: Scene) -> None:
    ask(s)


@room.case("""
route[operands] {
    if (method == "OPTIONS") xlog("L_NOTICE", "method\\n");
    if (uri == myself) xlog("L_NOTICE", "uri myself\\n");
    if (from_uri == myself) xlog("L_NOTICE", "from myself\\n"); else xlog("L_NOTICE", "from not myself\\n");
    if (src_ip == 127.0.0.0/8) xlog("L_NOTICE", "net\\n");
    if (src_ip == 10.0.0.0/8) xlog("L_NOTICE", "other net\\n");
    if (src_ip == myself) xlog("L_NOTICE", "src myself\\n");
    if (proto == UDP) xlog("L_NOTICE", "udp\\n");
    if (af == INET) xlog("L_NOTICE", "inet\\n");
    if (uri =~ "operands@") xlog("L_NOTICE", "uri regex\\n");
    if (not is_method("INVITE") and uri == myself) xlog("L_NOTICE", "words\\n");
    if (msg:len > 4000) xlog("L_NOTICE", "big\\n"); else xlog("L_NOTICE", "small\\n");
    if ($rd == "127.0.0.1" || route(OP_NEVER)) xlog("L_NOTICE", "short circuit\\n");
    if ($rd == "nowhere" && route(OP_NEVER)) { ; }
}
route[OP_NEVER] { xlog("L_NOTICE", "must not run\\n"); return 1; }
""")
def test_operands(s: Scene) -> None:
    ask(s)


@room.case("""
route[message_flags] {
    setflag(1); setflag(31); setbflag(3); setsflag(2);
    if (isflagset(1)) xlog("L_NOTICE", "1 set $mf $mF\\n");
    resetflag(1);
    if (!isflagset(1)) xlog("L_NOTICE", "1 reset $mf\\n");
    if (isbflagset(3)) xlog("L_NOTICE", "b3 set $bf $bF\\n");
    resetbflag(3);
    xlog("L_NOTICE", "bf $bf sf $sf $sF\\n");
    $mf = 5; if (isflagset(0) && isflagset(2)) xlog("L_NOTICE", "by assignment\\n");
    isflagset(9); xlog("L_NOTICE", "rc of a core function $rc\\n");
}
""")
def test_message_flags(s: Scene) -> None:
    ask(s)


@room.case("""
route[dynamic] {
    $var(n) = "DYN_" + $hdr(X-Which);
    route($var(n));
    xlog("L_NOTICE", "rc=$rc\\n");
    if (route(DYN_B)) xlog("L_NOTICE", "true\\n"); else xlog("L_NOTICE", "false\\n");
    if (check_route_exists("DYN_A")) { route_if_exists("DYN_A"); }
    if (!check_route_exists("DYN_Z")) { xlog("L_NOTICE", "no Z\\n"); }
}
route[DYN_A] { xlog("L_NOTICE", "A\\n"); return 2; }
route[DYN_B] { xlog("L_NOTICE", "B\\n"); return -2; }
""")
def test_dynamic(s: Scene) -> None:
    ask(s, "X-Which: A")


@room.case("""
route[recursion] { $var(depth) = 0; route(DEEPER); xlog("L_NOTICE", "depth $var(depth) rc=$rc\\n"); }
route[DEEPER] { $var(depth) = $var(depth) + 1; if ($var(depth) < 40) { route(DEEPER); } return $var(depth); }
""")
def test_recursion(s: Scene) -> None:
    ask(s)


@room.case("""
route[recursion_limit] { $var(depth) = 0; route(ENDLESS); xlog("L_NOTICE", "back\\n"); }
route[ENDLESS] { $var(depth) = $var(depth) + 1; route(ENDLESS); }
""")
def test_recursion_limit(s: Scene) -> None:
    """Depth itself is the parser's nesting; that the server survives and goes on is what counts."""
    ask(s)
    s.note_log("too many recursive routing")


@room.case("""
route[nulls] {
    xlog("L_NOTICE", "missing header [$hdr(X-Not)] avp [$avp(x)] var [$var(q)] null [$null]\\n");
    $var(q) = "set"; $var(q) = $null; xlog("L_NOTICE", "var after null [$var(q)]\\n");
    $avp(x) = "a"; $avp(x) = $null; xlog("L_NOTICE", "avp after null [$avp(x)]\\n");
    if (!defined $avp(x)) xlog("L_NOTICE", "not defined\\n");
    if ($du == $null) xlog("L_NOTICE", "du null\\n");
    if ($(hdr(X-Not){s.len}) == 0) xlog("L_NOTICE", "length of nothing\\n");
    $var(c) = "[" + $hdr(X-Not) + "]"; xlog("L_NOTICE", "concatenated $var(c)\\n");
}
""")
def test_nulls(s: Scene) -> None:
    ask(s)


@room.case("""
route[while_conditions] {
    $var(n) = 3;
    while ($var(n) > 0 && !($var(stop) == 1)) { xlog("L_NOTICE", "n=$var(n)\\n"); $var(n) = $var(n) - 1;
        if ($var(n) == 1) { $var(stop) = 1; } }
    if $var(n) == 1 { xlog("L_NOTICE", "no parentheses\\n"); }
    if ($var(n) == 2) { xlog("L_NOTICE", "two\\n"); } else if ($var(n) == 1) { xlog("L_NOTICE", "one\\n"); }
    else { xlog("L_NOTICE", "else\\n"); }
    $var(stop) = 0;
}
""")
def test_while_conditions(s: Scene) -> None:
    ask(s)

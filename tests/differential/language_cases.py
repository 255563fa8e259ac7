# ruff: noqa: E501  # a table of script text
"""Cases of the language: expressions, conditions and bodies of routes, each run by itself after SETUP."""

from __future__ import annotations

SETUP = """
    $var(i) = 7; $var(zero) = 0; $var(neg) = -8; $var(max) = 2147483647; $var(one) = 1;
    $var(s) = "abc"; $var(n) = "42"; $var(e) = ""; $var(hex) = "0x1F"; $var(oct) = "017"; $var(sp) = " 12";
    $var(mixed) = "12abc"; $var(signed) = "-5"; $var(plus) = "+5"; $var(long) = "99999999999"; $var(minus) = "-";
    $var(bigger) = "2147483648"; $var(hexneg) = "-0x1f"; $var(after) = "5 "; $var(seven) = "007"; $var(re) = "^a.c$";
    $var(loop) = 0; $var(d) = 0;
    $avp(i) = 5; $avp(s) = "text"; $avp(e) = "";
"""

EXPRESSIONS = r"""
1 + 2 * 3 - 10 / 3
-7 / 2
-7 mod 2
7 mod -2
$var(neg) / 3
$var(neg) mod 3
1 << 2 == 4
6 & 3 == 3
1 | 2 ^ 3 & 1
!1 + 1
!$var(i) + ~$var(i)
-$var(i) * -2
- -$var(i)
~5
1 << 33
1 << $var(i)
$var(one) << 33
$var(one) << $var(neg)
$var(neg) >> 1
$var(neg) >> 33
$var(max) + 1
$var(max) * 2
$var(max) * $var(max)
-2147483647 - 2
$var(i) + "2"
$var(i) + $var(n)
$var(i) + $var(s)
$var(n) + 2
$var(n) + $var(i)
"a" + 1
"a" + 1 + 2
"a" + $var(i) + "b" + $avp(none) + "c" + $avp(i)
$avp(none) + 1
$avp(none) - 1
$avp(none) + $avp(none)
$avp(i) + 1
$avp(s) + 1
$avp(s) - 1
$var(e) + 1
$var(s) * 2
$var(n) * 2
$var(n) - $var(oct)
(int)$var(hex)
(int)$var(oct)
(int)$var(sp)
(int)$var(mixed)
(int)$var(signed)
(int)$var(plus)
(int)$var(long)
(int)$var(bigger)
(int)$var(minus)
(int)$var(hexneg)
(int)$var(after)
(int)$var(e)
(int)$avp(none)
(int)"12"
(str)5 + 1
(str)$var(i) + 1
(str)$avp(none) + "x"
strlen($var(s))
strlen($avp(none))
strlen("abc" + $var(i))
strempty($var(e))
strempty($avp(none))
strempty($var(i))
defined $avp(none)
defined $avp(e)
defined $var(never)
defined ($avp(none) + 1)
!defined $avp(none)
$var(i) == 7
$var(i) == "007"
$var(seven) == 7
$var(i) == $var(seven)
$var(seven) == $var(i)
$var(zero) == $var(s)
$var(zero) == "abc"
$var(s) == "abc"
$var(s) == "ABC"
$avp(none) == 0
$avp(none) == ""
$avp(none) == "x"
$avp(none) == 1
$avp(none) == $null
$avp(i) == $null
$avp(i) != $null
$var(never) == $null
$avp(none) == $avp(other)
$avp(none) == $avp(e)
$avp(none) != 0
$avp(none) != ""
$avp(none) != "x"
0 == $avp(none)
"" == $avp(none)
7 == $var(seven)
"7" == $var(i)
$avp(e) == ""
$avp(e) == 0
$avp(s) != "text"
$var(i) eq "007"
$var(i) eq "7"
$var(i) ne "7"
$var(seven) ieq $var(i)
$var(seven) ine $var(i)
$var(s) > 0
$var(s) >= 0
$var(n) > 41
$var(i) < $var(n)
$var(i) <= 7
$avp(none) < 1
$var(s) =~ "^A.C$"
$var(s) =~ "b"
$var(s) =~ "^b"
$var(s) =~ $var(re)
$var(i) =~ "7"
$avp(none) =~ "^$"
"abc" =~ "a(b|x)c"
$var(s) =~ "[[:alpha:]]+"
$var(i) && $var(zero)
$var(i) && $var(n)
$var(zero) || $var(i)
$var(zero) || $avp(none)
$var(s) && 1
$avp(none) && 1
!$avp(none)
!$var(s)
!$var(e)
$var(i) and not $var(zero)
$var(zero) or $var(one) and $var(zero)
$var(zero) && 1/$var(zero)
$var(i) || 1/$var(zero)
1/$var(zero) || $var(i)
1/$var(zero)
5 mod $var(zero)
(1/$var(zero)) + 5
5 && (1/$var(zero))
!(1/$var(zero))
selval($var(i), "yes", "no")
selval($var(zero), "yes", "no")
selval($var(neg), 1, 2)
selval($var(i) == 7, $var(s), 5) + 1
is_method("INVITE")
is_method("MESSAGE")
is_method("MESSAGE") + 5
is_method("INVITE") + 5
!is_method("INVITE")
is_method("MESSAGE") && is_method("INVITE")
is_method("INVITE") || is_method("MESSAGE")
route(FIVE)
route(NEGATIVE)
route(FIVE) + 5
route(NEGATIVE) + 5
-route(FIVE)
(int)route(NEGATIVE)
(str)route(FIVE)
{ return 9; }
{ return 9; } + 1
{ break; }
{ is_method("INVITE"); }
{ $var(z) = 4; }
isflagset(4)
setflag(4)
method == "MESSAGE"
method == "message"
method == MESSAGE
method =~ "^mess"
method != "INVITE"
uri == "sip:nobody@example.org"
uri =~ "^SIP:"
from_uri =~ "alice@"
to_uri == "SIP:BOB@example.test"
src_ip == 127.0.0.1
src_ip == 127.0.0.0/8
src_ip == 10.0.0.0/255.0.0.0
src_ip != 127.0.0.1
src_ip == "127.0.0.1"
src_ip == $si
src_ip =~ "^127"
src_ip == myself
dst_ip == myself
dst_ip == 127.0.0.1
uri == myself
uri != myself
from_uri == myself
myself == uri
proto == UDP
proto == TCP
proto == 1
af == INET
af == INET6
msg:len > 100
msg:len < 100
src_port == $sp
dst_port == $Rp
dst_port < 10
"lit $rm x"
"a" "b" + "c"
'raw\n$rm'
0x10 + 010 + 101b
yes + on + true + enable
2147483647 + 1
10 > 5 > 3
1 == 1 == 1
$var(i) == 7 && $var(n) == "42" || $var(s) == "x"
"""

BODIES = {
    "string condition": 'if ($var(s)) xlog("true\\n"); else xlog("false\\n");',
    "numeric string condition": 'if ($var(n)) xlog("true\\n"); else xlog("false\\n");',
    "null condition": 'if ($avp(none)) xlog("true\\n"); else xlog("false\\n");',
    "condition without a value": 'if (1/$var(zero)) xlog("true\\n"); else xlog("false\\n");',
    "negated without a value": 'if (!(1/$var(zero))) xlog("true\\n"); else xlog("false\\n");',
    "bad regex": '$var(re) = "a("; if ($var(s) =~ $var(re)) xlog("true\\n"); else xlog("false\\n");',
    "negative call": 'if (route(NEGATIVE)) xlog("true $rc\\n"); else xlog("false $rc\\n");',
    "negated negative call": 'if (!route(NEGATIVE)) xlog("true $rc\\n"); else xlog("false $rc\\n");',
    "break route in condition": 'if (route(BREAKS)) xlog("true $rc\\n"); else xlog("false $rc\\n");',
    "return 0 in condition": 'if (route(ZERO)) xlog("true $rc\\n"); else xlog("false $rc\\n"); xlog("not here\\n");',
    "return 0": 'route(ZERO); xlog("not here\\n");',
    "exit in a route": 'route(EXITS); xlog("not here\\n");',
    "exit in a condition": 'if (!route(EXITS)) { xlog("not here\\n"); } xlog("not here\\n");',
    "drop in a route": 'route(DROPS); xlog("not here\\n");',
    "exit in a block expression": '$var(x) = { exit; }; xlog("not here\\n");',
    "return 0 in a block expression": '$var(x) = { return 0; }; xlog("not here\\n");',
    "return in a block expression": '$var(x) = { if ($var(i) == 7) { return 3; } return 4; }; xlog("$var(x)\\n");',
    "rc after core functions": 'is_method("INVITE"); setflag(3); $var(x) = 1; isflagset(3); xlog("$rc\\n");',
    "rc after if": 'if (is_method("MESSAGE")) { setflag(3); } xlog("$rc\\n");',
    "rc after expression": '$var(x) = is_method("MESSAGE") + 1; xlog("$rc\\n");',
    "result nothing": "; ",
    "result function": 'is_method("INVITE");',
    "result flag": "isflagset(9);",
    "result reset flag": "resetflag(9);",
    "result assignment": "$var(x) = 0;",
    "result failed assignment": "$var(x) = 1/$var(zero);",
    "result failed avp assignment": "$avp(x) = 1/$var(zero);",
    "result if not taken": 'is_method("INVITE"); if ($var(zero)) { is_method("INVITE"); }',
    "result if taken": 'if ($var(i)) { is_method("INVITE"); }',
    "result else": "if ($var(zero)) { $var(x) = 1; } else { isflagset(9); }",
    "result nested if": "if ($var(i)) { if ($var(zero)) { isflagset(9); } }",
    "result else if": "if ($var(zero)) { $var(x) = 1; } else if ($var(i)) { isflagset(9); } else { $var(x) = 1; }",
    "result while": '$var(i) = 0; while ($var(i) < 2) { $var(i) = $var(i) + 1; is_method("INVITE"); }',
    "result while not run": "while ($var(zero)) { isflagset(9); }",
    "result while break": 'while ($var(i)) { is_method("INVITE"); break; }',
    "result while break in if": 'while ($var(i)) { is_method("INVITE"); if ($var(i)) { break; } }',
    "result while return": "while ($var(i)) { return 7; }",
    "result while condition without a value": 'while (1/$var(zero)) { is_method("INVITE"); }',
    "result runaway": "while ($var(i)) { $var(loop) = $var(loop) + 1; }",
    "runaway goes on": 'while ($var(i)) { $var(loop) = $var(loop) + 1; } xlog("$var(loop)\\n");',
    "runaway over lines": 'while ($var(i)\n > 0)\n {\n $var(loop) = $var(loop) + 1;\n }\n xlog("$var(loop)\\n");',
    "while counts": 'while ($var(loop) < 5) { $var(loop) = $var(loop) + 1; if ($var(loop) == 3) break; } xlog("$var(loop)\\n");',
    "nested while": """
        $var(a) = 0;
        while ($var(a) < 3) {
            $var(b) = 0;
            while ($var(b) < 3) { if ($var(b) == 2) break; $var(b) = $var(b) + 1; xlog("$var(a) $var(b)\\n"); }
            $var(a) = $var(a) + 1;
        }""",
    "return from nested while": "while ($var(i)) { while ($var(i)) { return 12; } }",
    "switch in while": """
        while ($var(loop) < 4) {
            $var(loop) = $var(loop) + 1;
            switch ($var(loop)) { case 2: xlog("two\\n"); break; case 3: xlog("three\\n"); if ($var(i)) break; xlog("no\\n"); }
            xlog("after $var(loop)\\n");
        }""",
    "switch falls through": """
        switch ($var(one)) { case 0: xlog("0\\n"); case 1: xlog("1\\n"); case 2: xlog("2\\n"); break; case 3: xlog("3\\n"); }""",
    "switch shared labels": 'switch ($var(i)) { case 6: case 7: case 8: xlog("found\\n"); break; default: xlog("default\\n"); }',
    "switch default in the middle": """
        switch ($var(i)) { case 1: xlog("1\\n"); break; default: xlog("d\\n"); break; case 2: xlog("2\\n"); }""",
    "switch default falls through": """
        switch ($var(i)) { case 1: xlog("1\\n"); break; default: xlog("d\\n"); case 2: xlog("2\\n"); }""",
    "switch default with label": 'switch ($var(i)) { case 1: default: xlog("d\\n"); break; case 2: xlog("2\\n"); }',
    "switch string on int": 'switch ($var(i)) { case "7": xlog("seven\\n"); break; default: xlog("default\\n"); }',
    "switch int on string": 'switch ($var(n)) { case 42: xlog("found\\n"); break; default: xlog("default\\n"); }',
    "switch int on no number": 'switch ($var(s)) { case 0: xlog("zero\\n"); break; default: xlog("default\\n"); }',
    "switch string": 'switch ($var(s)) { case "ABC": xlog("big\\n"); break; case "abc": xlog("small\\n"); }',
    "switch regex": """
        switch ($var(s)) { case /"^A": xlog("big\\n"); break; case "abd": xlog("no\\n"); case /"^a.c$": xlog("re\\n"); break; }""",
    "switch null": 'switch ($avp(none)) { case "": xlog("empty\\n"); break; default: xlog("default\\n"); }',
    "switch without a value": 'switch (1/$var(zero)) { case 0: xlog("zero\\n"); break; default: xlog("default\\n"); }',
    "result switch": 'switch ($var(i)) { case 7: is_method("INVITE"); }',
    "result switch break": 'switch ($var(i)) { case 7: is_method("INVITE"); break; }',
    "result switch no match": 'is_method("INVITE"); switch ($var(i)) { case 1: isflagset(9); }',
    "result switch default": "switch ($var(i)) { case 1: $var(x) = 1; break; default: isflagset(9); }",
    "result switch break in if": "switch ($var(i)) { case 7: if ($var(i)) { break; } isflagset(9); }",
    "result switch fall through": "switch ($var(one)) { case 1: $var(x) = 1; case 2: isflagset(9); }",
    "result break": 'is_method("MESSAGE"); break;',
    "result break in if": 'if ($var(i)) { break; } xlog("not here\\n");',
    "result route": "route(NEGATIVE);",
    "result return": 'is_method("INVITE"); return;',
    "result return expression": "return $var(i) * 2 + 1;",
    "result return negative": "return -(3);",
    "result return call": 'return is_method("MESSAGE");',
    "return false call exits": 'return is_method("INVITE");',
    "result return comparison": "return $var(i) == 7;",
    "return false comparison exits": "return $var(i) == 8;",
    "result return string": "return $var(n);",
    "result return without a value": "return 1/$var(zero);",
    "exit without a value": "exit 1/$var(zero);",
    "assignment of calls": """
        $var(x) = is_method("INVITE"); xlog("$var(x)\\n"); $var(x) = is_method("MESSAGE"); xlog("$var(x)\\n");
        $var(x) = route(FIVE); xlog("$var(x)\\n"); $avp(x) = route(NEGATIVE); xlog("$avp(x)\\n");""",
    "assignment of null": """
        $var(s) = $avp(none); xlog("[$var(s)]\\n"); $avp(s) = $avp(none); xlog("[$avp(s)]\\n");
        $var(i) = $null; xlog("[$var(i)]\\n"); $avp(i) = $null; xlog("[$avp(i)]\\n");""",
    "assignment of conditions": """
        $var(x) = $var(i) == 7; xlog("$var(x)\\n"); $avp(x) = $var(i) > 7 || $var(s) =~ "b"; xlog("$avp(x)\\n");""",
    "dynamic route": """
        $var(r) = "FIVE"; route($var(r)); xlog("$rc\\n"); route("FI" + "VE"); xlog("$rc\\n"); route(1+1); xlog("$rc\\n");
        $var(r) = "NOSUCH"; route($var(r)); xlog("$rc\\n"); $var(x) = route($var(r)); xlog("$var(x)\\n");
        if (route($var(r))) xlog("true\\n"); else xlog("false\\n");""",
    "result dynamic route": '$var(r) = "NOSUCH"; route($var(r));',
    "recursion": 'route(RECURSIVE); xlog("$var(d) $rc\\n");',
    "recursion through another": 'route(PING); xlog("$var(d) $rc\\n");',
    "recursion in a condition": 'route(DEEPER); xlog("$var(d) $rc\\n");',
    "recursion in an assignment": 'route(ASSIGNS); xlog("$var(d) $rc\\n");',
    "recursion in a block expression": 'route(BLOCKS); xlog("$var(d) $rc\\n");',
    "short circuit": """
        if (is_method("MESSAGE") || route(SAYS)) xlog("true\\n"); if (is_method("INVITE") && route(SAYS)) xlog("true\\n");
        if (route(SAYS) && is_method("INVITE") || route(SAYS)) xlog("end $rc\\n");""",
    "exit value": "exit 5;",
    "drop value": "drop 5;",
    "else without braces": 'if ($var(zero)) xlog("a\\n"); else if ($var(i)) xlog("b\\n"); else xlog("c\\n");',
    "condition without parentheses": 'if $var(i) == 7 xlog("seven\\n"); while $var(loop) < 2 $var(loop) = $var(loop) + 1; xlog("$var(loop)\\n");',
    "flags": 'setflag(31); if (isflagset(31)) xlog("set $mf\\n"); resetflag(31); if (!isflagset(31)) xlog("reset $mf\\n");',
    "sethost": 'rewritehost("new.host"); xlog("$ru\\n"); rewritehostport("a.b:7000"); xlog("$ru\\n");',
    "sethostporttrans": '$ru = "sip:a:pw@b:5070;transport=tcp;maddr=1.2.3.4?h=v"; rewritehostporttrans("c:7;transport=udp"); xlog("$ru\\n");',
    "setuser": """
        $ru = "sip:a:pw@b:5070;x=y?h=v"; rewriteuser("bob"); xlog("$ru\\n"); rewriteuserpass("carl:x"); xlog("$ru\\n");
        rewriteuserpass("dave"); xlog("$ru\\n"); rewriteuser(""); xlog("$ru\\n"); rewriteuser("$rm"); xlog("$ru\\n");""",
    "setport": '$ru = "sip:a@b:5070"; rewriteport("1"); xlog("$ru\\n"); rewriteport(""); xlog("$ru\\n");',
    "seturi": 'rewriteuri("sip:x@y"); xlog("$ru $rc\\n"); revert_uri(); xlog("$rU\\n");',
    "prefix and strip": """
        $ru = "sip:abcdef:pw@h.org"; prefix("12"); xlog("$ru\\n"); strip(3); xlog("$ru\\n"); strip_tail(1); xlog("$ru\\n");
        strip(9); xlog("$ru\\n"); prefix("12"); strip_tail(9); xlog("$ru\\n"); strip(1); xlog("$ru\\n");""",
    "userphone": '$ru = "sip:1@h;x=1?a=b"; userphone(); xlog("$ru\\n"); userphone(); xlog("$ru\\n"); $ru = "sip:h"; userphone(); xlog("$ru\\n");',
    "telephone numbers": '$ru = "tel:+123;phone-context=a"; prefix("9"); xlog("$ru\\n"); rewritehost("x"); xlog("$ru\\n");',
    "sips": '$ru = "sips:a@b"; rewritehost("x"); xlog("$ru\\n"); $ru = "sip:a@[::1]:5060"; rewriteuser("x"); xlog("$ru\\n");',
    "bad uri": 'rewriteuri("bad"); if (rewritehost("q")) xlog("true\\n"); else xlog("false\\n"); revert_uri(); xlog("$rU\\n");',
    "switches": """
        $var(x) = force_rport(); xlog("$var(x)\\n"); $var(x) = set_advertised_address("9.9.9.9"); xlog("$var(x)\\n");
        $var(x) = force_tcp_alias(); xlog("$var(x)\\n"); $var(x) = set_reply_close(); xlog("$var(x)\\n");
        $var(x) = udp_mtu_try_proto(TCP); xlog("$var(x)\\n"); $var(x) = clear_branches(); xlog("$var(x)\\n");""",
    "flags of AVPs": """
        $var(x) = isavpflagset("s:i", first); xlog("$var(x)\\n"); $var(x) = setavpflag("s:i", first); xlog("$var(x)\\n");
        $var(x) = isavpflagset("s:i", first); xlog("$var(x)\\n"); $var(x) = isavpflagset("s:i", second); xlog("$var(x)\\n");
        $var(x) = setavpflag("s:none", first); xlog("$var(x)\\n"); resetavpflag("s:i", first);
        $var(x) = isavpflagset("s:i", first); xlog("$var(x)\\n");""",
    "log": 'log("one\\n"); log(1, "two\\n"); error("a", "b"); $var(x) = log("x"); xlog("$var(x)\\n");',
}

ROUTES = """
route[FIVE] { return 5; }
route[2] { return 4; }
route[NEGATIVE] { return -1; }
route[ZERO] { return 0; }
route[BREAKS] { break; }
route[EXITS] { exit; }
route[DROPS] { drop; }
route[SAYS] { xlog("said\\n"); return 1; }
route[RECURSIVE] { $var(d) = $var(d) + 1; if ($var(d) < 1000) { route(RECURSIVE); } return 2; }
route[DEEPER] { $var(d) = $var(d) + 1; if ($var(d) < 300 && route(DEEPER)) { return 5; } return 2; }
route[ASSIGNS] { $var(d) = $var(d) + 1; if ($var(d) > 300) return 4; $var(y) = route(ASSIGNS); return 2; }
route[BLOCKS] { $var(d) = $var(d) + 1; if ($var(d) > 300) return 4; $var(y) = { route(BLOCKS); return 3; }; return 2; }
route[PING] { $var(d) = $var(d) + 1; if ($var(d) < 1000) { route(PONG); } return 3; }
route[PONG] { route(PING); return 4; }
"""


def cases() -> dict[str, str]:
    """Name of the route -> its statements, without SETUP; the name tells which kind of case it is."""
    found = {}
    for number, text in enumerate(line for line in EXPRESSIONS.splitlines() if line):
        found[f"expression-{number}"] = f'$var(r) = "unset"; $var(r) = {text}; xlog("[$var(r)]\\n");'
    for number, body in enumerate(BODIES.values()):
        found[f"body-{number}"] = body
    return found


def title(name: str) -> str:
    """What the case is about."""
    kind, _, number = name.partition("-")
    if kind == "body":
        return list(BODIES)[int(number)]
    return [line for line in EXPRESSIONS.splitlines() if line][int(number)]


def config() -> str:
    """The cfg with all cases; the request's user names the case to run."""
    routes = "".join(f'route["{name}"] {{ {body} }}\n' for name, body in cases().items())
    return f"""#!KAMAILIO
debug=2
log_stderror=yes
children=1
avpflags first, second;
alias="example.org"
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "pv.so"
loadmodule "xlog.so"
loadmodule "textops.so"
{ROUTES}
request_route {{
    xlog("=== $rU\\n");
    {SETUP}
    $avp(name) = $rU;
    $var(case) = $rU;
    route($var(case));
    xlog("rc=$rc\\n");
}}
{routes}
"""

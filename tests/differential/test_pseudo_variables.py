"""Pseudo-variables and transformations."""

from __future__ import annotations

from kit.room import Room
from kit.scene import Scene, ask

room = Room("pseudo-variables", last='sl_send_reply("200", "done");')


def shown(*names: str) -> str:
    """xlog lines that print each of the formats beside its own text."""
    lines = []
    for name in names:
        label = name.replace("$", "$$")
        lines.append(f'xlog("L_NOTICE", "{label} = [{name}]\\n");')
    return "\n    ".join(lines)


@room.case(
    "route[request_line] { "
    + shown(
        "$rm", "$ru", "$rU", "$rd", "$rp", "$rP", "$rz", "$rv", "$ou", "$oU", "$od", "$ml", "$mb{s.len}", "$rr", "$rs"
    )
    + "}"
)
def test_request_line(s: Scene) -> None:
    alice = s.agent("alice")
    alice.request("OPTIONS", uri=f"sip:request_line@{s.host};transport=udp;x=1?h=v")
    alice.expect(200)


@room.case(
    "route[from_to] { "
    + shown(
        "$fu",
        "$fU",
        "$fd",
        "$fn",
        "$ft",
        "$fti",
        "$tu",
        "$tU",
        "$td",
        "$tn",
        "$tt",
        "$tti",
        "$ci",
        "$cs",
        "$ct",
        "$mt",
        "$fa",
    )
    .replace('xlog("L_NOTICE", "$$fti = [$fti]\\n");', "")
    .replace('xlog("L_NOTICE", "$$tti = [$tti]\\n");', "")
    .replace('xlog("L_NOTICE", "$$fa = [$fa]\\n");', "")
    + "}"
)
def test_from_to(s: Scene) -> None:
    alice = s.agent("alice")
    via = f"Via: SIP/2.0/UDP {alice.host};branch=z9hG4bK-ft"
    alice.send(
        f"OPTIONS sip:from_to@{s.host} SIP/2.0\r\n{via}\r\n"
        'f: "Alice \\"A\\" W" <sip:alice@wonder.test:5070;user=phone>;tag=f1;x=y\r\n'
        "t: <sip:+4912345@to.test;lr>\r\ni: ft@call\r\nCSeq: 17 OPTIONS\r\nm: <sip:a@b>, <sip:c@d>;q=0.5\r\n"
        "Max-Forwards: 9\r\nl: 0\r\n\r\n"
    )
    alice.expect(200)


@room.case(
    "route[headers] { "
    + shown(
        "$hdr(X-A)",
        "$(hdr(X-A)[0])",
        "$(hdr(X-A)[1])",
        "$(hdr(X-A)[-1])",
        "$(hdr(X-A)[*])",
        "$(hdr(X-A)[9])",
        "$hdr(x-a)",
        "$hdrc(X-A)",
        "$hdr(Contact)",
        "$hdr(From)",
        "$ua",
        "$cT",
        "$cl",
        "$rb",
        "$mb{s.len}",
        "$ai",
        "$di",
        "$re",
        "$hdr(X-Empty)",
        "$pu",
        "$pd",
        "$pU",
    )
    + "}"
)
def test_headers(s: Scene) -> None:
    ask(
        s,
        "X-A: first\nX-B: b\nx-A:   second,third  \nUser-Agent: ua/1 (x)\nContent-Type: text/plain;charset=x\n"
        "X-Empty:\nP-Asserted-Identity: <sip:pai@x>\nP-Preferred-Identity: <sip:ppi@y.test>\n"
        "Diversion: <sip:div@z>;reason=busy\nRemote-Party-ID: <sip:rpid@z>;privacy=off",
        "hello\r\nbody",
    )


@room.case(
    "route[addresses] { "
    + shown(
        "$si",
        "$sp",
        "$sas",
        "$Ri",
        "$Rp",
        "$RAp",
        "$RAi",
        "$Rut",
        "$proto",
        "$pr",
        "$su",
        "$sut",
        "$Rn",
        "$version(num)",
    )
    + "}"
)
def test_addresses(s: Scene) -> None:
    ask(s)


@room.case("""
route[assign_uri] {
    $rU = "new"; xlog("L_NOTICE", "rU: $ru\\n");
    $rd = "host.test"; xlog("L_NOTICE", "rd: $ru\\n");
    $rp = 5090; xlog("L_NOTICE", "rp: $ru\\n");
    $ru = "sip:fresh@1.2.3.4;p=v"; xlog("L_NOTICE", "ru: $ru $rU $rd $rp [$ou]\\n");
    $rU = $null; xlog("L_NOTICE", "without user: $ru\\n");
    $du = "sip:127.0.0.1:9;transport=udp"; xlog("L_NOTICE", "du: $du $dd $dp $dP\\n");
    $du = $null; xlog("L_NOTICE", "du gone: [$du]\\n");
    sethost("other"); setport("77"); setuser("u"); xlog("L_NOTICE", "core: $ru\\n");
    setuserpass("u:pw"); xlog("L_NOTICE", "userpass: $ru\\n");
    sethostport("h:88"); xlog("L_NOTICE", "hostport: $ru\\n");
    prefix("00"); xlog("L_NOTICE", "prefix: $ru\\n");
    strip(1); xlog("L_NOTICE", "strip: $ru\\n");
    strip_tail(1); xlog("L_NOTICE", "strip_tail: $ru\\n");
    revert_uri(); xlog("L_NOTICE", "revert: $rU\\n");
    seturi("sips:x@y:5061"); xlog("L_NOTICE", "seturi: $ru $rp $rP\\n");
}
""")
def test_assign_uri(s: Scene) -> None:
    ask(s)


@room.case("""
route[branches] {
    append_branch("sip:b1@h1;x=1", "0.5"); append_branch("sip:b2@h2");
    xlog("L_NOTICE", "$br | $branch(count) | $(branch(uri)[0]) | $(branch(uri)[1]) | $(branch(q)[0])\\n");
    $(branch(uri)[1]) = "sip:changed@h3"; $(branch(dst_uri)[0]) = "sip:9.9.9.9";
    xlog("L_NOTICE", "$(branch(uri)[1]) $(branch(dst_uri)[0]) $(branch(uri)[-1])\\n");
    remove_branch(0); xlog("L_NOTICE", "$branch(count) $(branch(uri)[0])\\n");
    clear_branches(); xlog("L_NOTICE", "$branch(count)\\n");
}
""")
def test_branches(s: Scene) -> None:
    ask(s)


STRINGS = shown(
    "$(var(s){s.len})",
    "$(var(s){s.int})",
    "$(var(n){s.int})",
    "$(var(s){s.toupper})",
    "$(var(s){s.tolower})",
    "$(var(s){s.md5})",
    "$(var(s){s.sha256})",
    "$(var(s){s.encode.hexa})",
    "$(var(h){s.decode.hexa})",
    "$(var(s){s.encode.base64})",
    "$(var(b){s.decode.base64})",
    "$(var(s){s.escape.common})",
    "$(var(q){s.escape.common})",
    "$(var(s){s.escape.user})",
    "$(var(s){s.escape.param})",
    "$(var(e){s.unescape.user})",
    "$(var(e){s.unescape.param})",
    "$(var(s){s.substr,2,3})",
    "$(var(s){s.substr,-3,2})",
    "$(var(s){s.substr,4,0})",
    "$(var(s){s.select,1, })",
    "$(var(s){s.select,-1, })",
    "$(var(s){s.select,7, })",
    "$(var(s){s.strip,2})",
    "$(var(s){s.striptail,2})",
    "$(var(w){s.trim})|",
    "$(var(w){s.ltrim})|",
    "$(var(w){s.rtrim})|",
    "$(var(s){s.prefixes})",
    "$(var(n){s.prefixes,2})",
    "$(var(s){s.replace,o,0})",
    "$(var(s){s.rmws})",
    "$(var(s){s.corehash,16})",
    "$(var(s){s.unbracket})",
    "$(var(k){s.unbracket})",
    "$(var(s){s.count,o})",
    "$(var(s){s.toupper}{s.substr,0,4}{s.len})",
    "$(var(s){s.numeric})",
    "$(var(s){s.urlencode.param})",
    "$(var(s){s.rm,o})",
    "$(var(s){s.before,W})",
    "$(var(s){s.after,W})",
    "$(var(s){s.stripto,W})",
    "$(var(s){s.encode.base64url})",
    "$(var(s){s.encode.base58})",
    "$(var(n){s.fmtlines,2,1})",
    "$(var(k){s.escape.csv})",
    "$(var(s){s.encode.7bit}{s.decode.7bit})",
    "$(var(s){s.md5}{s.prefixes,3})",
)


@room.case(
    """
route[strings] {
    $var(s) = "Hello World o"; $var(n) = "12345"; $var(h) = "4a4b"; $var(b) = "SGVsbG8="; $var(q) = "it's \\"q\\" \\\\";
    $var(e) = "a%20b%41"; $var(w) = "  padded  "; $var(k) = "<sip:a@b>";
    """
    + STRINGS
    + "}"
)
def test_strings(s: Scene) -> None:
    ask(s)


URIS = shown(
    "$(var(u){uri.user})",
    "$(var(u){uri.host})",
    "$(var(u){uri.port})",
    "$(var(u){uri.passwd})",
    "$(var(u){uri.scheme})",
    "$(var(u){uri.params})",
    "$(var(u){uri.param,transport})",
    "$(var(u){uri.param,none})",
    "$(var(u){uri.headers})",
    "$(var(u){uri.transport})",
    "$(var(u){uri.maddr})",
    "$(var(u){uri.lr})",
    "$(var(u){uri.tosocket})",
    "$(var(t){uri.scheme})",
    "$(var(t){uri.user})",
    "$(var(x){uri.user})",
    "$(var(p){param.value,b})",
    "$(var(p){param.name,1})",
    "$(var(p){param.valueat,0})",
    "$(var(p){param.count})",
    "$(var(c){param.value,b,;})",
    "$(var(p){param.in,c})",
    "$(var(n){nameaddr.name})",
    "$(var(n){nameaddr.uri})",
    "$(var(n){nameaddr.len})",
    "$(var(n){tobody.uri})",
    "$(var(n){tobody.display})",
    "$(var(n){tobody.tag})",
    "$(var(n){tobody.user})",
    "$(var(n){tobody.host})",
    "$(var(n){tobody.params})",
    "$(var(l){line.count})",
    "$(var(l){line.at,1})",
    "$(var(l){line.sw,two})",
)


@room.case(
    """
route[uris] {
    $var(u) = "sip:joe:pw@host.test:5070;transport=tcp;maddr=1.1.1.1;lr?subject=x&b=y"; $var(t) = "tel:+123;ext=5";
    $var(x) = "not a uri"; $var(p) = "a=1;b=two;c"; $var(c) = "a=1,b=zwei";
    $var(n) = "\\"Joe D\\" <sip:joe@host.test;x=1>;tag=t77;q=1"; $var(l) = "one\\ntwo 2\\nthree";
    """
    + URIS
    + "}"
)
def test_uris(s: Scene) -> None:
    ask(s)


@room.case("""
route[regex_transformation] {
    $var(s) = "user.name+tag@host";
    xlog("L_NOTICE", "$(var(s){re.subst,/([a-z]+)\\.([a-z]+)/\\2-\\1/})\\n");
    xlog("L_NOTICE", "$(var(s){re.subst,/[aeiou]/_/g})\\n");
    xlog("L_NOTICE", "$(var(s){re.subst,/zzz/x/})\\n");
    xlog("L_NOTICE", "$(var(s){re.subst,/HOST/h/i})\\n");
    xlog("L_NOTICE", "$(rU{re.subst,/^(.)(.*)$/\\2\\1/})\\n");
}
""")
def test_regex_transformation(s: Scene) -> None:
    ask(s)


@room.case("""
route[selects] {
    xlog("L_NOTICE", "$sel(method) $sel(ruri.user) $sel(from.tag) $sel(from.uri.user)\\n");
    xlog("L_NOTICE", "$sel(via.branch) $sel(cseq.num)\\n");
    xlog("L_NOTICE", "$sel(call_id) $sel(to.uri.host) [$sel(to.tag)] $sel(contact.uri) [$sel(rr)]\\n");
    $var(m) = @ruri.user; xlog("L_NOTICE", "$var(m)\\n");
    if (@cseq.method == "OPTIONS") xlog("L_NOTICE", "cseq method\\n");
    if (@hf_value.x_thing == "v1") xlog("L_NOTICE", "header value $sel(hf_value.x_thing)\\n");
}
""")
def test_selects(s: Scene) -> None:
    ask(s, "Contact: <sip:c@d:9>\nX-Thing: v1")


@room.case("""
route[message_sizes] {
    xlog("L_NOTICE", "ml=$ml bs=$bs cl=$cl body=[$rb] bodylen=$(rb{s.len})\\n");
    if (has_body()) xlog("L_NOTICE", "has body\\n");
    if (has_body("application/sdp")) xlog("L_NOTICE", "has sdp\\n");
    if (has_body("text/plain")) xlog("L_NOTICE", "has text\\n");
}
""")
def test_message_sizes(s: Scene) -> None:
    ask(s, "Content-Type: application/sdp", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n")


@room.case("""
route[via_parts] {
    xlog("L_NOTICE", "$sel(via[1].host) $sel(via[1].branch) $sel(via[2].host) $sel(via[2].branch)\\n");
    xlog("L_NOTICE", "[$sel(via[3].host)]\\n");
    xlog("L_NOTICE", "$hdr(Via) | $(hdr(Via)[1]) | $(hdr(Via)[-1])\\n");
    xlog("L_NOTICE", "$hdrc(Via)\\n");
}
""")
def test_via_parts(s: Scene) -> None:
    ask(
        s,
        "Via: SIP/2.0/TCP far.test:5099;branch=z9hG4bKfar;received=9.9.9.9, SIP/2.0/UDP third.test;branch=z9hG4bKthird",
    )


@room.case("""
route[env_and_constants] {
    xlog("L_NOTICE", "$$ [$_s($rU-$rm)] $snd(ip)|\\n");
    xlog("L_NOTICE", "$(rU{s.len}) $(ru{uri.host}) $cnt($avp(none))\\n");
    $avp(m) = "1"; $avp(m) = "2"; xlog("L_NOTICE", "$cnt($avp(m)) $(avp(m)[*])\\n");
    $var(name) = "dyn"; $avp($var(name)) = "by name"; xlog("L_NOTICE", "$avp(dyn) $avp($var(name))\\n");
    xlog("L_NOTICE", "$expires(min) $expires(max) $err.class\\n");
}
""")
def test_env_and_constants(s: Scene) -> None:
    ask(s, "Expires: 120\nContact: <sip:a@b>;expires=30, <sip:c@d>")

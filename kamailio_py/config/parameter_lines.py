"""Lines of the top level that are no routes: `name = value`, loadmodule, modparam, flags, custom variables."""

from __future__ import annotations

from kamailio_py.config import tokens
from kamailio_py.config.nodes import (
    CustomParameter,
    GlobalParameter,
    LoadModule,
    ModuleParameter,
)
from kamailio_py.config.parameters import PARAMETERS, Parameter, words
from kamailio_py.config.statements import Statements
from kamailio_py.config.stream import Unexpected
from kamailio_py.config.tokens import Token

_FACILITIES = frozenset(
    ["LOG_AUTH", "LOG_CRON", "LOG_DAEMON", "LOG_KERN", "LOG_LPR", "LOG_MAIL", "LOG_NEWS", "LOG_USER", "LOG_UUCP"]
    + ["LOG_AUTHPRIV", "LOG_FTP", "LOG_SYSLOG"]
    + [f"LOG_LOCAL{number}" for number in range(8)]
)
_POLL_METHODS = frozenset(("none", "poll", "epoll_lt", "epoll_et", "sigio_rt", "select", "kqueue", "/dev/poll"))
_KEMI = frozenset(name.partition(".")[2] for name in PARAMETERS if name.startswith("kemi."))
_BEFORE_MEMORY = {
    "shm": "shm/shm_mem_size must be before any modparam or the route blocks",
    "shm_force_alloc": "shm_force_alloc must be before any modparam or the route blocks",
    "user": "user must be before any modparam or the route blocks",
}
_LINES = frozenset(
    words(
        "loadmodule loadmodulex loadpath modparam modparamx cfgengine flags avpflags kemi "
        "#!subst #!substdef #!substdefs"
    )
)
_TLS_METHODS = frozenset(("SSLv23", "SSLv2", "SSLv3", "TLSv1"))


class ParameterLines(Statements):
    """Parsing of the top level but for routes."""

    memory_is_made = False  # Kamailio makes shared memory at the first modparam or route

    def line_begins(self) -> bool:
        """May the token at hand begin a line of the top level?"""
        kind = self.tok.kind
        if kind in PARAMETERS or kind in _LINES:
            return True
        return kind in (tokens.ID, "default") and self.peek().kind in (".", "[")

    def top_line(self) -> bool:
        """Read the line at hand; False if it is none of these."""
        kind = self.tok.kind
        parameter = PARAMETERS.get(kind)
        if parameter is not None:
            self._parameter(parameter)
        elif kind == "loadmodule" or kind == "loadmodulex":
            self._loadmodule()
        elif kind == "modparam" or kind == "modparamx":
            self._modparam()
        elif kind == "loadpath":
            self._loadpath()
        elif kind == "cfgengine":
            self._cfgengine()
        elif kind == "flags":
            self._flags()
        elif kind == "avpflags":
            self._avpflags()
        elif kind in ("#!subst", "#!substdef", "#!substdefs"):
            self._subst()
        elif kind == "kemi":
            self._kemi()
        elif kind in (tokens.ID, "default") and self.peek().kind in (".", "["):
            self._custom()
        else:
            return False
        return True

    def unknown_line(self) -> None:
        """Something that no line begins with; mostly a misspelt parameter."""
        word = self.tok
        if word.kind != tokens.ID:
            self.fail()
        self.advance()
        try:
            self.fail("", self.hints.parameter(str(word.value)))
        except Unexpected as failure:
            if self.tok.kind == "=":
                self.name_failure(failure, "unknown config variable")
            raise

    # name = value

    def _parameter(self, parameter: Parameter) -> None:
        word = self.advance()
        try:
            if self.tok.kind != "=":
                self.fail("'='")
        except Unexpected as failure:
            self.name_failure(failure, parameter.expected if parameter.bare else "")
            raise
        self.advance()
        if parameter.kind in ("listen", "alias"):
            self._addresses(parameter, word)
            return
        at = self.tok
        try:
            value = self._value(parameter)
        except Unexpected as failure:
            self.name_failure(failure, parameter.expected)
            raise
        self._check(parameter, value, at)
        self._set(parameter.name, value, word)

    def _addresses(self, parameter: Parameter, word: Token) -> None:
        try:
            if parameter.kind == "listen":
                self.listen_line(word)
            else:
                self.alias_line(word)
        except Unexpected as failure:
            self.name_failure(failure, parameter.expected)
            raise

    def _value(self, parameter: Parameter) -> int | str:
        """The value at hand, of the kind that the parameter wants."""
        tok = self.tok
        match parameter.kind:
            case "number":
                return int(self._one_of("a number", tokens.NUMBER).value)
            case "int":
                if tok.kind not in ("-", tokens.NUMBER):
                    self.fail("a number")
                return self.signed_number()
            case "string":
                return str(self._one_of("a quoted string", tokens.STRING).value)
            case "id":
                return str(self._one_of("a name without quotes", tokens.ID).value)
            case "word":
                return str(self._one_of("a name", tokens.ID, tokens.STRING).value)
            case "tos":
                return self._one_of("a number", tokens.NUMBER, tokens.ID).value
            case "ipv4":
                return self.ipv4()
            case "ipv6":
                return self.ipv6()
            case "host":
                return self.listen_id()
            case "proto":
                return self._one_of("a protocol", "udp", "tcp", "tls", "sctp", "*").kind
            case kind:
                assert kind == "tls_method", kind
                return self._one_of("a version", *_TLS_METHODS).kind

    def _one_of(self, expected: str, *kinds: str) -> Token:
        if self.tok.kind not in kinds:
            hint = f"{expected} expected, not {self.tok.describe()}" if self.tok.kind != tokens.EOF else ""
            self.fail(expected, hint)
        return self.advance()

    def _check(self, parameter: Parameter, value: int | str, at: Token) -> None:
        name = parameter.name
        if name == "log_facility" and value not in _FACILITIES:
            self.error(at.position, "bad facility (see syslog(3) man page)", self.hints.close(str(value), _FACILITIES))
        elif name == "tcp_poll_method" and str(value).lower() not in _POLL_METHODS:
            self.error(at.position, "bad tcp_poll_method value", self.hints.close(str(value), _POLL_METHODS))
        elif name == "ipv6_hex_style" and str(value)[:1] not in ("a", "A", "c"):
            self.error(at.position, 'expected "a", "A" or "c" value')
        elif name in _BEFORE_MEMORY and self.memory_is_made:
            self.error(at.position, _BEFORE_MEMORY[name])
        elif name.startswith("tls_") and parameter.unused:
            self.warn(at.position, "tls-in-core support not compiled in")

    def _set(self, name: str, value: int | str, word: Token) -> None:
        if name == "tlslog":
            # one token with tls_port_no in Kamailio's lexer
            self.warn(word.position, f"{word.text} sets the TLS port, as in Kamailio 5.6")
            name = "tls_port_no"
        if name == "socket_workers":
            self.socket_workers = int(value)
        try:
            self.host.set_global(name, value)
        except ValueError as error:
            self.error(self.since(word.position), str(error))
        self.config.globals.append(GlobalParameter(self.since(word.position), name, value))

    def _kemi(self) -> None:
        word = self.advance()
        self.expect(".")
        if self.tok.kind not in _KEMI:
            self.fail("the name of a callback")
        name = f"kemi.{self.advance().kind}"
        self.expect("=")
        try:
            value = str(self._one_of("a quoted string", tokens.STRING).value)
        except Unexpected as failure:
            self.name_failure(failure, "string expected")
            raise
        self._set(name, "" if value.lower() == "none" else value, word)

    # group.name = value

    def _custom(self) -> None:
        group = self.advance()
        instance = None
        if self.skip_if("["):
            instance = int(self.expect(tokens.NUMBER).value)
            self.expect("]")
        self.expect(".")
        if self.tok.kind == tokens.NUMBER:
            self.error(
                self.tok.position,
                f"cfg var field name - use of number or reserved token not allowed: {self.tok.text}",
            )
            raise Unexpected
        if self.tok.kind not in (tokens.ID, "default"):
            hint = f"{self.tok.describe()} cannot name a variable" if self.tok.kind in tokens.KEYWORDS.values() else ""
            self.fail("a name", hint)
        name = self.advance()
        self.expect("=")
        try:
            value = self._one_of("a number or a quoted string", tokens.NUMBER, tokens.STRING)
        except Unexpected as failure:
            self.name_failure(failure, "number or string expected" if instance is None else "")
            raise
        description = ""
        if instance is None and self.skip_if("desc"):
            description = str(self.expect(tokens.STRING).value)
        made = CustomParameter(
            self.since(group.position), str(group.value), str(name.value), value.value, description, instance
        )
        if instance is None and any(
            (known.group, known.name, known.instance) == (made.group, made.name, None) for known in self.config.customs
        ):
            self.error(made.at, "variable cannot be declared", f"variable already exists: {made.group}.{made.name}")
        self.config.customs.append(made)

    # modules

    def _loadmodule(self) -> None:
        """The module is loaded before the token behind the line is read: that may be `#!ifdef MOD_name`."""
        word = self.advance()
        try:
            parenthesis = self.skip_if("(")
            tok = self._one_of_kept("a quoted string", tokens.STRING)
            name = str(tok.value)
            if parenthesis:
                self.advance()
                if self.skip_if(","):
                    self._one_of("a quoted string", tokens.STRING)
                if self.tok.kind != ")":
                    self.fail("')'")
        except Unexpected as failure:
            self.name_failure(failure, "string expected")
            raise
        try:
            if word.kind == "loadmodulex":
                name = self.host.evaluate(name)
            plain = self.host.load_module(name)
        except ValueError as error:
            self.error(tok.position, "failed to load module", self.hints.module(name, str(error)))
        else:
            self.loaded.append(plain)
            if f"MOD_{plain}" not in self.lexer.defines:
                self.lexer.defines.add(f"MOD_{plain}", "", tok.position)
            self.config.modules.append(LoadModule(self.span(word.position, tok.position), plain))
        self.advance()

    def _one_of_kept(self, expected: str, *kinds: str) -> Token:
        """As _one_of, without using the token."""
        if self.tok.kind not in kinds:
            self.fail(expected)
        return self.tok

    def _loadpath(self) -> None:
        self.advance()
        self.skip_if("=")
        try:
            tok = self._one_of("a quoted string", tokens.STRING)
        except Unexpected as failure:
            self.name_failure(failure, "string expected")
            raise
        self.host.add_module_path(str(tok.value))

    def _cfgengine(self) -> None:
        self.advance()
        self.skip_if("=")
        try:
            tok = self._one_of("a quoted string", tokens.STRING)
        except Unexpected as failure:
            self.name_failure(failure, "string expected")
            raise
        if str(tok.value).lower() not in ("native", "default"):
            self.error(tok.position, "Can't set config routing engine", "only the native language runs here")

    def _modparam(self) -> None:
        word = self.advance()
        value: int | str
        try:
            self.expect("(")
            module = str(self._one_of("a quoted string", tokens.STRING).value)
            self.expect(",")
            name = str(self._one_of("a quoted string", tokens.STRING).value)
            self.expect(",")
            computed = self.tok if word.kind == "modparamx" else None
            if (computed is not None and computed.kind == tokens.PVAR) or self.tok.kind == tokens.STRING:
                value = str(self.advance().value)
            else:
                value = self._signed_or_string()
            closing = self.expect(")")
        except Unexpected as failure:
            self.name_failure(failure, "Invalid arguments")
            raise
        self.memory_is_made = True
        try:
            if computed is not None:
                module, name, value = self._evaluated(module, name, value, computed)
            self.host.set_module_param(module, name, value)
        except ValueError as error:
            hint = self.hints.module_parameter(module, name, str(error))
            self.error(closing.position, "Can't set module parameter", hint)
        self.config.parameters.append(ModuleParameter(self.since(word.position), module, name, value))

    def _signed_or_string(self) -> int:
        if self.tok.kind not in ("-", tokens.NUMBER):
            self.fail("a number or a quoted string")
        return self.signed_number()

    def _evaluated(self, module: str, name: str, value: int | str, tok: Token) -> tuple[str, str, int | str]:
        """modparamx: pseudo-variables have their value of load time."""
        module, name = self.host.evaluate(module), self.host.evaluate(name)
        if isinstance(value, int):
            return module, name, value
        text = self.host.evaluate(value)
        if tok.kind == tokens.PVAR and self.host.pvar(value, True).type == "int":
            return module, name, int(text)
        return module, name, text

    # flags

    def _flags(self) -> None:
        self.advance()
        try:
            self._flag_spec()
            while self.skip_if(","):
                self._flag_spec()
        except Unexpected as failure:
            self.name_failure(failure, "flag list expected")
            raise

    def _flag_spec(self) -> None:
        tok = self.tok
        name = self.flag_name()
        number = None
        if self.skip_if(":"):
            number = int(self.expect(tokens.NUMBER).value)
        flags = self.config.flags
        if name in flags:
            self.error(tok.position, "register flag failed", f"flag {name} already registered")
        elif number is None:
            free = next((n for n in range(32) if n not in flags.values()), None)
            if free is None:
                self.error(tok.position, "register flag failed", f"could not register {name} - too many flags")
            else:
                flags[name] = free
        elif not 0 <= number <= 31:
            self.error(self.last_position(), "register flag failed", f"invalid flag {name} position({number})")
        else:
            if number in flags.values():
                self.warn(tok.position, f"{name}:  flag {number} already in use under another name")
            flags[name] = number

    def _avpflags(self) -> None:
        self.advance()
        try:
            self.avp_flags.add(self.flag_name())
            while self.skip_if(","):
                self.avp_flags.add(self.flag_name())
        except Unexpected as failure:
            self.name_failure(failure, "avpflag list expected")
            raise

    # preprocessor

    def _subst(self) -> None:
        """The rule is in force for the token behind it."""
        word = self.advance()
        directive = str(word.value)
        try:
            tok = self._one_of_kept("a quoted string", tokens.STRING)
        except Unexpected as failure:
            self.name_failure(failure, f"invalid {directive} preprocess statement")
            raise
        try:
            self.lexer.add_substitution(directive, str(tok.value), tok.position)
        except ValueError as error:
            self.error(tok.position, str(error), 'write it as "/regex/replacement/flags"')
        self.advance()

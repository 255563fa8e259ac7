"""The avpops module: AVPs copied, deleted, checked, computed with, substituted, pushed into URIs, kept in a database.

An AVP that was loaded or stored is not stored a second time by the same run, as in Kamailio.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kamailio_py.config.arguments import STR, Fixup
from kamailio_py.config.host import RouteType
from kamailio_py.dataclass import replace
from kamailio_py.db.errors import DbError
from kamailio_py.log import get_logger
from kamailio_py.module import Function, Module, ModuleError, Param
from kamailio_py.modules.avpops.kept import Columns, Owner, Scheme, from_row, owner, scheme, to_row
from kamailio_py.modules.avpops.operations import Operation, check_operation, compute_operation
from kamailio_py.modules.avpops.targets import Avp, Class, avp_of, checked_flags, pvar_and_rest, target
from kamailio_py.modules.textops.subst import Subst
from kamailio_py.script.values import Value, parse_int
from kamailio_py.sip.branch import Branch

if TYPE_CHECKING:
    from kamailio_py.db.database import Database
    from kamailio_py.script.avp import Name
    from kamailio_py.script.context import Context
    from kamailio_py.script.pvars import PVar

log = get_logger("avpops")

ANYWHERE = (
    RouteType.REQUEST | RouteType.FAILURE | RouteType.TM_ONREPLY | RouteType.BRANCH | RouteType.LOCAL
    | RouteType.CORE_ONREPLY
)  # fmt: skip
NO_ROWS = -2
URI_PARTS = {"": "$ru", "username": "$rU", "domain": "$rd"}


class Avpops(Module):
    """Operations on AVPs."""

    name = "avpops"

    db_url = Param(str)
    avp_table = Param(str)
    use_domain = Param(int, 0)
    uuid_column = Param(str, "uuid")
    attribute_column = Param(str, "attribute")
    value_column = Param(str, "value")
    type_column = Param(str, "type")
    username_column = Param(str, "username")
    domain_column = Param(str, "domain")
    db_scheme = Param(str, setter="add_scheme")

    def __init__(self, core: Any) -> None:
        super().__init__(core)
        self._schemes: dict[str, Scheme] = {}
        self._database: Database = None  # type: ignore[assignment]  # made by mod_init if there is a db_url
        self._columns = Columns()

    def add_scheme(self, text: str) -> None:
        name, made = scheme(text)
        if name in self._schemes:
            raise ValueError(f"duplicated scheme name <{name}>")
        self._schemes[name] = made

    def mod_init(self) -> None:
        self._columns = Columns(
            self.uuid_column, self.username_column, self.domain_column, self.attribute_column, self.value_column,
            self.type_column,
        )  # fmt: skip
        if self.db_url:
            if not self.avp_table:
                log.crit('"AVP_DB" present but "AVP_TABLE" found empty')
                raise ModuleError("avpops: db_url is set, but avp_table is not")
            self._database = self.core.db(self.db_url)

    # what is exported

    def functions(self) -> Iterable[Function]:
        avps = Fixup("avps", prepare=self._avps)
        destination = Fixup("destination", prepare=self._copied_to)
        whose = Fixup("owner", prepare=self._owner)
        kept = Fixup("kept", prepare=self._kept)
        for name, arguments, call in (
            ("avp_delete", (Fixup("avps/g", prepare=lambda text: self._with_flags(text, "g")),), self.delete),
            ("avp_copy", (avps, destination), self.copy),
            ("is_avp_set", (Fixup("avp", prepare=self._one),), self.is_set),
            ("avp_check", (Fixup("value", prepare=self._checked),
                           Fixup("check", prepare=lambda text: check_operation(text, self._pvars))), self.check),
            ("avp_op", (Fixup("operands", prepare=self._from_to),
                        Fixup("op", prepare=lambda text: compute_operation(text, self._pvars))), self.op),
            ("avp_subst", (Fixup("operands/gd", prepare=self._from_to_flags),
                           Fixup("subst", prepare=lambda text: Subst(text, self._pvars))), self.subst),
            ("avp_subst_pv", (Fixup("operands/gd", prepare=self._from_to_flags), STR), self.subst_pv),
            ("avp_pushto", (Fixup("uri", prepare=self._pushed_to), Fixup("source", prepare=self._pushed)), self.pushto),
            ("avp_print", (), self.print),
            ("avp_db_load", (whose, kept), self.db_load),
            ("avp_db_store", (whose, kept), self.db_store),
            ("avp_db_delete", (whose, kept), self.db_delete),
            ("avp_db_query", (Fixup("query", prepare=self._query),), self.db_query),
            ("avp_db_query", (Fixup("query", prepare=self._query), Fixup("avps", prepare=self._list)), self.db_query),
        ):  # fmt: skip
            yield Function(self.name, name, arguments, ANYWHERE, call)

    # arguments

    @property
    def _pvars(self) -> Any:
        return self.core.registry.pvars

    def _with_flags(self, text: str, known: str) -> tuple[Avp | Class, str]:
        found, flags = target(text, self._pvars)
        return found, checked_flags(flags, known)

    def _avps(self, text: str) -> Avp:
        found, rest = target(text, self._pvars)
        if not isinstance(found, Avp) or rest:
            raise ValueError(f"you must specify only AVP as parameter: {text}")
        return found

    def _copied_to(self, text: str) -> tuple[Avp, str]:
        found, flags = self._with_flags(text, "gdsn")
        if not isinstance(found, Avp):
            raise ValueError(f"you must specify only AVP as parameter: {text}")
        if "s" in flags and "n" in flags:
            raise ValueError("invalid flag combination <n> and 's|S'")
        return found, flags

    def _one(self, text: str) -> tuple[Avp, str]:
        found, flags = self._with_flags(text, "esn")
        if not isinstance(found, Avp):
            raise ValueError(f"bad attribute name <{text}>")
        return found, flags

    def _checked(self, text: str) -> Avp | PVar:
        """An AVP, whose index does not matter, or another pseudo-variable."""
        pvar, rest = pvar_and_rest(text.strip(), self._pvars)
        if rest:
            raise ValueError(f"bad attribute name <{text}>")
        if pvar.name != "avp" or pvar.transformed:
            return pvar
        return replace(avp_of(pvar), indexed=False)

    def _from_to_flags(self, text: str) -> tuple[Avp, Avp | None, str]:
        """`$avp(from)/$avp(to)/flags`, all but the first may be missing."""
        pvar, rest = pvar_and_rest(text.strip(), self._pvars)
        to = None
        if rest.startswith("$"):
            second, rest = pvar_and_rest(rest, self._pvars)
            to = avp_of(second)
        return avp_of(pvar), to, checked_flags(rest, "gd")

    def _from_to(self, text: str) -> tuple[Avp, Avp | None]:
        found, to, flags = self._from_to_flags(text)
        if flags:
            raise ValueError(f"bad attribute name <{text}>")
        return found, to

    def _pushed_to(self, text: str) -> str:
        name, _, part = text.strip().partition("/")
        if name.startswith("$hdr"):
            raise ValueError("push to header  is obsoleted - use append_hf() or append_to_reply() from textops module!")
        if name not in ("$ru", "$du", "$br"):
            raise ValueError(f'unsupported destination "{name}"; expected $ru,$du,$br')
        if part not in (URI_PARTS if name == "$ru" else ("",)):
            raise ValueError(f'unknown {name[1:]} flag "{part}"!')
        return URI_PARTS[part] if name == "$ru" else name

    def _pushed(self, text: str) -> tuple[Avp | PVar, str]:
        pvar, flags = pvar_and_rest(text.strip(), self._pvars)
        return self._checked(pvar.text), checked_flags(flags, "g")

    def _owner(self, text: str) -> Owner:
        if not self.db_url:
            raise ValueError("you have to configure a db_url for using avp_db_xxx functions")
        return owner(text.strip(), self._pvars)

    def _kept(self, text: str) -> tuple[Avp | Class, str, Scheme | None]:
        """`$avp(name)/table`, `$avp(name)/$scheme`."""
        found, rest = target(text, self._pvars)
        if not rest.startswith("$"):
            return found, rest, None
        if rest[1:] not in self._schemes:
            raise ValueError(f"scheme <{rest[1:]}> not found")
        if not isinstance(found, Avp):
            raise ValueError("empty or wrong type for 'value' using scheme")
        return found, self._schemes[rest[1:]].table, self._schemes[rest[1:]]

    def _query(self, text: str) -> Any:
        if not self.db_url:
            raise ValueError("you have to configure db_url for using avp_db_query function")
        return self.core.registry.format(text)

    def _list(self, text: str) -> list[Avp]:
        parts = filter(None, (part.strip() for part in re.split(r"[,;](?![^(]*\))", text)))
        return [avp_of(self.core.registry.pvar(part, strict=True)) for part in parts]

    # AVPs

    @staticmethod
    def _names(ctx: Context, which: Avp | Class) -> list[Name]:
        """The names of AVPs that are meant and there."""
        if isinstance(which, Class):
            return [name for name in ctx.avps if which.matches(name)]
        name = which.name(ctx)
        return [name] if name in ctx.avps else []

    def delete(self, ctx: Context, which: tuple[Avp | Class, str]) -> int:
        """The newest of them, with g all."""
        avps, flags = which
        names = self._names(ctx, avps)
        if "g" not in flags:
            names = names[:1]
        for name in names:
            if "g" in flags or len(ctx.avps[name]) == 1:
                del ctx.avps[name]
            else:
                del ctx.avps[name][0]
        return 1 if names else -1

    def copy(self, ctx: Context, source: Avp, to: tuple[Avp, str]) -> int:
        destination, flags = to
        values = source.values(ctx)
        if "g" not in flags:
            values = values[:1]
        for value in values:
            made: Value = value
            if "s" in flags:
                made = str(value)
            elif "n" in flags and isinstance(value, str):
                made = parse_int(value)
                if made is None:
                    log.err("cannot convert str to int")
                    return -1
            if "d" in flags:
                source.remove(ctx, value)
            destination.push(ctx, made)
        return 1 if values else -1

    def is_set(self, ctx: Context, which: tuple[Avp, str]) -> int:
        """Whether it is there, with s is a text, with n a number, with e is empty."""
        avp, flags = which
        for value in avp.values(ctx)[:1]:
            if ("s" in flags and not isinstance(value, str)) or ("n" in flags and not isinstance(value, int)):
                return -1
            return -1 if "e" in flags and value else 1
        return -1

    @staticmethod
    def _values(ctx: Context, which: Avp | PVar, every: bool) -> list[Value]:
        if isinstance(which, Avp):
            return which.values(ctx) if every else which.values(ctx)[:1]
        value = which.get(ctx)
        return [] if value is None else [value]

    def check(self, ctx: Context, which: Avp | PVar, operation: Operation) -> int:
        others = operation.values(ctx)
        values = self._values(ctx, which, "g" in operation.flags)
        return 1 if any(operation.holds(value, other) for value in values for other in others) else -1

    def op(self, ctx: Context, operands: tuple[Avp, Avp | None], operation: Operation) -> int:
        """Each number gives a new AVP; with d the old ones go."""
        source, to = operands
        others = operation.values(ctx)[:1]
        values = [value for value in source.values(ctx) if isinstance(value, int)]
        if not others or not isinstance(others[0], int) or not values:
            return -1
        for value in values:
            if "d" in operation.flags:
                source.remove(ctx, value)
            (to or source).push(ctx, operation.result(value, others[0]))
        return 1

    def subst(self, ctx: Context, operands: tuple[Avp, Avp | None, str], expression: Subst) -> int:
        """The first text that matches, with g all; the result takes its place or becomes another AVP."""
        source, to, flags = operands
        changed = 0
        for value in source.values(ctx):
            made = expression.replace(ctx, value) if isinstance(value, str) else None
            if made is None:
                continue
            changed += 1
            if to is None or "d" in flags:
                source.remove(ctx, value)
            (to or source).push(ctx, made)
            if "g" not in flags:
                break
        return 1 if changed else -1

    def subst_pv(self, ctx: Context, operands: tuple[Avp, Avp | None, str], text: str) -> int:
        try:
            expression = Subst(text, self._pvars)
        except ValueError as error:
            log.err(f"bad subst re {text}: {error}")
            return -3
        return self.subst(ctx, operands, expression)

    def pushto(self, ctx: Context, to: str, source: tuple[Avp | PVar, str]) -> int:
        """The newest, with g one after the other, so that the oldest is what stays."""
        which, flags = source
        values = self._values(ctx, which, "g" in flags)
        for value in values:
            if to == "$br":
                if len(ctx.msg.branches) >= self.core.cfg.max_branches - 1:
                    log.err("append_branch action failed")
                    return -1
                ctx.msg.branches.append(Branch(str(value)))
            elif not self.core.registry.pvar(to, strict=True).set(ctx, str(value)):
                log.err("SET_XXXX_T action failed")
                return -1
        return 1 if values else -1

    def print(self, ctx: Context) -> int:
        for name, values in ctx.avps.items():
            for value in values:
                log.info(f"name=<{name}> val=<{value}>")
        return 1

    # the database

    def db_load(self, ctx: Context, whose: Owner, what: tuple[Avp | Class, str, Scheme | None]) -> int:
        which, table, made = what
        columns = made.columns if made else self._columns
        where = whose.where(ctx, columns, bool(self.use_domain))
        if where is None:
            return -1
        if made is None and isinstance(which, Avp):
            where[columns.attribute] = str(which.name(ctx))
        names = [columns.value] if made else [columns.attribute, columns.type, columns.value]
        try:
            rows = self._database.query(table or self.avp_table, names, where).rows
        except DbError:
            log.err("db_load failed")
            return -1
        loaded = 0
        kept: set[tuple[Name, Value]] = ctx.note("avpops", set())
        for row in rows:
            if made is not None and isinstance(which, Avp):
                name = which.name(ctx)
                found = from_row(name if name is None else str(name), int(made.number), row[0])
                found = None if found is None or name is None else (name, found[1])
            else:
                found = from_row(*row)
            if found is None or (isinstance(which, Class) and not which.matches(found[0])):
                continue
            ctx.avps.setdefault(found[0], []).insert(0, found[1])
            kept.add(found)
            loaded += 1
        return 1 if loaded else -1

    def db_store(self, ctx: Context, whose: Owner, what: tuple[Avp | Class, str, Scheme | None]) -> int:
        which, table, _ = what
        columns = self._columns
        where = whose.where(ctx, columns, True)
        if where is None:
            return -1
        row = {columns.uuid: "", columns.username: "", columns.domain: "", **where}
        kept: set[tuple[Name, Value]] = ctx.note("avpops", set())
        stored = 0
        for name in self._names(ctx, which):
            for value in ctx.avps[name]:
                if (name, value) in kept:
                    continue
                try:
                    self._database.insert(table or self.avp_table, {**row, **to_row(columns, name, value)})
                except DbError:
                    log.err("insert failed")
                    return -1
                kept.add((name, value))
                stored += 1
        return 1 if stored else -1

    def db_delete(self, ctx: Context, whose: Owner, what: tuple[Avp | Class, str, Scheme | None]) -> int:
        which, table, _ = what
        where = whose.where(ctx, self._columns, bool(self.use_domain))
        if where is None:
            return -1
        if isinstance(which, Avp):
            where[self._columns.attribute] = str(which.name(ctx))
        try:
            self._database.delete(table or self.avp_table, where)
        except DbError:
            log.err("db_delete failed")
            return -1
        return 1

    def db_query(self, ctx: Context, query: Any, to: list[Avp] | None = None) -> int:
        """Each column becomes an AVP, `i:1`, `i:2`, ... unless they are named; of several rows the first is on top."""
        statement = query.evaluate(ctx)
        try:
            result = self._database.raw(statement)
        except DbError:
            log.err(f"cannot do the query [{statement}]")
            return -1
        for row in reversed(result.rows):
            for number, value in enumerate(row[: len(to)] if to else row):
                if value is None or isinstance(value, float):
                    continue
                plain: Value = value.decode("latin-1") if isinstance(value, bytes) else value
                if isinstance(plain, int):
                    plain = int(plain)
                if to:
                    to[number].push(ctx, plain)
                else:
                    ctx.avps.setdefault(number + 1, []).insert(0, plain)
        return 1 if result.rows else NO_ROWS

"""From a config file to a Core that is ready to be forked: read, apply the options, compile, find the addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kamailio_py import log
from kamailio_py.config.checks import check
from kamailio_py.config.compiler import compile_config
from kamailio_py.config.errors import CfgError, Position
from kamailio_py.config.nodes import Config
from kamailio_py.config.parser import CfgErrors, parse_file, parse_listen
from kamailio_py.engine.core import Core
from kamailio_py.engine.core_functions import core_functions
from kamailio_py.script.runtime import NAMESPACE

if TYPE_CHECKING:
    from kamailio_py.options import Options


class ConfigRejected(Exception):
    """The config cannot be used; `errors` are worded for its author."""

    def __init__(self, errors: list[CfgError]) -> None:
        super().__init__(f"{len(errors)} errors")
        self.errors = errors


def boot(core: Core, path: str, options: Options) -> Config:
    """Read and compile `path` for this core; ConfigRejected with all errors found.

    What the command line says wins over the config, as it does for Kamailio.
    """
    registry = core.registry
    registry.add_core_functions(core_functions(core))
    try:
        if options.module_path:
            registry.add_module_path(options.module_path)
        for name in options.modules:
            registry.load_module(name)
        config = parse_file(path, registry, defines=options.defines, substs=options.substs)
        core.defines.update(config.defines)
        core.define_modes = config.define_modes
        for custom in config.customs:
            core.cfg.groups.add(custom)
        for module, name, value in options.module_params:
            registry.set_module_param(module, name, value)
        for name, value in options.globals.items():
            registry.set_global(name, value)
        if options.rundir:
            registry.set_global("rundir", options.rundir)
        _debug_level(core, options)
        listens = [*map(parse_listen, options.listens), *config.listens]
        core.addresses.listen(listens)
        for alias in config.aliases:
            core.addresses.add_alias(alias.endpoint)
        for text in options.aliases:
            core.addresses.add_alias(parse_listen(text).endpoint)
        if core.cfg.auto_aliases:
            core.addresses.add_auto_aliases()
        core.prepare()
        core.program = compile_config(
            config, registry, NAMESPACE, traced=core.module("debugger") is not None, timed=core.latency.of_actions
        )
    except CfgErrors as several:
        raise ConfigRejected(several.errors) from None
    except CfgError as error:
        raise ConfigRejected([error]) from None
    except ValueError as error:
        raise ConfigRejected([CfgError(Position(path, 0, 0), str(error))]) from None
    config.warnings.extend(check(config, registry))
    if options.strict and config.warnings:
        raise ConfigRejected(list(config.warnings))
    return config


def _debug_level(core: Core, options: Options) -> None:
    """-d and --debug win over the config; each -d is one level more."""
    level = core.cfg.debug if options.debug is None else options.debug
    core.cfg.set("debug", level + options.debug_steps)
    log.settings.level = core.cfg.debug

"""Every act of the domain that asks for a right refuses every role without it, before it touches anything; every verb of
the command line needs a right that no account can have."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.main import get_command

from hub.__main__ import app
from hub.errors import NotAllowed
from hub.registry.permissions import ROLES, SYSTEM_ACTOR, Actor, Right
from hub.registry.rights import declared_right
from tests.source import modules_in, tree_of
from tests.test_house import _verbs_of

ROOMS = ("hub/registry/", "hub/exchange/", "hub/operations/")
HUBS_OWN = frozenset({Right.OPERATE, Right.SYSTEM, Right.MANAGE_REGISTRY, Right.PUBLIC})


def acts() -> Iterator[tuple[str, frozenset[Right]]]:
    """module:function of every act with ``require(actor, ...)`` in it, and the rights any of which is enough."""
    for module in modules_in(*ROOMS):
        for node in tree_of(module).body:
            if isinstance(node, ast.FunctionDef) and "actor" in {each.arg for each in _arguments(node)}:
                wanted = [_rights_in(each) for each in ast.walk(node) if _is_requirement(each)]
                if wanted and all(wanted):
                    yield f"{module}:{node.name}", wanted[0]


def _arguments(node: ast.FunctionDef) -> list[ast.arg]:
    return [*node.args.args, *node.args.kwonlyargs]


def _is_requirement(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "require"


def _rights_in(call: ast.AST) -> frozenset[Right]:
    assert isinstance(call, ast.Call)
    named = [each.attr for each in call.args if isinstance(each, ast.Attribute)]
    return frozenset(Right[name] for name in named)


ACTS = dict(acts())


def act_of(name: str) -> Callable[..., Any]:
    module, function = name.split(":")
    found = importlib.import_module(module.removesuffix(".py").replace("/", "."))
    return inspect.unwrap(getattr(found, function))


def call(act: Callable[..., Any], actor: Actor) -> None:
    """With an actor and nothing else: whoever passes the gate stumbles at once."""
    needed = [each for each in inspect.signature(act).parameters.values() if each.default is inspect.Parameter.empty]
    result = act(**{each.name: actor if each.name == "actor" else None for each in needed})
    if inspect.isgenerator(result):
        next(result)


def actor_of(role: str, rights: frozenset[Right]) -> Actor:
    return Actor(name=role, organisation="labour", kind="department", door="panel", rights=rights)


def test_there_are_acts_to_look_at() -> None:
    assert len(ACTS) > 20


@pytest.mark.parametrize("name", sorted(ACTS))
def test_an_act_refuses_whoever_lacks_its_right(name: str) -> None:
    for role, rights in {**ROLES, "nobody": frozenset[Right]()}.items():
        if not rights & ACTS[name]:
            with pytest.raises(NotAllowed):
                call(act_of(name), actor_of(role, rights))


@pytest.mark.parametrize("name", sorted(ACTS))
def test_an_act_lets_pass_who_has_its_right(name: str) -> None:
    """Otherwise an act that refuses everybody would look well guarded."""
    try:
        call(act_of(name), SYSTEM_ACTOR)
    except NotAllowed as refused:
        pytest.fail(f"{name}: {refused}")
    except Exception:
        return


def test_no_role_can_do_what_only_the_hub_itself_may() -> None:
    assert {role: rights & HUBS_OWN for role, rights in ROLES.items() if rights & HUBS_OWN} == {}


def test_every_verb_needs_the_machine_itself() -> None:
    """The command line is for whoever runs the hub's machine; an account or a key never becomes its operator."""
    verbs = {name: declared_right(act) for name, act in _verbs_of(get_command(app), ())}
    assert {name: right for name, right in verbs.items() if right not in HUBS_OWN} == {}

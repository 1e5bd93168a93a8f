"""Help that names what an option takes, as in `--trials N`, and not its type in Python."""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup


def name_values(params: list[Any], context: Any) -> list[Any]:
    """Names the value of each option and argument that has no metavar. A flag takes no value."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
        elif param.metavar is None:
            is_choice = param.type_descriptor.is_choice
            param.metavar = (
                param.display_type(context).strip("<>") if is_choice else param.name.upper()
            )
        if isinstance(param, TyperArgument):
            vars(param)["display_type_rich"] = lambda ctx: None  # its name says enough
    return params


class Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return name_values(super().get_params(ctx), ctx)


class Group(TyperGroup):
    def get_params(self, ctx: Any) -> list[Any]:
        return name_values(super().get_params(ctx), ctx)

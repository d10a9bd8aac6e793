"""Functions that assistants of a project may ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction

from datasets.formats.functions import Unreadable, check_tool, read_functions
from datasets.formats.openapi import Wrong
from datasets.models import Project, Tool, User
from datasets.schema import ToolSpec
from datasets.text import clean, clean_json

from .activity import record_activity
from .errors import Refused


def save_tool(
    *,
    project: Project,
    name: str,
    description: str,
    parameters: dict[str, Any],
    actor: User | None,
    tool: Tool | None = None,
) -> Tool:
    """Make a tool, or change `tool`: runs that used it keep what they had. Refused when no model could be offered it."""
    try:
        spec = check_tool(_spec(name, description, parameters))
    except Wrong as error:
        field = "name" if "no name of a function" in str(error) else "parameters"
        raise Refused(str(error), field=field) from error
    row = tool or Tool(project=project)
    row.name, row.description, row.parameters = spec.name, spec.description, spec.parameters
    try:
        with transaction.atomic():
            row.save()
            verb = "changed" if tool else "added"
            record_activity(project=project, actor=actor, text=f"{verb} the tool “{row.name}”", path=f"tools/{row.pk}/")
    except IntegrityError as error:
        raise Refused("Another tool has that name: choose a different one.", field="name") from error
    return row


def _spec(name: str, description: str, parameters: dict[str, Any]) -> ToolSpec:
    text = clean(description.replace("\r\n", "\n")).strip()
    return ToolSpec(name=clean(name).strip(), description=text, parameters=clean_json(parameters))


@dataclass(slots=True)
class Added:
    """What became of pasted functions, by name."""

    new: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


@transaction.atomic
def add_tools(*, project: Project, text: str, replace: bool, actor: User | None) -> Added:
    """Add every function of a pasted text. One of a known name is a problem unless `replace`.

    Refused when the text holds none.
    """
    try:
        found = read_functions(text)
    except Unreadable as error:
        raise Refused(str(error), field="pasted") from error
    added = Added(problems=found.problems)
    known = {row.name: row for row in project.tools.select_for_update()}
    for spec in found.tools:
        _add(project, known.get(spec.name), spec, replace, added)
    names = added.new + added.changed
    if names:
        what = f"the tool “{names[0]}”" if len(names) == 1 else f"{len(names)} tools"
        record_activity(project=project, actor=actor, text=f"added {what}", path="tools/")
    return added


def _add(project: Project, row: Tool | None, spec: ToolSpec, replace: bool, added: Added) -> None:
    if row is None:
        Tool.objects.create(
            project=project, name=spec.name, description=clean(spec.description), parameters=clean_json(spec.parameters)
        )
        added.new.append(spec.name)
    elif row.spec == spec and not row.archived:
        added.same.append(spec.name)
    elif replace:
        row.description, row.parameters, row.archived = spec.description, spec.parameters, False
        row.save()
        added.changed.append(spec.name)
    else:
        place = "among the archived tools" if row.archived else "and is another"
        added.problems.append((spec.name, f"A tool of that name is here {place}: let it be replaced, or rename one."))

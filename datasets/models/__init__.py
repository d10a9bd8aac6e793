"""What exists: the tables of the archive."""

from .adopted import AdoptedCollection
from .conversations import (
    Batch,
    BulkAction,
    Conversation,
    Judgement,
    Label,
    Labelling,
    Note,
    Origin,
    Review,
    Status,
    Version,
)
from .corpora import Corpus, Document, Passage, SourceFile
from .exports import Export
from .imports import Import
from .people import Activity, ApiToken, Membership, Project, Role, User
from .personas import Persona, PersonaImport, PersonaVersion, Prompt, PromptRole, PromptVersion
from .quality import Criterion, Grade
from .reports import Report
from .tools import Tool

__all__ = [
    "Activity", "AdoptedCollection", "ApiToken", "Batch", "BulkAction", "Conversation", "Corpus", "Criterion",
    "Document", "Export", "Grade", "Import", "Judgement", "Label", "Labelling", "Membership", "Note", "Origin",
    "Passage", "Persona", "PersonaImport", "PersonaVersion", "Project", "Prompt", "PromptRole", "PromptVersion", "Report",
    "Review", "Role", "SourceFile", "Status", "Tool", "User", "Version",
]  # fmt: skip

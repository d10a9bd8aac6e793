"""What exists: the tables of the archive."""

from .conversations import Batch, Conversation, Judgement, Label, Note, Origin, Review, Status, Version
from .corpora import Corpus, Document, Passage, SourceFile
from .exports import Export
from .people import Activity, ApiToken, Membership, Project, Role, User
from .personas import Persona, PersonaVersion, Prompt, PromptRole, PromptVersion

__all__ = [
    "Activity", "ApiToken", "Batch", "Conversation", "Corpus", "Document", "Export", "Judgement", "Label", "Membership",
    "Note", "Origin", "Passage", "Persona", "PersonaVersion", "Project", "Prompt", "PromptRole", "PromptVersion",
    "Review", "Role", "SourceFile", "Status", "User", "Version",
]  # fmt: skip

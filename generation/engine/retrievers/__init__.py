"""Retrievers that wrap others. Where passages are really looked up is not the engine's business.

`ask(retriever, query)` asks any retriever and leaves out what is no find.
"""

from .cached import Cached
from .chained import Chained
from .ensemble import Ensemble
from .found import ask, identity
from .patient import Patient
from .static import Static

__all__ = ["Cached", "Chained", "Ensemble", "Patient", "Static", "ask", "identity"]

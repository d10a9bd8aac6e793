"""How things get made: the tables of the press."""

from .alerts import Alert, AlertDelivery, AlertMail, AlertRule, AlertWebhook
from .endpoints import CorpusEmbedding, Endpoint, EndpointKey, PassageVector, Price
from .improvements import Improvement, ImprovementItem
from .personas import PersonaBranch, PersonaGrowth
from .runs import Call, Recipe, Run, Slot
from .trials import Trial

__all__ = [
    "Alert", "AlertDelivery", "AlertMail", "AlertRule", "AlertWebhook", "Call", "CorpusEmbedding", "Endpoint",
    "EndpointKey", "Improvement", "ImprovementItem", "PassageVector", "PersonaBranch", "PersonaGrowth", "Price", "Recipe",
    "Run", "Slot", "Trial",
]  # fmt: skip

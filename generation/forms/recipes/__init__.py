"""The run form: from a page's fields to a recipe, and back. One file for each section of the page."""

from .form import RecipeForm, first_choices, initial_from
from .people import PersonaSearchForm, as_said

__all__ = ["PersonaSearchForm", "RecipeForm", "as_said", "first_choices", "initial_from"]

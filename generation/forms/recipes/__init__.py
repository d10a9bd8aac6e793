"""The run form: from a page's fields to a recipe, and back. One file for each section of the page."""

from .form import RecipeForm, first_choices, initial_from

__all__ = ["RecipeForm", "first_choices", "initial_from"]

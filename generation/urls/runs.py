from __future__ import annotations

from django.urls import path

from generation.views import recipe_files, recipes, runs, tables, trials, uses

urlpatterns = [
    path("p/<slug:project>/runs/", runs.run_list, name="run-list"),
    path("p/<slug:project>/runs/new/", recipes.run_new, name="run-new"),
    path("p/<slug:project>/runs/estimate/", recipes.run_estimate, name="run-estimate"),
    path("p/<slug:project>/runs/personas/", recipes.run_personas, name="run-personas"),
    path("p/<slug:project>/runs/preview/", recipes.run_preview, name="run-preview"),
    path("p/<slug:project>/runs/running-now/", runs.running_now, name="running-now"),
    path("p/<slug:project>/runs/<int:run>/", runs.run_detail, name="run-detail"),
    path("p/<slug:project>/runs/<int:run>/budget/", runs.run_budget, name="run-budget"),
    path("p/<slug:project>/runs/<int:run>/recipe/", recipe_files.run_yaml, name="run-yaml"),
    path("p/<slug:project>/runs/<int:run>/table/", tables.run_table, name="run-table"),
    path("p/<slug:project>/runs/<int:run>/<slug:action>/", runs.run_action, name="run-action"),
    path("p/<slug:project>/batches/<int:batch>/run/", runs.batch_run, name="batch-run"),
    path("p/<slug:project>/recipes/", recipe_files.recipe_list, name="recipe-list"),
    path("p/<slug:project>/recipes/config/", recipe_files.config_paste, name="recipe-config"),
    path("p/<slug:project>/recipes/<int:recipe>/", recipe_files.recipe_yaml, name="recipe-yaml"),
    path("p/<slug:project>/recipes/<int:recipe>/delete/", recipe_files.recipe_delete, name="recipe-delete"),
    path("p/<slug:project>/trials/<int:trial>/", trials.trial_detail, name="trial-detail"),
    path("p/<slug:project>/prompts/<int:prompt>/draft/", trials.draft_correspondent, name="prompt-draft"),
    path("p/<slug:project>/prompts/<int:prompt>/uses/", uses.prompt_uses, name="prompt-uses"),
]

from __future__ import annotations

from django.urls import path

from generation.views import pairs

urlpatterns = [path("p/<slug:project>/runs/<int:run>/pairs/", pairs.run_pairs, name="run-pairs")]

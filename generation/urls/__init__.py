"""The pages of the press, room by room."""

from . import endpoints, improvements, monitoring, pairs, personas, runs

app_name = "generation"
urlpatterns = [
    *endpoints.urlpatterns,
    *improvements.urlpatterns,
    *monitoring.urlpatterns,  # before runs, whose actions have any name
    *pairs.urlpatterns,
    *personas.urlpatterns,
    *runs.urlpatterns,
]

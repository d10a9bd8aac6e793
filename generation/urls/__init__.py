"""The pages of the press, room by room."""

from . import endpoints, improvements, pairs, personas, runs

app_name = "generation"
urlpatterns = [
    *endpoints.urlpatterns,
    *improvements.urlpatterns,
    *pairs.urlpatterns,
    *personas.urlpatterns,
    *runs.urlpatterns,
]

from __future__ import annotations

from django.urls import path

from generation.views import improvements, proposals

ALL = "p/<slug:project>/improvements/"
ONE = ALL + "<int:improvement>/"
PROPOSAL = ONE + "proposals/<int:item>/"

urlpatterns = [
    path(ALL, improvements.improvement_list, name="improvement-list"),
    path(ALL + "new/", improvements.improvement_new, name="improvement-new"),
    path(ALL + "estimate/", improvements.improvement_estimate, name="improvement-estimate"),
    path(ONE, improvements.improvement_detail, name="improvement-detail"),
    path(ONE + "accept-better/", proposals.proposals_better, name="proposals-better"),
    path(PROPOSAL, proposals.proposal_detail, name="proposal-detail"),
    path(PROPOSAL + "<slug:action>/", proposals.proposal_action, name="proposal-action"),
    path(ONE + "<slug:action>/", improvements.improvement_action, name="improvement-action"),
]

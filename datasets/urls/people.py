from __future__ import annotations

from django.urls import path

from datasets.views import people

urlpatterns = [
    path("p/<slug:project>/members/", people.member_list, name="member-list"),
    path("p/<slug:project>/members/add/", people.member_add, name="member-add"),
    path("p/<slug:project>/members/<int:membership>/", people.member_change, name="member-change"),
    path("account/", people.account, name="account"),
    path("account/email/", people.email_change, name="email-change"),
    path("account/email/<str:token>/", people.email_confirm, name="email-confirm"),
    path("account/tokens/", people.token_new, name="token-new"),
    path("account/tokens/<int:token>/delete/", people.token_delete, name="token-delete"),
]

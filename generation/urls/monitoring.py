from __future__ import annotations

from django.urls import path

from datasets.verbs import verbs
from generation.views import alerts, monitoring

RUN = "p/<slug:project>/runs/<int:run>/"
MONITORING = "p/<slug:project>/monitoring/"
ALERTS = "p/<slug:project>/alerts/"

urlpatterns = [
    path(RUN + "metrics/", monitoring.run_metrics, name="run-metrics"),
    path(RUN + "alerts/", alerts.run_alerts, name="run-alerts"),
    path(MONITORING, monitoring.monitoring, name="monitoring"),
    path(MONITORING + "calls.csv", monitoring.ledger_file, name="ledger-file"),
    path(ALERTS, alerts.alert_list, name="alert-list"),
    path(ALERTS + "count/", alerts.alert_count, name="alert-count"),
    path(ALERTS + "acknowledge/", alerts.alert_acknowledge, name="alert-acknowledge"),
    path(ALERTS + "rules/", verbs(get=alerts.rule_list, post=alerts.rules_save), name="alert-rules"),
    path(ALERTS + "channels/", alerts.channels, name="alert-channels"),
    path(ALERTS + "channels/mail/", alerts.mail_switch, name="alert-mail"),
    path(ALERTS + "channels/webhook/", alerts.webhook_save, name="alert-webhook"),
    path(ALERTS + "channels/webhook/<slug:action>/", alerts.webhook_action, name="alert-webhook-action"),
]

//! Rejections of values of the alerts.

use crate::rejections::Rejection;

pub(crate) const TABLE: &[Rejection] = &[
    Rejection {
        name: "alerts_without_stores",
        values: "{global: {stores: {enabled: false}}, jaeger: {alerts: {enabled: true}}}",
        words: &["jaeger.alerts.enabled", "global.stores.enabled is false", "deploy/alerts"],
    },
    Rejection {
        name: "alerts_with_the_metrics_store_elsewhere",
        values: r#"jaeger: {alerts: {enabled: true}, stores: {metrics: {endpoint: "https://metrics:8428"}}, networkPolicy: {extraEgress: [{ports: [{port: 8428}]}]}}"#,
        words: &[
            "jaeger.alerts.enabled",
            "jaeger.stores.metrics.endpoint",
            "https://metrics:8428",
            "deploy/alerts",
        ],
    },
    Rejection {
        name: "a_notifier_without_alerts",
        values: r#"jaeger: {alerts: {notifier: {url: "https://alertmanager:9093"}}, networkPolicy: {extraEgress: [{ports: [{port: 9093}]}]}}"#,
        words: &["jaeger.alerts.notifier.url", "https://alertmanager:9093", "jaeger.alerts.enabled is false"],
    },
    Rejection {
        name: "rules_without_alerts",
        values: "jaeger: {alerts: {rules: {own.yaml: {groups: [{name: own, rules: []}]}}}}",
        words: &["jaeger.alerts.rules has 1 files", "jaeger.alerts.enabled is false"],
    },
    Rejection {
        name: "a_notifier_without_tls",
        values: r#"jaeger: {alerts: {enabled: true, notifier: {url: "http://alertmanager.monitoring:9093"}}}"#,
        words: &["jaeger.alerts.notifier.url", "http://alertmanager.monitoring:9093", "unencrypted", "https"],
    },
    Rejection {
        name: "a_notifier_with_the_name_of_loopback_without_tls",
        values: r#"jaeger: {alerts: {enabled: true, notifier: {url: "http://127.0.0.1.example.com"}}}"#,
        words: &["jaeger.alerts.notifier.url", "http://127.0.0.1.example.com", "unencrypted"],
    },
    Rejection {
        name: "a_notifier_with_a_password",
        values: r#"jaeger: {alerts: {enabled: true, notifier: {url: "https://sightline:hunter2@alertmanager:9093"}}}"#,
        words: &["jaeger.alerts.notifier.url", "password", "existingSecret"],
    },
    Rejection {
        name: "a_notifier_that_is_not_a_url",
        values: r#"jaeger: {alerts: {enabled: true, notifier: {url: "alertmanager:9093"}}}"#,
        words: &["jaeger.alerts.notifier.url", "alertmanager:9093", "https://"],
    },
    Rejection {
        name: "a_notifier_without_a_policy",
        values: r#"jaeger: {alerts: {enabled: true, notifier: {url: "https://alertmanager.monitoring.svc:9093"}}}"#,
        words: &["jaeger.alerts.notifier.url", "jaeger.networkPolicy.extraEgress"],
    },
    Rejection {
        name: "a_login_without_a_notifier",
        values: "jaeger: {alerts: {enabled: true, notifier: {existingSecret: login}}}",
        words: &["jaeger.alerts.notifier.existingSecret", "login", "not an https URL"],
    },
    Rejection {
        name: "a_ca_for_a_notifier_without_tls",
        values: r#"jaeger: {alerts: {enabled: true, notifier: {url: "http://localhost:9093", caSecret: ca}}}"#,
        words: &["jaeger.alerts.notifier.caSecret", "ca", "http://localhost:9093"],
    },
    Rejection {
        name: "rules_that_are_not_a_file",
        values: "jaeger: {alerts: {enabled: true, rules: {own: {groups: [{name: own}]}}}}",
        words: &["jaeger.alerts.rules", "\"own\"", "own.yaml"],
    },
    Rejection {
        name: "rules_without_groups",
        values: "jaeger: {alerts: {enabled: true, rules: {own.yaml: {rules: []}}}}",
        words: &["alerts/rules/own.yaml", "groups"],
    },
    Rejection {
        name: "a_text_that_is_not_rules",
        values: "jaeger: {alerts: {enabled: true, rules: {own.yaml: mine.yaml}}}",
        words: &["alerts/rules/own.yaml", "groups"],
    },
    Rejection {
        name: "a_container_with_the_name_of_vmalert",
        values: "jaeger: {extraContainers: [{name: vmalert, image: a}]}",
        words: &["jaeger.extraContainers", "vmalert", "another name"],
    },
    Rejection {
        name: "vmalert_without_a_memory_limit",
        values: "jaeger: {alerts: {enabled: true, resources: {limits: {memory: null}}}}",
        words: &["jaeger.alerts.resources.limits.memory", "not set"],
    },
];

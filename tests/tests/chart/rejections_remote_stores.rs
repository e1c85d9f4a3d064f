//! Rejections of values of stores that are not in Jaeger's pod.

use crate::rejections::Rejection;

pub(crate) const TABLE: &[Rejection] = &[
    Rejection {
        name: "a_store_elsewhere_without_tls",
        values: r#"jaeger: {stores: {metrics: {endpoint: "http://metrics.monitoring.svc:8428"}}}"#,
        words: &["jaeger.stores.metrics.endpoint", "http://metrics.monitoring.svc:8428", "https"],
    },
    Rejection {
        name: "a_store_with_the_name_of_loopback_without_tls",
        values: r#"jaeger: {stores: {logs: {endpoint: "http://localhost.example.com:9428"}}}"#,
        words: &["jaeger.stores.logs.endpoint", "http://localhost.example.com:9428", "https"],
    },
    Rejection {
        name: "a_store_elsewhere_with_a_password",
        values: r#"jaeger: {stores: {logs: {endpoint: "https://sightline:hunter2@logs:9428"}}}"#,
        words: &["jaeger.stores.logs.endpoint", "password", "existingSecret"],
    },
    Rejection {
        name: "a_store_elsewhere_that_is_not_a_base_url",
        values: r#"jaeger: {stores: {logs: {endpoint: "https://logs:9428/insert?x=1"}}}"#,
        words: &["jaeger.stores.logs.endpoint", "https://logs:9428/insert?x=1", "otlpPath"],
    },
    Rejection {
        name: "a_store_elsewhere_without_a_policy",
        values: r#"jaeger: {stores: {metrics: {endpoint: "https://metrics.monitoring.svc:8428"}}}"#,
        words: &["jaeger.stores.metrics.endpoint", "jaeger.networkPolicy.extraEgress"],
    },
    Rejection {
        name: "a_store_elsewhere_without_stores",
        values: r#"{global: {stores: {enabled: false}}, jaeger: {stores: {metrics: {endpoint: "https://metrics:8428"}}}}"#,
        words: &["jaeger.stores.metrics.endpoint", "global.stores.enabled is false"],
    },
    Rejection {
        name: "a_login_for_a_store_in_the_pod",
        values: "jaeger: {stores: {metrics: {existingSecret: login}}}",
        words: &["jaeger.stores.metrics.existingSecret", "login", "endpoint"],
    },
    Rejection {
        name: "a_path_for_a_store_in_the_pod",
        values: "jaeger: {stores: {logs: {otlpPath: /otlp/v1/logs}}}",
        words: &["jaeger.stores.logs.otlpPath", "/otlp/v1/logs", "endpoint"],
    },
    Rejection {
        name: "a_query_path_for_a_store_in_the_pod",
        values: r#"jaeger: {stores: {metrics: {queryPath: ""}}}"#,
        words: &["jaeger.stores.metrics.queryPath", "endpoint"],
    },
    Rejection {
        name: "a_path_that_ends_with_a_slash",
        values: r#"jaeger: {stores: {metrics: {endpoint: "https://metrics:8428", queryPath: /prometheus/}}}"#,
        words: &["stores/metrics/queryPath", "/prometheus/"],
    },
    Rejection {
        name: "a_ca_for_stores_in_the_pod",
        values: "jaeger: {stores: {caSecret: ca}}",
        words: &["jaeger.stores.caSecret", "ca", "endpoint"],
    },
    Rejection {
        name: "one_store_in_two_pods",
        values: r#"jaeger: {replicaCount: 2, storage: {type: opensearch, addresses: ["https://a:9200"], existingSecret: a}, stores: {metrics: {endpoint: "https://metrics:8428"}}, networkPolicy: {extraEgress: [{ports: [{port: 9200}]}]}}"#,
        words: &["jaeger.replicaCount", "contains the log store,", "jaeger.stores.logs.endpoint"],
    },
    Rejection {
        name: "a_claim_for_a_store_elsewhere",
        values: r#"jaeger: {stores: {metrics: {endpoint: "https://metrics:8428", existingClaim: mine}}, networkPolicy: {extraEgress: [{ports: [{port: 8428}]}]}}"#,
        words: &["jaeger.stores.metrics.existingClaim", "mine", "https://metrics:8428"],
    },
];

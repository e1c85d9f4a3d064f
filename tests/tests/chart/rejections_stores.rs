//! Rejections of values of the stores in Jaeger's pod, and of the pages.

use crate::rejections::Rejection;

pub(crate) const TABLE: &[Rejection] = &[
    Rejection {
        name: "stores_in_two_pods",
        values: r#"jaeger: {replicaCount: 2, storage: {type: opensearch, addresses: ["https://a:9200"], existingSecret: a}, networkPolicy: {extraEgress: [{ports: [{port: 9200}]}]}}"#,
        words: &[
            "jaeger.replicaCount",
            "2",
            "metrics store and the log store",
            "endpoint",
            "global.stores.enabled",
        ],
    },
    Rejection {
        name: "a_host_with_a_scheme",
        values: r#"jaeger: {pages: {hosts: ["https://traces.example.com"]}}"#,
        words: &["pages/hosts/0", "https://traces.example.com"],
    },
    Rejection {
        name: "a_host_with_a_port",
        values: r#"jaeger: {pages: {hosts: ["traces.example.com:443"]}}"#,
        words: &["pages/hosts/0", "traces.example.com:443"],
    },
    Rejection {
        name: "a_host_that_is_a_pattern",
        values: r#"jaeger: {pages: {hosts: [".*"]}}"#,
        words: &["pages/hosts/0", ".*"],
    },
    Rejection {
        name: "hosts_without_stores",
        values: "{global: {stores: {enabled: false}}, jaeger: {pages: {hosts: [traces.example.com]}}}",
        words: &["jaeger.pages.hosts", "traces.example.com", "global.stores.enabled"],
    },
    Rejection {
        name: "an_unused_claim_of_a_store",
        values: "jaeger: {persistence: {enabled: false}, stores: {logs: {existingClaim: mine}}}",
        words: &["jaeger.stores.logs.existingClaim", "mine", "persistence.enabled is false"],
    },
    Rejection {
        name: "a_claim_without_stores",
        values: "{global: {stores: {enabled: false}}, jaeger: {stores: {metrics: {existingClaim: mine}}}}",
        words: &["jaeger.stores.metrics.existingClaim", "mine", "global.stores.enabled is false"],
    },
    Rejection {
        name: "a_retention_of_hours",
        values: "jaeger: {stores: {logs: {retention: 12h}}}",
        words: &["stores/logs/retention", "12h"],
    },
    Rejection {
        name: "a_store_without_a_tag_and_a_digest",
        values: r#"jaeger: {stores: {metrics: {image: {tag: ""}}}}"#,
        words: &["jaeger.stores.metrics.image", "neither a tag nor a digest"],
    },
    Rejection {
        name: "a_store_without_a_memory_limit",
        values: "jaeger: {stores: {logs: {resources: {limits: {memory: null}}}}}",
        words: &["jaeger.stores.logs.resources.limits.memory", "not set"],
    },
    Rejection {
        name: "a_container_with_the_name_of_the_proxy",
        values: "jaeger: {extraContainers: [{name: vmauth, image: a}]}",
        words: &["jaeger.extraContainers", "vmauth", "another name"],
    },
    Rejection {
        name: "a_volume_with_the_name_of_a_store",
        values: "jaeger: {volumes: [{name: logs, emptyDir: {}}]}",
        words: &["jaeger.volumes", "logs", "another name"],
    },
    Rejection {
        name: "all_signals_without_another_backend",
        values: "collector: {gateway: {traces: {metricsAndLogs: true}}}",
        words: &["traces.metricsAndLogs", "traces.endpoint", "empty"],
    },
];

//! Rejections of values that add to the gateway's lists, name another backend, or open the pods of the pipeline.

use crate::rejections::Rejection;

pub(crate) const TABLE: &[Rejection] = &[
    Rejection {
        name: "the_old_name_of_the_backend",
        values: r#"collector: {gateway: {jaeger: {endpoint: "jaeger.tracing.svc:4317"}}}"#,
        words: &["collector.gateway.jaeger", "collector.gateway.traces", "traces.endpoint", "traces.service"],
    },
    Rejection {
        name: "headers_without_a_backend",
        values: "collector: {gateway: {traces: {headers: {x-tenant: a}}}}",
        words: &["traces.headers", "traces.endpoint", "empty"],
    },
    Rejection {
        name: "a_token_that_is_not_in_a_secret",
        values: r#"collector: {gateway: {traces: {endpoint: "a:443", headers: {authorization: "Bearer abc"}}, networkPolicy: {extraEgress: [{ports: [{port: 443}]}]}}}"#,
        words: &["headers.authorization", "{secret: NAME, key: KEY}", "Bearer"],
    },
    Rejection {
        name: "a_header_in_capital_letters",
        values: r#"collector: {gateway: {traces: {endpoint: "a:443", headers: {X-Tenant: a}}}}"#,
        words: &["X-Tenant", "pattern"],
    },
    Rejection {
        name: "a_header_that_grpc_sets",
        values: r#"collector: {gateway: {traces: {endpoint: "a:443", headers: {user-agent: a}}, networkPolicy: {extraEgress: [{ports: [{port: 443}]}]}}}"#,
        words: &["headers.user-agent", "gRPC"],
    },
    Rejection {
        name: "a_client_certificate_without_tls",
        values: r#"{global: {tls: {mode: disabled}}, collector: {gateway: {traces: {endpoint: "a:443", tls: {mode: mutual}}, networkPolicy: {extraEgress: [{ports: [{port: 443}]}]}}}}"#,
        words: &["traces.tls.mode", "mutual", "global.tls.mode", "disabled"],
    },
    Rejection {
        name: "a_ca_for_a_connection_without_tls",
        values: r#"collector: {gateway: {traces: {endpoint: "a:443", tls: {mode: disabled, caSecret: mine}}, networkPolicy: {extraEgress: [{ports: [{port: 443}]}]}}}"#,
        words: &["tls.caSecret", "mine", "tls.mode"],
    },
    Rejection {
        name: "a_backend_and_a_service",
        values: r#"collector: {gateway: {traces: {endpoint: "a:443", service: jaeger}, networkPolicy: {extraEgress: [{ports: [{port: 443}]}]}}}"#,
        words: &["traces.endpoint", "a:443", "traces.service", "jaeger"],
    },
    Rejection {
        name: "a_policy_without_a_name",
        values: "collector: {gateway: {sampling: {policies: [{type: always_sample}]}}}",
        words: &["sampling/policies/0", "name"],
    },
    Rejection {
        name: "a_policy_with_a_taken_name",
        values: "collector: {gateway: {sampling: {policies: [{name: slow, type: always_sample}]}}}",
        words: &["sampling.policies[0]", "slow", "gateway.yaml", "another name"],
    },
    Rejection {
        name: "two_policies_with_one_name",
        values: "collector: {gateway: {sampling: {policies: [{name: a, type: drop}, {name: a, type: drop}]}}}",
        words: &["sampling.policies[1]", "twice"],
    },
    Rejection {
        name: "an_unknown_policy_type",
        values: "collector: {gateway: {sampling: {policies: [{name: a, type: sometimes}]}}}",
        words: &["sampling/policies/0/type", "probabilistic"],
    },
    Rejection {
        name: "a_policy_setting_of_another_type",
        values: "collector: {gateway: {sampling: {policies: [{name: a, type: latency, threshold_ms: 5}]}}}",
        words: &["sampling.policies[0]", "latency", "threshold_ms"],
    },
    Rejection {
        name: "an_empty_redaction_key",
        values: "collector: {gateway: {redaction: {keys: ['']}}}",
        words: &["redaction/keys/0"],
    },
    Rejection {
        name: "a_redaction_key_of_the_base_file",
        values: "collector: {gateway: {redaction: {keys: ['cookie$']}}}",
        words: &["redaction.keys[0]", "cookie$", "gateway.yaml"],
    },
    Rejection {
        name: "a_redaction_pattern_that_is_not_a_regular_expression",
        values: "collector: {gateway: {redaction: {patterns: ['a(b']}}}",
        words: &["redaction.patterns[0]", "a(b", "regular expression"],
    },
    Rejection {
        name: "a_redaction_pattern_with_look_ahead",
        values: "collector: {gateway: {redaction: {patterns: ['(?=a)b']}}}",
        words: &["redaction.patterns[0]", "(?=a)b", "look-around"],
    },
    Rejection {
        name: "a_redaction_key_that_matches_everything",
        values: "collector: {gateway: {redaction: {keys: ['.*']}}}",
        words: &["redaction.keys[0]", ".*", "everything"],
    },
    Rejection {
        name: "a_dimension_of_the_base_file",
        values: "collector: {gateway: {spanMetrics: {dimensions: [{name: http.route}]}}}",
        words: &["spanMetrics.dimensions[0]", "http.route"],
    },
    Rejection {
        name: "a_dimension_that_the_collector_sets",
        values: "collector: {gateway: {spanMetrics: {dimensions: [{name: service.name}]}}}",
        words: &["spanMetrics.dimensions[0]", "service.name"],
    },
    Rejection {
        name: "two_dimensions_with_one_label",
        values: "collector: {gateway: {spanMetrics: {dimensions: [{name: a.b}, {name: a_b}]}}}",
        words: &["spanMetrics.dimensions[1]", "a_b", "twice"],
    },
    Rejection {
        name: "an_added_policy_and_a_replaced_list",
        values: "collector: {gateway: {sampling: {policies: [{name: a, type: drop}]}, config: {processors: {tail_sampling: {policies: [{name: b, type: always_sample}]}}}}}",
        words: &["sampling.policies", "gateway.config", "replaces the whole list"],
    },
    Rejection {
        name: "a_volume_with_the_name_of_the_queue",
        values: "collector: {agent: {volumes: [{name: queue, emptyDir: {}}]}}",
        words: &["collector.agent.volumes", "queue", "another name"],
    },
    Rejection {
        name: "a_container_with_the_name_of_jaeger",
        values: "jaeger: {extraContainers: [{name: jaeger, image: a}]}",
        words: &["jaeger.extraContainers", "jaeger", "another name"],
    },
];

//! Values that cannot work are refused before anything is installed, by words that say what, with which value, and what
//! would do.

use anyhow::{Result, ensure};

use crate::helm;

/// A bad set of values.
pub(crate) struct Refusal {
    pub(crate) name: &'static str,
    values: &'static str,
    /// What the message has to contain: the setting, the value, the advice. Case does not count.
    words: &'static [&'static str],
}

impl Refusal {
    pub(crate) fn check(&self) -> Result<()> {
        let said = helm::refusal(self.values)?;
        let lower = said.to_lowercase();
        let missing: Vec<&&str> =
            self.words.iter().filter(|word| !lower.contains(&word.to_lowercase())).collect();
        ensure!(missing.is_empty(), "the message lacks {missing:?}:\n{said}");
        Ok(())
    }
}

pub(crate) const TABLE: &[Refusal] = &[
    Refusal {
        name: "an_unknown_value",
        values: "jaegger: {enabled: false}",
        words: &["jaegger", "not allowed"],
    },
    Refusal {
        name: "an_unknown_value_of_a_service",
        values: "user-service: {replicas: 2}",
        words: &["user-service", "replicas", "not allowed"],
    },
    Refusal {
        name: "an_unknown_value_of_the_pipeline",
        values: "collector: {gateway: {sampling: {percent: 10}}}",
        words: &["sampling", "percent", "not allowed"],
    },
    Refusal {
        name: "an_unknown_mode",
        values: "global: {tls: {mode: none}}",
        words: &["mode", "generated", "certManager", "existingSecret", "disabled"],
    },
    Refusal {
        name: "an_unknown_storage",
        values: "jaeger: {storage: {type: elasticsearch}}",
        words: &["storage", "type", "opensearch", "badger"],
    },
    Refusal {
        name: "a_text_for_a_number",
        values: "order-service: {replicaCount: two}",
        words: &["replicaCount", "integer"],
    },
    Refusal {
        name: "a_port_out_of_range",
        values: "order-service: {service: {port: 70000}}",
        words: &["order-service", "service/port", "maximum"],
    },
    Refusal {
        name: "a_number_for_a_variable",
        values: "order-service: {env: {SHOP_LIMIT: 5}}",
        words: &["SHOP_LIMIT", "string"],
    },
    Refusal { name: "root", values: "order-service: {runAsUser: 0}", words: &["runAsUser", "1"] },
    Refusal {
        name: "a_share_over_one",
        values: "user-service: {telemetry: {ratio: 10}}",
        words: &["ratio", "1"],
    },
    Refusal {
        name: "an_unknown_sampler",
        values: "user-service: {telemetry: {sampler: jaeger_remote}}",
        words: &["sampler", "parentbased_traceidratio"],
    },
    Refusal {
        name: "everyone_as_a_peer",
        values: "order-service: {networkPolicy: {from: [{}]}}",
        words: &["networkPolicy/from"],
    },
    Refusal {
        name: "a_registry_with_a_scheme",
        values: r#"global: {image: {registry: "https://registry.example.com"}}"#,
        words: &["image/registry"],
    },
    Refusal {
        name: "no_secret_named",
        values: "global: {tls: {mode: existingSecret}}",
        words: &["existingSecret", "global.tls.existingSecret", "tls.crt", "ca.crt"],
    },
    Refusal {
        name: "a_secret_nobody_reads",
        values: "global: {tls: {existingSecret: mine}}",
        words: &["global.tls.existingSecret", "mine", "generated", "mode"],
    },
    Refusal {
        name: "a_secret_of_a_part_nobody_reads",
        values: "user-service: {tls: {existingSecret: mine}}",
        words: &["user-service.tls.existingSecret", "mine", "generated"],
    },
    Refusal {
        name: "an_issuer_nobody_asks",
        values: "global: {tls: {certManager: {issuerRef: {name: mine}}}}",
        words: &["issuerRef.name", "mine", "generated", "certManager"],
    },
    Refusal {
        name: "clients_nobody_serves",
        values: "global: {tls: {mode: disabled, generated: {clients: [shop]}}}",
        words: &["generated.clients", "shop", "disabled"],
    },
    Refusal {
        name: "an_authority_of_its_own",
        values: "collector: {enabled: false}\nglobal: {agent: {name: other-agent}}",
        words: &["collector.enabled", "generated", "existingSecret"],
    },
    Refusal {
        name: "no_pipeline",
        values: "collector: {enabled: false}",
        words: &["collector.enabled", "global.agent.name"],
    },
    Refusal {
        name: "two_agents",
        values: "global: {agent: {name: other-agent}}",
        words: &["global.agent", "other-agent", "sightline-agent"],
    },
    Refusal {
        name: "no_jaeger",
        values: "jaeger: {enabled: false}",
        words: &["jaeger.enabled", "collector.gateway.jaeger.endpoint"],
    },
    Refusal {
        name: "a_callee_that_is_off",
        values: "inventory-service: {enabled: false}",
        words: &["order-service", "callees", "inventory-service"],
    },
    Refusal {
        name: "a_jaeger_with_a_scheme",
        values: r#"collector: {gateway: {jaeger: {endpoint: "https://jaeger:4317"}, networkPolicy: {extraEgress: [{ports: [{port: 4317}]}]}}}"#,
        words: &["endpoint", "https://jaeger:4317", "host:port"],
    },
    Refusal {
        name: "a_jaeger_without_a_port",
        values: "collector: {gateway: {jaeger: {endpoint: jaeger}, networkPolicy: {extraEgress: [{ports: [{port: 4317}]}]}}}",
        words: &["endpoint", "jaeger", "host:port"],
    },
    Refusal {
        name: "a_jaeger_out_of_reach",
        values: r#"collector: {gateway: {jaeger: {endpoint: "jaeger.tracing.svc:4317"}}}"#,
        words: &["endpoint", "extraEgress", "4317"],
    },
    Refusal {
        name: "sqlite_and_two_pods",
        values: "user-service: {replicaCount: 2}",
        words: &["user-service", "2", "SQLite", "database.existingSecret"],
    },
    Refusal {
        name: "sqlite_and_autoscaling",
        values: "user-service: {autoscaling: {enabled: true}}",
        words: &["user-service", "SQLite", "database.existingSecret"],
    },
    Refusal {
        name: "sqlite_where_nothing_can_be_written",
        values: r#"user-service: {database: {url: "sqlite:///tmp/user.db?mode=rwc"}}"#,
        words: &["sqlite:///tmp/user.db", "/data"],
    },
    Refusal {
        name: "two_databases",
        values: "user-service: {database: {existingSecret: mine}}",
        words: &["user-service", "url", "existingSecret", "mine"],
    },
    Refusal {
        name: "a_password_in_the_values",
        values: r#"user-service: {database: {url: "postgres://me:hunter2@db/users"}}"#,
        words: &["user-service", "database.url", "password", "existingSecret"],
    },
    Refusal {
        name: "a_database_out_of_reach",
        values: r#"user-service: {database: {url: "", existingSecret: mine}}"#,
        words: &["user-service", "extraEgress", "5432"],
    },
    Refusal {
        name: "least_over_most",
        values: "inventory-service: {autoscaling: {enabled: true, minReplicas: 5, maxReplicas: 3}}",
        words: &["inventory-service", "minReplicas", "5", "maxReplicas", "3"],
    },
    Refusal {
        name: "two_jaegers_on_badger",
        values: "jaeger: {replicaCount: 2}",
        words: &["jaeger.replicaCount", "2", "badger", "opensearch"],
    },
    Refusal {
        name: "a_database_without_an_address",
        values: "jaeger: {storage: {type: opensearch, existingSecret: mine}}",
        words: &["opensearch", "addresses", "https://"],
    },
    Refusal {
        name: "a_database_without_a_login",
        values: "jaeger: {storage: {type: cassandra, addresses: [cassandra]}}",
        words: &["cassandra", "existingSecret", "username", "password"],
    },
    Refusal {
        name: "an_address_nobody_asks",
        values: r#"jaeger: {storage: {addresses: ["https://opensearch:9200"]}}"#,
        words: &["addresses", "https://opensearch:9200", "badger"],
    },
    Refusal {
        name: "a_claim_nobody_uses",
        values: "jaeger: {storage: {type: memory}, persistence: {existingClaim: mine}}",
        words: &["existingClaim", "mine", "memory", "badger"],
    },
    Refusal {
        name: "no_gateway",
        values: "collector: {gateway: {replicaCount: 0}}",
        words: &["gateway", "replicaCount", "0"],
    },
    Refusal {
        name: "no_memory_limit",
        values: "collector: {gateway: {resources: {limits: {memory: null}}}}",
        words: &["collector.gateway", "limits.memory", "GOMEMLIMIT"],
    },
    Refusal {
        name: "a_limit_under_its_request",
        values: "user-service: {resources: {limits: {memory: 20Mi}}}",
        words: &["user-service", "20Mi", "32Mi"],
    },
    Refusal {
        name: "a_unit_forgotten",
        values: "jaeger: {resources: {requests: {memory: null}, limits: {memory: 512}}}",
        words: &["jaeger", "512", "Mi"],
    },
    Refusal {
        name: "no_time_to_stop",
        values: "user-service: {terminationGracePeriodSeconds: 10}",
        words: &["user-service", "terminationGracePeriodSeconds", "10", "20"],
    },
    Refusal {
        name: "no_time_to_decide",
        values: "collector: {gateway: {sampling: {decisionWait: 60s}}}",
        words: &["decisionWait", "60s", "terminationGracePeriodSeconds", "100"],
    },
    Refusal {
        name: "half_a_second",
        values: "collector: {gateway: {sampling: {decisionWait: 500ms}}}",
        words: &["decisionWait", "500ms", "seconds"],
    },
    Refusal {
        name: "more_than_everything",
        values: "collector: {gateway: {sampling: {percentage: 150}}}",
        words: &["percentage", "150", "100"],
    },
    Refusal {
        name: "no_eviction_ever",
        values: "collector: {gateway: {podDisruptionBudget: {maxUnavailable: 0}}}",
        words: &["podDisruptionBudget", "maxUnavailable", "0", "drain"],
    },
    Refusal {
        name: "two_budgets",
        values: "collector: {gateway: {podDisruptionBudget: {minAvailable: 1}}}",
        words: &["podDisruptionBudget", "minAvailable", "maxUnavailable", "null"],
    },
    Refusal {
        name: "a_tag_that_moves",
        values: "user-service: {image: {tag: latest}}",
        words: &["user-service", "latest", "digest"],
    },
    Refusal {
        name: "a_tag_and_a_digest",
        values: r#"user-service: {image: {tag: "1", digest: "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}}"#,
        words: &["user-service", "tag", "digest"],
    },
    Refusal {
        name: "one_port_twice",
        values: "user-service: {admin: {port: 8080}}",
        words: &["user-service", "admin.port", "8080"],
    },
    Refusal {
        name: "a_variable_twice",
        values: "user-service: {env: {OTEL_SERVICE_NAME: other}}",
        words: &["user-service", "OTEL_SERVICE_NAME"],
    },
    Refusal {
        name: "monitors_nobody_knows",
        values: "global: {serviceMonitor: {enabled: true}}",
        words: &["serviceMonitor", "monitoring.coreos.com", "Prometheus operator"],
    },
    Refusal {
        name: "a_name_too_long",
        values: "user-service: {fullnameOverride: the-name-of-this-service-has-more-than-fifty-two-letters}",
        words: &["the-name-of-this", "52", "fullnameOverride"],
    },
];

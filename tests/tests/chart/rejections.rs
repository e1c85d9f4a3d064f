//! Before anything is installed, Helm rejects values that cannot work. The error message names the setting and its
//! value, and says what to change.

use anyhow::{Result, ensure};

use crate::helm;

/// Values that the chart must reject.
pub(crate) struct Rejection {
    /// The name of the test, without the prefix `rejects::`.
    pub(crate) name: &'static str,
    /// The text of a values file.
    pub(crate) values: &'static str,
    /// The texts that the message must contain: the setting, the value and the advice. Case is ignored.
    pub(crate) words: &'static [&'static str],
}

impl Rejection {
    pub(crate) fn check(&self) -> Result<()> {
        let message = helm::rejection(self.values)?;
        let lower = message.to_lowercase();
        let missing: Vec<&&str> =
            self.words.iter().filter(|word| !lower.contains(&word.to_lowercase())).collect();
        ensure!(missing.is_empty(), "the message does not contain {missing:?}:\n{message}");
        Ok(())
    }
}

pub(crate) const TABLE: &[Rejection] = &[
    Rejection {
        name: "an_unknown_value",
        values: "jaegger: {enabled: false}",
        words: &["jaegger", "not allowed"],
    },
    Rejection {
        name: "an_unknown_value_of_a_service",
        values: "services: {user-service: {replicas: 2}}",
        words: &["user-service", "replicas", "not allowed"],
    },
    Rejection {
        name: "an_unknown_value_of_the_pipeline",
        values: "collector: {gateway: {sampling: {percent: 10}}}",
        words: &["sampling", "percent", "not allowed"],
    },
    Rejection {
        name: "an_unknown_tls_mode",
        values: "global: {tls: {mode: none}}",
        words: &["mode", "generated", "certManager", "existingSecret", "disabled"],
    },
    Rejection {
        name: "an_unknown_storage_type",
        values: "jaeger: {storage: {type: elasticsearch}}",
        words: &["storage", "type", "opensearch", "badger"],
    },
    Rejection {
        name: "text_for_a_number",
        values: "services: {order-service: {replicaCount: two}}",
        words: &["replicaCount", "integer"],
    },
    Rejection {
        name: "a_port_out_of_range",
        values: "services: {order-service: {service: {port: 70000}}}",
        words: &["order-service", "service/port", "maximum"],
    },
    Rejection {
        name: "a_number_for_an_environment_variable",
        values: "services: {order-service: {env: {SHOP_LIMIT: 5}}}",
        words: &["SHOP_LIMIT", "string"],
    },
    Rejection {
        name: "the_root_user",
        values: "services: {order-service: {runAsUser: 0}}",
        words: &["runAsUser", "1"],
    },
    Rejection {
        name: "a_sampling_ratio_above_one",
        values: "services: {user-service: {telemetry: {ratio: 10}}}",
        words: &["ratio", "1"],
    },
    Rejection {
        name: "an_unknown_sampler",
        values: "services: {user-service: {telemetry: {sampler: jaeger_remote}}}",
        words: &["sampler", "parentbased_traceidratio"],
    },
    Rejection {
        name: "an_empty_network_policy_peer",
        values: "services: {order-service: {networkPolicy: {from: [{}]}}}",
        words: &["networkPolicy/from"],
    },
    Rejection {
        name: "an_image_registry_with_a_scheme",
        values: r#"global: {image: {registry: "https://registry.example.com"}}"#,
        words: &["image/registry"],
    },
    Rejection {
        name: "existing_secret_mode_without_a_secret",
        values: "global: {tls: {mode: existingSecret}}",
        words: &["existingSecret", "global.tls.existingSecret", "tls.crt", "ca.crt"],
    },
    Rejection {
        name: "an_unused_secret",
        values: "global: {tls: {existingSecret: mine}}",
        words: &["global.tls.existingSecret", "mine", "generated", "mode"],
    },
    Rejection {
        name: "an_unused_secret_of_a_service",
        values: "services: {user-service: {tls: {existingSecret: mine}}}",
        words: &["user-service.tls.existingSecret", "mine", "generated"],
    },
    Rejection {
        name: "an_unused_issuer",
        values: "global: {tls: {certManager: {issuerRef: {name: mine}}}}",
        words: &["issuerRef.name", "mine", "generated", "certManager"],
    },
    Rejection {
        name: "certificate_clients_without_tls",
        values: "global: {tls: {mode: disabled, generated: {clients: [shop]}}}",
        words: &["generated.clients", "shop", "disabled"],
    },
    Rejection {
        name: "a_generated_ca_for_an_external_agent",
        values: "collector: {enabled: false}\nglobal: {agent: {name: other-agent}}",
        words: &["collector.enabled", "generated", "existingSecret"],
    },
    Rejection {
        name: "a_disabled_collector_without_an_external_agent",
        values: "collector: {enabled: false}",
        words: &["collector.enabled", "global.agent.name"],
    },
    Rejection {
        name: "an_external_agent_and_an_enabled_collector",
        values: "global: {agent: {name: other-agent}}",
        words: &["global.agent", "other-agent", "sightline-agent"],
    },
    Rejection {
        name: "a_relative_path_of_a_ui",
        values: "jaeger: {ui: {assetsPath: ui}}",
        words: &["assetsPath", "'ui'"],
    },
    Rejection {
        name: "a_disabled_jaeger_without_an_external_one",
        values: "jaeger: {enabled: false}",
        words: &["jaeger.enabled", "collector.gateway.traces.endpoint"],
    },
    Rejection {
        name: "a_disabled_callee",
        values: "services: {inventory-service: {enabled: false}}",
        words: &["services.order-service.calls", "inventory-service", "enable"],
    },
    Rejection {
        name: "a_removed_callee",
        values: "services: {inventory-service: null}",
        words: &["services.order-service.calls", "inventory-service"],
    },
    Rejection {
        name: "a_call_to_a_removed_example",
        values: "examples: {enabled: false}\nservices: {shop: {image: {repository: shop}, calls: [user-service]}}",
        words: &["services.shop.calls", "user-service", "not an enabled service"],
    },
    Rejection {
        name: "a_call_of_the_service_itself",
        values: "services: {user-service: {calls: [user-service]}}",
        words: &["services.user-service.calls", "itself"],
    },
    Rejection {
        name: "a_call_to_a_worker",
        values: "services: {user-service: {protocol: worker}}",
        words: &["services.order-service.calls", "user-service", "worker", "no server"],
    },
    Rejection {
        name: "callers_of_a_worker",
        values: "services: {mail: {image: {repository: mail}, protocol: worker, networkPolicy: {anyCaller: true}}}",
        words: &["services.mail.networkPolicy", "worker", "anyCaller"],
    },
    Rejection {
        name: "a_service_without_an_image",
        values: "services: {shop: {}}",
        words: &["shop", "image.repository"],
    },
    Rejection {
        name: "a_service_name_that_is_not_a_dns_label",
        values: "services: {Shop_1: {image: {repository: shop}}}",
        words: &["Shop_1", "does not match"],
    },
    Rejection {
        name: "a_service_with_the_name_of_a_component",
        values: "services: {gateway: {image: {repository: shop}}}",
        words: &["services.gateway", "reserved"],
    },
    Rejection {
        name: "a_service_with_the_full_name_of_a_component",
        values: "services: {shop: {image: {repository: shop}, fullnameOverride: sightline-jaeger}}",
        words: &["services.shop", "sightline-jaeger", "Jaeger", "fullnameOverride"],
    },
    Rejection {
        name: "a_service_with_the_name_of_the_headless_service_of_the_gateway",
        values: "services: {gateway-headless: {image: {repository: shop}}}",
        words: &["services.gateway-headless", "sightline-gateway-headless", "the gateway"],
    },
    Rejection {
        name: "a_service_with_the_name_of_an_admin_service",
        values: "services: {shop: {image: {repository: shop}, service: {type: NodePort}}, shop-admin: {image: {repository: shop}}}",
        words: &["services.shop-admin", "sightline-shop-admin", "services.shop"],
    },
    Rejection {
        name: "two_services_with_one_name",
        values: "services: {shop: {image: {repository: shop}, nameOverride: user-service}}",
        words: &["services.shop", "services.user-service", "same name", "nameOverride"],
    },
    Rejection {
        name: "an_address_with_another_port",
        values: r#"services: {order-service: {env: {SIGHTLINE_USER_SERVICE_URL: "http://sightline-user-service:9999"}}}"#,
        words: &[
            "services.order-service.env.SIGHTLINE_USER_SERVICE_URL",
            "9999",
            "sightline-user-service:8080",
        ],
    },
    Rejection {
        name: "an_address_of_a_service_that_is_not_called",
        values: r#"services: {shop: {image: {repository: shop}, env: {USERS: "http://sightline-user-service:8080"}}}"#,
        words: &["services.shop.env.USERS", "services.shop.calls", "user-service"],
    },
    Rejection {
        name: "the_url_of_a_service_that_is_not_called",
        values: r#"services: {shop: {image: {repository: shop}, env: {USERS: '{{ include "service.url" (list . "user-service") }}'}}}"#,
        words: &["services.shop", "user-service", "services.shop.calls"],
    },
    Rejection {
        name: "a_value_of_the_previous_version",
        values: "user-service: {enabled: false}",
        words: &["user-service", "not allowed"],
    },
    Rejection {
        name: "a_common_label_that_the_chart_sets",
        values: "global: {labels: {app.kubernetes.io/name: shop}}",
        words: &["global.labels", "app.kubernetes.io/name"],
    },
    Rejection {
        name: "a_jaeger_endpoint_with_a_scheme",
        values: r#"collector: {gateway: {traces: {endpoint: "https://jaeger:4317"}, networkPolicy: {extraEgress: [{ports: [{port: 4317}]}]}}}"#,
        words: &["endpoint", "https://jaeger:4317", "host:port"],
    },
    Rejection {
        name: "a_jaeger_endpoint_without_a_port",
        values: "collector: {gateway: {traces: {endpoint: jaeger}, networkPolicy: {extraEgress: [{ports: [{port: 4317}]}]}}}",
        words: &["endpoint", "jaeger", "host:port"],
    },
    Rejection {
        name: "a_jaeger_endpoint_without_egress",
        values: r#"collector: {gateway: {traces: {endpoint: "jaeger.tracing.svc:4317"}}}"#,
        words: &["endpoint", "extraEgress", "4317"],
    },
    Rejection {
        name: "sqlite_with_two_replicas",
        values: "services: {user-service: {replicaCount: 2}}",
        words: &["user-service", "2", "SQLite", "database.existingSecret"],
    },
    Rejection {
        name: "sqlite_with_autoscaling",
        values: "services: {user-service: {autoscaling: {enabled: true}}}",
        words: &["user-service", "SQLite", "database.existingSecret"],
    },
    Rejection {
        name: "sqlite_on_a_read_only_path",
        values: r#"services: {user-service: {database: {url: "sqlite:///tmp/user.db?mode=rwc"}}}"#,
        words: &["sqlite:///tmp/user.db", "/data"],
    },
    Rejection {
        name: "a_database_url_and_a_database_secret",
        values: "services: {user-service: {database: {existingSecret: mine}}}",
        words: &["user-service", "url", "existingSecret", "mine"],
    },
    Rejection {
        name: "a_password_in_the_database_url",
        values: r#"services: {user-service: {database: {url: "postgres://me:hunter2@db/users"}}}"#,
        words: &["user-service", "database.url", "password", "existingSecret"],
    },
    Rejection {
        name: "a_database_without_egress",
        values: r#"services: {user-service: {database: {url: "", existingSecret: mine}}}"#,
        words: &["user-service", "extraEgress", "5432"],
    },
    Rejection {
        name: "min_replicas_above_max_replicas",
        values: "services: {inventory-service: {autoscaling: {enabled: true, minReplicas: 5, maxReplicas: 3}}}",
        words: &["inventory-service", "minReplicas", "5", "maxReplicas", "3"],
    },
    Rejection {
        name: "badger_with_two_replicas",
        values: "jaeger: {replicaCount: 2}",
        words: &["jaeger.replicaCount", "2", "badger", "opensearch"],
    },
    Rejection {
        name: "opensearch_without_an_address",
        values: "jaeger: {storage: {type: opensearch, existingSecret: mine}}",
        words: &["opensearch", "addresses", "https://"],
    },
    Rejection {
        name: "cassandra_without_credentials",
        values: "jaeger: {storage: {type: cassandra, addresses: [cassandra]}}",
        words: &["cassandra", "existingSecret", "username", "password"],
    },
    Rejection {
        name: "an_unused_storage_address",
        values: r#"jaeger: {storage: {addresses: ["https://opensearch:9200"]}}"#,
        words: &["addresses", "https://opensearch:9200", "badger"],
    },
    Rejection {
        name: "an_unused_claim",
        values: "jaeger: {storage: {type: memory}, persistence: {existingClaim: mine}}",
        words: &["existingClaim", "mine", "memory", "badger"],
    },
    Rejection {
        name: "zero_gateways",
        values: "collector: {gateway: {replicaCount: 0}}",
        words: &["gateway", "replicaCount", "0"],
    },
    Rejection {
        name: "a_missing_memory_limit",
        values: "collector: {gateway: {resources: {limits: {memory: null}}}}",
        words: &["collector.gateway", "limits.memory", "GOMEMLIMIT"],
    },
    Rejection {
        name: "a_memory_limit_below_the_request",
        values: "services: {user-service: {resources: {limits: {memory: 20Mi}}}}",
        words: &["user-service", "20Mi", "32Mi"],
    },
    Rejection {
        name: "a_memory_limit_without_a_unit",
        values: "jaeger: {resources: {requests: {memory: null}, limits: {memory: 512}}}",
        words: &["jaeger", "512", "Mi"],
    },
    Rejection {
        name: "a_grace_period_that_is_too_short",
        values: "services: {user-service: {terminationGracePeriodSeconds: 10}}",
        words: &["user-service", "terminationGracePeriodSeconds", "10", "20"],
    },
    Rejection {
        name: "a_decision_wait_above_the_grace_period",
        values: "collector: {gateway: {sampling: {decisionWait: 60s}}}",
        words: &["decisionWait", "60s", "terminationGracePeriodSeconds", "100"],
    },
    Rejection {
        name: "a_decision_wait_in_milliseconds",
        values: "collector: {gateway: {sampling: {decisionWait: 500ms}}}",
        words: &["decisionWait", "500ms", "seconds"],
    },
    Rejection {
        name: "a_sampling_percentage_above_100",
        values: "collector: {gateway: {sampling: {percentage: 150}}}",
        words: &["percentage", "150", "100"],
    },
    Rejection {
        name: "a_disruption_budget_of_zero",
        values: "collector: {gateway: {podDisruptionBudget: {maxUnavailable: 0}}}",
        words: &["podDisruptionBudget", "maxUnavailable", "0", "drain"],
    },
    Rejection {
        name: "min_available_and_max_unavailable",
        values: "collector: {gateway: {podDisruptionBudget: {minAvailable: 1}}}",
        words: &["podDisruptionBudget", "minAvailable", "maxUnavailable", "null"],
    },
    Rejection {
        name: "the_image_tag_latest",
        values: "services: {user-service: {image: {tag: latest}}}",
        words: &["user-service", "latest", "digest"],
    },
    Rejection {
        name: "an_image_tag_and_a_digest",
        values: r#"services: {user-service: {image: {tag: "1", digest: "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}}}"#,
        words: &["user-service", "tag", "digest"],
    },
    Rejection {
        name: "one_port_number_for_two_ports",
        values: "services: {user-service: {admin: {port: 8080}}}",
        words: &["user-service", "admin.port", "8080"],
    },
    Rejection {
        name: "a_variable_that_the_chart_sets",
        values: "services: {user-service: {env: {OTEL_SERVICE_NAME: other}}}",
        words: &["user-service", "OTEL_SERVICE_NAME"],
    },
    Rejection {
        name: "service_monitors_without_their_api",
        values: "global: {serviceMonitor: {enabled: true}}",
        words: &["serviceMonitor", "monitoring.coreos.com", "Prometheus operator"],
    },
    Rejection {
        name: "a_name_above_52_characters",
        values: "services: {user-service: {fullnameOverride: the-name-of-this-service-has-more-than-fifty-two-letters}}",
        words: &["the-name-of-this", "52", "fullnameOverride"],
    },
];

//! Checks that a layer uses the settings with which telemetry has started. The settings belong to the whole process, so
//! this test has a program of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use sightline_telemetry::settings::{MapEnv, Settings, names};
use tower::{Layer as _, ServiceExt as _};

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_uses_the_settings_of_the_start() {
    let env = MapEnv::from_iter([
        (names::TRACES_EXPORTER, "none"),
        (names::METRICS_EXPORTER, "prometheus"),
        (names::LOGS_EXPORTER, "none"),
        (names::HTTP_KNOWN_METHODS, "PURGE"),
        (names::TRUSTED_PROXIES, "10.0.0.1"),
    ]);
    let telemetry =
        sightline_telemetry::start(&sightline_telemetry::service!(), &Settings::read(&env).unwrap()).unwrap();
    let service =
        sightline_telemetry::http::server_layer().layer(tower::service_fn(|_: Request<Body>| async {
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }));
    for method in ["PURGE", "GET"] {
        let peer: SocketAddr = "10.0.0.1:4711".parse().unwrap();
        let request = Request::builder()
            .method(method)
            .header("x-forwarded-for", "192.0.2.7")
            .header("x-forwarded-proto", "https")
            .extension(ConnectInfo(peer));
        service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    }

    let mut recorded: Vec<_> = telemetry
        .registry()
        .gather()
        .iter()
        .filter(|family| family.name() == "http_server_request_duration_seconds")
        .flat_map(|family| family.get_metric().to_vec())
        .map(|metric| {
            let value = |name| {
                let label = metric.get_label().iter().find(|label| label.name() == name);
                label.map(|label| label.value().to_owned()).unwrap_or_default()
            };
            (value("http_request_method"), value("url_scheme"))
        })
        .collect();
    recorded.sort();
    let expected = [("PURGE", "https"), ("_OTHER", "https")];
    assert_eq!(recorded, expected.map(|(method, scheme)| (method.to_owned(), scheme.to_owned())));
    telemetry.shutdown(Duration::from_secs(5)).unwrap();
}

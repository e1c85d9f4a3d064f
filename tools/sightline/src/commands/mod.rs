//! One module for each command: its arguments, and what it prints.

pub(crate) mod certs;
pub(crate) mod trace;
pub(crate) mod traces;
pub(crate) mod up;
pub(crate) mod with_parent;

use anyhow::Context as _;
use sightline::jaeger::Jaeger;
use url::Url;

/// Which backend to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct Backend {
    /// Jaeger to ask: the address of its UI and API
    #[arg(long, value_name = "URL", env = "SIGHTLINE_JAEGER_URL", default_value = "http://127.0.0.1:16686")]
    jaeger: Url,
}

impl Backend {
    fn client(self) -> anyhow::Result<Jaeger> {
        let scheme = self.jaeger.scheme();
        anyhow::ensure!(matches!(scheme, "http" | "https"), "--jaeger {}: not an http address", self.jaeger);
        Ok(Jaeger::new(self.jaeger)?)
    }
}

/// What to do when Jaeger gives no answer.
const NO_ANSWER: &str =
    "could not ask Jaeger (is `make up` running? --jaeger URL or SIGHTLINE_JAEGER_URL says where else it is)";

/// Runs a command that waits for few answers on this thread.
fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?
        .block_on(work)
}

//! The address of the pages, behind which commands find Jaeger and the stores.

use anyhow::Context as _;
use sightline::jaeger::Jaeger;
use sightline::stores::Stores;
use url::Url;

use super::ensure_http;

/// The address of `make up` and of `make port-forward`.
const DEFAULT: &str = "http://127.0.0.1:16686";
/// The variable that had the address when the only page was Jaeger's.
const OLD_VARIABLE: &str = "SIGHTLINE_JAEGER_URL";

/// The text that is added to every error of a query to Jaeger. It says what to do.
pub(super) const JAEGER_FAILED: &str = "cannot query Jaeger (is `make up` running? If Jaeger is elsewhere, set --pages \
                                        URL or SIGHTLINE_PAGES_URL)";

/// The text that is added to every error of a query to the log store.
pub(super) const LOGS_FAILED: &str = "cannot query the log store (is `make up` running? If the pages are elsewhere, set \
                                      --pages URL or SIGHTLINE_PAGES_URL)";

/// The text that is added to every error of a query to the metrics store.
pub(super) const METRICS_FAILED: &str = "cannot query the metrics store (is `make up` running? If the pages are \
                                         elsewhere, set --pages URL or SIGHTLINE_PAGES_URL)";

/// The pages that a command queries.
#[derive(Debug, clap::Args)]
pub(crate) struct Pages {
    /// Address of the pages: Jaeger's UI and API, with the metrics and the logs next to it. Without this option and its
    /// variable, the address in `SIGHTLINE_JAEGER_URL` is used [default: `http://127.0.0.1:16686`]
    #[arg(long, visible_alias = "jaeger", value_name = "URL", env = "SIGHTLINE_PAGES_URL")]
    pages: Option<Url>,
}

impl Pages {
    fn url(self) -> anyhow::Result<Url> {
        let old = || std::env::var(OLD_VARIABLE).ok().filter(|value| !value.is_empty());
        let (name, url) = match self.pages {
            Some(url) => ("--pages", url),
            None => match old() {
                Some(text) => {
                    let url = text.parse().with_context(|| format!("{OLD_VARIABLE}: {text:?} is not a URL"));
                    (OLD_VARIABLE, url?)
                }
                None => ("the default address", DEFAULT.parse()?),
            },
        };
        ensure_http(name, &url)?;
        Ok(url)
    }

    /// Returns a client for Jaeger.
    pub(super) fn jaeger(self) -> anyhow::Result<Jaeger> {
        Ok(Jaeger::new(self.url()?)?)
    }

    /// Returns a client for the stores.
    pub(super) fn stores(self) -> anyhow::Result<Stores> {
        Ok(Stores::new(self.url()?)?)
    }

    /// Returns clients for Jaeger and for the stores.
    pub(super) fn both(self) -> anyhow::Result<(Jaeger, Stores)> {
        let url = self.url()?;
        Ok((Jaeger::new(url.clone())?, Stores::new(url)?))
    }
}

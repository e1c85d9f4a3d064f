//! Searches for log records, and the stream of new ones.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Response;
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use url::Url;

use super::client::{StoreError, Stores, unreachable};
use super::quote::quote;
use super::record::Record;
use crate::jaeger::TraceId;

/// The maximum length of a line in bytes while following. `VictoriaLogs` does not store larger records.
const MAX_LINE: usize = 16 << 20;
/// The maximum time of a request that follows the records.
const FOLLOW_TIMEOUT: Duration = Duration::from_hours(24 * 365);

/// A severity, with the number in which its range of `OpenTelemetry`'s severity numbers begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// 1 to 4.
    Trace = 1,
    /// 5 to 8.
    Debug = 5,
    /// 9 to 12.
    Info = 9,
    /// 13 to 16.
    Warn = 13,
    /// 17 to 20.
    Error = 17,
    /// 21 to 24.
    Fatal = 21,
}

impl Level {
    /// All levels, in ascending order.
    pub const ALL: [Self; 6] = [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Fatal];

    /// Returns the level of a severity number, or `None` for a number outside of 1 to 24.
    #[must_use]
    pub fn of_severity(number: u8) -> Option<Self> {
        let levels = Self::ALL.into_iter().rev();
        levels.filter(|_| number <= 24).find(|level| number >= *level as u8)
    }

    /// Returns the name, such as `WARN`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trace => "TRACE",
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warn => "WARN",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is not a level.
#[derive(Debug, Error)]
#[error("{0:?} is not a level: use trace, debug, info, warn, error or fatal")]
pub struct LevelError(String);

impl FromStr for Level {
    type Err = LevelError;

    /// Parses the name of a level, or `warning`. Ignores case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("warning") {
            return Ok(Self::Warn);
        }
        let found = Self::ALL.into_iter().find(|level| text.eq_ignore_ascii_case(level.name()));
        found.ok_or_else(|| LevelError(text.to_owned()))
    }
}

/// A search for log records. Only the records that have all the given properties are found.
#[derive(Debug, Clone, Default)]
pub struct LogSearch {
    /// The `service.name` of a service.
    pub service: Option<String>,
    /// The trace to which the records belong.
    pub trace: Option<TraceId>,
    /// The lowest level. Records without a severity number are not found.
    pub level: Option<Level>,
    /// The earliest time of a record, inclusive.
    pub from: Option<OffsetDateTime>,
    /// The latest time of a record.
    pub to: Option<OffsetDateTime>,
}

impl LogSearch {
    /// Returns the search without its times in `LogsQL`. Values are quoted, so they cannot change the query.
    fn filter(&self) -> String {
        let service = self.service.as_ref().map(|name| format!("\"service.name\":={}", quote(name)));
        let trace = self.trace.as_ref().map(|id| format!("trace_id:={}", quote(id.as_str())));
        let level = self.level.map(|level| format!("severity_number:>={}", level as u8));
        let filters: Vec<_> = [service, trace, level].into_iter().flatten().collect();
        if filters.is_empty() { "*".to_owned() } else { filters.join(" ") }
    }
}

impl Stores {
    /// Returns the newest `limit` records that a search finds, the oldest of them first. Fails if the log store does
    /// not respond, or if it responds with an error or an invalid body.
    pub async fn logs(&self, search: &LogSearch, limit: u32) -> Result<Vec<Record>, StoreError> {
        let query = format!("{} | sort by (_time) desc limit {limit}", search.filter());
        let mut records = self.log_query(&query, search).await?;
        records.reverse();
        Ok(records)
    }

    /// Returns the sorted names of the services that have log records since `from`. Fails under the same conditions as
    /// [`logs`](Self::logs).
    pub async fn log_services(&self, from: Option<OffsetDateTime>) -> Result<Vec<String>, StoreError> {
        let search = LogSearch { from, ..LogSearch::default() };
        let records = self.log_query("* | uniq by (\"service.name\")", &search).await?;
        let mut names: Vec<_> = records.iter().map(|record| record.service().to_owned()).collect();
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        Ok(names)
    }

    async fn log_query(&self, query: &str, search: &LogSearch) -> Result<Vec<Record>, StoreError> {
        // Fails only for years after 9999, which RFC 3339 cannot represent.
        let time = |at: OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        let (from, to) = (search.from.map(time), search.to.map(time));
        let mut parameters = vec![("query", query)];
        parameters.extend(from.as_deref().map(|from| ("start", from)));
        parameters.extend(to.as_deref().map(|to| ("end", to)));
        let url = self.url(&["select", "logsql", "query"]);
        let text = self.get(&url, &parameters).await?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.map(|line| parse(line, &url)).collect()
    }

    /// Starts to follow the records that a search finds, without regard to its times. The first records are those of
    /// the last `back`.
    ///
    /// The store releases a record five seconds after its time, so that records of other senders can take their place
    /// before it. A record that arrives later is left out if a newer record of the same service has been released, or
    /// after five more seconds. Fails under the same conditions as [`logs`](Self::logs).
    pub async fn follow(&self, search: &LogSearch, back: Duration) -> Result<Follow, StoreError> {
        // The store subtracts its delay of five seconds first.
        let back = format!("{}s", back.saturating_sub(Duration::from_secs(5)).as_secs());
        let filter = search.filter();
        let url = self.url(&["select", "logsql", "tail"]);
        let parameters = [("query", filter.as_str()), ("start_offset", &back)];
        let response = self.send(&url, &parameters, Some(FOLLOW_TIMEOUT)).await?;
        Ok(Follow { url, response, received: Vec::new() })
    }
}

/// A stream of log records.
#[derive(Debug)]
pub struct Follow {
    url: Url,
    response: Response,
    /// The bytes after the last complete line.
    received: Vec<u8>,
}

impl Follow {
    /// Waits for the next record. Returns `None` when the store ends the stream, as it does when it stops. Fails if the
    /// connection breaks, or if a line is not a record.
    ///
    /// Cancel safe: no record is lost if the future is dropped.
    pub async fn next(&mut self) -> Result<Option<Record>, StoreError> {
        loop {
            if let Some(end) = self.received.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                if line.trim().is_empty() {
                    continue;
                }
                return parse(&line, &self.url).map(Some);
            }
            let chunk = self.response.chunk().await.map_err(|source| unreachable(&self.url, source))?;
            let Some(chunk) = chunk else { return Ok(None) };
            if self.received.len() + chunk.len() > MAX_LINE {
                return Err(StoreError::TooLarge { url: self.url.clone() });
            }
            self.received.extend_from_slice(&chunk);
        }
    }
}

fn parse(line: &str, url: &Url) -> Result<Record, StoreError> {
    Record::parse(line).map_err(|source| StoreError::NotAStore { url: url.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parameter, serve};
    use super::*;

    #[test]
    fn a_value_cannot_change_the_query() {
        let search = LogSearch {
            service: Some(r#"a" or * | delete \"#.to_owned()),
            trace: Some("5b8efff798038103d269b633813fc60c".parse().unwrap()),
            level: Some(Level::Warn),
            ..LogSearch::default()
        };
        assert_eq!(
            search.filter(),
            r#""service.name":="a\" or * | delete \\" trace_id:="5b8efff798038103d269b633813fc60c" severity_number:>=13"#
        );
        assert_eq!(LogSearch::default().filter(), "*");
    }

    #[test]
    fn levels_have_names_and_ranges() {
        for (number, level) in [(1, Level::Trace), (12, Level::Info), (13, Level::Warn), (24, Level::Fatal)] {
            assert_eq!(Level::of_severity(number), Some(level));
        }
        assert_eq!((Level::of_severity(0), Level::of_severity(25)), (None, None));
        assert_eq!("Warning".parse::<Level>().unwrap(), Level::Warn);
        assert_eq!("error".parse::<Level>().unwrap(), Level::Error);
        "loud".parse::<Level>().unwrap_err();
    }

    #[tokio::test]
    async fn returns_the_newest_records_in_order_of_time() {
        let stores = serve(|uri| {
            assert_eq!(uri.path(), "/select/logsql/query");
            let (query, start) = (parameter(uri, "query"), parameter(uri, "start"));
            (200, format!("{{\"_msg\":{query:?}}}\n\n{{\"_msg\":\"{start}\"}}\n"))
        });
        let search = LogSearch { from: Some(OffsetDateTime::UNIX_EPOCH), ..LogSearch::default() };
        let records = stores.await.logs(&search, 7).await.unwrap();
        let messages: Vec<_> = records.iter().map(Record::message).collect();
        assert_eq!(messages, ["1970-01-01T00:00:00Z", "* | sort by (_time) desc limit 7"]);
    }

    #[tokio::test]
    async fn errors_say_what_responded() {
        let search = LogSearch::default();
        let page = serve(|_| (200, "<!doctype html>".to_owned())).await;
        let error = page.logs(&search, 1).await.unwrap_err();
        assert!(error.to_string().contains("/select/logsql/query is not that of a store"), "{error}");
        let broken = serve(|_| (502, "no backend\n".to_owned())).await;
        let error = broken.logs(&search, 1).await.unwrap_err();
        assert!(error.to_string().ends_with("502 Bad Gateway: no backend"), "{error}");
        assert!(!error.is_rejection());
    }

    #[tokio::test]
    async fn follows_until_the_end_of_the_stream() {
        let stores = serve(|uri| {
            assert_eq!(parameter(uri, "start_offset"), "25s");
            (200, "{\"_msg\":\"a\"}\n{\"_msg\":\"b\"}\n{\"_msg\":\"incomp".to_owned())
        });
        let stores = stores.await;
        let mut follow = stores.follow(&LogSearch::default(), Duration::from_secs(30)).await.unwrap();
        assert_eq!(follow.next().await.unwrap().unwrap().message(), "a");
        assert_eq!(follow.next().await.unwrap().unwrap().message(), "b");
        assert!(follow.next().await.unwrap().is_none());
    }
}

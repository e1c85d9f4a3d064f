//! When the certificates of the exporters expire: a metric, and a warning before it happens.
//!
//! Without them, an expired certificate shows only when a connection is renewed, minutes or hours later.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::tls::CertificateWatcher;

/// The time between two warnings about the same certificate.
const REPEAT: i64 = 24 * 60 * 60;

/// What a certificate file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The client's own certificate.
    Own,
    /// The CAs that verify the server.
    Ca,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Ca => "ca",
        }
    }
}

/// The time for which the certificates in a file are valid. Times are Unix times, in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    role: Role,
    file: PathBuf,
    from: i64,
    until: i64,
}

impl Validity {
    /// The validity of a file. A chain is valid until its first certificate expires. A bundle of CAs can be used until its
    /// last CA expires: during a rotation, and in a list of public CAs, some of the CAs are older than the others. Returns
    /// `None` if a certificate cannot be parsed, which rustls reports.
    pub(super) fn of(role: Role, file: &Path, certificates: &[CertificateDer<'_>]) -> Option<Self> {
        let validities = certificates.iter().map(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            let validity = certificate.validity();
            Some((validity.not_after.timestamp(), validity.not_before.timestamp()))
        });
        let validities = validities.collect::<Option<Vec<_>>>()?.into_iter();
        let (until, from) = match role {
            Role::Own => validities.min(),
            Role::Ca => validities.max(),
        }?;
        Some(Self { role, file: file.to_owned(), from, until })
    }
}

/// Creates the instrument about the certificates of `watchers`. If several files have the same role, the metric is about
/// the one that expires first.
pub(crate) fn register(meter: &Meter, watchers: Vec<Arc<CertificateWatcher>>) {
    if watchers.is_empty() {
        return;
    }
    let roles = [Role::Own, Role::Ca].map(|role| (role, [KeyValue::new("certificate", role.name())]));
    meter
        .i64_observable_gauge("sightline.certificate.expiry")
        .with_unit("s")
        .with_description("The Unix time at which the certificate expires.")
        .with_callback(move |observer| {
            for (role, attributes) in &roles {
                let validities = watchers.iter().flat_map(|watcher| watcher.validities());
                let of_role = validities.filter(|validity| validity.role == *role);
                if let Some(until) = of_role.map(|validity| validity.until).min() {
                    observer.observe(until, attributes);
                }
            }
        })
        .build();
}

/// Warns about certificates: once a day from a time before they expire on, and at once when they expire.
#[derive(Debug)]
pub(super) struct Warnings {
    /// The time before the expiry, in seconds.
    before: i64,
    last: Vec<Warning>,
}

/// The latest warning about a file.
#[derive(Clone, Debug)]
struct Warning {
    validity: Validity,
    expired: bool,
    at: i64,
}

impl Warnings {
    pub(super) fn new(before: Duration) -> Self {
        Self { before: i64::try_from(before.as_secs()).unwrap_or(i64::MAX), last: Vec::new() }
    }

    /// Logs the warnings that are due.
    pub(super) fn log(&mut self, validities: &[Validity]) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        for Warning { validity, expired, .. } in self.due(validities, now) {
            let (certificate, file) = (validity.role.name(), validity.file.display());
            let expires = rfc3339(validity.until);
            if expired {
                tracing::error!(
                    certificate,
                    %file,
                    expires,
                    "a certificate of telemetry has expired; new connections to the collector fail"
                );
            } else {
                tracing::warn!(certificate, %file, expires, "a certificate of telemetry expires soon");
            }
        }
    }

    /// Returns the warnings that are due at `now`, and counts them as logged.
    fn due(&mut self, validities: &[Validity], now: i64) -> Vec<Warning> {
        let mut due = Vec::new();
        for validity in validities {
            let previous = self.last.iter().position(|last| last.validity == *validity);
            // A certificate that is valid for a day would otherwise be reported all the time.
            let before = self.before.min(validity.until.saturating_sub(validity.from) / 4);
            if now < validity.until.saturating_sub(before) {
                continue;
            }
            let warning = Warning { validity: validity.clone(), expired: now >= validity.until, at: now };
            let repeats = |last: &Warning| last.expired == warning.expired && now - last.at < REPEAT;
            if previous.is_some_and(|index| repeats(&self.last[index])) {
                continue;
            }
            if let Some(index) = previous {
                self.last.swap_remove(index);
            }
            self.last.push(warning.clone());
            due.push(warning);
        }
        self.last.retain(|last| validities.contains(&last.validity));
        due
    }
}

fn rfc3339(seconds: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| seconds.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = REPEAT;

    fn validity(role: Role, days: i64) -> Validity {
        Validity { role, file: PathBuf::from("tls.crt"), from: 0, until: days * DAY }
    }

    /// Whether a warning is due at each of these times, in days: `None`, or whether the certificate has expired.
    fn warnings(validity: &Validity, days: &[f64]) -> Vec<Option<bool>> {
        let mut warnings = Warnings::new(Duration::from_hours(7 * 24));
        let due = |day: &f64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]
            let now = (day * DAY as f64) as i64;
            warnings.due(std::slice::from_ref(validity), now).first().map(|warning| warning.expired)
        };
        days.iter().map(due).collect()
    }

    #[test]
    fn warns_once_a_day_and_at_once_when_a_certificate_expires() {
        let days = [82.9, 83.0, 83.5, 84.0, 84.9, 89.5, 90.0, 90.1, 91.0];
        let expected =
            [None, Some(false), None, Some(false), None, Some(false), Some(true), None, Some(true)];
        assert_eq!(warnings(&validity(Role::Own, 90), &days), expected);
    }

    #[test]
    fn warns_in_the_last_quarter_of_a_short_life() {
        assert_eq!(warnings(&validity(Role::Own, 4), &[0.0, 2.9, 3.0]), [None, None, Some(false)]);
    }

    #[test]
    fn warns_about_a_replaced_certificate_anew() {
        let mut warnings = Warnings::new(Duration::from_hours(7 * 24));
        assert_eq!(warnings.due(&[validity(Role::Own, 90)], 89 * DAY).len(), 1);
        assert_eq!(warnings.due(&[validity(Role::Own, 91)], 89 * DAY).len(), 1);
        assert_eq!(warnings.due(&[validity(Role::Own, 200)], 89 * DAY).len(), 0);
        assert!(warnings.last.is_empty(), "it forgets files that have been replaced");
    }
}

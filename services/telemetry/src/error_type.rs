//! What goes into `error.type`: something short that many failures of one kind share, and never their message.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/>

use std::any::{Any, type_name};
use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::io;

/// A value of `error.type`.
pub(crate) type ErrorType = Cow<'static, str>;

/// The caller went away, or a deadline around the call fired, before there was an outcome.
pub(crate) const CANCELLED: ErrorType = Cow::Borrowed("cancelled");
/// Code under the call panicked.
pub(crate) const PANIC: ErrorType = Cow::Borrowed("panic");
/// The convention's word for a failure that has no better name.
pub(crate) const OTHER: ErrorType = Cow::Borrowed("_OTHER");

/// Enough for the path of a type and a variant; generic arguments can run to kilobytes.
const MAX_CLASS: usize = 128;

/// The kind of a transport's failure: `timeout`, `connect`, `connection_reset` and the like where the error or one
/// of its sources is known, and the error's type otherwise.
pub(crate) fn of_transport<E: Any>(error: &E) -> ErrorType {
    // A tower service may fail with anything, a box included, and a box of an error is not itself an error.
    let any: &dyn Any = error;
    let known: Option<&(dyn Error + 'static)> = if let Some(boxed) = any.downcast_ref::<tower::BoxError>() {
        Some(&**boxed)
    } else if let Some(error) = any.downcast_ref::<reqwest::Error>() {
        Some(error)
    } else if let Some(error) = any.downcast_ref::<tonic::transport::Error>() {
        Some(error)
    } else if let Some(error) = any.downcast_ref::<tonic::Status>() {
        Some(error)
    } else if let Some(error) = any.downcast_ref::<axum::Error>() {
        Some(error)
    } else if let Some(error) = any.downcast_ref::<io::Error>() {
        Some(error)
    } else {
        None
    };
    match known {
        Some(error) => kind(error).map_or(OTHER, Cow::Borrowed),
        None => Cow::Borrowed(type_name::<E>()),
    }
}

/// The kind of the first error in the chain of sources that we know.
fn kind(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            of_reqwest(error)
        } else if let Some(error) = error.downcast_ref::<io::Error>() {
            of_io(error.kind())
        } else if let Some(status) = error.downcast_ref::<tonic::Status>() {
            Some(crate::grpc::code_name(status.code()))
        } else if error.is::<tonic::ConnectError>() {
            Some("connect")
        } else if error.is::<tonic::TimeoutExpired>()
            || error.is::<tower::timeout::error::Elapsed>()
            || error.is::<tokio::time::error::Elapsed>()
        {
            Some("timeout")
        } else {
            None
        };
        if kind.is_some() {
            return kind;
        }
        next = error.source();
    }
    None
}

fn of_reqwest(error: &reqwest::Error) -> Option<&'static str> {
    // Timeout first: a connection that takes too long is both.
    if error.is_timeout() {
        Some("timeout")
    } else if error.is_connect() {
        Some("connect")
    } else if error.is_redirect() {
        Some("redirect")
    } else if error.is_builder() {
        Some("invalid_request")
    } else {
        None
    }
}

fn of_io(kind: io::ErrorKind) -> Option<&'static str> {
    Some(match kind {
        io::ErrorKind::TimedOut => "timeout",
        io::ErrorKind::ConnectionRefused => "connection_refused",
        io::ErrorKind::ConnectionReset => "connection_reset",
        io::ErrorKind::ConnectionAborted => "connection_aborted",
        io::ErrorKind::BrokenPipe => "broken_pipe",
        io::ErrorKind::UnexpectedEof => "unexpected_eof",
        _ => return None,
    })
}

/// The class of an application's or a driver's error: its type and, where its `Debug` form begins with one as a
/// derived one does, its variant: `sqlx_core::error::Error::PoolTimedOut`.
///
/// Of a `dyn Error` only the variant can be known.
pub(crate) fn class<E: Error + ?Sized>(error: &E) -> ErrorType {
    let name = type_name::<E>();
    let name = name.split_once('<').map_or(name, |(name, _)| name);
    let variant = variant(error);
    if name.starts_with("dyn ") {
        return variant.map_or(OTHER, Cow::Owned);
    }
    match variant {
        Some(variant) if name.rsplit("::").next() != Some(variant.as_str()) => {
            let mut class = format!("{name}::{variant}");
            class.truncate(MAX_CLASS); // both parts are identifiers in ASCII, so any byte is a boundary
            Cow::Owned(class)
        }
        _ => Cow::Borrowed(name),
    }
}

/// The identifier a derived `Debug` begins with. Formatting stops right behind it: what follows may be long, and
/// may name a person.
fn variant<E: fmt::Debug + ?Sized>(error: &E) -> Option<String> {
    struct Leading {
        name: String,
        behind: String,
    }
    impl fmt::Write for Leading {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            for c in part.chars() {
                let in_name = self.behind.is_empty() && (c.is_ascii_alphanumeric() || c == '_');
                if in_name {
                    self.name.push(c);
                } else {
                    self.behind.push(c);
                }
                if self.name.len() > MAX_CLASS || self.behind.len() >= 2 {
                    return Err(fmt::Error);
                }
            }
            Ok(())
        }
    }
    let mut leading = Leading { name: String::new(), behind: String::new() };
    // The error is how the writer above says that it has seen enough.
    let _ = write!(leading, "{error:?}");
    // A name, then nothing, a tuple or a struct. Prose (`Debug` written by hand) looks otherwise.
    let derived = leading.name.starts_with(|c: char| c.is_ascii_uppercase())
        && leading.name.len() <= MAX_CLASS
        && (leading.behind.is_empty() || leading.behind.starts_with('(') || leading.behind == " {");
    derived.then_some(leading.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[allow(dead_code, reason = "only their Debug form matters")]
    enum Store {
        PoolTimedOut,
        Database(String),
        Row { email: String },
    }
    impl fmt::Display for Store {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("store")
        }
    }
    impl Error for Store {}

    #[test]
    fn a_class_is_type_and_variant_and_nothing_more() {
        let at = |variant: &str| format!("{}::{variant}", type_name::<Store>());
        assert_eq!(class(&Store::PoolTimedOut), at("PoolTimedOut"));
        assert_eq!(class(&Store::Database("ada@example.org".into())), at("Database"));
        assert_eq!(class(&Store::Row { email: "ada@example.org".into() }), at("Row"));
        let error: &dyn Error = &Store::PoolTimedOut;
        assert_eq!(class(error), "PoolTimedOut");
        assert_eq!(class(&io::Error::other("ada")), "std::io::error::Error::Custom");
        assert_eq!(class(&fmt::Error), "core::fmt::Error");
    }

    #[test]
    fn prose_is_no_class() {
        struct Prose(&'static str);
        impl fmt::Debug for Prose {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
        impl fmt::Display for Prose {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("prose")
            }
        }
        impl Error for Prose {}
        for prose in ["ada", "ada is taken", "Ada is taken", "Ada: taken", "\"Ada\"", ""] {
            assert_eq!(class(&Prose(prose)), type_name::<Prose>(), "{prose}");
            assert_eq!(class(&Prose(prose) as &dyn Error), OTHER, "{prose}");
        }
    }

    #[test]
    fn a_transport_error_is_known_by_its_chain() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let boxed: tower::BoxError = Box::new(tonic::ConnectError(Box::new(refused())));
        assert_eq!(of_transport(&boxed), "connect");
        assert_eq!(of_transport(&refused()), "connection_refused");
        assert_eq!(of_transport(&axum::Error::new(io::Error::from(io::ErrorKind::TimedOut))), "timeout");
        assert_eq!(of_transport(&tonic::Status::not_found("")), "NOT_FOUND");
        let unknown: tower::BoxError = "what".into();
        assert_eq!(of_transport(&unknown), OTHER);
        assert_eq!(of_transport(&fmt::Error), "core::fmt::Error");
    }
}

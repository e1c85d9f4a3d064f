//! The values of `error.type`. A value is short, the same for all failures of one kind, and never an error message.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/>

#[cfg(feature = "_calls")]
use std::any::Any;
use std::any::type_name;
use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
#[cfg(any(feature = "_calls", test))]
use std::io;

/// A value of `error.type`.
pub(crate) type ErrorType = Cow<'static, str>;

/// The caller closed the connection, or a timeout around the call expired, before the call ended.
#[cfg(any(feature = "_calls", feature = "sql"))]
pub(crate) const CANCELLED: ErrorType = Cow::Borrowed("cancelled");
/// The code inside the call panicked.
#[cfg(any(feature = "_calls", feature = "sql"))]
pub(crate) const PANIC: ErrorType = Cow::Borrowed("panic");
/// The value that the semantic conventions define for a failure without a more specific value.
pub(crate) const OTHER: ErrorType = Cow::Borrowed("_OTHER");

/// The maximum length of a type name with its variant, in bytes. A longer text is truncated.
const MAX_LEN: usize = 128;

/// The error type of a transport error: the kind of the error, such as `timeout`, `connect` or `connection_reset`. If
/// the error's own kind is unknown, its sources are searched for a known kind.
///
/// The function looks for a kind only if `error` has one of the Rust types that the function checks for. For any other
/// Rust type, the value is the name of that type. If the function looks for a kind and finds none, the value is
/// [`OTHER`].
#[cfg(feature = "_calls")]
pub(crate) fn of_transport_error<E: Any>(error: &E) -> ErrorType {
    match known(error) {
        Some(error) => kind(error).map_or(OTHER, Cow::Borrowed),
        None => Cow::Borrowed(type_name::<E>()),
    }
}

/// Returns `error` if it has one of the types that [`kind`] knows.
#[cfg(feature = "_calls")]
fn known<E: Any>(error: &E) -> Option<&(dyn Error + 'static)> {
    // A tower service's error can be of any type. A boxed error does not implement `Error`, so it needs its own case
    // here.
    let any: &dyn Any = error;
    if let Some(boxed) = any.downcast_ref::<tower::BoxError>() {
        return Some(&**boxed);
    }
    #[cfg(feature = "http-client")]
    if let Some(error) = any.downcast_ref::<reqwest::Error>() {
        return Some(error);
    }
    #[cfg(feature = "grpc")]
    if let Some(error) = any.downcast_ref::<tonic::transport::Error>() {
        return Some(error);
    }
    #[cfg(feature = "grpc")]
    if let Some(error) = any.downcast_ref::<tonic::Status>() {
        return Some(error);
    }
    #[cfg(feature = "http")]
    if let Some(error) = any.downcast_ref::<axum::Error>() {
        return Some(error);
    }
    any.downcast_ref::<io::Error>().map(|error| error as _)
}

/// The kind of `error`, or of the first of its sources that has a known kind.
#[cfg(feature = "_calls")]
fn kind(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = own_kind(error);
        if kind.is_some() {
            return kind;
        }
        next = error.source();
    }
    None
}

/// The kind of `error`, without its sources.
#[cfg(feature = "_calls")]
fn own_kind(error: &(dyn Error + 'static)) -> Option<&'static str> {
    #[cfg(feature = "http-client")]
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return of_reqwest(error);
    }
    #[cfg(feature = "grpc")]
    if let Some(status) = error.downcast_ref::<tonic::Status>() {
        return Some(crate::instrument::grpc_code::code_name(status.code()));
    }
    #[cfg(feature = "grpc")]
    if error.is::<tonic::ConnectError>() {
        return Some("connect");
    }
    #[cfg(feature = "grpc")]
    if error.is::<tonic::TimeoutExpired>() {
        return Some("timeout");
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_io(error.kind());
    }
    let timeout = error.is::<tower::timeout::error::Elapsed>() || error.is::<tokio::time::error::Elapsed>();
    timeout.then_some("timeout")
}

#[cfg(feature = "http-client")]
fn of_reqwest(error: &reqwest::Error) -> Option<&'static str> {
    // The timeout is checked first, because reqwest also counts a timeout while connecting as a connect error.
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

#[cfg(feature = "_calls")]
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

/// The error type of an error from an application or a driver: the error's Rust type and variant, such as
/// `sqlx_core::error::Error::PoolTimedOut`.
///
/// The variant comes from the `Debug` output, if the output looks like that of `#[derive(Debug)]`. For a `dyn Error`,
/// only the variant is known.
pub(crate) fn of_error<E: Error + ?Sized>(error: &E) -> ErrorType {
    let name = type_name::<E>();
    let name = name.split_once('<').map_or(name, |(name, _)| name);
    let variant = variant(error);
    if name.starts_with("dyn ") {
        return variant.map_or(OTHER, Cow::Owned);
    }
    match variant {
        Some(variant) if name.rsplit("::").next() != Some(variant.as_str()) => {
            let mut error_type = format!("{name}::{variant}");
            // A Rust identifier can contain characters of several bytes.
            error_type.truncate(error_type.floor_char_boundary(MAX_LEN));
            Cow::Owned(error_type)
        }
        _ => Cow::Borrowed(name),
    }
}

/// The identifier at the start of derived `Debug` output. Formatting stops after the identifier, because the rest can
/// be long and can contain personal data.
fn variant<E: fmt::Debug + ?Sized>(error: &E) -> Option<String> {
    struct Start {
        name: String,
        rest: String,
    }
    impl fmt::Write for Start {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            for c in part.chars() {
                let in_name = self.rest.is_empty() && (c.is_ascii_alphanumeric() || c == '_');
                if in_name {
                    self.name.push(c);
                } else {
                    self.rest.push(c);
                }
                if self.name.len() > MAX_LEN || self.rest.len() >= 2 {
                    return Err(fmt::Error);
                }
            }
            Ok(())
        }
    }
    let mut start = Start { name: String::new(), rest: String::new() };
    // The writer above returns an error when it needs no more text.
    let _ = write!(start, "{error:?}");
    // Derived output is a name, optionally followed by the fields of a tuple or a struct. Any other output counts as
    // handwritten.
    let derived = start.name.starts_with(|c: char| c.is_ascii_uppercase())
        && start.name.len() <= MAX_LEN
        && (start.rest.is_empty() || start.rest.starts_with('(') || start.rest == " {");
    derived.then_some(start.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[allow(dead_code, reason = "only the `Debug` output of the variants matters")]
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
    fn an_error_type_is_the_rust_type_and_the_variant() {
        let at = |variant: &str| format!("{}::{variant}", type_name::<Store>());
        assert_eq!(of_error(&Store::PoolTimedOut), at("PoolTimedOut"));
        assert_eq!(of_error(&Store::Database("ada@example.org".into())), at("Database"));
        assert_eq!(of_error(&Store::Row { email: "ada@example.org".into() }), at("Row"));
        let error: &dyn Error = &Store::PoolTimedOut;
        assert_eq!(of_error(error), "PoolTimedOut");
        assert_eq!(of_error(&io::Error::other("ada")), "std::io::error::Error::Custom");
        assert_eq!(of_error(&fmt::Error), "core::fmt::Error");
    }

    #[test]
    fn truncates_a_long_type_name_between_two_characters() {
        macro_rules! error {
            ($name:ident) => {
                #[derive(Debug)]
                enum $name {
                    Variant,
                }
                impl fmt::Display for $name {
                    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("error")
                    }
                }
                impl Error for $name {}
                let full = format!("{}::Variant", type_name::<$name>());
                assert_eq!(of_error(&$name::Variant), full[..full.floor_char_boundary(MAX_LEN)]);
            };
        }
        // `É` has two bytes. With one of these two names, byte 128 of the error type is inside a character.
        error!(Éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé);
        error!(AÉééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé);
    }

    #[test]
    fn ignores_a_debug_form_that_is_not_derived() {
        struct Text(&'static str);
        impl fmt::Debug for Text {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }
        impl fmt::Display for Text {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }
        }
        impl Error for Text {}
        for text in ["ada", "ada is taken", "Ada is taken", "Ada: taken", "\"Ada\"", ""] {
            assert_eq!(of_error(&Text(text)), type_name::<Text>(), "{text}");
            assert_eq!(of_error(&Text(text) as &dyn Error), OTHER, "{text}");
        }
    }

    #[cfg(feature = "_calls")]
    #[test]
    fn finds_the_kind_of_a_connection_error_among_its_sources() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let boxed: tower::BoxError = Box::new(refused());
        assert_eq!(of_transport_error(&boxed), "connection_refused");
        assert_eq!(of_transport_error(&refused()), "connection_refused");
        #[cfg(feature = "grpc")]
        {
            let boxed: tower::BoxError = Box::new(tonic::ConnectError(Box::new(refused())));
            assert_eq!(of_transport_error(&boxed), "connect");
            assert_eq!(of_transport_error(&tonic::Status::not_found("")), "NOT_FOUND");
        }
        #[cfg(feature = "http")]
        assert_eq!(
            of_transport_error(&axum::Error::new(io::Error::from(io::ErrorKind::TimedOut))),
            "timeout"
        );
        let unknown: tower::BoxError = "unknown".into();
        assert_eq!(of_transport_error(&unknown), OTHER);
        assert_eq!(of_transport_error(&fmt::Error), "core::fmt::Error");
    }
}

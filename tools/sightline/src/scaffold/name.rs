//! The name of a new service, and its spellings in code.

use super::ScaffoldError;

/// The maximum length of a name. The objects of the chart have the name `RELEASE-NAME`, which has at most 52 characters
/// (the template `sightline.checkedName`), and the documents use the release `sightline`.
const MAX_LENGTH: usize = 52 - "sightline-".len();

/// Names that Cargo, the compiler or the chart uses itself.
const RESERVED: [(&str, &str); 14] = [
    ("alloc", "it is a crate of the Rust compiler"),
    ("core", "it is a crate of the Rust compiler"),
    ("proc-macro", "it is a crate of the Rust compiler"),
    ("std", "it is a crate of the Rust compiler"),
    ("test", "it is a crate of the Rust compiler"),
    ("build", "Cargo has a directory with this name next to the programs"),
    ("deps", "Cargo has a directory with this name next to the programs"),
    ("examples", "Cargo has a directory with this name next to the programs"),
    ("incremental", "Cargo has a directory with this name next to the programs"),
    ("ca", "the chart and the certificates use it for the CA"),
    ("agent", "the pipeline has a process with this name"),
    ("gateway", "the pipeline has a process with this name"),
    ("gateway-headless", "the pipeline has an object with this name"),
    ("jaeger", "the pipeline has a process with this name"),
];

/// The [keywords](https://doc.rust-lang.org/reference/keywords.html) that the compiler does not accept as the name of a
/// crate, including those that are reserved for later.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield",
];

/// Types that the code of the gRPC template uses without a path: those of `tonic::codegen` in the generated code, those of
/// Rust's prelude, and the template's messages. A gRPC service with the same name would hide them.
const GRPC_TYPES: [&str; 37] = [
    "Arc",
    "AsRef",
    "Body",
    "Box",
    "BoxFuture",
    "BoxStream",
    "Bytes",
    "Clone",
    "CompressionEncoding",
    "Context",
    "Copy",
    "Debug",
    "Default",
    "Drop",
    "EnabledCompressionEncodings",
    "Err",
    "Fn",
    "From",
    "Future",
    "GrpcMethod",
    "InterceptedService",
    "Into",
    "Iterator",
    "None",
    "Ok",
    "Option",
    "Pin",
    "Poll",
    "ReadDetailsRequest",
    "ReadDetailsResponse",
    "ReadRequest",
    "ReadResponse",
    "Result",
    "Send",
    "Some",
    "StdError",
    "Sync",
];

/// A name that a service can have: a DNS label that is also the name of a crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Checks a name. The error says what to change.
    pub fn parse(name: &str) -> Result<Self, ScaffoldError> {
        match problem(name) {
            None => Ok(Self(name.to_owned())),
            Some(problem) => Err(ScaffoldError::Name { name: name.to_owned(), problem }),
        }
    }

    /// Checks that the name can also be the name of a gRPC service. The error says what to change.
    pub(super) fn check_grpc(&self) -> Result<(), ScaffoldError> {
        let type_name = self.type_name();
        if !GRPC_TYPES.contains(&type_name.as_str()) {
            return Ok(());
        }
        let problem = format!(
            "the code of a gRPC service already uses the type {type_name}: use another name, such as {}-service",
            self.0
        );
        Err(ScaffoldError::Name { name: self.0.clone(), problem })
    }

    /// The name of the service and of its package, such as `shop-2`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.0
    }

    /// The name in Rust code and in the package of a proto file, such as `shop_2`.
    #[must_use]
    pub fn ident(&self) -> String {
        self.0.replace('-', "_")
    }

    /// The prefix of environment variables, such as `SHOP_2`.
    #[must_use]
    pub fn variable(&self) -> String {
        self.ident().to_uppercase()
    }

    /// The name of a gRPC service, such as `Shop2`.
    #[must_use]
    pub fn type_name(&self) -> String {
        let capitalize = |word: &str| {
            let (first, rest) = word.split_at(word.len().min(1));
            format!("{}{rest}", first.to_ascii_uppercase())
        };
        self.0.split('-').map(capitalize).collect()
    }

    /// The first half of the names of the modules that tonic generates for a gRPC service, such as `shop2` in
    /// `shop2_client`. tonic derives it from [`type_name`](Self::type_name): it puts an underscore before each upper-case
    /// letter except the first.
    #[must_use]
    pub fn module(&self) -> String {
        let mut module = String::new();
        for letter in self.type_name().chars() {
            if letter.is_ascii_uppercase() && !module.is_empty() {
                module.push('_');
            }
            module.push(letter.to_ascii_lowercase());
        }
        module
    }
}

fn problem(name: &str) -> Option<String> {
    let is_label = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--");
    if !is_label {
        return Some(
            "use lower-case letters, digits and single hyphens, begin with a letter, and end with a letter or digit"
                .to_owned(),
        );
    }
    if name.len() > MAX_LENGTH {
        return Some(format!(
            "it has {} characters, but the chart limits the names of objects, sightline-NAME, to 52: use at most \
             {MAX_LENGTH} characters",
            name.len()
        ));
    }
    if KEYWORDS.contains(&name) {
        return Some(format!("it is a keyword of Rust: use another name, such as {name}-service"));
    }
    let (_, reason) = RESERVED.iter().find(|(reserved, _)| *reserved == name)?;
    Some(format!("{reason}: use another name, such as {name}-service"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_a_spelling_for_each_place() {
        let spellings = |name| {
            let name = Name::parse(name).unwrap();
            [name.label().to_owned(), name.ident(), name.variable(), name.type_name(), name.module()]
        };
        assert_eq!(spellings("payments"), ["payments", "payments", "PAYMENTS", "Payments", "payments"]);
        assert_eq!(
            spellings("card-payments"),
            ["card-payments", "card_payments", "CARD_PAYMENTS", "CardPayments", "card_payments"]
        );
        // tonic does not put an underscore before a digit.
        assert_eq!(spellings("shop-2-b"), ["shop-2-b", "shop_2_b", "SHOP_2_B", "Shop2B", "shop2_b"]);
    }

    #[test]
    fn rejects_what_is_not_a_label_or_not_the_name_of_a_crate() {
        let long = "a".repeat(MAX_LENGTH + 1);
        for (name, reason) in [
            ("", "begin with a letter"),
            ("Payments", "lower-case"),
            ("my_payments", "hyphens"),
            ("-payments", "begin with a letter"),
            ("payments-", "end with a letter or digit"),
            ("card--payments", "single hyphens"),
            ("2fast", "begin with a letter"),
            ("zahlung\u{e9}n", "lower-case letters"),
            ("pay.ments", "lower-case letters"),
            ("../payments", "lower-case letters"),
            (&long, "at most 42"),
            ("async", "keyword"),
            ("gen", "keyword"),
            ("self", "keyword"),
            ("test", "crate of the Rust compiler"),
            ("std", "std-service"),
            ("proc-macro", "crate of the Rust compiler"),
            ("deps", "Cargo has a directory"),
            ("ca", "CA"),
            ("gateway", "pipeline"),
        ] {
            let error = Name::parse(name).unwrap_err().to_string();
            assert!(error.contains(reason), "{name:?}: {error}");
        }
        Name::parse(&long[..MAX_LENGTH]).unwrap();
        let error = Name::parse("read-request").unwrap().check_grpc().unwrap_err().to_string();
        assert!(error.contains("the type ReadRequest"), "{error}");
        Name::parse("read-requests").unwrap().check_grpc().unwrap();
    }
}

//! Validation of new users.

use email_address::{EmailAddress, Options};
use serde_json::{Map, Value};

/// The maximum length of a name, in characters.
const MAX_NAME_LENGTH: usize = 200;

/// The maximum length of an e-mail address, in characters. [RFC 5321] limits an address to 256 octets, including
/// the two angle brackets around it.
///
/// [RFC 5321]: https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.3
const MAX_EMAIL_LENGTH: usize = 254;

/// A validated new user.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    name: String,
    email: String,
}

/// The reason why a request body is not a valid user.
///
/// The message is a sentence for the caller. It never repeats a value from the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}.")]
pub struct InvalidUser {
    field: &'static str,
    problem: &'static str,
}

impl NewUser {
    /// Validates the fields of a JSON object and ignores unknown fields.
    ///
    /// The code does not derive `serde::Deserialize`. A derived implementation would also accept an array for a struct,
    /// and would not report which field has the wrong type.
    pub fn parse(fields: &Map<String, Value>) -> Result<Self, InvalidUser> {
        let name = text(fields, "name")?.trim();
        if name.is_empty() {
            return Err(InvalidUser { field: "name", problem: "must not be empty" });
        }
        if name.chars().count() > MAX_NAME_LENGTH {
            return Err(InvalidUser { field: "name", problem: "must have at most 200 characters" });
        }
        // PostgreSQL rejects NUL, and no name contains the other control characters.
        if name.chars().any(char::is_control) {
            return Err(InvalidUser { field: "name", problem: "must not contain control characters" });
        }

        let email = text(fields, "email")?;
        if email.is_empty() {
            return Err(InvalidUser { field: "email", problem: "must not be empty" });
        }
        if !is_email(email) {
            return Err(InvalidUser {
                field: "email",
                problem: "must be an e-mail address such as ada@example.org",
            });
        }
        Ok(Self { name: name.to_owned(), email: email.to_owned() })
    }

    /// Returns the name. It is not empty and has no leading or trailing white space.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the e-mail address, without a display name. The domain of the address has at least two labels.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }
}

fn text<'a>(fields: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, InvalidUser> {
    match fields.get(field) {
        None | Some(Value::Null) => Err(InvalidUser { field, problem: "is missing" }),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(InvalidUser { field, problem: "must be a string" }),
    }
}

fn is_email(text: &str) -> bool {
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    let plain = !text.chars().any(|character| character.is_control() || character.is_whitespace());
    plain
        && text.chars().count() <= MAX_EMAIL_LENGTH
        && EmailAddress::parse_with_options(text, options).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(body: &Value) -> Result<NewUser, InvalidUser> {
        NewUser::parse(body.as_object().unwrap())
    }

    #[test]
    fn accepts_valid_users() {
        let user =
            parse(&json!({"name": " Ada Lovelace ", "email": "Ada.L+x@example.org", "more": 1})).unwrap();
        assert_eq!((user.name(), user.email()), ("Ada Lovelace", "Ada.L+x@example.org"));
        assert!(parse(&json!({"name": "é".repeat(200), "email": "a@bücher.example"})).is_ok());
    }

    #[test]
    fn names_the_field_that_is_invalid() {
        let email = "ada@example.org";
        for (field, body) in [
            ("name", json!({})),
            ("name", json!({"email": email})),
            ("name", json!({"name": null, "email": email})),
            ("name", json!({"name": 7, "email": email})),
            ("name", json!({"name": ["Ada"], "email": email})),
            ("name", json!({"name": "", "email": email})),
            ("name", json!({"name": " \t ", "email": email})),
            ("name", json!({"name": "A\u{0}da", "email": email})),
            ("name", json!({"name": "x".repeat(201), "email": email})),
            ("email", json!({"name": "Ada"})),
            ("email", json!({"name": "Ada", "email": true})),
        ] {
            assert_eq!(parse(&body).err().map(|error| error.field), Some(field), "{body}");
        }
        for invalid in [
            "",
            "ada",
            "ada@",
            "@example.org",
            "ada@localhost",
            "ada@example..org",
            " ada@example.org",
            "ada@example.org\n",
            "ada@[127.0.0.1]",
            "Ada <ada@example.org>",
            "\"a b\"@example.org",
            "a@b@example.org",
        ] {
            assert!(parse(&json!({"name": "Ada", "email": invalid})).is_err(), "{invalid:?}");
        }
        assert!(!is_email(&format!("{}@{}.example.org", "a".repeat(64), "b".repeat(250))));
    }

    proptest! {
        #[test]
        fn accepts_or_rejects_any_text_without_repeating_it(name in "\\PC{0,300}", email in "\\PC{0,300}") {
            match parse(&json!({"name": name, "email": email})) {
                Ok(user) => {
                    prop_assert!(!user.name().is_empty() && user.name().chars().count() <= MAX_NAME_LENGTH);
                    prop_assert!(user.email().contains('@') && user.email().chars().count() <= MAX_EMAIL_LENGTH);
                }
                Err(error) => prop_assert!(error.to_string().len() < 100),
            }
        }

        #[test]
        fn accepts_ordinary_addresses(
            local in "[a-z][a-z0-9.+_-]{0,20}[a-z0-9]",
            domain in "[a-z0-9]{1,20}\\.[a-z]{2,6}",
        ) {
            prop_assume!(!local.contains(".."));
            let body = json!({"name": "Ada", "email": format!("{local}@{domain}")});
            prop_assert!(parse(&body).is_ok());
        }
    }
}

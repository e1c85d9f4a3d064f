//! What a caller may send as a new user.

use email_address::{EmailAddress, Options};
use serde_json::{Map, Value};

/// Characters of a name.
const MAX_NAME: usize = 200;

/// Characters of an address, as RFC 5321 bounds a path.
const MAX_EMAIL: usize = 254;

/// A user who may be stored. The fields hold what the type's name says: they were checked.
#[derive(Clone, PartialEq, Eq)]
pub struct NewUser {
    name: String,
    email: String,
}

/// Why a body is no new user: a sentence for the caller, which never repeats what was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}.")]
pub struct Invalid {
    field: &'static str,
    problem: &'static str,
}

impl NewUser {
    /// Checks the fields of a JSON object. Fields that are not known are let be.
    ///
    /// By hand and not by `serde::Deserialize`, which also takes an array for a struct and does not say which field
    /// has the wrong type.
    pub fn parse(fields: &Map<String, Value>) -> Result<Self, Invalid> {
        let name = text(fields, "name")?.trim();
        if name.is_empty() {
            return Err(Invalid { field: "name", problem: "must not be empty" });
        }
        if name.chars().count() > MAX_NAME {
            return Err(Invalid { field: "name", problem: "must have at most 200 characters" });
        }
        // PostgreSQL refuses NUL, and no name has the others.
        if name.chars().any(char::is_control) {
            return Err(Invalid { field: "name", problem: "must not have control characters" });
        }

        let email = text(fields, "email")?;
        if email.is_empty() {
            return Err(Invalid { field: "email", problem: "must not be empty" });
        }
        if !is_email(email) {
            return Err(Invalid {
                field: "email",
                problem: "must be an e-mail address such as ada@example.org",
            });
        }
        Ok(Self { name: name.to_owned(), email: email.to_owned() })
    }

    /// Not empty, without white space around it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A bare address at a domain of at least two parts.
    #[must_use]
    pub fn email(&self) -> &str {
        &self.email
    }
}

fn text<'a>(fields: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, Invalid> {
    match fields.get(field) {
        None | Some(Value::Null) => Err(Invalid { field, problem: "is missing" }),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(Invalid { field, problem: "must be a string" }),
    }
}

fn is_email(text: &str) -> bool {
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    let plain = !text.chars().any(|character| character.is_control() || character.is_whitespace());
    plain && text.chars().count() <= MAX_EMAIL && EmailAddress::parse_with_options(text, options).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(body: &Value) -> Result<NewUser, Invalid> {
        NewUser::parse(body.as_object().unwrap())
    }

    #[test]
    fn a_user_is_taken() {
        let user =
            parse(&json!({"name": " Ada Lovelace ", "email": "Ada.L+x@example.org", "more": 1})).unwrap();
        assert_eq!((user.name(), user.email()), ("Ada Lovelace", "Ada.L+x@example.org"));
        assert!(parse(&json!({"name": "é".repeat(200), "email": "a@bücher.example"})).is_ok());
    }

    #[test]
    fn what_is_no_user_is_refused_by_its_field() {
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
            assert_eq!(parse(&body).err().map(|invalid| invalid.field), Some(field), "{body}");
        }
        for bad in [
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
            assert!(parse(&json!({"name": "Ada", "email": bad})).is_err(), "{bad:?}");
        }
        assert!(!is_email(&format!("{}@{}.example.org", "a".repeat(64), "b".repeat(250))));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_without_being_repeated(name in "\\PC{0,300}", email in "\\PC{0,300}") {
            match parse(&json!({"name": name, "email": email})) {
                Ok(user) => {
                    prop_assert!(!user.name().is_empty() && user.name().chars().count() <= MAX_NAME);
                    prop_assert!(user.email().contains('@') && user.email().chars().count() <= MAX_EMAIL);
                }
                Err(invalid) => prop_assert!(invalid.to_string().len() < 100),
            }
        }

        #[test]
        fn ordinary_addresses_are_taken(local in "[a-z][a-z0-9.+_-]{0,20}[a-z0-9]", domain in "[a-z0-9]{1,20}\\.[a-z]{2,6}") {
            prop_assume!(!local.contains(".."));
            let body = json!({"name": "Ada", "email": format!("{local}@{domain}")});
            prop_assert!(parse(&body).is_ok());
        }
    }
}

//! The attributes of a container image, from the container status.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/registry/attributes/container/>.

use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_semantic_conventions::attribute;

/// An image reference: `NAME[:TAG][@DIGEST]`. The name can begin with a registry and its port.
#[derive(Debug, PartialEq, Eq)]
struct Reference<'a> {
    name: &'a str,
    tag: Option<&'a str>,
    digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Parses an image reference. Returns `None` for anything else, such as a digest without a name. Some runtimes
    /// report such a digest for an image that was pulled by digest.
    fn parse(text: &'a str) -> Option<Self> {
        if is_digest(text) {
            return None;
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash separates the registry from its port, so the tag can only begin after that
        // slash.
        let path = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[path..].rfind(':') {
            Some(colon) => (&rest[..path + colon], Some(&rest[path + colon + 1..])),
            None => (rest, None),
        };
        let is_valid = path < name.len()
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest)
            && !text.contains(char::is_whitespace);
        is_valid.then_some(Self { name, tag, digest })
    }
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let mut bytes = text.bytes();
    text.len() <= 128
        && bytes.next().is_some_and(is_word)
        && bytes.all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

/// Whether `text` is a digest with an algorithm that images use. A looser check would also accept `shop:COMMIT`, which
/// is a name with a commit hash as its tag.
fn is_digest(text: &str) -> bool {
    [("sha256:", 64), ("sha512:", 128)].into_iter().any(|(algorithm, length)| {
        text.strip_prefix(algorithm)
            .is_some_and(|hex| hex.len() == length && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
    })
}

/// Returns the image attributes of a container whose status has these `image` and `imageID` fields. If `image` is a
/// digest without a name, the name comes from `image_id`.
pub(super) fn attributes(image: &str, image_id: &str) -> Vec<KeyValue> {
    // dockershim, the kubelet's former adapter for Docker, adds a prefix such as `docker-pullable://` to the ID.
    let id = image_id.split_once("://").map_or(image_id, |(_, id)| id);
    let by_digest = Reference::parse(id).filter(|reference| reference.digest.is_some());
    let reference = Reference::parse(image);
    let name = reference.as_ref().or(by_digest.as_ref()).map(|reference| reference.name);
    [
        name.map(|name| KeyValue::new(attribute::CONTAINER_IMAGE_NAME, name.to_owned())),
        reference.and_then(|reference| reference.tag).map(|tag| list(attribute::CONTAINER_IMAGE_TAGS, tag)),
        (!id.is_empty()).then(|| KeyValue::new(attribute::CONTAINER_IMAGE_ID, id.to_owned())),
        by_digest.map(|_| list(attribute::CONTAINER_IMAGE_REPO_DIGESTS, id)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn list(key: &'static str, item: &str) -> KeyValue {
    KeyValue::new(key, Value::Array(Array::String(vec![StringValue::from(item.to_owned())])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{attributes as as_text, expected};
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:4f1d2c3b4a5968778695a4b3c2d1e0f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

    #[test]
    fn parses_references() {
        let digest = |name: &str| format!("{name}@{DIGEST}");
        let commit = "0123456789abcdef0123456789abcdef01234567";
        for (text, name, tag, has_digest) in [
            ("shop".to_owned(), "shop", None, false),
            ("shop:1.0".to_owned(), "shop", Some("1.0"), false),
            ("docker.io/library/shop:latest".to_owned(), "docker.io/library/shop", Some("latest"), false),
            (format!("shop:{commit}"), "shop", Some(commit), false),
            ("registry.local:5000/shop".to_owned(), "registry.local:5000/shop", None, false),
            (
                "registry.local:5000/a/shop:1.0-rc.1".to_owned(),
                "registry.local:5000/a/shop",
                Some("1.0-rc.1"),
                false,
            ),
            ("[fd00::1]:5000/shop".to_owned(), "[fd00::1]:5000/shop", None, false),
            ("[fd00::1]/shop:v1".to_owned(), "[fd00::1]/shop", Some("v1"), false),
            (digest("shop"), "shop", None, true),
            (digest("localhost:5000/shop:1.0"), "localhost:5000/shop", Some("1.0"), true),
        ] {
            let digest = has_digest.then_some(DIGEST);
            assert_eq!(Reference::parse(&text), Some(Reference { name, tag, digest }), "{text}");
        }
    }

    #[test]
    fn rejects_text_that_is_not_a_reference() {
        for text in [
            "",
            DIGEST,
            ":1.0",
            "shop:",
            "a/:1.0",
            "shop@1.0",
            "shop@",
            "@sha256:12",
            "a shop",
            "shop:a b",
            "a/",
        ] {
            assert_eq!(Reference::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn returns_attributes_for_what_runtimes_report() {
        let id = format!("docker.io/sightline/shop@{DIGEST}");
        let digests = format!("[\"{id}\"]");
        let all = expected([
            ("container.image.name", "docker.io/sightline/shop"),
            ("container.image.tags", "[\"1.0\"]"),
            ("container.image.id", &id),
            ("container.image.repo_digests", &digests),
        ]);
        assert_eq!(as_text(attributes("docker.io/sightline/shop:1.0", &id)), all);
        assert_eq!(
            as_text(attributes("docker.io/sightline/shop:1.0", &format!("docker-pullable://{id}"))),
            all
        );

        // The image was pulled by digest: the name comes from the field `imageID`, and there is no tag.
        let mut untagged = all;
        untagged.remove("container.image.tags");
        assert_eq!(as_text(attributes(DIGEST, &id)), untagged);
        assert_eq!(as_text(attributes(&id, &id)), untagged);

        // The image was loaded from a file: the runtime reports an ID but no repository.
        let loaded = expected([
            ("container.image.name", "shop"),
            ("container.image.tags", "[\"1.0\"]"),
            ("container.image.id", DIGEST),
        ]);
        assert_eq!(as_text(attributes("shop:1.0", DIGEST)), loaded);
        assert_eq!(as_text(attributes("", "")), expected([]));
    }

    proptest! {
        #[test]
        fn parses_all_parts_of_a_reference(
            registry in "([a-z]{1,8}(\\.[a-z]{2,3})?(:[0-9]{2,5})?/)?",
            path in "[a-z][a-z0-9_.-]{0,12}(/[a-z][a-z0-9_.-]{0,12}){0,2}",
            tag in proptest::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}"),
            digest in proptest::option::of("sha256:[0-9a-f]{64}"),
        ) {
            let name = format!("{registry}{path}");
            let mut text = name.clone();
            text.extend(tag.iter().map(|tag| format!(":{tag}")));
            text.extend(digest.iter().map(|digest| format!("@{digest}")));
            let parsed = Reference::parse(&text);
            let expected = Reference { name: &name, tag: tag.as_deref(), digest: digest.as_deref() };
            prop_assert_eq!(parsed, Some(expected));
        }

        #[test]
        fn parses_any_text_into_its_own_parts_or_nothing(text in "\\PC{0,40}|[a-z:@/.0-9]{0,40}") {
            if let Some(Reference { name, tag, digest }) = Reference::parse(&text) {
                let joined = name.to_owned()
                    + &tag.map(|tag| format!(":{tag}")).unwrap_or_default()
                    + &digest.map(|digest| format!("@{digest}")).unwrap_or_default();
                prop_assert_eq!(joined, text);
            }
        }
    }
}

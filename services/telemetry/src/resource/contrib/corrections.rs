//! The attributes of the opentelemetry-resource-detectors crate that this library corrects or drops.
//!
//! The tests run the crate's detectors and assert both the crate's value and this library's value of each attribute in
//! the table. If a new version of the crate reports a right value, a test fails. Then the row can be removed, and with
//! it the detector that replaces the value.

use opentelemetry_semantic_conventions::attribute;

/// An attribute that the crate does not report as it should be.
pub(super) struct Correction {
    pub(super) attribute: &'static str,
    pub(super) treatment: Treatment,
    /// What the crate reports, and why that is wrong. Markdown.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test writes it to docs/telemetry.md"))]
    pub(super) fault: &'static str,
    /// What this library reports instead, and where the value comes from. Markdown.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test writes it to docs/telemetry.md"))]
    pub(super) instead: &'static str,
}

/// What happens to the crate's value.
pub(super) enum Treatment {
    /// The value is converted.
    Convert(fn(&str) -> &str),
    /// The value is not used. Another detector of this library can report the attribute.
    Drop,
    /// The value is not used if it is this text.
    DropIf(&'static str),
}

/// All corrections, in the order of the attributes' names.
pub(super) const CORRECTIONS: &[Correction] = &[
    Correction {
        attribute: attribute::CONTAINER_ID,
        treatment: Treatment::Drop,
        fault: "any 32 to 64 hexadecimal digits at the end of a cgroup path: also outside a container, and the ID of \
            the node's container if the node is a container, as in kind",
        // resource/container.rs
        instead: "the ID in a path that a container runtime creates; in a cluster also from the API server",
    },
    Correction {
        attribute: attribute::HOST_ARCH,
        treatment: Treatment::Convert(arch),
        fault: "Rust's name of the architecture, such as `x86_64` and `aarch64`",
        instead: "the name in the semantic conventions, such as `amd64` and `arm64`",
    },
    Correction {
        attribute: attribute::HOST_ID,
        // Source: <https://www.freedesktop.org/software/systemd/man/latest/machine-id.html>.
        treatment: Treatment::DropIf("uninitialized"),
        fault: "the word `uninitialized`, which images contain instead of a machine ID",
        instead: "nothing in this case",
    },
    Correction {
        attribute: attribute::HOST_NAME,
        treatment: Treatment::Drop,
        fault: "the output of the program `hostname`, which small images do not contain",
        // resource/host.rs
        instead: "the host name from the kernel",
    },
    Correction {
        attribute: attribute::K8S_NODE_NAME,
        treatment: Treatment::Drop,
        fault: "the environment variable `NODE_NAME`, which programs also use for other names, and also outside a cluster",
        // resource/kubernetes/
        instead: "the name from the API server",
    },
    Correction {
        attribute: attribute::K8S_POD_NAME,
        treatment: Treatment::Drop,
        fault: "the environment variable `HOSTNAME`: the name of the node with `hostNetwork`, and the name of the \
            computer outside a cluster",
        // resource/kubernetes/
        instead: "the name from the API server, if it is certain that the pod is this pod",
    },
    Correction {
        attribute: attribute::PROCESS_COMMAND_ARGS,
        treatment: Treatment::Drop,
        fault: "the whole command line, which can contain passwords; the semantic conventions advise against it",
        instead: "nothing",
    },
    Correction {
        attribute: attribute::SERVICE_INSTANCE_ID,
        treatment: Treatment::Drop,
        fault: "a UUID of version 7; the semantic conventions recommend version 1 or 4",
        // resource/mod.rs
        instead: "a random UUID of version 4",
    },
];

/// Converts Rust's name of a processor architecture to the name in the semantic conventions.
///
/// Source: <https://opentelemetry.io/docs/specs/semconv/registry/attributes/host/>.
fn arch(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc" => "ppc32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_the_names_of_architectures() {
        for (rust, conventions) in [
            ("x86_64", "amd64"),
            ("aarch64", "arm64"),
            ("arm", "arm32"),
            ("powerpc", "ppc32"),
            ("powerpc64", "ppc64"),
            ("x86", "x86"),
            ("s390x", "s390x"),
            ("riscv64", "riscv64"),
        ] {
            assert_eq!(arch(rust), conventions);
        }
    }
}

//! Checks that `docs/adopt.md` contains the code of the examples that it shows, which Cargo compiles.

#[test]
fn adopt_page_contains_the_examples() {
    let page = include_str!("../../../docs/adopt.md");
    for (name, example) in [
        ("minimal.rs", include_str!("../examples/minimal.rs")),
        ("calls.rs", include_str!("../examples/calls.rs")),
    ] {
        assert!(
            page.contains(&format!("\n{example}```")),
            "the code block in docs/adopt.md differs from services/telemetry/examples/{name}; copy the example there"
        );
    }
}

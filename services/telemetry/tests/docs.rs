//! Checks that `docs/adopt.md` contains the code of `examples/minimal.rs`, which Cargo compiles.

#[test]
fn adopt_page_contains_the_minimal_example() {
    let page = include_str!("../../../docs/adopt.md");
    let example = include_str!("../examples/minimal.rs");
    assert!(
        page.contains(&format!("\n{example}```")),
        "the code block in docs/adopt.md differs from services/telemetry/examples/minimal.rs; copy the example there"
    );
}

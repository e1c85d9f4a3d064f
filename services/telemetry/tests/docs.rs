//! What the documentation shows is what compiles.

#[test]
fn adopt_shows_the_example_as_it_is() {
    let page = include_str!("../../../docs/adopt.md");
    let example = include_str!("../examples/minimal.rs");
    assert!(page.contains(&format!("```rust\n{example}```")), "docs/adopt.md shows another minimal.rs");
}

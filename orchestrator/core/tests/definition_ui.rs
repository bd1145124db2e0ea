//! Definitions that must not compile, with what the compiler says about them.

#[test]
fn a_wrong_shape_does_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/definition_ui/*.rs");
}

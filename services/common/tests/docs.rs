//! Checks that `docs/settings.md` lists the settings of the library.

use service_common::testing::assert_settings_page_lists;
use telemetry::settings::names::VARIABLES;

#[test]
fn settings_page_lists_the_variables_of_the_library() {
    assert_settings_page_lists("The library", VARIABLES);
}

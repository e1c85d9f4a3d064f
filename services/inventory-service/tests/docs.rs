//! Checks that `docs/settings.md` lists the settings of this service.

#[test]
fn settings_page_lists_the_variables() {
    service_common::testing::assert_settings_page_lists("inventory-service", &inventory_service::variables());
}

//! Writes the small database of places that tests use: `make-test-mmdb OUT.mmdb`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: make-test-mmdb OUT.mmdb")?;
    gosight_enrich::testing::write_test_database(path)?;
    Ok(())
}

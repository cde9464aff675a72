//! A program with a backend of its own, and none of the bundled ones.

use std::process::ExitCode;
use websessions::App;
use websessions_sqlite_example::Sqlite;

fn main() -> ExitCode {
    App::new().with(Sqlite).main()
}

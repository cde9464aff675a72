//! The bundled binary: every backend that was compiled in.

use std::process::ExitCode;
use websessions::{App, bundled};

fn main() -> ExitCode {
    App::new().with(bundled()).main()
}

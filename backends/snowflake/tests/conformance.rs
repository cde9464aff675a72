//! The conformance kit over the wire, against a local server that speaks Snowflake's protocol.

use libtest_mimic::Arguments;
use websessions_conformance::{Target, tier, trials};
use websessions_snowflake::Snowflake;
use websessions_test_servers::Fakesnow;

fn main() {
    let arguments = Arguments::from_args();
    let server = Fakesnow::start();
    let settings = [
        ("account", "local"),
        ("user", "tester"),
        ("password", "s3cret"),
        ("database", "KIT"),
        ("endpoint", server.url()),
    ];
    let all = trials("snowflake", Target::new(Snowflake, settings));
    let conclusion = libtest_mimic::run(&arguments, tier(&arguments, all));
    drop(server);
    conclusion.exit();
}

//! Tells cargo that the crate holds its scenarios: a new file among them is a reason to compile it again.
#![allow(clippy::print_stdout, reason = "cargo reads it")]

fn main() {
    println!("cargo:rerun-if-changed=scenarios");
}

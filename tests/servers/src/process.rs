//! A server process. It ends with the test, whatever becomes of the test.

use crate::port::Port;
use crate::waiting::PATIENCE;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server, and the ports that it listens on.
pub(crate) struct Process<const PORTS: usize>(Child, [Port; PORTS]);

/// A program that `tests/run` installs and names in a variable.
pub(crate) fn installed(variable: &str) -> Command {
    of(&program(variable))
}

/// The program that a variable names.
pub(crate) fn program(variable: &str) -> PathBuf {
    let program = std::env::var_os(variable);
    program.unwrap_or_else(|| panic!("{variable} must name the server's program: ./tests/run installs it")).into()
}

/// A program, which ends with this process.
pub(crate) fn of(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(program);
    command
}

impl<const PORTS: usize> Process<PORTS> {
    /// Starts a server, and waits until it answers a GET of a path on its first port.
    pub(crate) fn start(command: &mut Command, ports: [Port; PORTS], path: &str) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut process = Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")), ports);
        let started = Instant::now();
        while let Err(error) = answer(process.1[0].number, path) {
            if let Ok(Some(status)) = process.0.try_wait() {
                panic!("{command:?} ended: {status}");
            }
            assert!(started.elapsed() < PATIENCE, "{command:?} did not start: {error}");
            std::thread::sleep(Duration::from_millis(100));
        }
        process
    }
}

fn answer(port: u16, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let status = String::from_utf8_lossy(&reply).split_whitespace().nth(1).map(str::to_owned);
    match status.as_deref() {
        Some("200" | "404") => Ok(()),
        _ => Err(io::Error::other(String::from_utf8_lossy(&reply).into_owned())),
    }
}

impl<const PORTS: usize> Drop for Process<PORTS> {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

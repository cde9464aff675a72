//! A server process. It ends with the test, whatever becomes of the test.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct Process(Child);

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

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

impl Process {
    /// Starts a server, and waits until it answers a GET of a path on a port.
    pub(crate) fn start(command: &mut Command, port: u16, path: &str) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut process = Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")));
        let started = Instant::now();
        while let Err(error) = answer(port, path) {
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
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").as_bytes())?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    let status = String::from_utf8_lossy(&reply).split_whitespace().nth(1).map(str::to_owned);
    match status.as_deref() {
        Some("200" | "404") => Ok(()),
        _ => Err(io::Error::other(String::from_utf8_lossy(&reply).into_owned())),
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

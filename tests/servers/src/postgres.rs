//! A private PostgreSQL server for a test: on a free loopback port, as a user other than root, stopped by its process id.
//! Needs PostgreSQL's server programs, which `tests/run` installs.

use crate::port::Port;
use crate::waiting::PATIENCE;
use std::io;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running server. Dropping it stops it and removes its files.
pub struct Cluster {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: Port,
    process: Option<Child>,
}

impl Cluster {
    /// Makes and starts a server with further lines of configuration.
    pub fn start(configuration: &str) -> io::Result<Self> {
        let programs = programs()?;
        let folder = tempfile::tempdir()?;
        let reserved = Port::reserve();
        let port = reserved.number;
        let mut cluster = Self { folder, programs, port: reserved, process: None };
        if is_root() {
            succeed(Command::new("chown").arg("postgres").arg(cluster.folder.path()))?;
        }
        let data = cluster.data();
        succeed(
            cluster
                .command("initdb")
                .arg("--pgdata")
                .arg(&data)
                .args(["--username", "websessions", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8"])
                .stdout(Stdio::null()),
        )?;
        let settings = format!(
            "port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{}'\nfsync = off\nshared_buffers = 512MB\nwork_mem = 64MB\nmaintenance_work_mem = 256MB\nmax_wal_size = 4GB\nlog_min_messages = fatal\nmax_prepared_transactions = 16\n{configuration}\n",
            cluster.folder.path().display()
        );
        let file = data.join("postgresql.conf");
        let text = std::fs::read_to_string(&file)? + &settings;
        std::fs::write(&file, text)?;
        cluster.resume()?;
        Ok(cluster)
    }

    /// A hot standby of it, which follows it and only reads.
    /// <https://www.postgresql.org/docs/current/app-pgbasebackup.html>
    pub fn standby(&self) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let reserved = Port::reserve();
        let port = reserved.number;
        let mut standby = Self { folder, programs: self.programs.clone(), port: reserved, process: None };
        if is_root() {
            succeed(Command::new("chown").arg("postgres").arg(standby.folder.path()))?;
        }
        let data = standby.data();
        succeed(
            standby
                .command("pg_basebackup")
                .args(["--host", "127.0.0.1", "--port", &self.port().to_string(), "--username", "websessions"])
                .args(["--checkpoint", "fast", "--wal-method", "stream", "--write-recovery-conf", "--pgdata"])
                .arg(&data),
        )?;
        let file = data.join("postgresql.conf");
        let settings = format!("port = {port}\nunix_socket_directories = '{}'\n", standby.folder.path().display());
        let text = std::fs::read_to_string(&file)? + &settings;
        std::fs::write(&file, text)?;
        standby.resume()?;
        Ok(standby)
    }

    /// Where it is: a superuser's URL.
    pub fn url(&self) -> String {
        format!("postgres://websessions@127.0.0.1:{}/postgres", self.port())
    }

    /// Where it is, for another role.
    pub fn url_of(&self, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/postgres", self.port())
    }

    /// The port that it listens on.
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// A folder that the server may write.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the server as a power cut would: nothing is flushed, nothing is said.
    pub fn kill(&mut self) -> io::Result<()> {
        if let Some(mut process) = self.process.take() {
            // Its children end by themselves when it is gone.
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Starts the server again, and waits until it takes connections.
    pub fn resume(&mut self) -> io::Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if !matches!(self.process.as_mut().map(Child::try_wait), Some(Ok(None))) {
                // It is not running: never started, or it gave up because a killed server's children still held its
                // memory.
                let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log"))?;
                let data = self.data();
                let mut command = self.command("postgres");
                self.process = Some(command.arg("-D").arg(&data).stdout(log.try_clone()?).stderr(log).spawn()?);
            }
            if TcpStream::connect(("127.0.0.1", self.port())).is_ok() && self.is_ready()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(30));
        }
        Err(io::Error::other(format!("the server did not start:\n{}", self.log())))
    }

    fn is_ready(&self) -> io::Result<bool> {
        let mut command = self.command("pg_isready");
        command.args(["-q", "-h", "127.0.0.1", "-p", &self.port().to_string()]);
        Ok(command.status()?.success())
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A server program, as a user who may run it; it ends if this process does.
    fn command(&self, program: &str) -> Command {
        as_server_user(self.programs.join(program))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // SIGINT is the fast shutdown. <https://www.postgresql.org/docs/current/server-shutdown.html>
            let _ = Command::new("kill").args(["-INT", &process.id().to_string()]).status();
            let _ = process.wait();
        }
    }
}

/// A program, as a user who may run a server; it ends if this process does.
pub(crate) fn as_server_user(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = if is_root() {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--pdeathsig", "INT"])
            .arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Whether this process runs as root, as which PostgreSQL refuses to run.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn succeed(command: &mut Command) -> io::Result<()> {
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{command:?}: {status}"))) }
}

/// The folder of the newest server's programs.
fn programs() -> io::Result<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().ok_or_else(|| io::Error::other("PostgreSQL's server is not installed: ./tests/run installs it"))
}

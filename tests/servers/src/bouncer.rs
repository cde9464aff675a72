//! PgBouncer in transaction mode in front of a private server. Needs its program, which `tests/run` installs.

use crate::postgres::{Cluster, as_server_user};
use crate::process::free_port;
use std::io;
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running pooler. Dropping it stops it.
pub struct Bouncer {
    port: u16,
    process: Child,
}

impl Bouncer {
    /// Starts one with as many connections to the server, and without any setting that makes it take more than it does by
    /// itself.
    pub fn start(cluster: &Cluster, connections: usize) -> io::Result<Self> {
        let port = free_port();
        let file = cluster.folder().join(format!("pgbouncer-{port}.ini"));
        let lines = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = any\npool_mode = transaction\ndefault_pool_size = {connections}\nunix_socket_dir =\nserver_reset_query =\n",
            cluster.port()
        );
        // Every client is this user at the server.
        let lines = lines.replace("* = host", "* = user=websessions host");
        std::fs::write(&file, lines)?;
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
            .ok_or_else(|| io::Error::other("PgBouncer is not installed: ./tests/run installs it"))?;
        let process =
            as_server_user(program).arg("-q").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let bouncer = Self { port, process };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if started.elapsed() > PATIENCE {
                return Err(io::Error::other("PgBouncer did not start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(bouncer)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("postgres://websessions@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

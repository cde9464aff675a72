//! PgBouncer in transaction mode in front of a private server. Needs its program, which `tests/run` installs.

use crate::port::Port;
use crate::postgres::{Cluster, as_server_user};
use crate::waiting::PATIENCE;
use std::io;
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A running pooler. Dropping it stops it.
pub struct Bouncer {
    port: Port,
    process: Child,
}

impl Bouncer {
    /// Starts one with as many connections to the server, and without any setting that makes it take more than it does by
    /// itself.
    pub fn start(cluster: &Cluster, connections: usize) -> io::Result<Self> {
        let reserved = Port::reserve();
        let port = reserved.number;
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
        let mut bouncer = Self { port: reserved, process };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if bouncer.process.try_wait()?.is_some() || started.elapsed() > PATIENCE {
                return Err(io::Error::other("PgBouncer did not start"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(bouncer)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("postgres://websessions@127.0.0.1:{}/postgres", self.port.number)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

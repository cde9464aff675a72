//! A tap in the line to a Postgres server: it reads the queries that pass, and meddles with the first that a test chooses.
//! Only as much of the protocol as that needs. <https://www.postgresql.org/docs/current/protocol-message-formats.html>

use crate::waiting::PATIENCE;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// The code of a request for TLS, which the tap refuses.
const TLS_REQUEST: [u8; 4] = [4, 210, 22, 47];

/// What happens to the first chosen query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meddling {
    /// It is on its way until it is released.
    Hold,
    /// The server answers it, and from then on nobody hears from the server any more.
    LoseAnswers,
}

#[derive(Default)]
struct State {
    met: bool,
    released: bool,
    /// The connection whose answer is lost.
    cut: Option<usize>,
    /// Whether the server has sent that answer.
    is_answered: bool,
    clients: Vec<TcpStream>,
}

type Chosen = Box<dyn Fn(&str) -> bool + Send + Sync>;

struct Line {
    server: u16,
    meddling: Meddling,
    chosen: Chosen,
    state: Mutex<State>,
    changed: Condvar,
}

/// A running tap. Its connections end with those who use them.
pub struct Tap {
    port: u16,
    line: Arc<Line>,
}

impl Tap {
    /// Opens a port in front of a server's.
    pub fn start(
        server: u16,
        meddling: Meddling,
        chosen: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let chosen: Chosen = Box::new(chosen);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let line = Arc::new(Line { server, meddling, chosen, state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&line);
        std::thread::spawn(move || {
            for client in listener.incoming().filter_map(Result::ok) {
                // A connection that can't be made is closed, as a server that is away does.
                let _ = accepting.connect(client);
            }
        });
        Ok(Self { port, line })
    }

    /// The port that stands for the server's.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the chosen query was met by now.
    pub fn is_met(&self) -> bool {
        self.line.state().met
    }

    /// Waits until the chosen query is met; `false` if it never is.
    pub fn meets(&self) -> bool {
        let waited = self.line.changed.wait_timeout_while(self.line.state(), PATIENCE, |state| !state.met);
        waited.unwrap_or_else(PoisonError::into_inner).0.met
    }

    /// Lets go what is held.
    pub fn release(&self) {
        self.line.state().released = true;
        self.line.changed.notify_all();
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(("127.0.0.1", self.server))?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        let number = {
            let mut state = self.state();
            if state.cut.is_some() {
                return client.shutdown(Shutdown::Both);
            }
            state.clients.push(client.try_clone()?);
            state.clients.len()
        };
        let (back, forth) = (Arc::clone(self), Arc::clone(self));
        let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
        std::thread::spawn(move || {
            let _ = back.answers(number, &mut from_server, &mut to_client);
            let _ = (from_server.shutdown(Shutdown::Both), to_client.shutdown(Shutdown::Both));
        });
        let (mut client, mut server) = (client, server);
        std::thread::spawn(move || {
            let _ = forth.queries(number, &mut client, &mut server);
            let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
        });
        Ok(())
    }

    fn answers(&self, number: usize, server: &mut TcpStream, client: &mut TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = server.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            let mut state = self.state();
            match state.cut {
                None => {
                    drop(state);
                    client.write_all(&buffer[..count])?;
                }
                Some(cut) => {
                    state.is_answered |= cut == number;
                    self.changed.notify_all();
                }
            }
        }
    }

    fn queries(self: &Arc<Self>, number: usize, client: &mut TcpStream, server: &mut TcpStream) -> io::Result<()> {
        loop {
            // The first message of a connection has no letter.
            let body = body(client)?;
            if body.starts_with(&TLS_REQUEST) {
                client.write_all(b"N")?;
                continue;
            }
            forward(server, &[], &body)?;
            break;
        }
        loop {
            let mut letter = [0];
            client.read_exact(&mut letter)?;
            let body = body(client)?;
            if letter == *b"Q" {
                self.meddle(number, &String::from_utf8_lossy(body.strip_suffix(&[0]).unwrap_or(&body)));
            }
            forward(server, &letter, &body)?;
        }
    }

    fn meddle(self: &Arc<Self>, number: usize, sql: &str) {
        let mut state = self.state();
        if state.met || !(self.chosen)(sql) {
            return;
        }
        state.met = true;
        self.changed.notify_all();
        match self.meddling {
            Meddling::Hold => {
                let held = self.changed.wait_while(state, |state| !state.released);
                drop(held.unwrap_or_else(PoisonError::into_inner));
            }
            Meddling::LoseAnswers => {
                state.cut = Some(number);
                let line = Arc::clone(self);
                std::thread::spawn(move || {
                    // What the server answers it has done.
                    let answered = line.changed.wait_while(line.state(), |state| !state.is_answered);
                    let clients = std::mem::take(&mut answered.unwrap_or_else(PoisonError::into_inner).clients);
                    for client in clients {
                        let _ = client.shutdown(Shutdown::Both);
                    }
                });
            }
        }
    }
}

/// What follows a message's letter: its length, which counts itself, and the rest.
fn body(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length).saturating_sub(4);
    let mut body = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    from.read_exact(&mut body)?;
    Ok(body)
}

fn forward(to: &mut TcpStream, letter: &[u8], body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?.to_be_bytes();
    to.write_all(&[letter, &length, body].concat())
}

//! HTTP servers of a few lines: a proxy that breaks things, and a mock that says what no server at hand would say.

use serde_json::Value;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A request, as far as these servers look at it.
#[derive(Clone, Debug)]
pub struct Request {
    head: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without its question mark.
    pub query: String,
    /// The body.
    pub body: String,
}

impl Request {
    fn read(stream: &mut TcpStream) -> Option<Self> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 65536];
        loop {
            let length = stream.read(&mut chunk).ok().filter(|length| *length > 0)?;
            bytes.extend_from_slice(&chunk[..length]);
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            if bytes.len() - end - 4 >= content_length(&head) {
                let target = head.split_whitespace().nth(1)?.to_owned();
                let (path, query) = target.split_once('?').unwrap_or((&target, ""));
                let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
                return Some(Self { head, path: path.to_owned(), query: query.to_owned(), body });
            }
        }
    }

    /// The SQL that it sends, to Snowflake or to BigQuery.
    pub fn sql(&self) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        let sql = body["sqlText"].as_str().or_else(|| body["configuration"]["query"]["query"].as_str());
        sql.map(str::to_owned)
    }
}

fn content_length(head: &str) -> usize {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut lengths = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    lengths.next().and_then(|(_, length)| length.trim().parse().ok()).unwrap_or(0)
}

fn respond(stream: &mut TcpStream, status: u16, headers: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(stream));
        }
    });
    url
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a proxy does to the first request of each kind: each statement, each login, each look at a job.
#[derive(Clone, Debug)]
pub enum Break {
    /// The connection ends before the server sees the request.
    Before,
    /// The connection ends while the server works on the request.
    During,
    /// The server has answered, and the connection ends before the answer arrives.
    After,
    /// The server doesn't see the request; this is the answer: status, further header lines, body.
    Refuse(u16, &'static str, &'static str),
}

/// Whether a request is among those that are broken.
type Chosen = Box<dyn Fn(&Request) -> bool + Send>;

#[derive(Default)]
struct Orders {
    fault: Option<(Break, Chosen)>,
    broken: HashSet<String>,
    count: usize,
}

/// A proxy in front of a local server.
#[derive(Clone)]
pub struct Proxy {
    url: String,
    orders: Arc<Mutex<Orders>>,
}

impl Proxy {
    /// In front of a server; `rewrite` gets the body of each request that is JSON before it goes on, and `repair` each reply
    /// that is, by its request's path, before it goes back.
    pub fn start(server: &str, rewrite: fn(&mut Value), repair: fn(&str, &mut Value)) -> Self {
        let orders: Arc<Mutex<Orders>> = Arc::default();
        let (address, held) = (server.trim_start_matches("http://").to_owned(), Arc::clone(&orders));
        let url = listen(move |mut client| {
            let Some(mut request) = Request::read(&mut client) else { return };
            let fault = next_fault(&held, &request);
            if let Ok(mut body) = serde_json::from_str::<Value>(&request.body) {
                rewrite(&mut body);
                request.body = body.to_string();
            }
            match fault {
                Some(Break::Before) => {}
                Some(Break::During) => {
                    drop(client);
                    let _ = forward(&address, &request);
                }
                Some(Break::After) => drop(forward(&address, &request)),
                Some(Break::Refuse(status, headers, body)) => respond(&mut client, status, headers, body),
                None => {
                    if let Some((status, body)) = forward(&address, &request) {
                        let body = match serde_json::from_str::<Value>(&body) {
                            Ok(mut json) => {
                                repair(&request.path, &mut json);
                                json.to_string()
                            }
                            Err(_) => body,
                        };
                        respond(&mut client, status, "", &body);
                    }
                }
            }
        });
        Self { url, orders }
    }

    /// Its endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Breaks the first request of each kind from now on, of those that are chosen. Requests about the lock are left
    /// alone: whoever can't take or renew it must stop.
    pub fn break_each(&self, fault: Break, chosen: impl Fn(&Request) -> bool + Send + 'static) {
        let mut orders = lock(&self.orders);
        orders.fault = Some((fault, Box::new(chosen)));
        orders.broken.clear();
    }

    /// Breaks nothing from now on.
    pub fn heal(&self) {
        lock(&self.orders).fault = None;
    }

    /// How many requests it broke so far.
    pub fn count(&self) -> usize {
        lock(&self.orders).count
    }
}

fn next_fault(orders: &Mutex<Orders>, request: &Request) -> Option<Break> {
    let kind = request.sql().unwrap_or_else(|| request.path.clone());
    let mut orders = lock(orders);
    let (fault, chosen) = orders.fault.as_ref()?;
    // A block holds the lock's row, and is not about it.
    let about_the_lock = kind.to_lowercase().contains("sessions_lock") && !kind.contains("BEGIN TRANSACTION");
    if about_the_lock || !chosen(request) || orders.broken.contains(&kind) {
        return None;
    }
    let fault = fault.clone();
    orders.broken.insert(kind);
    orders.count += 1;
    Some(fault)
}

/// Sends a request on and awaits the answer: status and body.
fn forward(address: &str, request: &Request) -> Option<(u16, String)> {
    let mut server = TcpStream::connect(address).ok()?;
    let ours = |line: &str| ["connection:", "content-length:"].iter().any(|name| line.to_lowercase().starts_with(name));
    let head = request.head.lines().filter(|line| !ours(line)).collect::<Vec<_>>().join("\r\n");
    let length = request.body.len();
    server
        .write_all(
            format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{}", request.body).as_bytes(),
        )
        .ok()?;
    let mut reply = Vec::new();
    server.read_to_end(&mut reply).ok()?;
    let reply = String::from_utf8_lossy(&reply);
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head.split_whitespace().nth(1)?.parse().ok()?, body.to_owned()))
}

/// A server that gives each request's reply by its path, its body, and how many requests of that path came before; and
/// that notes what it was sent.
pub struct Mock {
    /// Its endpoint.
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Mock {
    /// Starts one.
    pub fn start(reply: impl Fn(&Request, usize) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::with_headers("", reply)
    }

    /// One that sends further header lines.
    pub fn with_headers(
        headers: &'static str,
        reply: impl Fn(&Request, usize) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let notes = Arc::clone(&seen);
        let url = listen(move |mut stream| {
            let Some(request) = Request::read(&mut stream) else { return };
            let number = {
                let mut notes = lock(&notes);
                let number = notes.iter().filter(|seen| seen.path == request.path).count();
                notes.push(request.clone());
                number
            };
            let (status, body) = reply(&request, number);
            respond(&mut stream, status, headers, &body);
        });
        Self { url, seen }
    }

    /// What it was sent so far.
    pub fn seen(&self) -> Vec<Request> {
        lock(&self.seen).clone()
    }
}

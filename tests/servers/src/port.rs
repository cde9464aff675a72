//! Ports that nobody else takes.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

/// Where ports of servers are looked for: below those that systems give to whoever asks for any, so that no connection and no
/// other listener has one of them meanwhile. <https://www.kernel.org/doc/html/latest/networking/ip-sysctl.html>
const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

/// A port of a server that is about to start, or is started again. While this lives no other test takes it, also of another
/// process: whoever looks for one has the UDP port of the same number first.
pub(crate) struct Port {
    pub(crate) number: u16,
    _held: UdpSocket,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        // Each process begins elsewhere.
        let begin = std::process::id().wrapping_mul(97) % u32::from(COUNT);
        for _ in 0..COUNT {
            let offset = (begin + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % u32::from(COUNT);
            let number = FIRST + u16::try_from(offset).unwrap_or_default();
            if let Ok(held) = UdpSocket::bind(("127.0.0.1", number))
                && TcpListener::bind(("127.0.0.1", number)).is_ok()
            {
                return Self { number, _held: held };
            }
        }
        panic!("no port is free from {FIRST} on");
    }
}

#[cfg(test)]
mod tests {
    use super::Port;

    #[test]
    fn a_port_is_one_server_s_until_it_is_dropped() {
        let ports: Vec<Port> = (0..50).map(|_| Port::reserve()).collect();
        let mut numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
        for number in numbers {
            assert!(std::net::UdpSocket::bind(("127.0.0.1", number)).is_err());
            std::net::TcpListener::bind(("127.0.0.1", number)).expect("free for its server");
        }
    }
}

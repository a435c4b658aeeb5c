//! A network between a client and a cluster that can be interrupted.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::cluster::Cluster;

/// The connections.
#[derive(Default)]
struct State {
    cut: bool,
    /// This number of the next connections is accepted and not forwarded.
    held: usize,
    streams: Vec<TcpStream>,
}

/// A proxy in front of the socket of a cluster.
pub struct Wire {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Wire {
    pub fn to(cluster: &Cluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = cluster.dir().join(format!(".s.PGSQL.{}", cluster.port()));
        let state: Arc<Mutex<State>> = Arc::default();
        let ours = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut state = ours.lock().unwrap();
                // While the network is interrupted, connections are closed.
                let Some(server) = (!state.cut).then(|| UnixStream::connect(&socket).ok()).flatten() else {
                    continue;
                };
                state.streams.push(stream.try_clone().unwrap());
                if state.held > 0 {
                    state.held -= 1;
                    continue;
                }
                carry(&stream, &server);
            }
        });
        Self { port, state }
    }

    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Breaks every connection, and refuses new ones.
    pub fn cut(&self) {
        let mut state = self.state.lock().unwrap();
        state.cut = true;
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Accepts the next `count` connections without forwarding them.
    pub fn hold(&self, count: usize) {
        self.state.lock().unwrap().held = count;
    }

    /// Forwards new connections again.
    pub fn mend(&self) {
        self.state.lock().unwrap().cut = false;
    }
}

/// Forwards bytes in both directions until one side closes.
fn carry(client: &TcpStream, server: &UnixStream) {
    let (mut from_client, mut to_client) = (client.try_clone().unwrap(), client.try_clone().unwrap());
    let (mut from_server, mut to_server) = (server.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let _ = io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
}

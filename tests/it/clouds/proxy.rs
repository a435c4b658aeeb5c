//! A proxy that simulates failures of networks.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// The size of a piece of [`Fault::Trickle`].
const PIECE_BYTES: usize = 251;

/// The fault of a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The server answers the request.
    None,
    /// The connection breaks before the server receives the request.
    Lost,
    /// The connection breaks after the server has processed the request.
    AnswerLost,
    /// The client receives half of the body of the response.
    Half,
    /// The server does not receive the request; the proxy sends this response.
    Answer(u16, &'static str, &'static str),
    /// The client receives no response.
    Silence,
    /// The client receives the response in many small pieces.
    Trickle,
}

/// An address on which connections are refused until it listens. No other process can get it meanwhile.
pub struct Refusing {
    pub address: String,
    socket: tokio::net::TcpSocket,
}

impl Refusing {
    pub fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { address: socket.local_addr().unwrap().to_string(), socket }
    }

    /// Accepts connections from now on.
    pub fn listen(self) -> TcpListener {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _entered = runtime.enter();
        let listener = self.socket.listen(128).unwrap().into_std().unwrap();
        listener.set_nonblocking(false).unwrap();
        listener
    }
}

/// Counts concurrent requests.
#[derive(Default)]
pub struct Crowd {
    /// The current number of requests, and the largest so far.
    state: Mutex<(usize, usize)>,
    came: Condvar,
}

impl Crowd {
    /// Waits until `wanted` requests were there at once, for at most a second.
    pub fn meet(&self, wanted: usize) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        state.1 = state.1.max(state.0);
        self.came.notify_all();
        let waiting = self.came.wait_timeout_while(state, Duration::from_secs(1), |state| state.1 < wanted);
        waiting.unwrap().0.0 -= 1;
    }

    /// Returns the largest number of concurrent requests.
    pub fn most(&self) -> usize {
        self.state.lock().unwrap().1
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// The request line and all headers.
    pub head: String,
}

impl Seen {
    /// Returns true if the request writes a pack.
    pub fn writes_pack(&self) -> bool {
        self.method == "PUT" && self.target.contains("/packs/")
    }
}

type Plan = dyn Fn(&Seen) -> Fault + Send + Sync;

/// A proxy that listens until this process exits.
pub struct Proxy {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Proxy {
    /// Starts a proxy in front of `server`; `plan` returns the fault of each request.
    pub fn start(server: &str, plan: impl Fn(&Seen) -> Fault + Send + Sync + 'static) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").unwrap(), server, plan)
    }

    /// Starts a proxy that accepts the connections of `listener`.
    pub fn start_on(
        listener: TcpListener,
        server: &str,
        plan: impl Fn(&Seen) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (server, plan, log): (_, Arc<Plan>, _) = (server.to_owned(), Arc::new(plan), Arc::clone(&seen));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, plan, log) = (server.clone(), Arc::clone(&plan), Arc::clone(&log));
                // Errors are expected: faults break connections.
                thread::spawn(move || drop(serve(client, &server, &*plan, &log)));
            }
        });
        Self { address, seen }
    }

    /// Returns the requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(mut client: TcpStream, server: &str, plan: &Plan, log: &Mutex<Vec<Seen>>) -> std::io::Result<()> {
    let (head, mut body) = head(&mut client)?;
    let mut words = head.split(' ').map(str::to_owned);
    let seen = {
        let mut log = log.lock().unwrap();
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let seen = Seen { method, target, head: head.clone() };
        log.push(seen.clone());
        seen
    };
    let fault = plan(&seen);
    // Closing a connection with unread data resets it.
    if matches!(fault, Fault::Lost) {
        return Ok(());
    }
    let length: usize = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    let missing = length.saturating_sub(body.len());
    (&mut client).take(missing as u64).read_to_end(&mut body)?;
    match fault {
        Fault::Answer(status, headers, text) => {
            let length = text.len();
            return write!(
                client,
                "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{text}"
            );
        }
        Fault::Silence => {
            // Waits until the client closes the connection.
            let _ = client.read(&mut [0]);
            return Ok(());
        }
        _ => {}
    }
    let mut upstream = TcpStream::connect(server)?;
    let (line, headers) = head.split_once("\r\n").unwrap_or_default();
    write!(upstream, "{line}\r\nConnection: close\r\n{headers}")?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    match fault {
        Fault::AnswerLost => Ok(()),
        Fault::Half => {
            let start = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap_or(0) + 4;
            client.write_all(&answer[..start + (answer.len() - start) / 2])
        }
        Fault::Trickle => {
            client.set_nodelay(true)?;
            answer.chunks(PIECE_BYTES).try_for_each(|piece| client.write_all(piece))
        }
        _ => client.write_all(&answer),
    }
}

/// Reads the head of a request with the empty line, and the part of the body that came with it.
fn head(client: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        if let Some(end) = bytes.windows(4).position(|end| end == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), body));
        }
        match client.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

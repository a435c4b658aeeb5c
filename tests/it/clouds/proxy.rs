//! A proxy that does what networks do at their worst.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// The size of a piece of [`Fault::Trickle`].
const PIECE_BYTES: usize = 251;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is answered by the server.
    None,
    /// The connection breaks before the server has it.
    Lost,
    /// The connection breaks after the server has done it.
    AnswerLost,
    /// Half of the answer's body comes.
    Half,
    /// The server is not asked; this is the answer.
    Answer(u16, &'static str, &'static str),
    /// Nothing comes, for ever.
    Silence,
    /// The answer comes in many small pieces.
    Trickle,
}

/// Counts who is there at once.
#[derive(Default)]
pub struct Crowd {
    /// Those who are there, and the most that were.
    state: Mutex<(usize, usize)>,
    came: Condvar,
}

impl Crowd {
    /// Comes, stays until `wanted` were there at once (who is alone for too long
    /// goes on alone), and goes.
    pub fn meet(&self, wanted: usize) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        state.1 = state.1.max(state.0);
        self.came.notify_all();
        let waiting = self.came.wait_timeout_while(state, Duration::from_secs(1), |state| state.1 < wanted);
        waiting.unwrap().0.0 -= 1;
    }

    /// The most that were there at once.
    pub fn most(&self) -> usize {
        self.state.lock().unwrap().1
    }
}

/// A request.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub target: String,
    /// All of its head.
    pub head: String,
}

impl Seen {
    /// Whether it writes a pack.
    pub fn writes_pack(&self) -> bool {
        self.method == "PUT" && self.target.contains("/packs/")
    }
}

type Plan = dyn Fn(&Seen) -> Fault + Send + Sync;

/// It listens until this process ends.
pub struct Proxy {
    pub address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Proxy {
    /// In front of `server`; `plan` says what becomes of each request.
    pub fn start(server: &str, plan: impl Fn(&Seen) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (server, plan, log): (_, Arc<Plan>, _) = (server.to_owned(), Arc::new(plan), Arc::clone(&seen));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (server, plan, log) = (server.clone(), Arc::clone(&plan), Arc::clone(&log));
                // Who breaks connections does not care how the others end.
                thread::spawn(move || drop(serve(client, &server, &*plan, &log)));
            }
        });
        Self { address, seen }
    }

    /// What came so far.
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
    // What is unread when a connection is closed resets it.
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
            // Until the client gives up.
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

/// The head of a request with the empty line, and what came with it of the body.
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

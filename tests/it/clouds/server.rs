//! The servers: the first test that needs one starts it, all tests share it, and it ends when this process
//! exits for any reason.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use super::Place;

/// Not a secret: every Azurite has this account.
pub const ACCOUNT: &str = "devstoreaccount1";
pub const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// Grants all that the key may do with blobs, until 2099.
const SIGNATURE: &str = "sv=2021-08-06&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z&sig=96c2EygB3PgwPw/PybbUy3WlHCPrp0h/IdLehWe2UEU%3D";

/// Grants all that the key may do in the bucket, until 2099. With the other signature, Azurite refuses to
/// remove objects, because that is one request for several objects.
const SIGNATURE_OF_BUCKET: &str = "sv=2021-08-06&sr=c&sp=racwdl&se=2099-01-01T00%3A00%3A00Z&sig=B88zw1szlphxN9mHaMtC6A8OezM6ZFHdD2RCIJqJXfs%3D";

/// S3, with threads and create-only writes. It does not check signatures.
pub static MOTO: Server = Server::new(|| {
    let address =
        start(Command::new(installed("python/bin/moto_server")?).args(["-H", "127.0.0.1", "-p", "0"]))?;
    assert_eq!(ask(&address, "PUT /store HTTP/1.1", ""), 200);
    Ok(Cloud::S3 { address, secret: "anything" })
});

/// Azure Blob Storage.
pub static AZURITE: Server = Server::new(|| {
    let mut command = Command::new(installed("node")?);
    command.arg(installed("azurite/node_modules/azurite/dist/src/blob/main.js")?);
    command.args(["--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", "0"]);
    command.args(["--disableTelemetry", "--skipApiVersionCheck"]);
    let address = start(&command)?;
    let line = format!("PUT /{ACCOUNT}/store?restype=container&{SIGNATURE} HTTP/1.1");
    assert_eq!(ask(&address, &line, "x-ms-version: 2021-08-06\r\n"), 201);
    Ok(Cloud::Azure { address })
});

/// S3 on files. It checks signatures.
pub static S3S: Server = Server::new(|| {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    // The directory of this process; those of processes that have exited are removed.
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("s3s");
    for old in std::fs::read_dir(&parent).into_iter().flatten().flatten() {
        if !Path::new("/proc").join(old.file_name()).exists() {
            let _ = std::fs::remove_dir_all(old.path());
        }
    }
    let directory = DIRECTORY.get_or_init(|| parent.join(std::process::id().to_string()));
    std::fs::create_dir_all(directory.join("store")).unwrap();
    let (listening, address) = mpsc::channel();
    thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut service =
                s3s::service::S3ServiceBuilder::new(s3s_fs::FileSystem::new(directory).unwrap());
            service.set_auth(s3s::auth::SimpleAuth::from_single("AKIAEXAMPLE", "secretsecret"));
            let service = service.build();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            listening.send(listener.local_addr().unwrap().to_string()).unwrap();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(socket), service.clone());
                tokio::spawn(connection);
            }
        });
    });
    Ok(Cloud::S3 { address: address.recv().unwrap(), secret: "secretsecret" })
});

/// A server that the first use starts. Each test gets the error if it cannot be started.
pub struct Server(LazyLock<Result<Cloud, String>>);

impl Server {
    const fn new(start: fn() -> Result<Cloud, String>) -> Self {
        Self(LazyLock::new(start))
    }
}

impl std::ops::Deref for Server {
    type Target = Cloud;

    fn deref(&self) -> &Cloud {
        self.0.as_ref().unwrap_or_else(|why| panic!("{why}"))
    }
}

/// A listening server.
pub enum Cloud {
    S3 { address: String, secret: &'static str },
    Azure { address: String },
}

impl Cloud {
    /// Returns a place for one test.
    pub fn place(&self) -> Place {
        match self {
            Self::S3 { address, secret } => Place::new(
                "s3",
                address,
                &[
                    ("AWS_ENDPOINT_URL", format!("http://{address}")),
                    ("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE".to_owned()),
                    ("AWS_SECRET_ACCESS_KEY", (*secret).to_owned()),
                    ("AWS_REGION", "us-east-1".to_owned()),
                ],
            ),
            Self::Azure { address } => {
                let endpoint = format!("http://{address}/{ACCOUNT}");
                let string = format!("AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};");
                Place::new("az", address, &[("AZURE_STORAGE_CONNECTION_STRING", string)])
            }
        }
    }

    /// Returns a place with a signature instead of a key.
    pub fn place_with_signature(&self) -> Place {
        let Self::Azure { address } = self else { panic!("only Azure has these") };
        let endpoint = format!("http://{address}/{ACCOUNT}");
        let variables = [
            ("AZURE_STORAGE_ACCOUNT", ACCOUNT.to_owned()),
            ("AZURE_STORAGE_SAS_TOKEN", SIGNATURE_OF_BUCKET.to_owned()),
            ("AZURE_STORAGE_SERVICE_ENDPOINT", endpoint),
        ];
        Place::new("az", address, &variables)
    }
}

fn installed(name: &str) -> Result<PathBuf, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/servers").join(name);
    match path.exists() {
        true => Ok(path),
        false => Err(format!("'{}' is not installed: run tests/prepare.sh test", path.display())),
    }
}

/// Starts a server that chooses its port and prints it. A shell kills its process group when the pipe from
/// this process closes, which happens however this process exits.
fn start(command: &Command) -> Result<String, String> {
    let mut child = Command::new("sh")
        .args(["-c", r#"exec 3<&0; "$@" </dev/null 3<&- & read -r _ <&3; kill 0"#, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group_of_its_own()
        .spawn()
        .unwrap();
    // The pipe stays open as long as this process runs.
    std::mem::forget(child.stdin.take());
    let (lines, output) = mpsc::channel();
    let streams: [Box<dyn Read + Send>; 2] =
        [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
    for stream in streams {
        let lines = lines.clone();
        // The output has to be read to its end: otherwise the server blocks.
        thread::spawn(move || {
            BufReader::new(stream).lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        });
    }
    drop(lines);
    thread::spawn(move || child.wait());
    let mut said = Vec::new();
    while let Ok(line) = output.recv_timeout(Duration::from_secs(120)) {
        let listens = line.split_once("http://127.0.0.1:").map(|(_, rest)| rest.to_owned());
        if let Some(rest) = listens {
            let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
            return Ok(format!("127.0.0.1:{port}"));
        }
        said.push(line);
    }
    Err(format!("{command:?} does not start:\n{}", said.join("\n")))
}

trait OwnGroup {
    fn process_group_of_its_own(&mut self) -> &mut Self;
}

impl OwnGroup for Command {
    /// Ctrl-C kills the tests only; closing the pipe ends the server.
    fn process_group_of_its_own(&mut self) -> &mut Self {
        std::os::unix::process::CommandExt::process_group(self, 0)
    }
}

/// Sends one request and returns the status of the response.
fn ask(address: &str, line: &str, headers: &str) -> u16 {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{line}\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n{headers}\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {answer}"))
}

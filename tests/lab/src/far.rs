//! Distance: a relay between a client and a server of a machine that delays everything the client
//! sends. It is a process of its own, because a test must not enter a namespace itself.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::probe::binary;

/// From where to where, and how far that is.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Where clients connect
    #[arg(long)]
    pub listen: SocketAddr,
    /// The server
    #[arg(long)]
    pub to: SocketAddr,
    /// How much later the server hears
    #[arg(long)]
    pub milliseconds: u64,
}

/// Relays until standard input ends. Prints a line when it listens.
pub fn run(options: &Options) -> Result<()> {
    let failed = |source| Error::Start { command: format!("a relay at {}", options.listen), source };
    let listener = TcpListener::bind(options.listen).map_err(failed)?;
    let (to, delay) = (options.to, Duration::from_millis(options.milliseconds));
    println!("listening at {}", options.listen);
    thread::spawn(move || listener.incoming().flatten().for_each(|client| relay(client, to, delay)));
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).map(drop).map_err(failed)
}

/// Relays to `to` from a thread of this process, for as long as the process lives. Returns where clients connect.
pub fn here(to: SocketAddr, delay: Duration) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || listener.incoming().flatten().for_each(|client| relay(client, to, delay)));
    Ok(address)
}

/// A connection that cannot be relayed is closed, as if the server were away.
fn relay(client: TcpStream, to: SocketAddr, delay: Duration) {
    let Ok(server) = TcpStream::connect(to) else { return };
    let (Ok(answers), Ok(listens)) = (server.try_clone(), client.try_clone()) else { return };
    carry(client, server, delay);
    carry(answers, listens, Duration::ZERO);
}

/// Sends everything that `from` sends to `to` after `delay`, the end included.
fn carry(from: TcpStream, to: TcpStream, delay: Duration) {
    let (sender, receiver) = channel();
    thread::spawn(move || listen(from, &sender));
    thread::spawn(move || repeat(to, &receiver, delay));
}

fn listen(mut from: TcpStream, heard: &Sender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if heard.send((Instant::now(), buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn repeat(mut to: TcpStream, heard: &Receiver<(Instant, Vec<u8>)>, delay: Duration) {
    for (at, bytes) in heard {
        thread::sleep((at + delay).saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).ok(); // it may have gone already
}

/// A relay beside a test. It ends when this is dropped.
#[derive(Debug)]
pub struct Relay {
    child: Child,
}

impl Relay {
    /// Starts one in the namespaces that `enter` makes a command for, and waits until it listens.
    pub(crate) fn start(enter: impl FnOnce(&str) -> Result<Command>, options: &Options) -> Result<Self> {
        let Options { listen, to, milliseconds } = options;
        let mut command = enter(&binary()?.to_string_lossy())?;
        command.args(["far", "--listen", &listen.to_string(), "--to", &to.to_string()]);
        command.args(["--milliseconds", &milliseconds.to_string()]);
        let failed = |source| Error::Start { command: "lab far".into(), source };
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(failed)?;
        let mut said = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut said).map_err(failed)?;
        }
        let relay = Self { child }; // dropping it ends the process, even if it printed something else
        match said.starts_with("listening") {
            true => Ok(relay),
            false => Err(failed(std::io::Error::other(format!("it said {said:?}")))),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().ok(); // it has ended, or was ended from outside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_comes_later_and_the_answer_at_once() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay_listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = relay_listener.local_addr().unwrap();
        let to = server.local_addr().unwrap();
        let delay = Duration::from_millis(100);
        thread::spawn(move || relay(relay_listener.accept().unwrap().0, to, delay));
        let mut client = TcpStream::connect(near).unwrap();
        let (mut peer, _) = server.accept().unwrap();
        let begun = Instant::now();
        client.write_all(b"question").unwrap();
        let mut question = [0; 8];
        peer.read_exact(&mut question).unwrap();
        assert!(begun.elapsed() >= delay, "{:?}", begun.elapsed());
        peer.write_all(b"answer").unwrap();
        drop(peer);
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert_eq!((&question, answer.as_str()), (b"question", "answer"));
        assert!(begun.elapsed() < delay * 2, "{:?}", begun.elapsed());
    }
}

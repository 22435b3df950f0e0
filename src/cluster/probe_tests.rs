//! Against a TLS server of the test, which is slow, stuck or away.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::super::connect::READY;
use super::super::kubeconfig::Identity;
use super::*;
use crate::patience::{ANSWER, Late};

const STUCK: Duration = Duration::from_secs(3600);

/// An API that takes `handshake` and `answer` for its steps, and is ready.
struct Server {
    access: Access,
    endpoint: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(handshake: Duration, answer: Duration) -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.unwrap().with_no_client_auth();
        let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(config)),
            handshake,
            answer,
            connections.clone(),
        ));
        let access = Access {
            server: format!("https://{endpoint}").parse().unwrap(),
            ca: made.cert.pem().into_bytes(),
            tls_server_name: None,
            identity: Identity::Token("t".to_owned()),
        };
        Self { access, endpoint, connections }
    }

    async fn ask(&self, patience: Patience) -> Readyz {
        ask(&self.access, None, READY, patience).await.unwrap()
    }
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    handshake: Duration,
    answer: Duration,
    connections: Arc<AtomicUsize>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::Relaxed);
        let tls = tls.clone();
        tokio::spawn(async move {
            tokio::time::sleep(handshake).await;
            let mut stream = tls.accept(stream).await?;
            let mut request = [0; 1024];
            let length = stream.read(&mut request).await?;
            assert!(request[..length].starts_with(b"GET /readyz?verbose HTTP/1.1\r\n"));
            tokio::time::sleep(answer).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await?;
            stream.shutdown().await
        });
    }
}

/// The steps take longer together than one may. The server gets no second question.
#[tokio::test]
async fn a_server_that_is_slow_at_every_step_is_ready_at_the_first_question() {
    let step = Duration::from_millis(500);
    let server = Server::start(step, step).await;
    assert_eq!(server.ask(Patience::of(step * 19 / 10)).await, Readyz::Ready);
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_server_that_accepts_and_does_not_go_on_is_silent() {
    let limit = Duration::from_millis(500);
    for (handshake, answer) in [(STUCK, Duration::ZERO), (Duration::ZERO, STUCK)] {
        let server = Server::start(handshake, answer).await;
        assert_eq!(server.ask(Patience::of(limit)).await, Readyz::Silent(Late(limit)));
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_known_to_be_at_once() {
    let server = Server::start(Duration::ZERO, Duration::ZERO).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let begun = Instant::now();
    let away = ask(&server.access, Some(free), READY, Patience::USUAL).await.unwrap();
    assert!(matches!(&away, Readyz::Unreachable(why) if why.contains("refused")), "{away:?}");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_ready_server_is_found_beside_one_that_is_stuck() {
    let server = Server::start(Duration::ZERO, Duration::ZERO).await;
    let stuck = Server::start(STUCK, Duration::ZERO).await;
    let begun = Instant::now();
    let one = |endpoint| ask(&server.access, Some(endpoint), READY, Patience::USUAL);
    let best = best(&[stuck.endpoint, server.endpoint], one).await.unwrap();
    assert_eq!(best, Some((server.endpoint, Readyz::Ready)));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Given up after a fixed time and asked anew, this server would get more and more questions, and
/// answer none.
#[tokio::test]
async fn at_its_own_pace_a_slow_server_answers_all_but_the_first_questions() {
    let server = Server::start(Duration::ZERO, Duration::from_millis(300)).await;
    let pace = Pace::new(Duration::from_millis(50), ANSWER);
    let mut silences = 0;
    for _ in 0..8 {
        let answer = ask_at_pace(&pace, &server.access, None, READY).await.unwrap();
        silences += usize::from(matches!(answer, Readyz::Silent(_)));
    }
    assert!((1..=4).contains(&silences), "{silences}");
    assert!(pace.limit() >= Duration::from_millis(1200), "{:?}", pace.limit());
}

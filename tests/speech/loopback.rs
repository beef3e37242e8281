//! A way to the engines on this machine, without rules and secrets: a blocking client, a thread for each request.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use speech::{Code, Fault, Header, Messages, Piece, Pieces, Request, Wire};
use tokio::sync::mpsc;
use tungstenite::Message;

pub struct Loopback;

impl Wire for Loopback {
    fn post(&self, request: Request) -> Pieces {
        let (pieces, mut received) = mpsc::channel(4);
        thread::spawn(move || {
            if let Err(error) = post(&request, &pieces) {
                let _ = pieces.blocking_send(Err(Fault::new(Code::Unreachable, error.to_string())));
            }
        });
        stream::poll_fn(move |context| received.poll_recv(context)).boxed()
    }

    fn websocket(&self, url: String, _: Vec<Header>, outgoing: mpsc::Receiver<String>) -> Messages {
        let (messages, mut received) = mpsc::channel(4);
        thread::spawn(move || {
            if let Err(error) = talk(&url, outgoing, &messages) {
                let _ = messages.blocking_send(Err(Fault::new(Code::Unreachable, error.to_string())));
            }
        });
        stream::poll_fn(move |context| received.poll_recv(context)).boxed()
    }
}

type To<T> = mpsc::Sender<Result<T, Fault>>;

fn post(request: &Request, pieces: &To<Piece>) -> anyhow::Result<()> {
    let agent = ureq::Agent::new_with_config(ureq::Agent::config_builder().http_status_as_error(false).build());
    let mut post = agent.post(&request.url);
    for (name, value) in &request.headers {
        post = post.header(*name, value);
    }
    let answer = post.send(&request.body[..])?;
    let mut next = Piece::Head(answer.status().as_u16());
    let mut body = answer.into_body().into_reader();
    let mut buffer = [0; 4096];
    while pieces.blocking_send(Ok(next)).is_ok() {
        let bytes = body.read(&mut buffer)?;
        if bytes == 0 {
            break;
        }
        next = Piece::Body(buffer[..bytes].to_vec());
    }
    Ok(())
}

fn talk(url: &str, mut outgoing: mpsc::Receiver<String>, messages: &To<String>) -> anyhow::Result<()> {
    let address = url.trim_start_matches("ws://").split('/').next().unwrap_or_default();
    let stream = TcpStream::connect(address)?;
    let (mut socket, _) = tungstenite::client(url, stream)?;
    // Between two looks at what is to be sent.
    socket.get_ref().set_read_timeout(Some(Duration::from_millis(10)))?;
    loop {
        loop {
            match outgoing.try_recv() {
                Ok(text) => socket.send(Message::text(text))?,
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => return Ok(socket.close(None)?),
            }
        }
        match socket.read() {
            Ok(Message::Text(text)) if messages.blocking_send(Ok(text.to_string())).is_err() => return Ok(()),
            Ok(Message::Close(_)) => return Ok(()),
            Ok(_) => {}
            Err(tungstenite::Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

//! A kept connection to the server, and as much HTTP/1.1 as the servers speak.

use std::hash::{BuildHasher, RandomState};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How often a request is sent again that found the server busy or the connection lost.
const REPEATS: u32 = 40;

/// How long a server may take for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// An answer: its code and its body.
pub type Answer = (u16, Vec<u8>);

/// One connection, opened when it is needed and again when it was lost.
#[derive(Debug)]
pub struct Connection {
    port: u16,
    stream: Option<Quick>,
}

impl Connection {
    pub fn new(port: u16) -> Self {
        Self { port, stream: None }
    }

    pub fn open(&mut self) -> Result<&mut TcpStream> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => Quick(connect(self.port)?),
        };
        Ok(&mut self.stream.insert(stream).0)
    }

    /// Sends a request until it is answered otherwise than "busy": as the clients of these servers do, after a while that grows
    /// from 20 to 640 ms, and of it a random part. A refused connection is not tried again: nobody listens.
    ///
    /// # Returns
    ///
    /// The last answer, and how often it was sent again.
    pub fn persist(&mut self, request: &[u8]) -> (Result<Answer>, u32) {
        let mut repeats = 0;
        loop {
            let answer = self.call(request);
            let again = match &answer {
                Ok((code, _)) => matches!(code, 429 | 503),
                Err(error) => error.kind() != ErrorKind::ConnectionRefused,
            };
            if !again || repeats == REPEATS {
                return (answer, repeats);
            }
            repeats += 1;
            std::thread::sleep(Duration::from_millis(1 + random() % (20 << (repeats - 1).min(5))));
        }
    }

    fn call(&mut self, request: &[u8]) -> Result<Answer> {
        self.open()?.write_all(request)?;
        let Some(stream) = &mut self.stream else { return Err(ErrorKind::NotConnected.into()) };
        let answer = read(stream);
        if !matches!(answer, Ok((_, _, true))) {
            self.stream = None;
        }
        answer.map(|(code, body, _)| (code, body))
    }
}

fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// A stream that acknowledges what it is sent at once: a server that sends head and body apart would wait 40 ms for that.
#[derive(Debug)]
struct Quick(TcpStream);

impl Read for Quick {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        #[cfg(target_os = "linux")]
        std::os::linux::net::TcpStreamExt::set_quickack(&self.0, true)?;
        self.0.read(buffer)
    }
}

/// Reads one answer, and whether the connection stays.
fn read(stream: &mut impl Read) -> Result<(u16, Vec<u8>, bool)> {
    let mut have = Vec::with_capacity(16 * 1024);
    let head = take_until(stream, &mut have, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| invalid("its code"))?;
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim));
    let body = if let Some(length) = header("content-length") {
        take(stream, &mut have, length.parse().map_err(|_| invalid("its length"))?)?
    } else if header("transfer-encoding") == Some("chunked") {
        let mut body = Vec::new();
        loop {
            let line = take_until(stream, &mut have, b"\r\n")?;
            let line = String::from_utf8_lossy(&line);
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| invalid("the size of a chunk"))?;
            body.extend(take(stream, &mut have, size)?);
            take_until(stream, &mut have, b"\r\n")?;
            if size == 0 {
                break body;
            }
        }
    } else {
        Vec::new()
    };
    Ok((code, body, header("connection") != Some("close")))
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not an answer of HTTP: {what}"))
}

/// The next bytes up to an end, which is taken as well and left out.
fn take_until(stream: &mut impl Read, have: &mut Vec<u8>, end: &[u8]) -> Result<Vec<u8>> {
    loop {
        if let Some(place) = have.windows(end.len()).position(|window| window == end) {
            let taken = have.drain(..place + end.len()).take(place).collect();
            return Ok(taken);
        }
        more(stream, have)?;
    }
}

/// So many of the next bytes.
fn take(stream: &mut impl Read, have: &mut Vec<u8>, length: usize) -> Result<Vec<u8>> {
    while have.len() < length {
        more(stream, have)?;
    }
    Ok(have.drain(..length).collect())
}

fn more(stream: &mut impl Read, have: &mut Vec<u8>) -> Result<()> {
    let mut portion = [0; 16 * 1024];
    let count = stream.read(&mut portion)?;
    if count == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    have.extend_from_slice(portion.get(..count).unwrap_or_default());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out what it holds a byte at a time.
    struct Slow(&'static [u8]);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn an_answer_has_the_length_that_it_says() {
        let answer = read(&mut Slow(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello")).unwrap();
        assert_eq!(answer, (201, b"hello".to_vec(), true));
    }

    #[test]
    fn an_answer_in_chunks_is_put_together() {
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nConnection: close\r\n\r\n\
                       3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n";
        assert_eq!(read(&mut Slow(answer)).unwrap(), (200, b"hello".to_vec(), false));
    }

    #[test]
    fn an_answer_without_a_body_ends_with_its_head() {
        assert_eq!(read(&mut Slow(b"HTTP/1.1 204 No Content\r\n\r\n")).unwrap(), (204, Vec::new(), true));
    }

    #[test]
    fn an_answer_that_is_cut_short_is_an_error() {
        let cut = read(&mut Slow(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"));
        assert_eq!(cut.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(read(&mut Slow(b"nonsense\r\n\r\n")).unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

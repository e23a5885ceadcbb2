//! The command's output: passed on at once, byte by byte as it came, and its end kept.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How much is read at once.
const PART: usize = 64 * 1024;

/// What is kept of the outputs.
#[derive(Debug, Default)]
pub(super) struct Tails {
    /// Of standard output; of both, where they go to one place.
    pub(super) stdout: Option<String>,
    /// Of standard error.
    pub(super) stderr: Option<String>,
    /// Whether `stdout` is of both.
    pub(super) both: bool,
}

/// What becomes of each output.
pub(super) struct Outputs {
    stdout: Option<Pipe>,
    stderr: Option<Pipe>,
    /// Both through one pipe: they go to one place, and keep their order.
    both: bool,
    keep: usize,
}

/// A pipe between the command and one of our outputs.
struct Pipe {
    reader: PipeReader,
    writer: Option<PipeWriter>,
    to: File,
}

impl Pipe {
    fn to(output: impl AsFd) -> Option<Self> {
        // Without one, the command writes to the output itself.
        let (reader, writer) = io::pipe().ok()?;
        let to = File::from(output.as_fd().try_clone_to_owned().ok()?);
        Some(Self { reader, writer: Some(writer), to })
    }
}

impl Outputs {
    /// An output that is a terminal is the command's own; so are all where nothing is kept.
    pub(super) fn plan(keep: usize) -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        if keep == 0 {
            return Self { stdout: None, stderr: None, both: false, keep };
        }
        let both = !out.is_terminal() && is_one_place(&out, &err);
        let stdout = if out.is_terminal() { None } else { Pipe::to(&out) };
        let stderr = if err.is_terminal() || both { None } else { Pipe::to(&err) };
        Self { both: both && stdout.is_some(), stdout, stderr, keep }
    }

    /// Lets the command write into the pipes.
    pub(super) fn attach(&self, command: &mut Command) -> io::Result<()> {
        let writer =
            |pipe: &Option<Pipe>| pipe.as_ref().and_then(|pipe| pipe.writer.as_ref()).map(PipeWriter::try_clone);
        if let Some(writer) = writer(&self.stdout) {
            let writer = writer?;
            if self.both {
                command.stderr(Stdio::from(writer.try_clone()?));
            }
            command.stdout(Stdio::from(writer));
        }
        if let Some(writer) = writer(&self.stderr) {
            command.stderr(Stdio::from(writer?));
        }
        Ok(())
    }

    /// Begins to pass on what comes, in threads: a reader of ours that is slow holds up the command, as it would without us, and
    /// not the heartbeats.
    pub(super) fn pass_on(self) -> Passing {
        let Self { stdout, stderr, both, keep } = self;
        let start = |pipe: Option<Pipe>| pipe.map(|pipe| Stream::start(pipe, keep));
        Passing { stdout: start(stdout), stderr: start(stderr), both }
    }
}

/// Whether two outputs are the same file, pipe or socket.
fn is_one_place(one: impl AsFd, other: impl AsFd) -> bool {
    let place = |output: &dyn AsFdDyn| {
        output.owned().and_then(|file| file.metadata().ok()).map(|data| (data.dev(), data.ino()))
    };
    let (one, other) = (place(&one), place(&other));
    one.is_some() && one == other
}

/// An output whose file can be asked about.
trait AsFdDyn {
    fn owned(&self) -> Option<File>;
}

impl<T: AsFd> AsFdDyn for T {
    fn owned(&self) -> Option<File> {
        self.as_fd().try_clone_to_owned().ok().map(File::from)
    }
}

/// Outputs that are being passed on.
pub(super) struct Passing {
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    both: bool,
}

impl Passing {
    /// Waits for the ends of the outputs, and returns what was kept. An output that somebody else holds open, such as a
    /// process that the command left behind, is waited for until it is silent.
    pub(super) async fn finish(mut self, silence: Duration) -> Tails {
        for stream in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            stream.ended(silence).await;
        }
        let text = |stream: Option<Stream>| stream.map(|stream| stream.text()).filter(|text| !text.is_empty());
        Tails { stdout: text(self.stdout), stderr: text(self.stderr), both: self.both }
    }
}

/// One output.
struct Stream {
    kept: Arc<Mutex<Kept>>,
    passed: Arc<AtomicU64>,
    ended: watch::Receiver<bool>,
}

impl Stream {
    fn start(pipe: Pipe, keep: usize) -> Self {
        let kept = Arc::new(Mutex::new(Kept { bytes: Vec::new(), limit: keep }));
        let passed = Arc::new(AtomicU64::new(0));
        let (sender, ended) = watch::channel(false);
        let Pipe { reader, writer, to } = pipe;
        // Ours: with it open, the output would have no end.
        drop(writer);
        let (into, counter) = (Arc::clone(&kept), Arc::clone(&passed));
        let thread = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            pass(reader, to, &into, &counter);
            let _ = sender.send(true);
        });
        // Without a thread the pipe is closed, and the sender with it: the output has ended.
        drop(thread);
        Self { kept, passed, ended }
    }

    async fn ended(&mut self, silence: Duration) {
        let mut seen = self.passed.load(Ordering::Relaxed);
        while tokio::time::timeout(silence, self.ended.wait_for(|ended| *ended)).await.is_err() {
            let now = self.passed.load(Ordering::Relaxed);
            if now == seen {
                return;
            }
            seen = now;
        }
    }

    fn text(&self) -> String {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).text()
    }
}

/// Passes on what comes until there is no more.
fn pass(mut from: PipeReader, mut to: File, kept: &Mutex<Kept>, passed: &AtomicU64) {
    let mut part = vec![0; PART];
    let mut writable = true;
    loop {
        let read = match from.read(&mut part) {
            Ok(0) => return,
            Ok(read) => part.get(..read).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        };
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(read);
        if writable && let Err(error) = write_all(&mut to, read) {
            if error.kind() == ErrorKind::BrokenPipe {
                // Nobody reads any more. The command learns it as it would without us.
                return;
            }
            // A full disk, say: it must not end the command, which may have more to do than to write.
            crate::output::say(&format!("ratchet: the output cannot be passed on any more: {error}"));
            writable = false;
        }
        passed.fetch_add(u64::try_from(read.len()).unwrap_or(0), Ordering::Relaxed);
    }
}

/// Writes all of it, also where the output was set not to block by somebody who shares it.
fn write_all(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The end of an output.
struct Kept {
    bytes: Vec<u8>,
    limit: usize,
}

impl Kept {
    fn push(&mut self, part: &[u8]) {
        let part = part.get(part.len().saturating_sub(self.limit)..).unwrap_or_default();
        self.bytes.extend_from_slice(part);
        // Not at every part: each time moves all of it.
        if self.bytes.len() > 2 * self.limit + PART {
            self.trim();
        }
    }

    fn trim(&mut self) {
        let surplus = self.bytes.len().saturating_sub(self.limit);
        self.bytes.drain(..surplus);
    }

    /// What was kept, as text that can be shown: what is not UTF-8 is replaced, control characters and the escape sequences of
    /// terminals are left out.
    fn text(&mut self) -> String {
        self.trim();
        // A character that was cut in two at the beginning.
        let start = self.bytes.iter().take(3).take_while(|byte| **byte & 0xC0 == 0x80).count();
        let text = String::from_utf8_lossy(self.bytes.get(start..).unwrap_or_default());
        plain(&text)
    }
}

/// A text without control characters and escape sequences. Of a line that a carriage return wrote over, such as a progress
/// bar's, each state is a line.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' | '\t' => out.push(character),
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' => out.push('\n'),
            '\u{1b}' => skip_escape(&mut characters),
            control if control.is_control() => {}
            other => out.push(other),
        }
    }
    out
}

/// Skips the rest of an escape sequence.
fn skip_escape(characters: &mut std::iter::Peekable<std::str::Chars>) {
    match characters.peek() {
        // CSI: parameters, and one letter.
        Some('[') => {
            characters.next();
            for character in characters.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&character) {
                    return;
                }
            }
        }
        // OSC: up to BEL or ST, and not over the end of the line.
        Some(']') => {
            while let Some(character) = characters.peek().copied() {
                if character == '\n' {
                    return;
                }
                characters.next();
                if character == '\u{7}' {
                    return;
                }
                if character == '\u{1b}' {
                    characters.next_if_eq(&'\\');
                    return;
                }
            }
        }
        _ => {
            characters.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(limit: usize, parts: &[&[u8]]) -> String {
        let mut kept = Kept { bytes: Vec::new(), limit };
        for part in parts {
            kept.push(part);
        }
        kept.text()
    }

    #[test]
    fn the_end_is_kept_in_bounded_memory() {
        assert_eq!(kept(4, &[b"abc", b"def"]), "cdef");
        assert_eq!(kept(4, &[b"abcdefgh"]), "efgh");
        assert_eq!(kept(10, &[b"ab", b"", b"c"]), "abc");
        let mut kept = Kept { bytes: Vec::new(), limit: 4096 };
        for _ in 0..10_000 {
            kept.push(&[b'x'; 1000]);
            assert!(kept.bytes.len() <= 2 * 4096 + PART + 1000);
        }
        assert_eq!(kept.text().len(), 4096);
    }

    #[test]
    fn a_character_that_was_cut_is_left_out_and_bad_bytes_are_replaced() {
        assert_eq!(kept(4, &["aäöü".as_bytes()]), "öü");
        assert_eq!(kept(3, &["aäöü".as_bytes()]), "ü");
        assert_eq!(kept(10, &[b"a\xff\xfeb"]), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn what_a_terminal_obeys_is_left_out() {
        assert_eq!(plain("\u{1b}[1;31mred\u{1b}[0m\r\n10%\r20%\tx\0\u{7f}"), "red\n10%\n20%\tx");
        assert_eq!(plain("\u{1b}]0;title\u{7}a\u{1b}]8;;x\u{1b}\\b\u{1b}(Bc"), "abBc");
        assert_eq!(plain("\u{1b}]unfinished\nnext"), "\nnext");
        assert_eq!(plain("end\u{1b}"), "end");
    }
}

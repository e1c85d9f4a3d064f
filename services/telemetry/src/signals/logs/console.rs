//! The thread that writes log lines to standard output, so that a slow terminal or pipe does not slow down requests.
//!
//! The crate tracing-appender does the same. It is not used, because it brings four crates, one of them for log files.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use opentelemetry::metrics::Meter;
use tracing_subscriber::fmt::MakeWriter;

/// The maximum number of lines that wait to be written. Further lines are dropped and counted.
const QUEUE: usize = 65_536;

/// The maximum time for which a shutdown waits until the queued lines are written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    Stop,
}

/// Puts lines into the queue of the thread. Never blocks.
#[derive(Clone)]
pub(crate) struct LineWriter {
    sender: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Write for LineWriter {
    /// Takes a whole line: the `fmt` layer writes each line with one call.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.sender.try_send(Message::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LineWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The console's writer thread. Dropping this value flushes the queued lines and ends the thread.
pub(crate) struct Console {
    writer: LineWriter,
    // The mutex makes this type `Sync`. Only the drop uses the receiver.
    finished: Mutex<Receiver<()>>,
}

impl Console {
    /// Starts the thread, which writes to `output`. Fails if the system cannot start a thread.
    pub(crate) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_queue(QUEUE, output)
    }

    fn with_queue(length: usize, mut output: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(length);
        let (finish, finished) = sync_channel(1);
        thread::Builder::new().name("telemetry-console".to_owned()).spawn(move || {
            write_lines(&receiver, &mut output);
            // The other end is gone if the shutdown did not wait so long.
            let _ = finish.send(());
        })?;
        Ok(Self { writer: LineWriter { sender, dropped: Arc::default() }, finished: Mutex::new(finished) })
    }

    /// Returns the writer for the `fmt` layer.
    pub(crate) fn writer(&self) -> LineWriter {
        self.writer.clone()
    }

    /// Creates the counter of the log lines that were dropped. The semantic conventions have no name for it, because the
    /// console does not belong to the SDK.
    pub(crate) fn register(&self, meter: &Meter) {
        let dropped = Arc::clone(&self.writer.dropped);
        meter
            .u64_observable_counter("sightline.console.line.dropped")
            .with_unit("{line}")
            .with_description("The log lines that were dropped because standard output was too slow.")
            .with_callback(move |observer| observer.observe(dropped.load(Ordering::Relaxed), &[]))
            .build();
    }

    /// Describes the log lines that were dropped because standard output was too slow. Returns `None` if no line was
    /// dropped.
    pub(crate) fn describe_loss(&self) -> Option<String> {
        let dropped = self.writer.dropped.load(Ordering::Relaxed);
        (dropped > 0).then(|| format!("{dropped} log lines to the console"))
    }
}

impl std::fmt::Debug for Console {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Console").field("dropped", &self.writer.dropped).finish_non_exhaustive()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let sender = self.writer.sender.clone();
        // If the queue is full and nobody reads the output, this blocks. So it runs in a thread, and the wait is limited.
        let stop = move || {
            let _ = sender.send(Message::Stop);
        };
        if thread::Builder::new().name("telemetry-console-stop".to_owned()).spawn(stop).is_ok() {
            let finished = self.finished.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = finished.recv_timeout(FLUSH_TIMEOUT);
        }
    }
}

/// Writes lines until [`Message::Stop`] arrives. Flushes whenever the queue is empty. Errors are ignored, because there
/// is no other place to report that standard output does not work.
fn write_lines(receiver: &Receiver<Message>, output: &mut impl Write) {
    let mut next = receiver.recv().ok();
    while let Some(Message::Line(line)) = next {
        let _ = output.write_all(&line);
        next = receiver.try_recv().ok().or_else(|| {
            let _ = output.flush();
            receiver.recv().ok()
        });
    }
    let _ = output.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output that blocks until the test ends.
    struct Blocked(Receiver<()>);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_drop_writes_all_queued_lines() {
        let memory = Memory::default();
        let console = Console::start(memory.clone()).unwrap();
        let mut writer = console.writer();
        for line in 0..1000 {
            writer.write_all(format!("{line}\n").as_bytes()).unwrap();
        }
        assert_eq!(console.describe_loss(), None);
        drop(console);
        let written = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        assert!(written.lines().eq((0..1000).map(|line| line.to_string())), "{written}");
        // The subscriber keeps its writer after the shutdown.
        writer.write_all(b"late\n").unwrap();
    }

    #[test]
    fn a_blocked_output_does_not_block_the_writer_or_the_shutdown() {
        let (release, blocked) = sync_channel(0);
        let console = Console::with_queue(2, Blocked(blocked)).unwrap();
        let mut writer = console.writer();
        for _ in 0..10 {
            writer.write_all(b"line\n").unwrap();
        }
        // Two lines wait in the queue, and the thread may have taken one.
        let lost = console.describe_loss().unwrap();
        assert!(lost == "7 log lines to the console" || lost == "8 log lines to the console", "{lost}");
        drop(console);
        drop(release);
    }
}

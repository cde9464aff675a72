//! Waiting for what is seen, never for a time that should be enough.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// How long anything may take that a test waits for. A busy machine is slow, and what takes longer never ends.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// How long between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// Waits until something is so, and panics if it never is.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "it was never so that {what}");
        std::thread::sleep(LOOK);
    }
}

/// What a process said when it ended by itself. One that does not end is killed.
pub fn end(child: Child) -> Output {
    let id = child.id();
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    if let Ok(output) = ended.recv_timeout(PATIENCE) {
        return output.expect("its output");
    }
    signal("-KILL", id);
    panic!("the process did not end: {:?}", ended.recv());
}

/// Opens a pipe with a name for writing, which waits until the process reads it: what the process does from then on needs
/// what comes out of it.
pub fn open_for(reader: &mut Child, pipe: &Path) -> File {
    let (pipe, (sender, opened)) = (pipe.to_owned(), std::sync::mpsc::channel());
    std::thread::spawn(move || sender.send(File::options().write(true).open(pipe)));
    let mut file = None;
    wait_until("the pipe is read", || {
        let has_ended = reader.try_wait().expect("its state").is_some();
        file = opened.recv_timeout(LOOK).ok();
        assert!(file.is_some() || !has_ended, "the process ended before it read the pipe");
        file.is_some()
    });
    file.expect("it is read").expect("the pipe opens")
}

/// Sends a signal, such as `-INT`, to a process that is there.
pub fn signal(name: &str, process: u32) {
    let status = Command::new("kill").args([name, &process.to_string()]).status();
    assert!(status.expect("kill starts").success(), "there is no process {process} any more");
}

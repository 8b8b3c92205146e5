//! The program as a child: waited for with a deadline, and all that it prints is kept.

use std::cell::RefCell;
use std::process::Child;
use std::time::{Duration, Instant};

use super::{Run, watch};

/// No run of the program may take longer.
pub(super) const DEADLINE: Duration = Duration::from_secs(90);

/// So often the keys are looked for that are there.
const LOOK: Duration = Duration::from_millis(100);

thread_local! {
    /// What was printed in this test.
    pub(super) static HEARD: RefCell<Vec<(String, String)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what the program has said. When the rig of this test is dropped, no secret may be in it.
pub(crate) fn heard(place: &str, text: &str) {
    HEARD.with_borrow_mut(|all| all.push((place.to_owned(), text.to_owned())));
}

/// Waits for a child, but not for ever.
pub(crate) fn finish(mut child: Child) -> Run {
    let started = Instant::now();
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let drain = |pipe: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut pipe) = pipe {
                let _cut = pipe.read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let out = drain(
        stdout
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn std::io::Read + Send>),
    );
    let err = drain(
        stderr
            .take()
            .map(|pipe| Box::new(pipe) as Box<dyn std::io::Read + Send>),
    );
    let mut looked = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be asked") {
            break status;
        }
        if started.elapsed() > DEADLINE {
            let _gone = child.kill();
            panic!(
                "the program ran longer than {DEADLINE:?}; stderr:\n{}",
                err.join().expect("text")
            );
        }
        // Some keys do not live until the end of a run.
        if looked.elapsed() > LOOK {
            watch::learn();
            looked = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let run = Run {
        code: status.code(),
        stdout: out.join().expect("text"),
        stderr: err.join().expect("text"),
    };
    watch::learn();
    heard("stdout", &run.stdout);
    heard("stderr", &run.stderr);
    run
}

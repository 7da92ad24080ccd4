//! Whether the last process crashed rather than was killed: a file beside the marks of messages in work.
//!
//! SIGABRT ends what Rust gives up (a stack that overflows, a panic while panicking) and what C asserts; its
//! handler here writes one word and lets the end come. A process killed from outside writes nothing.
//! The only `unsafe` is the handler's set-up and its `write`, which POSIX allows in handlers.

use std::fs::File;
use std::io::Read;
use std::os::fd::IntoRawFd;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

const WORD: &[u8] = b"crashed\n";

static NOTE: AtomicI32 = AtomicI32::new(-1);

/// Looks at the note in `folder`, once a process, and from then on writes one if this process crashes.
/// True: the process before this one crashed.
pub(super) fn last_process_crashed(folder: &Path) -> bool {
    static CRASHED: OnceLock<bool> = OnceLock::new();
    *CRASHED.get_or_init(|| match open(folder) {
        Ok(crashed) => crashed,
        Err(e) => {
            tracing::warn!("{}: no note of crashes is kept: {e}", folder.display());
            false
        }
    })
}

fn open(folder: &Path) -> std::io::Result<bool> {
    std::fs::create_dir_all(folder)?;
    let options = File::options().create(true).read(true).append(true).open(folder.join("crash"));
    let mut file = options?;
    let mut text = vec![];
    file.by_ref().take(64).read_to_end(&mut text)?;
    file.set_len(0)?;
    // Open for as long as the process lives.
    NOTE.store(file.into_raw_fd(), Ordering::SeqCst);
    listen();
    Ok(text.starts_with(WORD))
}

fn listen() {
    extern "C" fn note(_signal: libc::c_int) {
        let file = NOTE.load(Ordering::SeqCst);
        // SAFETY: `write` is async-signal-safe; the descriptor is never closed, the bytes are static.
        unsafe {
            libc::write(file, WORD.as_ptr().cast(), WORD.len());
        }
    }
    // SAFETY: a zeroed `sigaction` is valid; the handler above is async-signal-safe and returns, upon which
    // `abort` ends the process as ever. SA_ONSTACK: a stack that has overflowed is not used.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = note as extern "C" fn(libc::c_int) as usize;
        action.sa_flags = libc::SA_ONSTACK;
        libc::sigaction(libc::SIGABRT, &action, std::ptr::null_mut());
    }
}

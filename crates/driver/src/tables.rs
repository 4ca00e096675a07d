//! Descriptor tables of their own for threads.
//!
//! After [`part_with_own_table`] a descriptor number means one thing in this thread and another in the rest of the
//! process. **Invariant:** a descriptor never leaves the thread that owns it; what crosses threads (wakers, listeners)
//! is opened before the tables part, and each table then closes the copies that it has no use for.
#![allow(unsafe_code)] // reason: two system calls that change or close descriptors by number

use std::io;
use std::os::fd::RawFd;

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// The descriptors of a driver that only its own thread needs. Only [`EpollParts`](crate::EpollParts) names them, so
/// nothing else can be closed by number.
#[derive(Debug, Clone)]
pub struct OwnDescriptors(pub(crate) Vec<RawFd>);

/// Gives the calling thread a copy of the descriptor table, to which `not_mine` are then closed.
///
/// Descriptors that the process had open before stay open in the copy until the thread ends.
///
/// # Errors
/// If the kernel refuses (`EPERM` under some sandboxes, `ENOMEM`).
pub fn part_with_own_table(not_mine: &[OwnDescriptors]) -> io::Result<()> {
    // SAFETY: `CLONE_FILES` changes no memory. Descriptors that safe code holds stay valid, since the new table is a
    // copy of the old; the numbers that do change their meaning are the ones closed below, which belong to others.
    unsafe { unshare_unsafe(UnshareFlags::FILES) }?;
    close_in_this_table(not_mine);
    Ok(())
}

/// Closes descriptors by number in the table of the calling thread, where they are copies of descriptors that another
/// thread owns in its own table.
///
/// The owner must have its own table already ([`part_with_own_table`] returned there), or its descriptors are closed.
pub fn close_in_this_table(copies: &[OwnDescriptors]) {
    for descriptor in copies.iter().flat_map(|own| own.0.iter().copied()) {
        // SAFETY: the owning object lives in a thread with another table (contract of this function), so no safe code
        // in this table uses or closes this number.
        unsafe { rustix::io::close(descriptor) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    fn is_open(descriptor: RawFd) -> bool {
        std::fs::read_link(format!("/proc/thread-self/fd/{descriptor}")).is_ok()
    }

    #[test]
    fn a_descriptor_closed_in_the_table_of_one_thread_stays_open_in_the_other() {
        let files = [File::open("/dev/null").unwrap(), File::open("/dev/null").unwrap()];
        let descriptors = files.each_ref().map(AsRawFd::as_raw_fd);
        std::thread::spawn(move || {
            part_with_own_table(&[OwnDescriptors(descriptors.to_vec())]).unwrap();
            assert!(!descriptors.iter().any(|&descriptor| is_open(descriptor)));
        })
        .join()
        .unwrap();
        assert!(descriptors.iter().all(|&descriptor| is_open(descriptor)));
    }
}

//! When what an embedded database has written reaches the disk.
//!
//! Not with each write: waiting for the disk was a fifth of a request's CPU time and a quarter of its duration. What is written is in
//! the kernel's hands at once, and survives the end of this process, however it ends. The end of the machine it survives once it is
//! synced, which happens every second: a power failure takes what the last second wrote, and nothing of what stands before
//! it, for each part of the write-ahead log is checked for being whole (docs/adr/0020).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use dynoxide::Database;
use tokio::time::MissedTickBehavior;

/// What a power failure may take.
const EVERY: Duration = Duration::from_secs(1);

/// Has the database wait for the disk only where its log is moved into its file.
///
/// # Errors
///
/// [`dynoxide::DynoxideError`] where it refuses.
pub fn relax(database: &Database) -> dynoxide::Result<()> {
    // `PRAGMA synchronous = NORMAL`, and three more that have their defaults here. There is no other way to the connection.
    database.disable_bulk_loading()
}

/// Writes a copy of a database into a file that there is not, or that is empty: whole and on the disk, or not at all.
///
/// # Errors
///
/// Why it cannot be written.
pub fn write_whole(database: &Database, file: &Path) -> Result<(), String> {
    let new = beside(file, "-new");
    let written = new.to_str().ok_or_else(|| format!("{} is no UTF-8 path", new.display()))?;
    remove(&new).map_err(|error| error.to_string())?;
    database.vacuum_into(written).map_err(|error| error.to_string())?;
    name(&new, file).map_err(|error| error.to_string())
}

/// Gives a file that is whole its name.
fn name(new: &Path, file: &Path) -> io::Result<()> {
    File::open(new)?.sync_all()?;
    // What an earlier database of this name has left behind would be taken for this one's.
    remove(&beside(file, "-wal"))?;
    remove(&beside(file, "-shm"))?;
    std::fs::rename(new, file)?;
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// Removes a file, if it is there.
fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A file beside another, whose name goes on like this.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Syncs the write-ahead log of a database, for ever.
pub async fn run(database: PathBuf) {
    let mut log = Log::of(&database);
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let syncing = tokio::task::spawn_blocking(move || {
            let outcome = log.sync(File::sync_data);
            (log, outcome)
        });
        let Ok((same, outcome)) = syncing.await else { return };
        log = same;
        log.tell(outcome);
    }
}

/// Syncs the write-ahead log of a database once.
pub fn now(database: &Path) {
    let mut log = Log::of(database);
    let outcome = log.sync(File::sync_data);
    log.tell(outcome);
}

/// The write-ahead log of a database, as it was when it was synced.
///
/// It may be opened and closed beside the database, which keeps no lock on it: of a file that has one, closing would release it.
struct Log {
    path: PathBuf,
    synced: Option<SystemTime>,
}

impl Log {
    fn of(database: &Path) -> Self {
        Self { path: beside(database, "-wal"), synced: None }
    }

    /// Syncs it, if it was written since. Whether it was.
    fn sync(&mut self, sync: impl FnOnce(&File) -> io::Result<()>) -> io::Result<bool> {
        let log = match File::open(&self.path) {
            Ok(log) => log,
            // Nothing was written yet, or all of it is in the file of the database, and synced.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        // Before the sync: what is written meanwhile is for the next one.
        let written = log.metadata()?.modified()?;
        if self.synced == Some(written) {
            return Ok(false);
        }
        sync(&log)?;
        self.synced = Some(written);
        Ok(true)
    }

    /// Says what the outcome of a sync means, where it failed.
    fn tell(&self, outcome: io::Result<bool>) {
        if let Err(error) = outcome {
            let log = self.path.display();
            tracing::error!(%error, "{log} cannot be synced: a power failure may take what was written since the last sync");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_synced_once_and_again_after_a_failure() {
        let place = std::env::temp_dir().join(format!("ratchet-sync-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let database = place.join("ratchet.db");
        let mut log = Log::of(&database);
        let done = |_: &File| Ok(());
        assert!(!log.sync(done).unwrap(), "there is no log");

        let path = place.join("ratchet.db-wal");
        let write = |text: &str, seconds: u64| {
            std::fs::write(&path, text).unwrap();
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        };
        write("one", 1);
        let fails = |_: &File| Err(io::Error::other("the disk is gone"));
        log.sync(fails).unwrap_err();
        assert!(log.sync(done).unwrap(), "not synced yet");
        assert!(!log.sync(done).unwrap(), "synced");
        // As long as before: SQLite begins its log anew at its start.
        write("two", 2);
        assert!(log.sync(done).unwrap());
        // Written while it is synced.
        write("six", 3);
        assert!(
            log.sync(|_| {
                write("ten", 4);
                Ok(())
            })
            .unwrap()
        );
        assert!(log.sync(done).unwrap());
        std::fs::remove_dir_all(&place).unwrap();
    }
}

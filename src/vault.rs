//! Where state is kept: a text that is old or new but never torn, in a file or in memory.
//!
//! Knows files and their order of writing; refuses to know what is in them.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use tokio::sync::Semaphore;

/// How many unreadable files are set aside before a person has to look at them.
const ASIDE_MAX: u32 = 99;

/// One of the two texts that are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// The one that was kept last.
    Last,
    /// The one before it.
    Previous,
}

/// Keeps one text, and the one before it.
pub trait Vault {
    /// What was kept last.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// What was kept before that.
    fn load_previous(&self) -> io::Result<Option<Vec<u8>>>;

    /// Takes one of them out of the way, for a person to look at; tells where to. It overwrites nothing.
    fn set_aside(&self, which: Kept) -> io::Result<String>;

    /// Keeps this instead; done when it would survive a power cut. Texts are kept in the order of the first polls.
    fn save(&self, text: Vec<u8>) -> LocalBoxFuture<'static, io::Result<()>>;
}

/// A file that its owner alone may read.
#[derive(Clone, Debug)]
pub struct FileVault {
    path: PathBuf,
    /// One writer at a time, in order: an older text never replaces a newer one.
    turn: Arc<Semaphore>,
}

impl FileVault {
    /// A vault in this file; its neighbours with more after the name belong to it too.
    pub fn new(path: PathBuf) -> Self {
        Self { path, turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Vault for FileVault {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        read(&self.path)
    }

    fn load_previous(&self) -> io::Result<Option<Vec<u8>>> {
        read(&beside(&self.path, ".bak"))
    }

    fn set_aside(&self, which: Kept) -> io::Result<String> {
        let unwanted = match which {
            Kept::Last => self.path.clone(),
            Kept::Previous => beside(&self.path, ".bak"),
        };
        for number in 1..=ASIDE_MAX {
            let aside = beside(&self.path, &format!(".aside-{number}"));
            // A rename replaces what is there; who owns the folder is alone in it.
            if fs::symlink_metadata(&aside).is_err() {
                fs::rename(&unwanted, &aside)?;
                sync_folder(&self.path)?;
                return Ok(aside.display().to_string());
            }
        }
        Err(io::Error::other(format!("{ASIDE_MAX} of its kind lie there already")))
    }

    fn save(&self, text: Vec<u8>) -> LocalBoxFuture<'static, io::Result<()>> {
        let (path, turn) = (self.path.clone(), self.turn.clone());
        Box::pin(async move {
            let _turn = turn.acquire_owned().await.map_err(io::Error::other)?;
            // The card of a small computer may take long to confirm; the bus must not wait for it.
            tokio::task::spawn_blocking(move || replace_keeping(&path, &text))
                .await
                .map_err(io::Error::other)?
        })
    }
}

/// What is in a file; `None` where there is none.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same path with more after the name.
fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Replaces a file: whoever reads it, and whenever the power fails, finds the old text or the new one.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    write_beside(path, text)?;
    fs::rename(beside(path, ".new"), path)?;
    sync_folder(path)
}

/// The same; the old text stays beside it. At no moment is there no file.
pub fn replace_keeping(path: &Path, text: &[u8]) -> io::Result<()> {
    write_beside(path, text)?;
    let previous = beside(path, ".bak");
    // The old text is a comfort, not a promise: where there is none yet, or no links, the new one is kept all the same.
    let _ = fs::remove_file(&previous);
    let _ = fs::hard_link(path, &previous);
    fs::rename(beside(path, ".new"), path)?;
    sync_folder(path)
}

fn write_beside(path: &Path, text: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    // One that a crash has left may have been made readable since.
    file.set_permissions(Permissions::from_mode(0o600))?;
    let written = file.write_all(text).and_then(|()| file.sync_all());
    if written.is_err() {
        // On a full disk half a text would take room from everybody.
        let _ = fs::remove_file(&new);
    }
    written
}

/// What a [`MemoryVault`] holds.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// What was kept last.
    pub text: Option<Vec<u8>>,
    /// What was kept before that.
    pub previous: Option<Vec<u8>>,
    /// What was set aside.
    pub aside: Vec<Vec<u8>>,
    /// How often something was kept.
    pub saves: u32,
    /// Nothing can be kept: the disk is full.
    pub full: bool,
}

/// The same in memory, for tests and simulations; clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryVault(pub Rc<RefCell<Memory>>);

impl Vault for MemoryVault {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.borrow().text.clone())
    }

    fn load_previous(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.borrow().previous.clone())
    }

    fn set_aside(&self, which: Kept) -> io::Result<String> {
        let memory = &mut *self.0.borrow_mut();
        let kept = match which {
            Kept::Last => &mut memory.text,
            Kept::Previous => &mut memory.previous,
        };
        memory.aside.push(kept.take().ok_or(io::ErrorKind::NotFound)?);
        Ok("memory".into())
    }

    fn save(&self, text: Vec<u8>) -> LocalBoxFuture<'static, io::Result<()>> {
        let memory = self.0.clone();
        Box::pin(async move {
            let mut memory = memory.borrow_mut();
            if memory.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            memory.previous = memory.text.replace(text);
            memory.saves += 1;
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_private_and_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        assert_eq!(FileVault::new(path.clone()).load().unwrap(), None);
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(FileVault::new(path.clone()).load().unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["text"]);
    }

    #[test]
    fn the_text_before_is_kept_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        let vault = FileVault::new(path.clone());
        for text in ["one", "two", "three"] {
            replace_keeping(&path, text.as_bytes()).unwrap();
        }
        assert_eq!(vault.load().unwrap().as_deref(), Some(&b"three"[..]));
        assert_eq!(vault.load_previous().unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(names(folder.path()), ["text", "text.bak"]);
    }

    #[test]
    fn what_is_set_aside_overwrites_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        let vault = FileVault::new(path.clone());
        for text in ["first", "second"] {
            replace(&path, text.as_bytes()).unwrap();
            vault.set_aside(Kept::Last).unwrap();
        }
        assert_eq!(names(folder.path()), ["text.aside-1", "text.aside-2"]);
        assert_eq!(fs::read(folder.path().join("text.aside-1")).unwrap(), b"first");
        assert!(vault.set_aside(Kept::Last).is_err(), "nothing is there");
        for text in ["old", "new"] {
            replace_keeping(&path, text.as_bytes()).unwrap();
        }
        vault.set_aside(Kept::Previous).unwrap();
        assert_eq!(names(folder.path()), ["text", "text.aside-1", "text.aside-2", "text.aside-3"]);
        assert_eq!(fs::read(folder.path().join("text.aside-3")).unwrap(), b"old");
    }

    #[test]
    fn what_cannot_be_written_leaves_the_old_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        replace_keeping(&path, b"old").unwrap();
        // A folder in the way of the new file: it cannot be opened, whoever asks.
        fs::create_dir(folder.path().join("text.new")).unwrap();
        assert!(replace_keeping(&path, b"new").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_full_disk_leaves_the_old_text() {
        // The one file system that is always full: its device takes no byte.
        let Ok(mut full) = OpenOptions::new().write(true).open("/dev/full") else { return };
        assert_eq!(full.write_all(b"text").unwrap_err().kind(), io::ErrorKind::StorageFull);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        replace_keeping(&path, b"old").unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join("text.new")).unwrap();
        let error = replace_keeping(&path, b"new").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        replace_keeping(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn the_last_of_many_saves_stays() {
        let folder = tempfile::tempdir().unwrap();
        let vault = FileVault::new(folder.path().join("text"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let saves = (0..20u8).map(|n| vault.save(vec![n; 1000]));
            for saved in futures_util::future::join_all(saves).await {
                saved.unwrap();
            }
        });
        assert_eq!(vault.load().unwrap(), Some(vec![19; 1000]));
        assert_eq!(vault.load_previous().unwrap(), Some(vec![18; 1000]));
    }
}

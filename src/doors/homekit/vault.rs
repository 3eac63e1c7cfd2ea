//! Where the state is kept: a file that is old or new but never torn, and the one who writes it, one after another.

use std::io;
use std::path::PathBuf;

use futures_util::future::LocalBoxFuture;
use tokio::sync::{mpsc, oneshot};

use crate::vault::read;
pub(super) use crate::vault::replace;

/// How many saves may wait: each belongs to a request, and a session has one at a time.
const SAVES_MAX: usize = 64;

/// Keeps one text.
pub(super) trait Vault {
    /// What was kept last.
    fn load(&self) -> io::Result<Option<Vec<u8>>>;

    /// Keeps this instead; done when it would survive a power cut.
    fn save(&self, text: Vec<u8>) -> LocalBoxFuture<'static, io::Result<()>>;
}

/// A file that its owner alone may read.
pub(super) struct FileVault(pub(super) PathBuf);

impl Vault for FileVault {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        read(&self.0)
    }

    fn save(&self, text: Vec<u8>) -> LocalBoxFuture<'static, io::Result<()>> {
        let path = self.0.clone();
        Box::pin(async move {
            // The card of a small computer may take long to confirm; the bus must not wait for it.
            tokio::task::spawn_blocking(move || replace(&path, &text)).await.map_err(io::Error::other)?
        })
    }
}

/// The same in memory.
#[cfg(test)]
#[derive(Clone, Default)]
pub(super) struct MemoryVault(pub(super) std::rc::Rc<std::cell::RefCell<Option<Vec<u8>>>>);

#[cfg(test)]
impl Vault for MemoryVault {
    fn load(&self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.borrow().clone())
    }

    fn save(&self, text: Vec<u8>) -> LocalBoxFuture<'static, io::Result<()>> {
        *self.0.borrow_mut() = Some(text);
        Box::pin(async { Ok(()) })
    }
}

type Save = (Vec<u8>, oneshot::Sender<io::Result<()>>);

/// Writes one text after another, so that an older one never replaces a newer.
#[derive(Clone)]
pub(super) struct Keeper(mpsc::Sender<Save>);

impl Keeper {
    /// Begins to keep; ends with its last handle. Call it inside a local task set.
    pub(super) fn new(vault: Box<dyn Vault>) -> Self {
        let (saves, mut waiting) = mpsc::channel::<Save>(SAVES_MAX);
        tokio::task::spawn_local(async move {
            while let Some((text, saved)) = waiting.recv().await {
                // Whoever asked may have gone; the text is kept all the same.
                let _ = saved.send(vault.save(text).await);
            }
        });
        Self(saves)
    }

    /// Keeps this text. The order is that of the calls; the future tells how it went.
    pub(super) fn save(&self, text: Vec<u8>) -> impl Future<Output = io::Result<()>> + use<> {
        let (saved, outcome) = oneshot::channel();
        let queued = self.0.try_send((text, saved)).map_err(|_| io::ErrorKind::WouldBlock);
        async move {
            queued?;
            outcome.await.unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_file_is_private_and_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("homekit.json");
        assert_eq!(FileVault(path.clone()).load().unwrap(), None);
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(FileVault(path.clone()).load().unwrap().as_deref(), Some(&b"two"[..]));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_last_of_many_saves_stays() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let vault = MemoryVault::default();
            let keeper = Keeper::new(Box::new(vault.clone()));
            let saves: Vec<_> = (0..10u8).map(|n| keeper.save(vec![n])).collect();
            for save in saves {
                save.await.unwrap();
            }
            assert_eq!(*vault.0.borrow(), Some(vec![9]));
        });
    }
}

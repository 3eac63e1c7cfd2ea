//! Another config while telegrams are understood.

use super::installation::{Installation, Known};
use super::{Installed, Interpreter};

impl Interpreter {
    /// From now on these modules are installed. What those that stay have said is not forgotten, nor what was asked.
    pub fn reinstall(&mut self, modules: impl IntoIterator<Item = Installed>) {
        let stays = |Installed { serial, module_type, link }: Installed| {
            let mut known = Known::new(module_type, link);
            if let Some(before) = self.modules.take(serial) {
                // A poll's finding waits for its report whatever became of the module.
                known.awaits_until = before.awaits_until;
                if before.module_type == module_type {
                    known = before;
                    known.link = link;
                }
            }
            (serial, known)
        };
        self.modules = Installation::new(modules.into_iter().map(stays).collect::<Vec<_>>());
        self.pending.retain(|pending| self.modules.has(pending.serial));
        // What fitted none may fit one now, and is worth a word once more where it does not.
        self.unplaced.clear();
    }
}

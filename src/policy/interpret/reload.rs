//! Another config while telegrams are understood.

use super::installation::{Installation, Known};
use super::{Installed, Interpreter};

impl Interpreter {
    /// From now on these modules are installed. What those that stay have said is not forgotten, nor what was asked.
    pub fn reinstall(&mut self, modules: impl IntoIterator<Item = Installed>) {
        let stays = |Installed { serial, module_type, link }: Installed| {
            let known = self.modules.take(serial).filter(|known| known.module_type == module_type);
            let known = known.map(|known| Known { link, ..known });
            (serial, known.unwrap_or_else(|| Known::new(module_type, link)))
        };
        self.modules = Installation::new(modules.into_iter().map(stays).collect::<Vec<_>>());
        self.pending.retain(|pending| self.modules.has(pending.serial));
        // What fitted none may fit one now, and is worth a word once more where it does not.
        self.unplaced.clear();
    }
}

//! Another config while telegrams are understood.

use super::{Installed, Interpreter, Known};

impl Interpreter {
    /// From now on these modules are installed. What those that stay have said is not forgotten, nor what was asked.
    pub fn reinstall(&mut self, modules: impl IntoIterator<Item = Installed>) {
        let mut before = std::mem::take(&mut self.modules);
        for Installed { serial, module_type, link } in modules {
            let known = before.remove(&serial).filter(|known| known.module_type == module_type);
            let known = known.map(|known| Known { link, ..known });
            self.modules.insert(serial, known.unwrap_or_else(|| Known::new(module_type, link)));
        }
        self.pending.retain(|pending| self.modules.contains_key(&pending.serial));
        // What fitted none may fit one now, and is worth a word once more where it does not.
        self.unplaced.clear();
    }
}

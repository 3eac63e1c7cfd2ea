//! Which modules there are and what each last said, found by serial number and by what their events carry.

use super::{Bitmap, OutputIndex, Point};
use crate::conbus::{ModuleType, SerialNumber};

/// What is known of a module.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) module_type: ModuleType,
    pub(super) link: u8,
    pub(super) outputs: Bitmap,
    pub(super) report_seq: [u64; OutputIndex::COUNT_MAX as usize],
    /// The last command written to it and not yet acknowledged.
    pub(super) commanded: Option<Point>,
}

impl Known {
    pub(super) fn new(module_type: ModuleType, link: u8) -> Self {
        Self {
            module_type,
            link,
            outputs: Bitmap::default(),
            report_seq: [0; OutputIndex::COUNT_MAX as usize],
            commanded: None,
        }
    }
}

/// What an event says of its sender: type and link.
type Source = (ModuleType, u8);

/// The modules behind one gateway. A search takes the logarithm of their number.
#[derive(Debug)]
pub(super) struct Installation {
    /// In the order of their numbers.
    modules: Vec<(SerialNumber, Known)>,
    /// Where the module is that sends events as this source; of some sources there are several.
    sources: Vec<(Source, usize)>,
}

impl Installation {
    pub(super) fn new(modules: impl IntoIterator<Item = (SerialNumber, Known)>) -> Self {
        let mut modules: Vec<_> = modules.into_iter().collect();
        modules.sort_by_key(|(serial, _)| *serial);
        modules.dedup_by_key(|(serial, _)| *serial);
        let mut installation = Self { modules, sources: Vec::new() };
        installation.index();
        installation
    }

    fn index(&mut self) {
        let places = self.modules.iter().enumerate();
        self.sources = places.map(|(at, (_, known))| ((known.module_type, known.link), at)).collect();
        self.sources.sort_unstable();
    }

    fn place(&self, serial: SerialNumber) -> Option<usize> {
        self.modules.binary_search_by_key(&serial, |(serial, _)| *serial).ok()
    }

    pub(super) fn has(&self, serial: SerialNumber) -> bool {
        self.place(serial).is_some()
    }

    pub(super) fn get(&self, serial: SerialNumber) -> Option<&Known> {
        Some(&self.modules[self.place(serial)?].1)
    }

    pub(super) fn get_mut(&mut self, serial: SerialNumber) -> Option<&mut Known> {
        let place = self.place(serial)?;
        Some(&mut self.modules[place].1)
    }

    /// What is known of a module, which is a blank one from now on.
    pub(super) fn take(&mut self, serial: SerialNumber) -> Option<Known> {
        let known = self.get_mut(serial)?;
        let blank = Known::new(known.module_type, known.link);
        Some(std::mem::replace(known, blank))
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Known> {
        self.modules.iter_mut().map(|(_, known)| known)
    }

    /// Who sends as this source.
    pub(super) fn senders(&self, source: Source) -> impl ExactSizeIterator<Item = SerialNumber> {
        self.sources[self.range(source)].iter().map(|(_, at)| self.modules[*at].0)
    }

    /// The module that sends as this source, when it is the only one.
    pub(super) fn sender_mut(&mut self, source: Source) -> Option<(SerialNumber, &mut Known)> {
        let [(_, at)] = self.sources[self.range(source)] else { return None };
        let (serial, known) = &mut self.modules[at];
        Some((*serial, known))
    }

    fn range(&self, source: Source) -> std::ops::Range<usize> {
        let begin = self.sources.partition_point(|(other, _)| *other < source);
        let same = self.sources[begin..].iter().take_while(|(other, _)| *other == source).count();
        begin..begin + same
    }

    /// A module says that it sends as this source from now on.
    pub(super) fn moved(&mut self, serial: SerialNumber, source: Source) {
        let Some(known) = self.get_mut(serial) else { return };
        if (known.module_type, known.link) != source {
            (known.module_type, known.link) = source;
            self.index();
        }
    }
}

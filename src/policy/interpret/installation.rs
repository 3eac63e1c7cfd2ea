//! Which modules there are and what each last said, found by serial number and by what their events carry.

use std::ops::Range;

use super::{Bitmap, Moment, OutputIndex, Point};
use crate::conbus::{ModuleType, SerialNumber};

/// What is known of a module.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) module_type: ModuleType,
    pub(super) link: u8,
    pub(super) outputs: Bitmap,
    report_seq: [u64; OutputIndex::COUNT_MAX as usize],
    /// The highest of them.
    last_report_seq: u64,
    /// The last command written to it and not yet acknowledged.
    pub(super) commanded: Option<Point>,
    /// Until when a change that a poll found may wait for its report.
    pub(super) awaits_until: Moment,
}

impl Known {
    pub(super) fn new(module_type: ModuleType, link: u8) -> Self {
        Self {
            module_type,
            link,
            outputs: Bitmap::default(),
            report_seq: [0; OutputIndex::COUNT_MAX as usize],
            last_report_seq: 0,
            commanded: None,
            awaits_until: Moment::START,
        }
    }

    /// A report told this.
    pub(super) fn reported(&mut self, output: OutputIndex, on: bool, seq: u64) {
        self.outputs.set(output, on);
        self.report_seq[usize::from(output.get())] = seq;
        self.last_report_seq = self.last_report_seq.max(seq);
    }

    /// A reply asked at `seq` told this: gives what of it is another state than the one known before. What a report told
    /// behind the query is newer.
    pub(super) fn replied(&mut self, mut heard: Bitmap, seq: u64) -> Bitmap {
        if self.last_report_seq > seq {
            heard = heard.filter(|output| self.report_seq[usize::from(output.get())] <= seq);
        }
        let changed = heard.changed_since(self.outputs);
        self.outputs = heard.over(self.outputs);
        changed
    }
}

/// What an event says of its sender: type and link.
type Source = (ModuleType, u8);

/// A link number has two digits.
const LINKS: usize = 100;

/// On how many shelves the modules stand: few homes have more of them.
const SHELVES: usize = 128;

/// On which shelf a module stands: its last bits differ from its neighbours'.
fn shelf(serial: SerialNumber) -> usize {
    (serial.number() % SHELVES as u64) as usize
}

/// A module by what its events carry.
#[derive(Clone, Copy, Debug)]
struct Sender {
    module_type: ModuleType,
    place: usize,
}

/// Where in a sorted list those of each number begin: `N` is one more than the numbers.
#[derive(Debug)]
struct Begins<const N: usize>([usize; N]);

impl<const N: usize> Begins<N> {
    /// Those of a list with so many entries, sorted by their numbers.
    fn new(entries: usize, number: impl Fn(usize) -> usize) -> Self {
        let mut begin = 0;
        Self(std::array::from_fn(|of| {
            while begin < entries && number(begin) < of {
                begin += 1;
            }
            begin
        }))
    }

    /// The entries of a number; of one that is too high there are none.
    fn of(&self, number: usize) -> Range<usize> {
        match self.0.get(number..number + 2) {
            Some(&[begin, end]) => begin..end,
            _ => 0..0,
        }
    }
}

/// The modules behind one gateway. A search by serial number looks at those on its shelf, a search by what an event
/// carries at those with its link.
#[derive(Debug)]
pub(super) struct Installation {
    /// In the order of their shelves.
    modules: Vec<(SerialNumber, Known)>,
    shelves: Begins<{ SHELVES + 1 }>,
    /// In the order of their links; of some sources there are several.
    senders: Vec<Sender>,
    links: Begins<{ LINKS + 1 }>,
}

impl Installation {
    pub(super) fn new(modules: impl IntoIterator<Item = (SerialNumber, Known)>) -> Self {
        let mut modules: Vec<_> = modules.into_iter().collect();
        modules.sort_by_key(|(serial, _)| (shelf(*serial), *serial));
        modules.dedup_by_key(|(serial, _)| *serial);
        let shelves = Begins::new(modules.len(), |place| shelf(modules[place].0));
        let (senders, links) = senders(&modules);
        Self { modules, shelves, senders, links }
    }

    /// Where the module with this number is.
    pub(super) fn place(&self, serial: SerialNumber) -> Option<usize> {
        self.shelves.of(shelf(serial)).find(|place| self.modules[*place].0 == serial)
    }

    pub(super) fn has(&self, serial: SerialNumber) -> bool {
        self.place(serial).is_some()
    }

    pub(super) fn get(&self, serial: SerialNumber) -> Option<&Known> {
        Some(&self.modules[self.place(serial)?].1)
    }

    /// The module at this place, one that [`Self::place`] gave.
    pub(super) fn at_mut(&mut self, place: usize) -> (SerialNumber, &mut Known) {
        let (serial, known) = &mut self.modules[place];
        (*serial, known)
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
    pub(super) fn senders(&self, source: Source) -> impl Iterator<Item = SerialNumber> {
        self.places(source).map(|place| self.modules[place].0)
    }

    /// The module that sends as this source, when it is the only one.
    pub(super) fn sender_mut(&mut self, source: Source) -> Option<(SerialNumber, &mut Known)> {
        let place = self.only_place(source)?;
        Some(self.at_mut(place))
    }

    fn only_place(&self, source: Source) -> Option<usize> {
        let mut places = self.places(source);
        places.next().filter(|_| places.next().is_none())
    }

    fn places(&self, (module_type, link): Source) -> impl Iterator<Item = usize> {
        let of_link = &self.senders[self.links.of(link.into())];
        of_link.iter().filter(move |sender| sender.module_type == module_type).map(|sender| sender.place)
    }

    /// A module says that it sends as this source from now on.
    pub(super) fn moved(&mut self, serial: SerialNumber, source: Source) {
        let Some(known) = self.get_mut(serial) else { return };
        if (known.module_type, known.link) != source {
            (known.module_type, known.link) = source;
            (self.senders, self.links) = senders(&self.modules);
        }
    }
}

/// The modules in the order of their links.
fn senders(modules: &[(SerialNumber, Known)]) -> (Vec<Sender>, Begins<{ LINKS + 1 }>) {
    let link = |place: usize| usize::from(modules[place].1.link);
    let sender = |place: usize| Sender { module_type: modules[place].1.module_type, place };
    let mut senders: Vec<_> = (0..modules.len()).map(sender).collect();
    senders.sort_by_key(|sender| link(sender.place));
    let links = Begins::new(senders.len(), |at| link(senders[at].place));
    (senders, links)
}

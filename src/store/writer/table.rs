//! The packs of an artifact, and the open pack.

use std::collections::HashMap;

use bytes::Bytes;

use crate::store::blob::BaseRef;
use crate::store::manifest::{Manifest, PackEntry};
use crate::store::packs::{MAGIC, PACK_TARGET};

/// The packs in the order of the manifest.
#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    from_base: HashMap<u32, u32>,
    open: Option<OpenPack>,
    written: u64,
}

enum Slot {
    /// A pack of the base, by its index there.
    Base(u32),
    /// A pack that is being written.
    Pending,
    /// A new pack; its `refs` are indexes of this table.
    New(PackEntry),
}

/// The position of a blob.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) pack: u32,
    pub(super) offset: u32,
    pub(super) stored: u32,
}

/// A full pack.
pub(super) struct FullPack {
    slot: u32,
    refs: Vec<u32>,
    content: Vec<u8>,
}

impl FullPack {
    /// Closes the pack by appending the ids of the packs that it refers to.
    pub(super) fn close(self, ids: &[String]) -> (u32, PackEntry, Bytes) {
        let Self { slot, refs, mut content } = self;
        ids.iter().for_each(|id| content.extend_from_slice(id.as_bytes()));
        content.extend_from_slice(&u32::try_from(ids.len()).unwrap_or(u32::MAX).to_le_bytes());
        let entry =
            PackEntry { id: blake3::hash(&content).to_hex().to_string(), size: content.len() as u64, refs };
        (slot, entry, content.into())
    }
}

struct OpenPack {
    slot: u32,
    content: Vec<u8>,
    refs: Vec<u32>,
}

impl OpenPack {
    fn local(&mut self, slot: u32) -> u32 {
        let known = self.refs.iter().position(|known| *known == slot);
        let local = known.unwrap_or_else(|| {
            self.refs.push(slot);
            self.refs.len() - 1
        });
        u32::try_from(local).unwrap_or(u32::MAX)
    }
}

impl Table {
    /// Returns the index of a pack of the base in this table.
    pub(super) fn of_base(&mut self, pack: u32) -> u32 {
        let next = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        *self.from_base.entry(pack).or_insert_with(|| {
            self.slots.push(Slot::Base(pack));
            next
        })
    }

    /// Appends the blob that `make` creates from `bases`, whose packs are given as indexes of the
    /// base. The caller must write the returned pack, which is full.
    pub(super) fn append<E>(
        &mut self,
        mut bases: Vec<BaseRef>,
        make: impl FnOnce(&[BaseRef]) -> Result<Vec<u8>, E>,
    ) -> Result<(Placed, Option<FullPack>), E> {
        for base in &mut bases {
            base.pack = self.of_base(base.pack);
        }
        let mut open = self.open.take().unwrap_or_else(|| self.new_pack());
        for base in &mut bases {
            base.pack = open.local(base.pack);
        }
        let made = make(&bases);
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let placed = made.map(|blob| {
            let placed =
                Placed { pack: open.slot, offset: number(open.content.len()), stored: number(blob.len()) };
            open.content.extend_from_slice(&blob);
            placed
        });
        let full = open.content.len() >= PACK_TARGET;
        let full = if full {
            Some(FullPack { slot: open.slot, refs: open.refs, content: open.content })
        } else {
            self.open = Some(open);
            None
        };
        Ok((placed?, full))
    }

    fn new_pack(&mut self) -> OpenPack {
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(Slot::Pending);
        let mut content = Vec::with_capacity(1 << 20);
        content.extend_from_slice(MAGIC);
        // Random bytes make each pack unique, so that a new pack never has the name of one that is
        // being removed.
        content.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
        OpenPack { slot, content, refs: Vec::new() }
    }

    /// Takes the open pack.
    pub(super) fn take_open(&mut self) -> Option<FullPack> {
        let open = self.open.take()?;
        Some(FullPack { slot: open.slot, refs: open.refs, content: open.content })
    }

    /// Returns the ids of the packs that a pack refers to.
    pub(super) fn ids(&self, pack: &FullPack, base: Option<&Manifest>) -> Vec<String> {
        let id = |slot: &u32| match (self.slots.get(*slot as usize), base) {
            (Some(Slot::Base(pack)), Some(base)) => {
                base.packs.get(*pack as usize).map(|pack| pack.id.clone())
            }
            _ => None,
        };
        pack.refs.iter().map(|slot| id(slot).unwrap_or_default()).collect()
    }

    /// Records that a pack is durable.
    pub(super) fn written(&mut self, slot: u32, entry: PackEntry) {
        self.written += entry.size;
        self.slots[slot as usize] = Slot::New(entry);
    }

    /// Returns the size of all new packs, in bytes.
    pub(super) fn written_bytes(&self) -> u64 {
        self.written
    }

    /// Returns all packs, with those that they refer to directly or indirectly. `None` if one is
    /// not written.
    pub(super) fn entries(mut self, base: Option<&Manifest>) -> Option<Vec<PackEntry>> {
        let mut entries = Vec::new();
        let mut at = 0;
        while at < self.slots.len() {
            let entry = match &self.slots[at] {
                Slot::Pending => return None,
                Slot::New(entry) => entry.clone(),
                Slot::Base(pack) => {
                    let known = base?.packs.get(*pack as usize)?.clone();
                    let refs = known.refs.iter().map(|pack| self.of_base(*pack)).collect();
                    PackEntry { refs, ..known }
                }
            };
            entries.push(entry);
            at += 1;
        }
        Some(entries)
    }
}

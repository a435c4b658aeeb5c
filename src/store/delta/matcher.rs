//! Finds the common parts of a chunk and its base.

use super::codec::{Delta, Op};

/// The number of bytes that are looked up in the index.
const WORD: usize = 16;
/// The distance of indexed offsets in the base, in bytes. Every match of at least `WORD + STEP - 1`
/// bytes is found.
const STEP: usize = 16;
const BUCKET_BITS: u32 = 15;
/// The maximum number of offsets with the same hash that are tried.
const TRIES: usize = 48;
/// The minimum length of a copy, in bytes. A shorter copy takes more space than its bytes.
const COPY_MIN: usize = 32;
/// The distance, in bytes, within which the continuation after a removed or inserted row is
/// searched directly. It is longer than most rows; larger gaps are found by the index.
const SHIFT_MAX: usize = 1 << 10;
/// The maximum length of a piece that was overwritten in place, and the minimum length of the match
/// after it, in bytes. A shorter match may be the padding of a column, which is equal in all rows.
const OVERWRITTEN_MAX: usize = 512;
const SURELY_OVERWRITTEN: usize = 256;
/// The search ends if there is no match within this many bytes.
const NO_MATCH_MAX: usize = 48 << 10;
const NONE: u32 = u32::MAX;

/// Searches for common bytes. Owns the index, so that it is allocated once.
pub(crate) struct Matcher {
    heads: Vec<u32>,
    next: Vec<u32>,
}

impl Matcher {
    pub(crate) fn new() -> Self {
        Self { heads: vec![NONE; 1 << BUCKET_BITS], next: Vec::new() }
    }

    /// Returns the delta from `base` to `target`, or `None` if they have little in common.
    pub(crate) fn diff(&mut self, base: &[u8], target: &[u8]) -> Option<Delta> {
        self.index(base);
        let mut delta = Delta::default();
        // The start of the pending literal, and the offset in the base where the next copy should
        // continue.
        let (mut literal, mut expected) = (0, 0);
        let mut at = 0;
        while at < target.len() {
            let Some(found) = self.find(base, target, literal, at, expected) else {
                at += 1;
                if delta.ops.is_empty() && at > NO_MATCH_MAX {
                    return None;
                }
                continue;
            };
            delta.literals.extend_from_slice(&target[literal..found.target]);
            delta.ops.push(Op {
                insert: u32::try_from(found.target - literal).ok()?,
                copy_from: u32::try_from(found.base).ok()?,
                copy: u32::try_from(found.length).ok()?,
            });
            at = found.target + found.length;
            (literal, expected) = (at, found.base + found.length);
        }
        delta.literals.extend_from_slice(&target[literal..]);
        delta.tail = u32::try_from(target.len() - literal).ok()?;
        (delta.literals.len() < target.len() - target.len() / 8).then_some(delta)
    }

    fn index(&mut self, base: &[u8]) {
        self.heads.fill(NONE);
        let blocks = base.len() / STEP;
        self.next.clear();
        self.next.resize(blocks, NONE);
        // In reverse order, so that each chain is in the order of the base.
        for block in (0..blocks).rev() {
            let Some(word) = word_at(base, block * STEP) else { continue };
            if uniform(word) {
                continue;
            }
            let head = &mut self.heads[bucket(word)];
            self.next[block] = std::mem::replace(head, u32::try_from(block).unwrap_or(NONE));
        }
    }

    /// Finds the best copy that covers the offset `at` of the target. It may begin before it,
    /// within the pending literal that begins at `literal`.
    fn find(&self, base: &[u8], target: &[u8], literal: usize, at: usize, expected: usize) -> Option<Match> {
        if at == literal
            && let Some(found) = nearby(base, target, at, expected)
        {
            return Some(found);
        }
        let word = word_at(target, at).filter(|word| !uniform(*word))?;
        let mut best = overwritten(base, target, at, expected + (at - literal));
        let mut block = self.heads[bucket(word)];
        for _ in 0..TRIES {
            if block == NONE {
                break;
            }
            let place = block as usize * STEP;
            block = self.next[block as usize];
            if word_at(base, place) != Some(word) {
                continue;
            }
            let back = common_suffix(&base[..place], &target[literal..at]);
            let length = back + common_prefix(&base[place..], &target[at..]);
            let found = Match { target: at - back, base: place - back, length };
            if best.as_ref().is_none_or(|best| found.beats(best, expected)) {
                best = Some(found);
            }
        }
        best.filter(|found| found.length >= COPY_MIN)
    }
}

/// A match: offsets in target and base, and the length, in bytes.
struct Match {
    target: usize,
    base: usize,
    length: usize,
}

impl Match {
    /// Returns true if this match is better. Longer matches are better; of similar lengths, the
    /// nearer one, because its offset takes fewer bits.
    fn beats(&self, other: &Self, expected: usize) -> bool {
        let worth = |found: &Self| {
            let far = found.base.abs_diff(expected);
            found.length.saturating_sub(usize::try_from((far / 16 + 1).ilog2()).unwrap_or(0))
        };
        worth(self) > worth(other)
    }
}

/// Returns the match at the same offset, after an overwritten piece.
fn overwritten(base: &[u8], target: &[u8], at: usize, same_place: usize) -> Option<Match> {
    let length = common_prefix(base.get(same_place..)?, &target[at..]);
    (length >= COPY_MIN).then_some(Match { target: at, base: same_place, length })
}

/// Tries the most frequent cases first: the base continues at the expected offset, or after a
/// removed, inserted or overwritten piece.
fn nearby(base: &[u8], target: &[u8], at: usize, expected: usize) -> Option<Match> {
    let (old, new) = (base.get(expected..)?, &target[at..]);
    let length = common_prefix(old, new);
    if length >= COPY_MIN || (length > 0 && length == new.len()) {
        return Some(Match { target: at, base: expected, length });
    }
    let (next_old, next_new) = (old.get(..COPY_MIN)?, new.get(..COPY_MIN)?);
    if let Some(removed) = position(&old[..old.len().min(SHIFT_MAX)], next_new) {
        let length = common_prefix(&old[removed..], new);
        return Some(Match { target: at, base: expected + removed, length });
    }
    if let Some(inserted) = position(&new[..new.len().min(SHIFT_MAX)], next_old) {
        let length = common_prefix(old, &new[inserted..]);
        return Some(Match { target: at + inserted, base: expected, length });
    }
    let most = OVERWRITTEN_MAX.min(old.len()).min(new.len()).saturating_sub(COPY_MIN);
    let same = |skip: &usize| old[*skip..*skip + COPY_MIN] == new[*skip..*skip + COPY_MIN];
    let skip = (1..most).find(same)?;
    let length = common_prefix(&old[skip..], &new[skip..]);
    (length >= SURELY_OVERWRITTEN).then_some(Match { target: at + skip, base: expected + skip, length })
}

/// Returns the offset of `wanted`. General search algorithms take longer to prepare than this
/// search takes.
fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let word = word_at(wanted, 0)?;
    let places = bytes.len().checked_sub(wanted.len())?;
    (0..=places).find(|at| word_at(bytes, *at) == Some(word) && bytes[*at..*at + wanted.len()] == *wanted)
}

fn word_at(bytes: &[u8], at: usize) -> Option<u128> {
    bytes.get(at..at + WORD)?.try_into().ok().map(u128::from_le_bytes)
}

/// Returns true if all bytes are the same, as in the padding of a column. Such words occur
/// everywhere, so they do not identify an offset.
fn uniform(word: u128) -> bool {
    word == word.rotate_left(8)
}

fn bucket(word: u128) -> usize {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are wanted")]
    let (low, high) = (word as u64, (word >> 64) as u64);
    let mixed = (low ^ high.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 32) ^ high).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    usize::try_from(mixed >> (64 - BUCKET_BITS)).unwrap_or(0)
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    const LANE: usize = 32;
    let most = a.len().min(b.len());
    let lanes = a[..most].chunks_exact(LANE).zip(b[..most].chunks_exact(LANE));
    let equal = lanes.take_while(|(a, b)| a == b).count() * LANE;
    equal + a[equal..most].iter().zip(&b[equal..most]).take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    a.iter().rev().zip(b.iter().rev()).take_while(|(a, b)| a == b).count()
}

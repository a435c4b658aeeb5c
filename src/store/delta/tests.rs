//! Round trips of deltas.

use proptest::prelude::*;

use super::*;

const MOST: usize = 4 << 20;

fn round_trip(base: &[u8], target: &[u8]) -> Option<usize> {
    let delta = Matcher::new().diff(base, target)?;
    let mut bytes = Vec::new();
    delta.encode(&mut bytes);
    let decoded = Delta::decode(&bytes).unwrap();
    assert_eq!(decoded, delta);
    let made = Content::from(base.to_vec()).apply(decoded, MOST).unwrap();
    assert_eq!(made.len(), target.len());
    assert!(made.to_bytes() == target);
    Some(bytes.len())
}

fn rows(range: std::ops::Range<u32>, changed: impl Fn(u32) -> bool) -> Vec<u8> {
    let mut text = String::new();
    for row in range {
        let mark = if changed(row) { 'x' } else { ' ' };
        text.push_str(&format!("{row}\t{}\t{mark:<84}\n", row.wrapping_mul(2_654_435_761) % 1000));
    }
    text.into_bytes()
}

#[test]
fn scattered_changes_take_little_more_than_their_size() {
    let base = rows(0..5000, |_| false);
    let size = round_trip(&base, &rows(0..5000, |row| row % 200 == 7)).unwrap();
    assert!(size < 25 * 110, "{size}");
    assert!(round_trip(&base, &base).unwrap() < 10);
}

#[test]
fn removed_inserted_and_moved_rows_are_found() {
    let base = rows(0..5000, |_| false);
    let without: Vec<u8> = [rows(0..1000, |_| false), rows(1001..5000, |_| false)].concat();
    assert!(round_trip(&base, &without).unwrap() < 20);
    assert!(round_trip(&without, &base).unwrap() < 130);
    let moved = [rows(3000..5000, |_| false), rows(0..3000, |_| false)].concat();
    assert!(round_trip(&base, &moved).unwrap() < 400);
}

#[test]
fn unrelated_content_gives_no_delta() {
    let mut noise = vec![0; 300_000];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut noise);
    assert!(Matcher::new().diff(&rows(0..3000, |_| false), &noise).is_none());
    assert!(Matcher::new().diff(b"", &noise).is_none());
    assert!(Matcher::new().diff(&noise, b"").is_none());
}

#[test]
fn a_long_chain_of_deltas_restores_each_version() {
    let mut expected = rows(0..2500, |_| false);
    let mut content = Content::from(expected.clone());
    let mut matcher = Matcher::new();
    for version in 0..120 {
        let at = (version * 7919) % expected.len();
        let mut next = expected.clone();
        next.splice(
            at..(at + version % 50).min(next.len()),
            rows(9000..9001 + u32::try_from(version % 3).unwrap(), |_| true),
        );
        let delta = matcher.diff(&expected, &next).unwrap();
        content = content.apply(delta, MOST).unwrap();
        expected = next;
        assert!(content.to_bytes() == expected, "version {version}");
    }
}

#[test]
fn deltas_that_reach_out_of_their_base_are_refused() {
    let op = |copy_from, copy| Delta { ops: vec![Op { insert: 0, copy_from, copy }], ..Delta::default() };
    let base = || Content::from(vec![7; 100]);
    assert!(base().apply(op(0, 100), 100).is_some());
    assert!(base().apply(op(100, 0), 100).is_some());
    for (from, length) in [(0, 101), (100, 1), (101, 0), (u32::MAX, 1), (1, u32::MAX)] {
        assert!(base().apply(op(from, length), MOST).is_none(), "{from} {length}");
    }
    assert!(base().apply(op(0, 100), 99).is_none());
}

proptest! {
    #[test]
    fn any_two_contents_survive_a_round_trip(base in proptest::collection::vec(0u8..4, 0..4000), cut in 0usize..4000, insert: Vec<u8>) {
        let at = cut.min(base.len());
        let target = [&base[at..], &insert, &base[..at]].concat();
        round_trip(&base, &target);
        round_trip(&target, &base);
    }

    #[test]
    fn random_bytes_are_no_delta_and_do_not_panic(bytes: Vec<u8>, base: Vec<u8>) {
        if let Some(delta) = Delta::decode(&bytes) {
            let _ = Content::from(base).apply(delta, 1 << 16);
        }
    }
}

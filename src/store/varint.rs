//! Variable-length integers: seven bits per byte, the low ones first (LEB128).

/// Appends `value`.
pub(super) fn put(output: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        output.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    output.push((value & 0x7f) as u8);
}

/// Appends `value` in zigzag encoding, which is short for small numbers of either sign.
pub(super) fn put_signed(output: &mut Vec<u8>, value: i64) {
    put(output, ((value << 1) ^ (value >> 63)).cast_unsigned());
}

/// Takes a number from the front. `None` if there is none or it exceeds 64 bits.
pub(super) fn take(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Takes a number that [`put_signed`] wrote.
pub(super) fn take_signed(input: &mut &[u8]) -> Option<i64> {
    let value = take(input)?;
    Some((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_survive_a_round_trip(value: u64, signed: i64, rest: Vec<u8>) {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            put_signed(&mut bytes, signed);
            bytes.extend(&rest);
            let mut input = &bytes[..];
            prop_assert_eq!(take(&mut input), Some(value));
            prop_assert_eq!(take_signed(&mut input), Some(signed));
            prop_assert_eq!(input, &rest[..]);
        }

        #[test]
        fn random_bytes_do_not_panic(bytes: Vec<u8>) {
            let mut input = &bytes[..];
            while take(&mut input).is_some() {}
        }
    }

    #[test]
    fn too_long_numbers_are_refused() {
        assert_eq!(take(&mut &[0xff; 11][..]), None);
        assert_eq!(take(&mut &[0x80, 0x80][..]), None);
    }
}

//! Compares two outputs and ignores ids, times, sizes and versions. A document shows real ones; the
//! comparison uses the shape of the output.

/// Returns true if `a` and `b` differ only in values that change between runs.
pub fn alike(a: &str, b: &str) -> bool {
    shape(a) == shape(b)
}

/// Returns `text` with a placeholder for each value that changes between runs. Several spaces count as one,
/// because the width of a column depends on its content.
pub fn shape(text: &str) -> String {
    text.lines().map(|line| line_shape(line) + "\n").collect::<String>()
}

fn line_shape(line: &str) -> String {
    let words: Vec<String> = line.split_whitespace().map(pieces).collect();
    let mut shape: Vec<String> = vec![];
    for word in words {
        let bare = word.trim_matches(|c: char| "()[],.:;'\"".contains(c));
        let before = shape.last().map(String::as_str).unwrap_or_default();
        let last = before.trim_start_matches(['(', '"']);
        match bare {
            // `3 seconds ago`, `1.2 KiB`, `21 ms`: a number before a unit is not a count.
            unit if is_unit(unit) && is_number(last) => {
                let number = shape.pop().unwrap_or_default();
                let open = if number.starts_with(['(', '"']) { &number[..1] } else { "" };
                shape.push(format!("{open}{}", word.replace(bare, "[AMOUNT]")));
            }
            _ if is_amount_key(before) => {
                shape.push(format!("[AMOUNT]{}", if word.ends_with(',') { "," } else { "" }));
            }
            major if is_number(major) && matches!(last, "PostgreSQL" | "pg_dump" | "server") => {
                shape.push(word.replace(major, "[VERSION]"));
            }
            _ => shape.push(word),
        }
    }
    shape.join(" ").replace("[AMOUNT] ago", "[AGO]")
}

/// Returns a word with placeholders for its parts that consist of digits.
fn pieces(word: &str) -> String {
    if is_time(word) {
        return "[TIME]".to_owned();
    }
    let bare = word.trim_end_matches([',', '"']);
    if is_lsn(bare) {
        return word.replace(bare, "[LSN]");
    }
    let (mut shape, mut rest) = (String::new(), word);
    while !rest.is_empty() {
        let plain = rest.find(is_piece).unwrap_or(rest.len());
        shape.push_str(&rest[..plain]);
        rest = &rest[plain..];
        let len = rest.find(|c| !is_piece(c)).unwrap_or(rest.len());
        let piece = rest[..len].trim_end_matches(['.', '-', ':', '+']);
        let len = if piece.is_empty() { len } else { piece.len() };
        shape.push_str(&piece_shape(&rest[..len]));
        rest = &rest[len..];
    }
    shape
}

fn is_piece(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-.:+".contains(c)
}

fn piece_shape(piece: &str) -> String {
    let digits = piece.bytes().filter(u8::is_ascii_digit).count();
    let dotted = piece.contains('.') && piece.split('.').all(is_count);
    if let Some((before, after)) = piece.split_once("..").or_else(|| piece.split_once(':'))
        && !is_time(piece)
    {
        let between = if piece.contains("..") { ".." } else { ":" };
        return format!("{}{between}{}", piece_shape(before), piece_shape(after));
    }
    let whole = piece.trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '-');
    match () {
        () if is_time(piece) => "[TIME]".to_owned(),
        () if is_id(piece) || is_public_key(piece) => "[#]".to_owned(),
        () if is_stamp(whole) => format!("{}[TIME]", &piece[..piece.len() - whole.len()]),
        () if dotted => "[#]".to_owned(),
        () if digits >= 4 && digits == piece.len() => "[#]".to_owned(),
        () if is_duration(piece) => "[AMOUNT]".to_owned(),
        // `15.18-0+deb12u1`: a version of a distribution.
        () if piece.contains(['+', '-']) && piece.starts_with(|c: char| c.is_ascii_digit()) && digits > 3 => {
            "[VERSION]".to_owned()
        }
        () => piece.to_owned(),
    }
}

fn is_count(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn is_number(text: &str) -> bool {
    let text = text.trim_start_matches(['(', '"']);
    is_count(text) || text == "[#]"
}

/// Returns true if `word` is the key of a JSON member that differs in each run.
fn is_amount_key(word: &str) -> bool {
    let keys = ["_bytes\":", "_s\":", "_ms\":", "\"pid\":", "\"started_ticks\":"];
    keys.iter().any(|key| word.ends_with(key))
}

fn is_unit(word: &str) -> bool {
    let plural = word.strip_suffix('s').filter(|word| word.len() > 2).unwrap_or(word);
    matches!(
        plural,
        "B" | "bytes"
            | "byte"
            | "kB"
            | "KiB"
            | "MiB"
            | "GiB"
            | "MB"
            | "GB"
            | "s"
            | "ms"
            | "second"
            | "minute"
            | "hour"
            | "day"
    )
}

/// Returns true for a whole UUID or object id, or one that is shortened to at least seven digits.
fn is_id(piece: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let parts: Vec<&str> = piece.split('-').collect();
    let lengths = [8, 4, 4, 4, 12];
    let uuid = parts.len() > 1
        && parts.len() <= 5
        && parts.iter().all(|part| hex(part) && !part.is_empty())
        && parts.iter().zip(lengths).all(|(part, len)| part.len() <= len)
        && parts[0].len() == 8;
    uuid || (parts.len() == 1 && piece.len() >= 7 && hex(piece))
}

/// `age1` and 58 letters and digits.
fn is_public_key(piece: &str) -> bool {
    piece.len() == 62 && piece.starts_with("age1")
}

/// `16/B374D848`
fn is_lsn(word: &str) -> bool {
    let half = |text: &str| {
        (1..=8).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
    };
    word.split_once('/').is_some_and(|(high, low)| half(high) && half(low) && low.len() > 4)
}

/// `2026-11-21`, `03:40:06.12Z`, `03:40`, or a date with a time.
fn is_time(piece: &str) -> bool {
    let like = |text: &str, pattern: &str| {
        text.len() >= pattern.len()
            && text
                .bytes()
                .zip(pattern.bytes())
                .all(|(b, p)| if p == b'9' { b.is_ascii_digit() } else { b == p })
    };
    let date = like(piece, "9999-99-99") && (piece.len() == 10 || piece.as_bytes()[10] == b'T');
    date || (like(piece, "99:99") && piece.bytes().all(|b| b.is_ascii_digit() || b":.Z+".contains(&b)))
}

/// `20261121T034006.123Z`, as in names.
fn is_stamp(piece: &str) -> bool {
    piece.len() >= 15
        && piece.as_bytes()[8] == b'T'
        && piece.bytes().enumerate().all(|(at, b)| b.is_ascii_digit() || at == 8 || b"Z-.".contains(&b))
}

/// `12ms`, `0.2s`, `3m`.
fn is_duration(piece: &str) -> bool {
    let unit = piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    unit.len() < piece.len() && matches!(unit, "s" | "ms" | "m" | "h")
}

#[test]
fn what_differs_from_run_to_run_is_alike() {
    let alike_ones = [
        ("backup 01a1fc76-f306-78f9-a054-dde5c01effc0 x", "backup 01a1fc77-f306-78f9-b054-dde5c01effc0 x"),
        ("on commit cb42222e62 (main)", "on commit 1234567890 (main)"),
        ("1f2e3d4  1.2 KiB  3 seconds ago", "1f2e3d5   12 KiB  1 second ago"),
        ("shop-20261121T034006Z done", "shop-20270101T000000Z done"),
        ("shop-20261121T034006.123Z done", "shop-20270101T000000.900Z done"),
        ("\"at\": \"2026-11-21T03:40:06.123456Z\",", "\"at\": \"2026-11-22T03:40:06.123450Z\","),
        ("2026-11-21 03:40 UTC", "2027-01-01 00:00 UTC"),
        ("PostgreSQL 15.18 (Debian 15.18-0+deb12u1)", "PostgreSQL 17.2 (Debian 17.2-1+pgdg13+1)"),
        ("\"size_bytes\": 12,", "\"size_bytes\": 123456789,"),
        ("1234567 is a commit", "12345a7 is a commit"),
        ("/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/15/bin"),
        ("from 0/1926000", "from 0/192E3A8"),
        ("1f2e3d4..5a6b7c8", "1f2e3d5..5a6b7c9"),
    ];
    for (a, b) in alike_ones {
        assert!(alike(a, b), "{:?} {:?}", shape(a), shape(b));
    }
}

#[test]
fn what_is_said_differently_is_not() {
    for (a, b) in [
        ("3 backups", "4 backups"),
        ("completed", "failed"),
        ("exit status 1", "exit status 10"),
        ("release-1.0 completed", "release-x completed"),
        ("a\nb", "a b"),
        ("", "x"),
        ("feed the cat", "feed the dog"),
    ] {
        assert!(!alike(a, b), "{:?} {:?}", shape(a), shape(b));
    }
}
